//! Every form of the language gives the tree it should.

use super::{errors, items, shape};
use crate::parse_expr;

/// Checks that a text has the tree `shape`.
fn gives(text: &str, shape: &str) {
    assert_eq!(shape::items(&items(text)), shape, "{text}");
}

/// Checks that an expression has the tree `shape`.
fn means(text: &str, shape: &str) {
    let expr = parse_expr(text, 0).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"));
    assert_eq!(shape::expr(&expr), shape, "{text}");
}

#[test]
fn imports() {
    gives("import \"a/b.ein\"", "import a/b.ein as None []");
    gives("import \"a\" as m", "import a as Some(\"m\") []");
    gives("import \"a\" (f, g)", "import a as None [f g]");
    gives(r#"import "a\\b\"c""#, "import a\\b\"c as None []");
}

#[test]
fn dims_and_types() {
    gives(
        "dim M, K in 1..=4096, G = K / 32 where K % 32 == 0, M < 9",
        concat!("dim M K in (range= 1 4096) G=(product *K /32) ", "(where (Eq (product *K %32) 0) (Lt M 9))"),
    );
    gives("type F in f32, f64", "type F [f32 f64]");
    gives("const n = 4", "const n ? = 4");
    gives("const tau: f64 = 2 * pi", "const tau f64[] = (product *2 *pi)");
}

#[test]
fn declarations() {
    gives("input A: f32[M, K]", "declare Input [A] f32[M K]");
    gives("secret input x, y: f64", "declare Secret Input [x y] f64[]");
    gives("param W: i4[O, I] in packed(group = 32)", "declare Param [W] i4[O I] in packed(group=32)");
    gives("output y: F[...b, N - 1] in csr", "declare Output [y] F[...b (sum +N -1)] in csr()");
    gives("inout c: i32[V] = 0", "declare Inout [c] i32[V] = 0");
}

#[test]
fn functions() {
    gives(
        "fn f(x: f32[...b, D], k: i64,) -> f32[...b] where D > 1 { y = x; return y }",
        "fn f (x:f32[...b D] k:i64[]) -> (?:f32[...b]) (where (Gt D 1)) {y = x; (return y)}",
    );
    gives("fn g() -> (a: f32, f64[N])\n{\n}", "fn g () -> (a:f32[] ?:f64[N]) {}");
    gives(
        "fn a() -> f32 { fn b() -> f32 { return 1 }\n return b() }",
        "fn a () -> (?:f32[]) {fn b () -> (?:f32[]) {(return 1)}; (return (call b []))}",
    );
}

#[test]
fn targets() {
    gives(
        "target cuda { arch = \"sm_90\", memory = 2GiB; n = 2 ** 3\n x = 1 }",
        "target cuda {arch=\"sm_90\" memory=2147483648 n=(power 2 3) x=1}",
    );
}

#[test]
fn definitions() {
    gives("C[i, k] = A[i, j] * B[j, k]", "C[i k] = (product *(at A [i j]) *(at B [j k]))");
    gives("Z = f(x)", "Z = (call f [x])");
    gives("a, b[i] = f(x)", "a b[i] = (call f [x])");
    gives("y[] = x", "y[] = x");
    gives("y[n, (p r), _, ...b] = x where p in 0..3", "y[n {p r} _ ...b] = x (where (in p (range 0 3)))");
    gives("c[tok[b, t]] += 1 where t < 3", "c[(at tok [b t])] += 1 (where (Lt t 3))");
}

#[test]
fn scans() {
    gives(
        "scan[t] h[t] = h[t - 1] + x[t] from 0 where t in 0..T",
        "scan t {h[t] = (sum +(at h [(sum +t -1)]) +(at x [t]))} from [0] (where (in t (range 0 T)))",
    );
    gives(
        "scan[t reversed] h[t] = h[t + 1] where t in 0..T from h0[i]",
        "scan t reversed {h[t] = (at h [(sum +t +1)])} from [(at h0 [i])] (where (in t (range 0 T)))",
    );
    gives(
        "scan[t] { m[t] = m[t - 1]\n P[t] = m[t] } from m = m0, P = P0",
        "scan t block {m[t] = (at m [(sum +t -1)]); P[t] = (at m [t])} from [m=m0 P=P0]",
    );
    gives(
        "scan[t] {\n m[t] = 1\n}\nfrom m = 0\nwhere t in 0..3",
        "scan t block {m[t] = 1} from [m=0] (where (in t (range 0 3)))",
    );
}

#[test]
fn solvers() {
    gives(
        "decompose W[o, i] ~ A[o, r] * B[r, i] where r in 0..K by svd",
        "decompose W[o i] ~ (product *(at A [o r]) *(at B [r i])) (where (in r (range 0 K))) by svd() with []",
    );
    gives(
        "decompose T[i] ~ A[i, r]\n  by als(seed = 0)\n  with orthonormal(A), weights = w[i]",
        "decompose T[i] ~ (at A [i r]) by als(seed=0) with [(call orthonormal [A]) weights=(at w [i])]",
    );
    gives(
        "solve A[i, j] * X[j, n] = B[i, n] for X[j, n] where j in 0..3 with spd, ridge = 1e-3",
        concat!(
            "solve (product *(at A [i j]) *(at X [j n])) = (at B [i n]) for X[j n]",
            " (where (in j (range 0 3))) with [spd ridge=0.001]"
        ),
    );
    gives("grad L wrt W -> dW, b -> db", "grad L with None wrt W->dW b->db");
    gives("grad Y with gy wrt W -> dW", "grad Y with Some(\"gy\") wrt W->dW");
    gives("check relerr(W, V) < 0.3", "check (Lt (call relerr [W V]) 0.3)");
    gives("return a, b[i]", "(return a (at b [i]))");
}

#[test]
fn attributes_and_docs() {
    gives(
        "## Adds.\n##   Twice.\n@tile(i = 128) @acc(f32)\n\n# why\n@order(keep)\nC = A",
        "doc \"Adds.\\n  Twice.\" @tile(i=128) @acc(f32) @order(keep) C = A",
    );
    gives("## of the file\n\nC = A", "C = A");
    gives("@approx(sigmoid, range = (-8, 8)) g = x", "@approx(sigmoid range=(tuple (neg 8) 8)) g = x");
    gives("@a @b(c) x = 1", "@a() @b(c) x = 1");
}

#[test]
fn sums_and_products() {
    means("a + b - c + d", "(sum +a +b -c +d)");
    means("a + (b + c) + d", "(sum +a +(sum +b +c) +d)");
    means("a * b / c % d // e", "(product *a *b /c %d //e)");
    means("a * (b * c)", "(product *a *(product *b *c))");
    means("a + b * c", "(sum +a +(product *b *c))");
    means("-a * b", "(product *(neg a) *b)");
    means("-a + -b", "(sum +(neg a) +(neg b))");
    means("--a", "(neg (neg a))");
}

#[test]
fn powers_and_casts() {
    means("-a ** b ** -c", "(neg (power a (power b (neg c))))");
    means("a * b as f32 * c", "(product *a *(cast b f32) *c)");
    means("a[i] as f32 as F", "(cast (cast (at a [i]) f32) F)");
    means("2 ** p as f32", "(power 2 (cast p f32))");
    means("(a ** b) ** c", "(power (power a b) c)");
}

#[test]
fn conditions() {
    means(
        "if a < b and not c == d or e then x else if f then y else z",
        "(if (or (and (Lt a b) (not (Eq c d))) e) x (if f y z))",
    );
    means("a and b and c or d or e", "(or (and a b c) d e)");
    means("(a and b) and c", "(and (and a b) c)");
    means("i + 1 in 0..n - 1", "(in (sum +i +1) (range 0 (sum +n -1)))");
    means("i in a[b]..=2*c", "(in i (range= (at a [b]) (product *2 *c)))");
    for (sign, name) in [("==", "Eq"), ("!=", "Ne"), ("<=", "Le"), (">=", "Ge"), ("<", "Lt"), (">", "Gt")] {
        means(&format!("a {sign} b"), &format!("({name} a b)"));
    }
}

#[test]
fn accesses() {
    means("x[2*s + u - 1 else -1]", "(at x [(sum +(product *2 *s) +u -1)] (else (neg 1)))");
    means(
        "x[i // 2, i % 2, (p q), (p), ..., ...b, _]",
        "(at x [(product *i //2) (product *i %2) {p q} p ... ...b _])",
    );
    means("E[tok[b, t], d]", "(at E [(at tok [b t]) d])");
    means("f(x, k = 3,)[i, j]", "(at (call f [x k=3]) [i j])");
    means("m.f(x)[i]", "(at (call (field m f) [x]) [i])");
    means("m.x[i]", "(at (field m x) [i])");
    means("x[]", "(at x [])");
    means("f()", "(call f [])");
    means("einsum(\"ij,jk->ik\", A, B)", "(call einsum [\"ij,jk->ik\" A B])");
    means("(a, b, c)", "(tuple a b c)");
    means("A(i, j)", "(call A [i j])");
}

#[test]
fn reductions_and_maps() {
    means("sum[j](x[j])", "(over sum [j] (at x [j]))");
    means("max[u, v where u in 0..2, v < u](x)", "(over max [u v] (where (in u (range 0 2)) (Lt v u)) x)");
    means("topk[e -> k where k in 0..8](x[e])", "(over topk [e->k] (where (in k (range 0 8))) (at x [e]))");
    means("any[...b](x[...b])", "(over any [...b] (at x [...b]))");
    means("all[...](x)", "(over all [...] x)");
    means("x[i](y)", "(over x [i] y)");
}

#[test]
fn numbers() {
    means("1_000", "1000");
    means("170141183460469231731687303715884105727", "170141183460469231731687303715884105727");
    means("2e-3", "0.002");
    means("1_0.2_5E+2", "1025.0");
    means("1j", "1.0j");
    means("2.5e1j", "25.0j");
    means("2GiB", "2147483648");
    means("1.5KiB", "1536");
    means("3MiB", "3145728");
    means("1TiB", "1099511627776");
}

#[test]
fn names() {
    means("μ' + Γ_1'' + 変数 + _x", "(sum +μ' +Γ_1'' +変数 +_x)");
    // The micro and ohm signs are the Greek letters.
    means("\u{b5} + \u{2126}", "(sum +μ +Ω)");
    gives(
        "by = with + from[wrt] * for(type, solve)",
        "by = (sum +with +(product *(at from [wrt]) *(call for [type solve])))",
    );
    gives(
        "from[i] = x\nwith = y\nby[j] += 1\ntype = 2\nsolve[i] = 3",
        "from[i] = x; with = y; by[j] += 1; type = 2; solve[i] = 3",
    );
    gives(
        "scan[t] from[t] = from[t - 1] from with",
        "scan t {from[t] = (at from [(sum +t -1)])} from [with]",
    );
    gives(
        "decompose by[i] ~ with[i, r] by by(with = from) with by",
        "decompose by[i] ~ (at with [i r]) by by(with=from) with [by]",
    );
    gives("grad from with with wrt wrt -> by", "grad from with Some(\"with\") wrt wrt->by");
    gives("@tile(i = 3)\nby[i] = 3", "@tile(i=3) by[i] = 3");
    gives("reversed = 1", "reversed = 1");
}

#[test]
fn newlines() {
    gives("a = b +\n\n  c", "a = (sum +b +c)");
    gives("a = b\n  # why\n  + c\n  - d", "a = (sum +b +c -d)");
    gives("a =\n f(\n x,\n\n y # z\n)", "a = (call f [x y])");
    gives("a = b where i in 0..2,\n j in 0..3", "a = b (where (in i (range 0 2)) (in j (range 0 3)))");
    gives("a = b\n where\n i in 0..2", "a = b (where (in i (range 0 2)))");
    gives("a = if c\n then b\n else\n d", "a = (if c b d)");
    gives("a = 1; b = 2;; c = 3;", "a = 1; b = 2; c = 3");
    gives("a = 1\r\nb = 2\rc = 3\n\td = 4", "a = 1; b = 2; c = 3; d = 4");
    gives("a\n= 1", "a = 1");
    gives("solve a * x = b\n for x\n with spd", "solve (product *a *x) = b for x with [spd]");
    gives("y = x\nsolve a * x = b for x", "y = x; solve (product *a *x) = b for x with []");
    gives("", "");
    gives("\u{feff}# only this", "");
}

#[test]
fn expressions_alone() {
    means("2GiB", "2147483648");
    means("\n 1 +\n 2 # three\n", "(sum +1 +2)");
    means("1\n+ 2", "(sum +1 +2)");
    for text in ["", "1 2", "a = 1", "1; 2", "x[", "1 +", "}", "a { b }"] {
        let errors = parse_expr(text, 7).unwrap_err();
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert_eq!(errors[0].span.file, 7);
    }
}

#[test]
fn spans_are_those_of_the_text() {
    let text = "@acc(f32)\nC[i] = (a + b) * x[i else 0]\n";
    let list = items(text);
    let at = |span: crate::tree::Span| &text[span.start as usize..span.end as usize];
    assert_eq!(at(list[0].span), text.trim_end());
    let crate::tree::ItemKind::Define { targets, value, .. } = &list[0].kind else { panic!() };
    assert_eq!(at(targets[0].span), "C[i]");
    assert_eq!(at(value.span), "(a + b) * x[i else 0]");
    let crate::tree::ExprKind::Product(factors) = &value.kind else { panic!() };
    assert_eq!(at(factors[0].1.span), "(a + b)");
    assert_eq!(at(factors[1].1.span), "x[i else 0]");
}

#[test]
fn a_statement_with_an_error_is_absent_and_the_rest_is_there() {
    let text = "a = 1\nb = = 2\nfn f() -> f32 {\n x = 1\n y = * 2\n return x\n}\nc = 3 4\nd = 5\n";
    let (file, errors) = crate::parse(text, 3);
    assert_eq!(shape::items(&file.items), "a = 1; fn f () -> (?:f32[]) {x = 1; (return x)}; d = 5");
    let lines: Vec<usize> =
        errors.iter().map(|error| 1 + text[..error.span.start as usize].matches('\n').count()).collect();
    assert_eq!(lines, [2, 5, 8]);
    assert!(errors.iter().all(|error| error.span.file == 3));
}

#[test]
fn an_unclosed_bracket_costs_one_statement() {
    let text = "a = f(x\nb = 1\nfn g() -> f32 {\n  c = [(1\n  return c\n}\nd = (\n   1 + 2\ne = 3\ninput x: f32[N\ninput y: f32[N]\n";
    let (file, errors) = crate::parse(text, 0);
    assert_eq!(
        shape::items(&file.items),
        "b = 1; fn g () -> (?:f32[]) {(return c)}; e = 3; declare Input [y] f32[N]"
    );
    assert_eq!(errors.len(), 4, "{errors:#?}");
}

#[test]
fn a_block_behind_an_unclosed_bracket_is_read() {
    let text = "fn f(x: f32[N -> f32 {\n  y = x x\n  return y\n}\nz = 1\n";
    let (file, errors) = crate::parse(text, 0);
    assert_eq!(shape::items(&file.items), "z = 1");
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [103, 102]);
}

#[test]
fn at_most_twenty_errors() {
    assert_eq!(errors(&"a = = 1\n".repeat(19)).len(), 19);
    assert_eq!(errors(&"a = = 1\n".repeat(100)).len(), 20);
    assert_eq!(errors(&"a = (\n".repeat(20_000)).len(), 20);
}
