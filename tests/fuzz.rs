//! The fuzz targets on a seeded corpus and its mutants; `fuzz/` has them for libFuzzer.
//!
//! `EINC_FUZZ_ROUNDS` multiplies the number of mutants.

mod targets;

use crate::support::{Random, programs};
use einc_runtime::{Scalar, Tensor, npy, npz, safetensors};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use targets::TARGETS;

/// Words and numbers that lie near what readers must decide about.
const WORDS: [&str; 34] = [
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "i",
    "_",
    "...",
    "->",
    "else",
    "where",
    "scan[t]",
    "from",
    "=",
    "+=",
    "where i in 0..N",
    "9223372036854775807",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "\0",
    "\u{202e}",
    "'descr': '|O'",
    "(3, 4)",
    "\"a\": ",
    "null",
    "fn f(x: f64[N]) -> f64[N] { return f(x) }",
    ",,",
    "\n",
    "//",
    "%",
    "f(x[i])",
];

const BYTES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX];

/// One to four changes of a text or file, with a piece of another one among them.
fn mutant(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        let until = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..until)),
            3 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
            4 => {
                let number = BYTES[random.below(BYTES.len())].to_le_bytes();
                let until = (at + [1, 2, 4, 8][random.below(4)]).min(bytes.len());
                let size = until - at;
                bytes[at..until].copy_from_slice(&number[..size]);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let piece = other[from..(from + 1 + random.below(64)).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn texts() -> Vec<Vec<u8>> {
    let folders = ["examples", "tests/ui", "tests/run", "tests/golden"];
    let mut files: Vec<_> = folders.iter().flat_map(|folder| programs(folder)).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("a file that was just listed")).collect()
}

fn tensors() -> Vec<Tensor> {
    let mut whole = Tensor::zeros(einc_runtime::DType::I16, &[2, 3]).expect("small");
    whole.set(4, Scalar::Int(-7));
    vec![
        Tensor::from_slice(&[2, 2], &[1.0f64, -2.0, f64::NAN, 0.5]).expect("four elements"),
        Tensor::from_slice(&[], &[3i64]).expect("one element"),
        Tensor::from_slice(&[0, 5], &[0f32; 0]).expect("no elements"),
        whole,
    ]
}

/// What the mutants of a target are made from.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let strings = |list: &[&str]| list.iter().map(|text| text.as_bytes().to_vec()).collect();
    let tensors = tensors();
    let named: Vec<(&str, &Tensor)> = ["a", "b", "c", "d"].into_iter().zip(&tensors).collect();
    match target {
        "grammar" | "checker" => texts(),
        "einsum" => strings(&[
            "\u{2}\u{2}\u{2}ij,jk->ik",
            "\u{1}\u{3}...i",
            "\u{2}\u{2}\u{1}ii,i",
            "\u{3}\u{1}\u{2}\u{1}a,ab,b->",
            "\u{1}\u{2}ab->ba",
            "\u{2}\u{3}\u{3}b...i,b...j->b...",
            "\u{1}\u{2}i i -> i",
            "\u{1}\u{1}\u{3b1}->\u{3b1}",
        ]),
        "npy" => tensors.iter().map(npy::write_bytes).collect(),
        "npz" => vec![
            npz::write_bytes(&named).expect("an archive"),
            npz::write_bytes(&named[..1]).expect("an archive"),
        ],
        "safetensors" => vec![safetensors::write_bytes(&named[..3]).expect("an archive")],
        "network" => strings(&[
            r#"{"inputs": [[0, 1], [1, 2], [2, 3]], "output": [0, 3], "sizes": [9, 2, 8, 3]}"#,
            r#"{"inputs": [["a", "b"], ["b"]], "output": ["a"], "sizes": {"a": 2, "b": 3}}"#,
            r#"{"inputs": [], "output": [], "sizes": []}"#,
        ]),
        _ => strings(&[
            r#"{"path": [[0, 1], [0, 1], [0, 1]], "slices": [1]}"#,
            r#"{"path": [[2, 3], [4, 1], [5, 0]]}"#,
            "[]",
        ]),
    }
}

#[test]
fn mutants_neither_crash_nor_hang() {
    let rounds: u64 = std::env::var("EINC_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        let mut random = Random(7);
        let count = if name == "checker" { 1500 } else { 4000 } * rounds;
        let mutants = (0..count).map(|_| mutant(&mut random, &corpus)).collect::<Vec<_>>();
        for bytes in corpus.iter().chain(&mutants) {
            let start = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
            let text = || String::from_utf8_lossy(bytes).into_owned();
            assert!(outcome.is_ok(), "{name}: a panic, told above, for {bytes:?}:\n{}", text());
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{name}: {:?} for\n{}",
                start.elapsed(),
                text()
            );
        }
    }
}
