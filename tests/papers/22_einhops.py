"""References for paper 22: NumPy's einsum on the strings of the paper."""

import numpy as np

from common import Paper

paper = Paper("22-einhops")

SPECS = {
    "transpose": ("ij->ji", [(4, 5), (1, 3), (17, 1)]),
    "sum_all": ("ij->", [(4, 5), (1, 1), (3, 9)]),
    "row_sum": ("ij->i", [(4, 5), (1, 7), (9, 1)]),
    "col_sum": ("ij->j", [(4, 5), (1, 7), (9, 1)]),
    "matvec": ("ik,k->i", [(4, 5), (1, 1), (3, 17)]),
    "matmul": ("ik,kj->ij", [(4, 5, 3), (1, 1, 1), (9, 2, 17)]),
    "dot": ("i,i->", [(5,), (1,), (33,)]),
    "inner": ("ij,ij->", [(4, 5), (1, 1), (2, 19)]),
    "hadamard": ("ij,ij->ij", [(4, 5), (1, 3), (17, 2)]),
    "outer": ("i,j->ij", [(4, 5), (1, 1), (3, 17)]),
    "batched_matmul": ("ijk,ikl->ijl", [(2, 3, 4, 5), (1, 1, 1, 1), (3, 2, 9, 1)]),
    "hadamard3": ("ij,ij,ij->ij", [(4, 5), (1, 1), (7, 3)]),
    "chained_matmul": ("ij,jk,kl->il", [(2, 3, 4, 5), (1, 1, 1, 1), (5, 1, 7, 2)]),
    "bilinear": ("ik,jkl,il->ij", [(3, 4, 2, 5), (1, 1, 1, 1), (2, 9, 1, 3)]),
    "tensor_contract": ("pqrs,tuqvr->pstuv", [(2, 4, 3, 5, 1, 2, 3), (1, 1, 1, 1, 1, 1, 1), (3, 2, 1, 4, 2, 3, 2)]),
    "attn_scores": ("nthd,nThd->nhtT", [(2, 5, 3, 4, 6), (1, 1, 1, 1, 1), (1, 3, 2, 7, 2)]),
}


def register(name, spec, shapes):
    letters = list(dict.fromkeys(letter for letter in spec if letter.isalpha()))
    operands = spec.split("->")[0].split(",")

    def inputs(g, **size):
        return {"abc"[k]: g.real(*(size[letter] for letter in operand)) for k, operand in enumerate(operands)}

    def reference(**tensors):
        return {"o": np.einsum(spec, *(tensors["abc"[k]] for k in range(len(operands))))}

    paper.add(name, [dict(zip(letters, shape)) for shape in shapes], inputs, reference)


for name, (spec, shapes) in SPECS.items():
    register(name, spec, shapes)


@paper.property("transpose", "matmul")
def transpose_reverses_a_product(call, g):
    a, b = g.real(3, 4), g.real(4, 5)
    product = call("transpose", a=call("matmul", a=a, b=b)["o"])["o"]
    swapped = call("matmul", a=call("transpose", a=b)["o"], b=call("transpose", a=a)["o"])["o"]
    call.near("o", product, swapped)


@paper.property("sum_all", "row_sum", "col_sum")
def partial_sums_add_up(call, g):
    a = g.real(4, 7)
    total = call("sum_all", a=a)["o"]
    call.near("rows", call("row_sum", a=a)["o"].sum(), total)
    call.near("columns", call("col_sum", a=a)["o"].sum(), total)


@paper.property("chained_matmul", "matmul")
def chains_associate(call, g):
    a, b, c = g.real(3, 4), g.real(4, 2), g.real(2, 5)
    want = call("matmul", a=a, b=call("matmul", a=b, b=c)["o"])["o"]
    call.near("o", call("chained_matmul", a=a, b=b, c=c)["o"], want)
