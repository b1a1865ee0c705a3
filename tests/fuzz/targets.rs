//! What is fuzzed: each function takes any bytes and returns; a panic, a hang or a broken promise is a bug.
//!
//! `tests/fuzz.rs` runs each on a seeded corpus and its mutants in every run of the tests. The package in this folder
//! gives them to libFuzzer, which needs a nightly compiler: `cargo +nightly fuzz run grammar --fuzz-dir tests/fuzz`.

use einc::diagnostic::{Format, render};
use einc::plan::network;
use einc::program::{self, Bindings, einsum};
use einc::source::Sources;
use einc_runtime::{Tensor, npy, npz, safetensors};

/// Every target by its name.
pub const TARGETS: [(&str, fn(&[u8])); 8] = [
    ("grammar", grammar),
    ("checker", checker),
    ("einsum", einsum_string),
    ("npy", npy_file),
    ("npz", npz_file),
    ("safetensors", safetensors_file),
    ("network", network_json),
    ("plan", plan_json),
];

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Source text: every error lies inside it, and what can be laid out stays as it is when laid out again.
pub fn grammar(bytes: &[u8]) {
    let text = text(bytes);
    let (_, errors) = einc_grammar::parse(&text, 0);
    for error in &errors {
        let (start, end) = (error.span.start as usize, error.span.end as usize);
        assert!(start <= end && end <= text.len(), "{}..{} of {}", start, end, text.len());
        assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
    }
    if let Ok(laid_out) = einc_grammar::format(&text) {
        assert_eq!(einc_grammar::format(&laid_out).as_ref(), Ok(&laid_out));
        let (_, again) = einc_grammar::parse(&laid_out, 0);
        assert_eq!(errors.is_empty(), again.is_empty(), "laying it out changed what it says:\n{laid_out}");
    }
}

/// Source text through the checker, for all sizes and for small ones; the messages can be shown.
pub fn checker(bytes: &[u8]) {
    let mut sources = Sources::default();
    let file = sources.add("fuzz.ein", None, text(bytes));
    let (module, mut diagnostics) = program::load(&mut sources, file);
    diagnostics.extend(program::check_all(&module));
    let dims = ["N", "M", "K", "D", "T"].map(|name| (name.to_string(), 3)).into();
    let bindings = Bindings { dims, ..Bindings::default() };
    for entry in program::entries(&module, &sources).iter().take(8) {
        diagnostics.extend(program::check(&module, &entry.name, &bindings).1);
    }
    for format in [Format::Human { color: false }, Format::Short, Format::Json] {
        render(&diagnostics, &sources, format);
    }
}

/// An einsum string; the first bytes are the ranks of the operands.
pub fn einsum_string(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else { return };
    let (ranks, spec) = rest.split_at(rest.len().min(usize::from(count % 5)));
    let ranks: Vec<usize> = ranks.iter().map(|rank| usize::from(rank % 6)).collect();
    let spec = text(spec);
    if let Ok(parsed) = einsum::parse(&spec, &ranks) {
        let shapes: Vec<Vec<u64>> = ranks.iter().map(|&rank| vec![2; rank]).collect();
        let _ = einsum::program(&parsed, einc_runtime::DType::I64, &shapes);
    }
    let _ = einsum::parse_named(&spec, &ranks);
}

/// No more elements than there are bytes of them.
fn held(tensor: &Tensor, bytes: &[u8]) {
    assert!(tensor.bytes().len() <= bytes.len(), "{} bytes of {}", tensor.bytes().len(), bytes.len());
}

/// An `.npy` file: what is read is no larger than the file, and can be written and read again.
pub fn npy_file(bytes: &[u8]) {
    if let Ok(tensor) = npy::read_bytes(bytes) {
        held(&tensor, bytes);
        let again = npy::read_bytes(&npy::write_bytes(&tensor)).expect("what was written here");
        assert_eq!((again.bytes(), again.shape()), (tensor.bytes(), tensor.shape()));
    }
}

/// An `.npz` file, with little room for what it unpacks.
pub fn npz_file(bytes: &[u8]) {
    const ROOM: u64 = 1 << 20;
    if let Ok(members) = npz::read_bytes(bytes, ROOM) {
        let total: u64 = members.iter().map(|(_, tensor)| tensor.bytes().len() as u64).sum();
        assert!(total <= ROOM, "{total} bytes");
    }
}

/// A `.safetensors` file.
pub fn safetensors_file(bytes: &[u8]) {
    if let Ok(members) = safetensors::read_bytes(bytes) {
        members.iter().for_each(|(_, tensor)| held(tensor, bytes));
    }
}

/// A tensor network as JSON: what is read can be written and read again.
pub fn network_json(bytes: &[u8]) {
    if let Ok(named) = network::read(&text(bytes)) {
        let written = network::write(&named);
        let again = network::read(&written).expect("what was written here");
        assert_eq!(network::write(&again), written);
    }
}

/// A plan as JSON, for a small network.
pub fn plan_json(bytes: &[u8]) {
    let named =
        network::read(r#"{"inputs": [[0, 1], [1, 2], [2, 3], [3, 0]], "output": [], "sizes": [2, 3, 5, 7]}"#);
    let named = named.expect("a network");
    let _ = network::read_plan(&text(bytes), &named.network);
}
