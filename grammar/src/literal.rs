//! Reads numbers and strings.

use crate::SyntaxError;
use crate::codes::{BAD_NUMBER, BAD_STRING};
use crate::tree::{Number, Span};

/// What is wrong with a literal, before its place is known.
#[derive(Clone, Debug)]
pub struct Problem {
    code: u16,
    message: String,
    label: &'static str,
    help: Option<String>,
    fix: Option<String>,
}

impl Problem {
    fn new(code: u16, message: String, label: &'static str) -> Problem {
        Problem { code, message, label, help: None, fix: None }
    }

    fn help(mut self, help: &str) -> Problem {
        self.help = Some(help.into());
        self
    }

    fn fix(mut self, text: String) -> Problem {
        self.help = Some(format!("write `{text}`"));
        self.fix = Some(text);
        self
    }

    /// The error at that place.
    pub fn at(self, span: Span) -> SyntaxError {
        let mut error = SyntaxError::new(self.code, self.message, span).label(span, self.label);
        error.help = self.help;
        error.fix = self.fix.map(|text| (span, text));
        error
    }
}

const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Reads a number: `42`, `1_000`, `0.5`, `2e-3`, `1j`, `2GiB`.
pub fn number(text: &str) -> Result<Number, Problem> {
    let (digits, suffix) = split_suffix(text);
    let is_int = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let plain: String = digits.chars().filter(|&c| c != '_').collect();
    match suffix {
        "" if is_int => plain.parse().map(Number::Int).map_err(|_| {
            Problem::new(BAD_NUMBER, format!("`{text}` is larger than any integer type holds"), "too large")
                .help("integers end at 2^127 - 1; a real is written with a point or an exponent, as `1e40`")
        }),
        "" => real(&plain, text).map(Number::Real),
        "j" => real(&plain, text).map(Number::Imaginary),
        _ => {
            let Some((_, shift)) = UNITS.iter().find(|(unit, _)| *unit == suffix) else {
                return Err(unknown_suffix(digits, suffix));
            };
            let bytes = real(&plain, text)? * 2f64.powi(*shift as i32);
            if bytes.fract() != 0.0 || bytes >= 2f64.powi(63) {
                let message = format!("`{text}` is no whole number of bytes below 2^63");
                return Err(Problem::new(BAD_NUMBER, message, "not a size"));
            }
            Ok(Number::Int(bytes as i128))
        }
    }
}

/// The digits with point and exponent, and the letters that follow.
fn split_suffix(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_digit());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'0'..=b'9' => at += 1,
            b'_' | b'.' if digit(at + 1) => at += 1,
            b'e' | b'E' if digit(at + 1) => at += 1,
            b'e' | b'E' if matches!(bytes.get(at + 1), Some(b'+' | b'-')) && digit(at + 2) => at += 2,
            _ => break,
        }
    }
    text.split_at(at)
}

fn real(plain: &str, text: &str) -> Result<f64, Problem> {
    match plain.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Problem::new(BAD_NUMBER, format!("`{text}` is larger than any f64"), "too large")
            .help("the largest f64 is about 1.8e308; `inf` is infinity")),
    }
}

fn unknown_suffix(digits: &str, suffix: &str) -> Problem {
    let problem = Problem::new(
        BAD_NUMBER,
        format!("`{suffix}` behind the number `{digits}` means nothing"),
        "a number and a name without an operator",
    );
    match suffix {
        "B" | "b" => problem.fix(digits.to_string()),
        "kB" | "KB" | "K" | "k" | "kiB" | "Kib" => {
            problem.help("sizes are written `2KiB`, `2MiB`, `2GiB`, `2TiB`")
        }
        "MB" | "M" | "GB" | "G" | "TB" | "T" | "mib" | "gib" | "Mib" | "Gib" | "mb" | "gb" => {
            problem.help("sizes are written `2KiB`, `2MiB`, `2GiB`, `2TiB`")
        }
        "i" | "I" | "J" => problem.fix(format!("{digits}j")),
        "f" | "F" | "f32" | "f64" => {
            problem.help("a literal takes the dtype of the other side; a cast is written `as f32`")
        }
        _ if suffix.starts_with('_') || suffix.starts_with('\'') => problem,
        _ => problem.fix(format!("{digits} * {suffix}")),
    }
}

/// Reads a string with its quotes; `\"` and `\\` are its only escapes.
pub fn string(text: &str) -> Result<String, Problem> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                other => {
                    let shown = other.map(String::from).unwrap_or_default();
                    let message = format!("a string knows no escape `\\{shown}`");
                    return Err(Problem::new(BAD_STRING, message, "in this string")
                        .help("only `\\\"` and `\\\\` are escapes; a path is written with `/`"));
                }
            },
            c => value.push(c),
        }
    }
    Ok(value)
}
