//! Writes diagnostics for a terminal, for a line-based tool, or as JSON; the only file that names ariadne.
//!
//! ```text
//! error[EIN0301]: index `j` has two sizes
//!    ,-[ two_sizes.ein:4:13 ]
//!    |
//!  1 | input A: f64[M, K]
//!    |              |
//!    |              `-- `K` is 512
//! ```
//!
//! Text of the user's files is shown with control characters and direction marks replaced, so that a message never
//! steers a terminal.

use super::{Diagnostic, Severity};
use crate::source::{Sources, Span};
use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With the lines of the source and arrows at the places.
    Human {
        /// Whether to use terminal colours.
        color: bool,
    },
    /// One line each: `file:line:column: error[EIN0301]: message`.
    Short,
    /// One JSON object a line.
    Json,
}

/// How many errors of one file are shown before the rest is only counted.
const SHOWN_PER_FILE: usize = 20;

/// The diagnostics as text, in the order of their places.
///
/// Of each file the first 20 are shown and the rest counted; JSON has them all.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, format: Format) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.labels.first().map(|(span, _)| (span.file, span.start)));
    let mut out = String::new();
    if format == Format::Json {
        for diagnostic in sorted {
            json(diagnostic, sources, &mut out);
        }
        return out;
    }
    let mut shown: BTreeMap<Option<u32>, usize> = BTreeMap::new();
    let mut texts = BTreeMap::new();
    for diagnostic in sorted {
        let count = shown.entry(diagnostic.labels.first().map(|(span, _)| span.file)).or_default();
        *count += 1;
        if *count > SHOWN_PER_FILE {
            continue;
        }
        match format {
            Format::Short => short(diagnostic, sources, &mut out),
            Format::Human { color } => human(diagnostic, sources, &mut texts, color, &mut out),
            Format::Json => {}
        }
    }
    for (file, count) in shown {
        if count > SHOWN_PER_FILE {
            let name = file.map_or("", |file| &sources.file(file).name);
            let _ = writeln!(out, "{} more in {name}", count - SHOWN_PER_FILE);
        }
    }
    out
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What to do: the help, or the replacement where there is only that.
fn advice(diagnostic: &Diagnostic) -> Option<String> {
    let fix = || match &diagnostic.fix {
        Some((_, text)) if text.is_empty() => Some("remove it".to_string()),
        Some((_, text)) => Some(format!("write `{text}`")),
        None => None,
    };
    diagnostic.help.clone().or_else(fix)
}

fn short(diagnostic: &Diagnostic, sources: &Sources, out: &mut String) {
    if let Some((span, _)) = diagnostic.labels.first() {
        let (line, column) = sources.position(*span);
        let _ = write!(out, "{}:{line}:{column}: ", sources.file(span.file).name);
    }
    let message = harmless(&diagnostic.message).replace('\n', " ");
    let _ = writeln!(out, "{}[{}]: {message}", word(diagnostic.severity), diagnostic.code);
}

fn human(
    diagnostic: &Diagnostic,
    sources: &Sources,
    texts: &mut BTreeMap<u32, Source<String>>,
    color: bool,
    out: &mut String,
) {
    let (main_color, escape) = match diagnostic.severity {
        Severity::Warning => (Color::Yellow, "\x1b[33m"),
        Severity::Error => (Color::Red, "\x1b[31m"),
    };
    let (start, stop) = if color { (escape, "\x1b[0m") } else { ("", "") };
    let kind = format!("{}[{}]", word(diagnostic.severity), diagnostic.code);
    let _ = writeln!(out, "{start}{kind}:{stop} {}", harmless(&diagnostic.message));
    let Some((main, _)) = diagnostic.labels.first() else {
        for note in &diagnostic.notes {
            let _ = writeln!(out, "   = note: {}", indented(note));
        }
        if let Some(help) = advice(diagnostic) {
            let _ = writeln!(out, "   = help: {}", indented(&help));
        }
        return;
    };
    for (span, _) in &diagnostic.labels {
        texts.entry(span.file).or_insert_with(|| Source::from(harmless(&sources.file(span.file).text)));
    }
    let config = Config::new()
        .with_color(color)
        .with_char_set(CharSet::Ascii)
        .with_index_type(IndexType::Char)
        .with_compact(false);
    let mut report =
        Report::build(ReportKind::Error, (main.file, characters(*main, sources))).with_config(config);
    // Ariadne repeats the file's header whenever the line number goes back, so hand labels over top to bottom.
    let mut labels: Vec<(usize, &(Span, String))> = diagnostic.labels.iter().enumerate().collect();
    labels.sort_by_key(|(_, (span, _))| (span.file != main.file, span.file, span.end, span.start));
    for (order, (number, (span, text))) in labels.into_iter().enumerate() {
        let mut label = Label::new((span.file, characters(*span, sources)))
            .with_color(if number == 0 { main_color } else { Color::Cyan })
            .with_order(order as i32);
        if !text.is_empty() {
            label = label.with_message(harmless(text));
        }
        report.add_label(label);
    }
    for note in &diagnostic.notes {
        report.add_note(harmless(note));
    }
    if let Some(help) = advice(diagnostic) {
        report.add_help(harmless(&help));
    }
    let mut bytes = Vec::new();
    let cache = Texts { texts, sources };
    if report.finish().write(cache, &mut bytes).is_ok() {
        let text = String::from_utf8_lossy(&bytes);
        // Ariadne colours the first line whatever the configuration says; ours stands there already.
        for line in text.lines().skip(1) {
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
}

/// The files as ariadne wants them.
struct Texts<'a> {
    texts: &'a mut BTreeMap<u32, Source<String>>,
    sources: &'a Sources,
}

impl ariadne::Cache<u32> for Texts<'_> {
    type Storage = String;

    fn fetch(&mut self, id: &u32) -> Result<&Source<String>, impl std::fmt::Debug> {
        self.texts.get(id).ok_or("a file without text")
    }

    fn display<'a>(&self, id: &'a u32) -> Option<impl std::fmt::Display + 'a> {
        self.sources.files().get(*id as usize).map(|file| harmless(&file.name))
    }
}

/// The span in characters, within its file.
fn characters(span: Span, sources: &Sources) -> Range<usize> {
    let text = &sources.file(span.file).text;
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.floor_char_boundary((span.end as usize).max(start));
    // A place that ends with its line would be drawn into the next one.
    let inside = text[start..end].trim_end_matches(['\n', '\r']);
    let before = text[..start].chars().count();
    before..before + inside.chars().count()
}

/// The text with everything replaced that could move a cursor or turn the direction of writing, one character for one.
fn harmless(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' | '\t' => c,
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(replace).collect()
}

fn indented(text: &str) -> String {
    harmless(text).replace('\n', "\n     ")
}

fn json(diagnostic: &Diagnostic, sources: &Sources, out: &mut String) {
    let place = |span: &Span| {
        let (line, column) = sources.position(*span);
        let end = Span { start: span.end.max(span.start), ..*span };
        let (end_line, end_column) = sources.position(end);
        format!(
            "\"file\":{},\"line\":{line},\"column\":{column},\"end_line\":{end_line},\"end_column\":{end_column},\
             \"start\":{},\"end\":{}",
            quoted(&sources.file(span.file).name),
            span.start,
            span.end
        )
    };
    let places: Vec<String> = diagnostic
        .labels
        .iter()
        .map(|(span, text)| format!("{{{},\"label\":{}}}", place(span), quoted(text)))
        .collect();
    let notes: Vec<String> = diagnostic.notes.iter().map(|note| quoted(note)).collect();
    let help = diagnostic.help.as_deref().map_or("null".to_string(), quoted);
    let fix = match &diagnostic.fix {
        Some((span, text)) => format!("{{{},\"replacement\":{}}}", place(span), quoted(text)),
        None => "null".to_string(),
    };
    let _ = writeln!(
        out,
        "{{\"code\":\"{}\",\"slug\":{},\"severity\":\"{}\",\"message\":{},\"places\":[{}],\"help\":{help},\
         \"notes\":[{}],\"fix\":{fix}}}",
        diagnostic.code,
        quoted(diagnostic.code.slug()),
        word(diagnostic.severity),
        quoted(&diagnostic.message),
        places.join(","),
        notes.join(",")
    );
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    fn span(sources: &Sources, file: u32, text: &str, nth: usize) -> Span {
        let (at, _) = sources.file(file).text.match_indices(text).nth(nth).expect("the text is there");
        Span { file, start: at as u32, end: (at + text.len()) as u32 }
    }

    fn example() -> (Sources, Diagnostic) {
        let mut sources = Sources::default();
        let file = sources.add(
            "two.ein",
            None,
            "input A: f64[M, K]\ninput B: f64[L, N]\noutput Γ: f64[M, N]\nΓ[i, k] = A[i, j] * B[j, k]\n",
        );
        let diagnostic = Diagnostic::error(Code::ExtentMismatch, "index `j` has two sizes")
            .label(span(&sources, file, "B[j, k]", 0), "`j` is `L` = 256 long here")
            .label(span(&sources, file, "K", 0), "`K` is 512")
            .help("if `B` is transposed, write `B[k, j]`")
            .fix(span(&sources, file, "B[j, k]", 0), "B[k, j]");
        (sources, diagnostic)
    }

    #[test]
    fn the_terminal_shows_both_places_once() {
        let (sources, diagnostic) = example();
        let text = render(&[diagnostic], &sources, Format::Human { color: false });
        let expected = "\
error[EIN0301]: index `j` has two sizes
   ,-[ two.ein:4:21 ]
   |
 1 | input A: f64[M, K]
   |                 |
   |                 `-- `K` is 512
   |
 4 | Γ[i, k] = A[i, j] * B[j, k]
   |                     ^^^|^^^
   |                        `----- `j` is `L` = 256 long here
   |
   | Help: if `B` is transposed, write `B[k, j]`
---'
";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_is_one_object_a_line_with_byte_spans() {
        let (sources, diagnostic) = example();
        let text = render(&[diagnostic.clone(), diagnostic], &sources, Format::Json);
        assert_eq!(text.lines().count(), 2);
        let value: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(value["code"], "EIN0301");
        assert_eq!(value["slug"], "extent-mismatch");
        assert_eq!(value["severity"], "error");
        assert_eq!(value["places"][0]["line"], 4);
        assert_eq!(value["places"][0]["column"], 21);
        let start = value["places"][0]["start"].as_u64().unwrap() as usize;
        assert_eq!(&sources.file(0).text[start..start + 7], "B[j, k]");
        assert_eq!(value["fix"]["replacement"], "B[k, j]");
    }

    #[test]
    fn a_file_shows_twenty_and_counts_the_rest() {
        let (sources, diagnostic) = example();
        let many = vec![diagnostic; 25];
        let text = render(&many, &sources, Format::Short);
        assert_eq!(text.lines().count(), 21);
        assert!(text.starts_with("two.ein:4:21: error[EIN0301]: index `j` has two sizes\n"));
        assert!(text.ends_with("5 more in two.ein\n"));
    }

    #[test]
    fn no_text_steers_the_terminal() {
        let mut sources = Sources::default();
        let file = sources.add("a\x1b[2J.ein", None, "x\u{202e} = \x1b[31m1\r\n");
        for (start, end) in [(0, 12), (3, 400), (1, 2), (13, 13), (400, 500)] {
            let diagnostic = Diagnostic::error(Code::UnknownName, "no \x1b[1m")
                .label(Span { file, start, end }, "here\u{202e}");
            let text = render(&[diagnostic], &sources, Format::Human { color: false });
            assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn without_a_place_there_is_no_source() {
        let diagnostic =
            Diagnostic::error(Code::File, "cannot read `a.npy`").help("is it there?").note("one\ntwo");
        let text = render(&[diagnostic], &Sources::default(), Format::Human { color: false });
        assert_eq!(
            text,
            "error[EIN0706]: cannot read `a.npy`\n   = note: one\n     two\n   = help: is it there?\n"
        );
    }
}
