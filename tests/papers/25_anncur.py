"""References for paper 25: sorted scores and sets of items."""

import numpy as np

from common import Paper, largest

paper = Paper("25-anncur")


def score(C, E, K):
    S = C @ E
    top = largest(S, K)
    return {"S": S, "top": top, "val": np.take_along_axis(S, top, axis=1)}


def recall(S, T, K, KR):
    found, wanted = largest(S, KR), largest(T, K)
    return {"rec": np.array([len(set(a) & set(b)) / K for a, b in zip(found, wanted)])}


def score_inputs(g, t, j, n, K):
    return {"C": g.real(t, j), "E": g.real(j, n), "K": np.int64(K)}


def recall_inputs(g, t, n, K, KR):
    T = g.real(t, n)
    return {"S": T + g.real(t, n), "T": T, "K": np.int64(K), "KR": np.int64(KR)}


paper.add("score", [dict(t=3, j=4, n=20, K=3), dict(t=1, j=1, n=1, K=1), dict(t=2, j=5, n=7, K=7), dict(t=9, j=3, n=33, K=1)],
          score_inputs, score)
paper.add("recall", [dict(t=3, n=20, K=3, KR=5), dict(t=1, n=1, K=1, KR=1), dict(t=4, n=9, K=9, KR=2), dict(t=2, n=17, K=4, KR=17)],
          recall_inputs, recall)


@paper.property("score")
def ties_go_to_the_lower_item(call, g):
    got = call("score", C=np.ones((1, 1)), E=np.array([[1.0, 3.0, 2.0, 3.0, 3.0]]), K=np.int64(4))
    call.holds("order 1, 3, 4, 2", list(got["top"][0]) == [1, 3, 4, 2])


@paper.property("recall")
def equal_scores_have_full_recall(call, g):
    T = g.real(3, 12)
    call.near("rec", call("recall", S=T, T=T, K=np.int64(4), KR=np.int64(4))["rec"], np.ones(3))
    call.near("opposite", call("recall", S=-T, T=T, K=np.int64(4), KR=np.int64(4))["rec"], np.zeros(3))


@paper.property("score")
def low_rank_scores_are_exact(call, g):
    whole = g.real(15, 3) @ g.real(3, 20)
    anchors = np.array([2, 5, 11, 17])
    E = np.linalg.pinv(whole[:9][:, anchors]) @ whole[:9]
    S = call("score", C=whole[9:][:, anchors], E=E, K=np.int64(3))["S"]
    call.near("S", S, whole[9:], slack=100)


@paper.property()
def calls_of_the_model(call, g):
    call.holds("75x", 30000 / (200 + 200) == 75)
