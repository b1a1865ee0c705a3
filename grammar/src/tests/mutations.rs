//! Whatever is done to a program, the parser answers with errors in the text and never with a panic.

use super::programs::programs;
use crate::{DEEPEST, MOST_ERRORS, format, parse, parse_expr};

/// A small generator of numbers (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// Pieces that stress the places where a program can go wrong.
const PIECES: [&str; 32] = [
    "(", ")", "[", "]", "{", "}", ",", "=", ";", "\n", "->", "where ", "from ", "if ", "else ", "in ", "\"",
    "#", "##", "...", "..", "@", "~", "-", "*", "//", "fn ", "scan", "\u{2212}", "λ", "1e9", "'",
];

fn mutated(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len());
        let length = random.below(12).min(bytes.len() - at);
        match random.below(6) {
            0 => drop(bytes.drain(at..at + length)),
            1 => {
                let other = random.below(bytes.len());
                bytes.swap(at, other);
            }
            2 => {
                let part = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            3 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            4 => drop(bytes.splice(at..at + length, PIECES[random.below(PIECES.len())].bytes())),
            _ => bytes[at] = b" ~!#%()*+,-./0:;<=>?@A[]^_{|}\n"[random.below(30)],
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Checks what holds for every text.
fn check(text: &str) {
    let (file, errors) = parse(text, 5);
    assert!(errors.len() <= MOST_ERRORS);
    let inside = |span: crate::tree::Span| {
        span.file == 5 && span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some()
    };
    for error in &errors {
        assert!((101..=126).contains(&error.code) && !error.message.is_empty() && !error.labels.is_empty());
        assert!(inside(error.span) && error.labels.iter().all(|label| inside(label.0)), "{text}\n{error:#?}");
        assert!(error.fix.as_ref().is_none_or(|fix| inside(fix.0)), "{text}\n{error:#?}");
    }
    assert!(errors.windows(2).all(|pair| pair[0].span.start <= pair[1].span.start));
    assert!(file.items.iter().all(|item| inside(item.span)));
    assert!(file.items.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
    match format(text) {
        Ok(once) => {
            assert!(errors.is_empty());
            assert_eq!(format(&once).as_ref(), Ok(&once), "{text}");
        }
        Err(told) => assert_eq!(told.len(), errors.len()),
    }
}

#[test]
fn mutated_programs_never_panic() {
    let count =
        std::env::var("EINC_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000usize);
    let programs = programs();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..count {
        let (_, text) = &programs[random.below(programs.len())];
        let text = mutated(text, &mut random);
        check(&text);
    }
}

#[test]
fn mutated_expressions_never_panic() {
    let mut random = Random(7);
    for _ in 0..5_000 {
        let text = mutated(
            "a[i, 2*j + 1 else 0] * sum[k where k in 0..3](f(x, n = 2)[k]) as f32 ** -2",
            &mut random,
        );
        if let Err(errors) = parse_expr(&text, 0) {
            assert!(!errors.is_empty(), "{text}");
        }
    }
}

#[test]
fn pieces_in_any_order_never_panic() {
    let mut random = Random(11);
    for _ in 0..5_000 {
        let text: String = (0..random.below(40)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        check(&text);
    }
    for piece in PIECES {
        check(&piece.repeat(3 * DEEPEST));
    }
}
