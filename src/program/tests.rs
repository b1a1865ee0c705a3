//! Programs from text to their checked form, and their values by the interpreter.

use super::*;
use crate::interpret;
use crate::source::Sources;
use einc_runtime::{Scalar, Tensor};

fn module(text: &str) -> (Module, Vec<String>) {
    let mut sources = Sources::default();
    let file = sources.add("test.ein", None, text);
    let (module, diagnostics) = load(&mut sources, file);
    (module, diagnostics.iter().map(|diagnostic| diagnostic.code.to_string()).collect())
}

/// The program for given sizes, which must check without a word.
fn program(text: &str, entry: &str, dims: &[(&str, i64)]) -> Program {
    let (module, errors) = module(text);
    assert!(errors.is_empty(), "{errors:?}");
    let all = check_all(&module);
    assert!(all.is_empty(), "{all:#?}");
    let dims = dims.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let (program, diagnostics) = check(&module, entry, &Bindings { dims, ..Bindings::default() });
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    program.expect("there are no diagnostics")
}

/// The codes that a module is refused with, whatever the sizes.
fn codes(text: &str) -> Vec<String> {
    let (module, mut errors) = module(text);
    errors.extend(check_all(&module).iter().map(|diagnostic| diagnostic.code.to_string()));
    errors
}

/// The codes that the main program is refused with for given sizes.
fn codes_for(text: &str, dims: &[(&str, i64)]) -> Vec<String> {
    let (module, _) = module(text);
    let dims = dims.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let (_, diagnostics) = check(&module, "main", &Bindings { dims, ..Bindings::default() });
    diagnostics.iter().map(|diagnostic| diagnostic.code.to_string()).collect()
}

/// The results for inputs whose elements are 1, 2, 3, ..
fn run(program: &Program) -> Vec<Vec<f64>> {
    let inputs: Vec<Tensor> = program
        .inputs
        .iter()
        .map(|&input| {
            let tensor = &program.tensors[input];
            let mut made = Tensor::zeros(tensor.dtype, &tensor.shape).expect("a small tensor");
            for k in 0..made.elems() {
                made.set(k, Scalar::Real((k + 1) as f64));
            }
            made
        })
        .collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let outputs = interpret::run(program, &inputs).expect("no index leaves its tensor");
    outputs.iter().map(|output| (0..output.elems()).map(|k| output.get(k).re()).collect()).collect()
}

#[test]
fn a_product_is_summed_over_what_the_left_side_lacks() {
    let text = "dim M, K, N\ninput A: f64[M, K]\ninput B: f64[K, N]\noutput C: f64[M, N]\nC[i, k] = A[i, j] * B[j, k]";
    let program = program(text, "main", &[("M", 2), ("K", 3), ("N", 2)]);
    assert!(program.to_string().contains("t2[i,k] = sum[j](t0[i,j] * t1[j,k])"), "{program}");
    assert_eq!(run(&program), [[22.0, 28.0, 49.0, 64.0]]);
}

#[test]
fn every_term_is_summed_by_itself() {
    let text = "dim M, K\ninput A: f64[M, K]\ninput b: f64[M]\noutput y: f64[M]\ny[i] = A[i, j] + b[i]";
    assert_eq!(run(&program(text, "main", &[("M", 2), ("K", 3)])), [[7.0, 17.0]]);
}

#[test]
fn a_convolution_finds_its_ranges() {
    let text = "dim X, K\ninput x: f64[X]\ninput w: f64[K]\noutput y: f64[X - K + 1]\ny[s] = x[s + u] * w[u]";
    assert_eq!(run(&program(text, "main", &[("X", 4), ("K", 2)])), [[5.0, 8.0, 11.0]]);
    let strided = "dim X\ninput x: f64[X]\noutput y: f64[X // 2]\ny[s] = x[2*s] + x[2*s + 1]";
    assert_eq!(run(&program(strided, "main", &[("X", 5)])), [[3.0, 7.0]]);
}

#[test]
fn a_padded_access_takes_the_range_of_the_left_side() {
    let text = "dim X\ninput x: f64[X]\noutput y: f64[X]\ny[i] = x[i - 1 else 10] + x[i + 1 else 0]";
    assert_eq!(run(&program(text, "main", &[("X", 3)])), [[12.0, 4.0, 2.0]]);
    assert_eq!(
        codes_for("dim X\ninput x: f64[X]\noutput y: f64[X]\ny[i] = x[i - 1]", &[("X", 3)]),
        ["EIN0303"]
    );
}

#[test]
fn a_condition_keeps_an_access_inside() {
    let text = "dim X\ninput x: f64[X]\noutput y: f64[X]\ny[i] = if i > 0 then x[i - 1] else 0";
    assert_eq!(run(&program(text, "main", &[("X", 3)])), [[0.0, 1.0, 2.0]]);
}

#[test]
fn groups_flatten_on_both_sides() {
    let text = "dim P, Q\ninput A: f64[P, Q]\noutput f: f64[P*Q]\noutput t: f64[Q, P]\nf[(p q)] = A[p, q]\nt[q, p] = f[(p q)]";
    let both = run(&program(text, "main", &[("P", 2), ("Q", 3)]));
    assert_eq!(both[1], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn scans_read_their_earlier_steps() {
    let forward = "dim T\ninput x: f64[T]\noutput h: f64[T]\nscan[t] h[t] = 2 * h[t - 1] + x[t] from 0";
    assert_eq!(run(&program(forward, "main", &[("T", 3)])), [[1.0, 4.0, 11.0]]);
    let back = "dim T\ninput x: f64[T]\noutput h: f64[T]\nscan[t reversed] h[t] = h[t + 1] + x[t] from 0";
    assert_eq!(run(&program(back, "main", &[("T", 3)])), [[6.0, 5.0, 3.0]]);
    let states = "dim T\ninput x: f64[T]\noutput a: f64\noutput b: f64\nscan[t] {\n  a = a + b\n  b = b + x[t]\n} from a = 0, b = 1";
    assert_eq!(run(&program(states, "main", &[("T", 3)])), [[1.0 + 2.0 + 4.0], [7.0]]);
    assert_eq!(codes("dim T\ninput x: f64[T]\nscan[t] h[t] = h[t + 1] + x[t] from 0"), ["EIN0214"]);
}

#[test]
fn gathers_and_scatters() {
    let text =
        "dim N, V\ninput i: i64[N]\noutput c: i64[V]\noutput g: i64[N]\nc[i[n] % V] += 1\ng[n] = c[i[n] - 1]";
    let both = run(&program(text, "main", &[("N", 3), ("V", 3)]));
    assert_eq!(both, [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]);
}

#[test]
fn a_scatter_adds_at_every_point_of_its_conditions() {
    let text = "dim I, Z, M\ninput ptr: i64[I + 1]\ninput val: f64[Z]\noutput y: f64[M]\ny[e % M] += (i + 1) * val[e] where i in 0..I, e in ptr[i] - 1..ptr[i + 1] - 1";
    // ptr is 1, 2, 3: each of two values of `i` adds one element.
    assert_eq!(run(&program(text, "main", &[("I", 2), ("Z", 2), ("M", 2)])), [[1.0, 4.0]]);
}

#[test]
fn functions_bind_their_dims_at_each_call() {
    let text = "dim M, N\nfn total(x: f64[D]) -> f64 { return sum[d](x[d]) }\ninput a: f64[M]\ninput b: f64[N]\noutput s: f64\ns = total(a) * total(b)";
    assert_eq!(run(&program(text, "main", &[("M", 2), ("N", 3)])), [[18.0]]);
    let file = "dim G\nfn groups(x: f64[C], G: i64) -> (y: f64[C]) {\n  dim q = C // G where C % G == 0\n  m[g] = mean[k where k in 0..q](x[q*g + k]) where g in 0..G\n  y[c] = x[c] - m[c // q]\n}";
    let program = program(file, "groups", &[("C", 4), ("G", 2)]);
    assert_eq!(run(&program), [[-0.5, 0.5, -0.5, 0.5]]);
}

#[test]
fn diagonals_on_both_sides() {
    let text =
        "dim N\ninput A: f64[N, N]\noutput t: f64\noutput D: f64[N, N]\nt = A[i, i]\nD[i, i] = A[i, i]";
    assert_eq!(run(&program(text, "main", &[("N", 2)])), [vec![5.0], vec![1.0, 0.0, 0.0, 4.0]]);
}

#[test]
fn literals_adopt_and_named_types_do_not() {
    assert_eq!(codes("dim N\ninput a: f32[N]\ninput b: f64[N]\ny[i] = a[i] + b[i]"), ["EIN0305"]);
    let halves = "dim N\ninput a: f32[N]\noutput y: f32[N]\ny[i] = a[i] / 2 + 0.5 * i";
    assert_eq!(run(&program(halves, "main", &[("N", 2)])), [[0.5, 1.5]]);
    let powers = "dim N\noutput y: i64[N]\ny[i] = 2 ** i";
    assert_eq!(run(&program(powers, "main", &[("N", 4)])), [[1.0, 2.0, 4.0, 8.0]]);
}

#[test]
fn small_integers_are_summed_in_i32_and_overflow_is_refused() {
    let text = "dim N\ninput a: i8[N]\ninput b: i8[N]\noutput y: i32\ny = a[i] * b[i]";
    assert_eq!(run(&program(text, "main", &[("N", 3)])), [[14.0]]);
    assert_eq!(codes_for(text, &[("N", 200_000)]), ["EIN0304"]);
}

#[test]
fn what_is_wrong_has_its_code() {
    let cases = [
        ("dim M, K, L, N\ninput A: f64[M, K]\ninput B: f64[L, N]\nC[i, k] = A[i, j] * B[j, k]", "EIN0301"),
        ("dim N\ninput x: f64[N]\ny[i] = x[i] * q", "EIN0201"),
        ("dim N\ninput x: f64[N]\ny[i] = x[i]\ny[i] = x[i]", "EIN0202"),
        ("dim N\ninput x: f64[N]\ny[i] = x[i + k]", "EIN0201"),
        ("y[i] = 2 * i", "EIN0203"),
        ("dim N\ninput x: f64[N]\ny = exp(x[i])", "EIN0204"),
        ("dim N\ninput x: f64[N]\ny[i] = x[i, j]", "EIN0205"),
        ("dim N\ninput x: f64[N]\ny[i] = relux(x[i])", "EIN0206"),
        ("dim N\ninput x: f64[N]\ny[i] = atan2(x[i])", "EIN0207"),
        ("dim N\ninput x: f64[N]\noutput y: f64[N]", "EIN0208"),
        ("dim N\ninput x: f64[N]\ny[i] = z[i]\nz[i] = x[i]", "EIN0209"),
        ("dim N\ninput x: f64[N]\ny[2*i] = x[i]", "EIN0210"),
        ("input x: f64[N]", "EIN0211"),
        ("fn f(x: f64[N]) -> f64[N] { return x }\nfn f(x: f64[N]) -> f64[N] { return x }", "EIN0202"),
        ("fn f(x: f64[N]) -> f64[N] { return f(x) }", "EIN0213"),
        ("dim N\ninput x: f64[N]\n@foo(1)\ny[i] = x[i]", "EIN0218"),
        ("dim N\ninput x: f64[N]\ny[i] = x * 2", "EIN0219"),
        ("dim N\ninput x: f64[N]\ny[i] = sum[k](x[i])", "EIN0223"),
        ("dim N\ninput x: f64[N]\ny[i] = if x[i] then 1 else 0", "EIN0308"),
        ("dim N\ninput x: i8[N]\noutput y: i8[N]\ny[i] = x[i] * x[i]", "EIN0312"),
        ("dim N\ninput x: f64[N]\ny = einsum(\"ij->i\", x)", "EIN0313"),
    ];
    for (text, code) in cases {
        assert_eq!(codes(text), [code], "{text}");
    }
}

#[test]
fn calls_that_double_at_every_level_are_refused_soon() {
    let mut text = String::from("fn f0(x: f64) -> f64 { return x }\n");
    for level in 1..=40 {
        let inner = level - 1;
        text.push_str(&format!("fn f{level}(x: f64) -> f64 {{ return f{inner}(f{inner}(x)) }}\n"));
    }
    assert!(codes(&text).contains(&"EIN0315".to_string()));
    let mut chain = String::from("fn g0(x: f64) -> f64 { return x }\n");
    for level in 1..=70 {
        chain.push_str(&format!("fn g{level}(x: f64) -> f64 {{ return g{}(x) }}\n", level - 1));
    }
    assert!(codes(&chain).contains(&"EIN0315".to_string()));
}

#[test]
fn functions_of_single_elements_are_inlined_at_each_of_them() {
    let text = "dim N\ninput x: f64[N]\nfn square(a: f64) -> f64 { return a * a }\n\
                fn shifted(a: f64, by: f64) -> (y: f64) {\n s = square(a)\n y = s + by\n}\n\
                y[i] = shifted(x[i], i)\nz = sum[i](square(x[i]))";
    // x is 1, 2, 3.
    assert_eq!(run(&program(text, "main", &[("N", 3)])), [vec![1.0, 5.0, 11.0], vec![14.0]]);
}

#[test]
fn a_function_of_single_elements_sums_its_own_indices() {
    let text = "dim N, K\ninput x: f64[N]\ninput c: f64[K]\n\
                fn horner(a: f64, c: f64[K]) -> f64 { return sum[k](c[k] * a ** k) }\n\
                y[i] = horner(x[i], c)";
    // 1 + 2 a + 3 a^2 at 1 and 2.
    assert_eq!(run(&program(text, "main", &[("N", 2), ("K", 3)])), [vec![6.0, 17.0]]);
}

#[test]
fn functions_are_called_in_the_steps_of_a_scan() {
    let text = "dim T\ninput x: f64[T]\nfn mix(a: f64, b: f64) -> f64 { return 10 * a + b }\n\
                fn twice(x: f64[T]) -> f64[T] { return 2 * x[t] }\n\
                scan[t] h[t] = mix(h[t - 1], x[t]) + twice(x)[t] from 1";
    // 10 * 1 + 1 + 2, 10 * 13 + 2 + 4, 10 * 136 + 3 + 6.
    assert_eq!(run(&program(text, "main", &[("T", 3)])), [vec![13.0, 136.0, 1369.0]]);
}

#[test]
fn a_scan_starts_from_values_of_its_other_indices() {
    let text = "dim T, N\ninput x: f64[T, N]\nfn half(a: f64) -> f64 { return a / 2 }\n\
                fn first(x: f64[T, N]) -> f64[N] { y[n] = x[0, n]\n return y }\n\
                scan[t] h[t, n] = h[t - 1, n] + x[t, n] from half(x[1, n]) + n\n\
                scan[t] { a[n] = a[n] + b[n]\n b[n] = x[t, n] } from a = x[t2, n] * x[t2, n], b = first(x)";
    // x is 1, 2 and 3, 4.
    let expected = [vec![2.5, 5.0, 5.5, 9.0], vec![10.0 + 1.0 + 1.0, 20.0 + 2.0 + 2.0], vec![3.0, 4.0]];
    assert_eq!(run(&program(text, "main", &[("T", 2), ("N", 2)])), expected);
}

#[test]
fn conditions_behind_the_initial_value_hold_for_the_step() {
    let text = "dim T\ninput x: f64[T]\n\
                scan[t] h[t, n] = h[t - 1, n] + x[j] * n from 1 where n in 0..2, j in 0..t + 1, t in 0..3";
    // Sums over j up to t of x: 1, 3, 6, and these summed.
    assert_eq!(run(&program(text, "main", &[("T", 3)])), [vec![1.0, 2.0, 1.0, 5.0, 1.0, 11.0]]);
}

#[test]
fn calls_on_elements_that_have_no_meaning_are_refused() {
    let f = "dim N\ninput x: f64[N]\nfn f(a: f64) -> f64 { return exp(a) }\n\
             fn whole(a: f64[N]) -> f64[N] { return 2 * a[n] }\n\
             fn inner(a: f64) -> f64 { b[i] = a * i where i in 0..3\n return sum[i](b[i]) }\n";
    let cases = [
        ("y = f(x[i])", "EIN0204"),
        ("y[k] = k * f(x[i]) where k in 0..2", "EIN0204"),
        ("y[i] = f(x[i])[i]", "EIN0207"),
        ("y[i] = inner(x[i])", "EIN0207"),
        ("scan[i] h[n] = whole(h)[n] + x[i] from 0 where n in 0..2", "EIN0207"),
        ("scan[i] h[i] = h[i - 1] + x[i] from x[i]", "EIN0214"),
        ("input w: f32[N]\ny[i] = f(w[i])", "EIN0305"),
    ];
    for (text, code) in cases {
        assert_eq!(codes(&format!("{f}{text}")), [code], "{text}");
    }
}

#[test]
fn squares_of_squares_in_a_function_of_elements_are_refused_soon() {
    let mut text = String::from("dim N\ninput x: f64[N]\nfn f(a0: f64) -> f64 {\n");
    for level in 1..=60 {
        text.push_str(&format!("a{level} = a{0} * a{0}\n", level - 1));
    }
    text.push_str("return a60\n}\ny[i] = f(x[i])");
    assert_eq!(codes(&text), ["EIN0315"]);
}

#[test]
fn what_is_only_secret_is_an_input() {
    let alone = program("secret x: f64[3]\ny[i] = x[i] * x[i]", "main", &[]);
    assert_eq!((alone.inputs.len(), alone.secrets.len()), (1, 1));
    assert_eq!(run(&alone), [[1.0, 4.0, 9.0]]);
    let result = program("input x: f64[3]\nsecret output y: f64[3]\ny[i] = x[i] * x[i]", "main", &[]);
    assert_eq!((result.inputs.len(), result.secrets.len()), (1, 0));
}

#[test]
fn dims_without_a_value_are_listed_together() {
    let text = "dim N, R\noutput y: f64[N, R]\ny[i, r] = i + r";
    assert_eq!(codes_for(text, &[]), ["EIN0212"]);
}

#[test]
fn the_example_programs_check_or_are_refused_with_their_code() {
    let refused = [("08", "EIN0603"), ("12", "EIN0603"), ("16", "EIN0403"), ("17", "EIN0401")];
    for entry in std::fs::read_dir("examples/language").expect("the examples are there") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_none_or(|extension| extension != "ein") {
            continue;
        }
        let name = path.file_name().expect("a file").to_string_lossy().to_string();
        let mut sources = Sources::default();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let file = sources.add(name.clone(), Some(path.clone()), text);
        let (module, mut diagnostics) = load(&mut sources, file);
        diagnostics.extend(check_all(&module));
        diagnostics.retain(|diagnostic| diagnostic.severity == crate::diagnostic::Severity::Error);
        let expected = refused.iter().find(|(number, _)| name.starts_with(number)).map(|entry| entry.1);
        let found = diagnostics.first().map(|diagnostic| diagnostic.code.to_string());
        assert_eq!(found.as_deref(), expected, "{name}: {diagnostics:#?}");
    }
}
