use super::*;
use crate::interpret;
use crate::source::Sources;
use einc_runtime::Tensor;

fn module(text: &str) -> (Module, Vec<crate::diagnostic::Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let file = sources.add("test.ein", None, text);
    let (module, diagnostics) = load(&mut sources, file);
    (module, diagnostics, sources)
}

/// The program for given sizes, which must check.
fn program(text: &str, entry: &str, dims: &[(&str, i64)]) -> Program {
    let (module, diagnostics, _) = module(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    let all = check_all(&module);
    assert!(all.is_empty(), "{all:#?}");
    let dims = dims.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let bindings = Bindings { dims, ..Bindings::default() };
    let (program, diagnostics) = check(&module, entry, &bindings);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    program.expect("there are no diagnostics")
}

/// The codes that a module is refused with.
fn codes(text: &str) -> Vec<String> {
    let (module, mut diagnostics, _) = module(text);
    diagnostics.extend(check_all(&module));
    diagnostics.iter().map(|diagnostic| diagnostic.code.to_string()).collect()
}

/// Runs a program on inputs whose elements are 1, 2, 3, ..
fn run(program: &Program) -> Vec<Vec<f64>> {
    let inputs: Vec<Tensor> = program
        .inputs
        .iter()
        .map(|&input| {
            let tensor = &program.tensors[input];
            let mut made = Tensor::zeros(tensor.dtype, &tensor.shape).expect("a small tensor");
            for k in 0..made.elems() {
                made.set(k, einc_runtime::Scalar::Real((k + 1) as f64));
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
fn two_extents_of_one_index_are_refused() {
    let text = "dim M, K, L, N\ninput A: f64[M, K]\ninput B: f64[L, N]\nC[i, k] = A[i, j] * B[j, k]";
    assert_eq!(codes(text), ["EIN0301"]);
}

#[test]
fn design_programs_check() {
    for entry in std::fs::read_dir("examples/language").expect("the examples are there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "ein") { continue; }
        let mut sources = Sources::default();
        let file = sources.add(path.display().to_string(), Some(path.clone()), std::fs::read_to_string(&path).unwrap());
        let (module, mut diagnostics) = load(&mut sources, file);
        diagnostics.extend(check_all(&module));
        println!("{}: {:#?}", path.display(), diagnostics.iter().map(|d| (d.code.to_string(), d.message.clone(), sources.text(d.labels.first().map_or(Default::default(), |l| l.0)).to_string())).collect::<Vec<_>>());
    }
    for entry in std::fs::read_dir("examples/papers").expect("the examples are there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "ein") { continue; }
        let mut sources = Sources::default();
        let file = sources.add(path.display().to_string(), Some(path.clone()), std::fs::read_to_string(&path).unwrap());
        let (module, mut diagnostics) = load(&mut sources, file);
        diagnostics.extend(check_all(&module));
        println!("{}: {:#?}", path.display(), diagnostics.iter().map(|d| (d.code.to_string(), d.message.clone(), sources.text(d.labels.first().map_or(Default::default(), |l| l.0)).to_string(), sources.position(d.labels.first().map_or(Default::default(), |l| l.0)))).collect::<Vec<_>>());
    }
}
