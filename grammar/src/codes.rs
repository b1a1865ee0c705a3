//! Every syntax error: its code, its name, its explanation, and how the common ones read.

use crate::tree::Span;
use crate::{DEEPEST, LONGEST, MOST_TERMS, SyntaxError};

macro_rules! codes {
    ($($name:ident = $number:literal, $slug:literal, $text:literal;)*) => {
        $(pub const $name: u16 = $number;)*

        /// Every syntax error: its code, its name, and what `einc explain` says of it.
        pub const SYNTAX_CODES: &[(u16, &str, &str)] = &[$(($number, $slug, $text)),*];
    };
}

codes! {
    UNEXPECTED = 101, "unexpected-token", "A token stands where the statement cannot go on with it.\n\n    C[i] = A[i] * * B[i]      # error: an operand is expected behind `*`\n\nThe message lists what can stand there.";
    MISSING_OPERATOR = 102, "missing-operator", "Two operands stand side by side. A product is written with `*`.\n\n    C[i, k] = A[i, j] B[j, k]      # error\n    C[i, k] = A[i, j] * B[j, k]    # right";
    UNCLOSED = 103, "unclosed-bracket", "A bracket is opened and never closed, so the statement has no end.\n\n    C[i] = exp(A[i] * B[i]         # error: `(` is not closed\n    C[i] = exp(A[i] * B[i])        # right\n\nThe statement is taken to end before the next line that looks like one.";
    UNMATCHED = 104, "unmatched-bracket", "A closing bracket closes nothing, or a bracket of another kind.\n\n    C[i) = A[i]        # error: `)` does not close `[`\n    C[i] = A[i])       # error: `)` closes nothing";
    ARROW_RESULT = 105, "arrow-result", "The result of an equation stands on its left, not behind an arrow.\n\n    A[i, j] * B[j, k] -> C[i, k]     # error\n    C[i, k] = A[i, j] * B[j, k]      # right\n\nStrings in the style of NumPy go into `einsum`:\n\n    C = einsum(\"ij,jk->ik\", A, B)";
    COLON_EQUALS = 106, "colon-equals", "A definition is written with `=`.\n\n    C[i] := A[i]       # error\n    C[i] = A[i]        # right";
    EQUALITY_FOR_DEFINITION = 107, "equality-for-definition", "`==` compares; a definition is written with `=`.\n\n    C[i] == A[i]       # error\n    C[i] = A[i]        # right";
    DEFINITION_FOR_EQUALITY = 108, "definition-for-equality", "`=` defines; a comparison is written with `==`.\n\n    C[i, j] = if i = j then 1 else 0       # error\n    C[i, j] = if i == j then 1 else 0      # right";
    DANGLING_COMMA = 109, "dangling-comma", "A list ends with a comma, so the next line would belong to it.\n\n    y[s] = x[2*s] where s in 0..4,         # error\n    z[s] = y[s]\n\n    y[s] = x[2*s] where s in 0..4          # right\n    z[s] = y[s]\n\nA comma may end the arguments of a call and the parameters of a `fn`, for they have a closing parenthesis.";
    KEYWORD_AS_NAME = 110, "keyword-as-name", "A keyword stands where a name belongs. The keywords are import, dim, secret, input, param, output, inout, const, fn, target, scan, decompose, grad, check, return, if, then, else, and, or, not, in, as, where.\n\n    input in: f32[N]       # error\n    input in_: f32[N]      # right";
    LOOKALIKE = 111, "lookalike-character", "A character looks like one of the language and is another: a typographic minus or quote, a no-break space, a mathematical operator. It usually comes from a text processor or a web page.\n\n    y[i] = x[i] \u{2212} 1      # error: this is U+2212 MINUS SIGN\n    y[i] = x[i] - 1      # right";
    UNKNOWN_CHARACTER = 112, "unknown-character", "A character has no meaning in the language.\n\n    y[i] = $x[i]       # error\n    y[i] = x[i]        # right";
    PARENTHESES_ON_THE_LEFT = 113, "parentheses-on-the-left", "Elements of a tensor are named with square brackets.\n\n    C(i, k) = A(i, j) * B(j, k)       # error\n    C[i, k] = A[i, j] * B[j, k]       # right";
    COMPOUND_ASSIGNMENT = 114, "compound-assignment", "Of the assignments that change a value there is only `+=`, which adds into an `inout` tensor or scatters.\n\n    c[i] -= a[i]       # error\n    c[i] += -a[i]      # right";
    CHAINED_COMPARISON = 115, "chained-comparison", "A comparison gives a `bool`, which the next comparison cannot mean.\n\n    m[i] = if 0 <= i < n then 1 else 0               # error\n    m[i] = if 0 <= i and i < n then 1 else 0         # right\n    m[i] = if i in 0..n then 1 else 0                # right";
    FOREIGN_OPERATOR = 116, "foreign-operator", "An operator of another language. Powers are `**`; logic is `and`, `or`, `not`; bits are `band`, `bor`, `bxor`, `shl`, `shr`; a choice is `if c then a else b`.\n\n    y[i] = x[i] ^ 2        # error\n    y[i] = x[i] ** 2       # right";
    FOREIGN_COMMENT = 117, "foreign-comment", "A comment begins with `#`. `//` is division rounded down.\n\n    y[i] = x[i]       // an error\n    y[i] = x[i]       # right";
    BAD_NUMBER = 118, "bad-number", "A number is too large, or letters stand behind it that are no unit.\n\n    y[s] = x[2s + 1]         # error: write `2 * s`\n    @memory(limit = 2GB)     # error: write `2GiB`\n\nNumbers are written `42`, `1_000`, `0.5`, `2e-3`, `1j`, `2GiB`.";
    BAD_STRING = 119, "bad-string", "A string is not closed on its line, or holds an escape other than `\\\"` and `\\\\`.\n\n    import \"std/norm.ein       # error\n    import \"std/norm.ein\"      # right";
    DECLARATION_FORM = 120, "declaration-form", "A declaration is a qualifier, names, a colon and a type; other tensors are declared by what defines them.\n\n    input A[M, K]: f32           # error\n    input A: f32[M, K]           # right\n    let C[i] = A[i, j]           # error\n    C[i] = A[i, j]               # right";
    INCOMPLETE = 121, "incomplete-statement", "A statement ends too early, or lacks a clause that it must have.\n\n    scan[t] h[t] = h[t - 1] + x[t]               # error: where does it start?\n    scan[t] h[t] = h[t - 1] + x[t] from 0        # right\n    y[i] = if x[i] > 0 then x[i]                 # error: and otherwise?\n    y[i] = if x[i] > 0 then x[i] else 0          # right";
    NO_LEFT_SIDE = 122, "no-left-side", "An expression stands alone. A statement says what it defines.\n\n    A[i, j] * B[j, k]                    # error\n    C[i, k] = A[i, j] * B[j, k]          # right";
    TOO_DEEP = 123, "nested-too-deep", "Brackets, blocks, powers, signs, casts or conditionals stand in each other more than 256 deep.\n\n    y = ((((((..))))))       # error from the 257th on\n\nName a part of it by a statement of its own.";
    TOO_MANY_TERMS = 124, "too-many-terms", "One statement holds more than 65,536 operators and commas.\n\n    y = a0 + a1 + a2 + ..    # error from the 65,537th `+` on\n\nSum over an index instead, or split the statement.";
    TOO_LONG = 125, "text-too-long", "A text has more than 16 MiB.\n\n    # 2^24 bytes of statements and then one more\n\nData belongs into a file of its own, read as an `input` or `param`.";
    BAD_BINDER = 126, "bad-binder", "The brackets of a reduction or map bind indices by name; `where` and `->` stand in no other brackets, and `else` stands in those of an access only.\n\n    y = sum[2*i](x[i])                       # error\n    y = sum[i where i in 0..4](x[2*i])       # right\n    z[j] = x[j where j < 3]                  # error\n    z[j] = x[j] where j in 0..3              # right";
}

/// ``unexpected `x`, expected a, b or c``.
pub fn unexpected(found: &str, expected: &[&str], span: Span) -> SyntaxError {
    let list = one_of(expected);
    let error = SyntaxError::new(UNEXPECTED, format!("unexpected {found}"), span);
    if list.is_empty() {
        error.label(span, "unexpected")
    } else {
        error.label(span, format!("expected {list}"))
    }
}

/// `a, b or c`.
pub fn one_of(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [only] => (*only).to_string(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A bracket that is open at the end of its statement, whose last token is at `end`.
pub fn unclosed(bracket: &str, span: Span, end: Span) -> SyntaxError {
    let closer = closing(bracket);
    let error = SyntaxError::new(UNCLOSED, format!("`{bracket}` is not closed"), span)
        .label(span, format!("no `{closer}` follows"));
    if bracket == "{" {
        return error.help("a block ends with `}`");
    }
    let after = Span { start: end.end, ..end };
    error.help(format!("close it with `{closer}`")).fix(after, closer)
}

/// A bracket that is open where an outer one is closed.
pub fn unclosed_before(bracket: &str, span: Span, closer: Span) -> SyntaxError {
    let wanted = closing(bracket);
    SyntaxError::new(UNCLOSED, format!("`{bracket}` is not closed"), span)
        .label(span, "opened here")
        .label(closer, "an outer bracket is closed before it")
        .help(format!("close it with `{wanted}`"))
        .fix(Span { end: closer.start, ..closer }, wanted)
}

/// A closing bracket of another kind than the open one.
pub fn mismatched(bracket: &str, span: Span, closer: &str, at: Span) -> SyntaxError {
    let wanted = closing(bracket);
    SyntaxError::new(UNMATCHED, format!("`{closer}` does not close `{bracket}`"), at)
        .label(at, format!("`{wanted}` is expected"))
        .label(span, "opened here")
        .help(format!("write `{wanted}`"))
        .fix(at, wanted)
}

/// A closing bracket where none is open.
pub fn unmatched(closer: &str, span: Span) -> SyntaxError {
    SyntaxError::new(UNMATCHED, format!("`{closer}` closes nothing"), span)
        .label(span, "no bracket is open here")
        .help("remove it, or open its bracket")
        .fix(span, "")
}

fn closing(bracket: &str) -> &'static str {
    match bracket {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// A comma at the end of a list that goes on with nothing.
pub fn dangling_comma(span: Span) -> SyntaxError {
    SyntaxError::new(DANGLING_COMMA, "a comma ends the list", span)
        .label(span, "nothing follows that belongs to the list")
        .help("remove the comma")
        .fix(span, "")
}

/// Nesting beyond [`DEEPEST`].
pub fn too_deep(span: Span) -> SyntaxError {
    SyntaxError::new(TOO_DEEP, format!("the statement nests more than {DEEPEST} deep"), span)
        .label(span, "one level too many")
        .help("name a part of it by a statement of its own")
}

/// More than [`MOST_TERMS`] operators and commas.
pub fn too_many_terms(span: Span) -> SyntaxError {
    SyntaxError::new(
        TOO_MANY_TERMS,
        format!("the statement has more than {MOST_TERMS} operators and commas"),
        span,
    )
    .label(span, "one too many")
    .help("sum over an index, or split the statement")
}

/// A text longer than [`LONGEST`].
pub fn too_long(text: &str, file: u32) -> SyntaxError {
    let span = Span { file, start: 0, end: 0 };
    SyntaxError::new(TOO_LONG, format!("the text has {} bytes; {LONGEST} is the limit", text.len()), span)
        .label(span, "this file")
        .help("data belongs into a file of its own, read as an `input` or `param`")
}

/// A text that is no token, for its first character.
pub fn bad_character(text: &str, span: Span) -> SyntaxError {
    let c = text.chars().next().unwrap_or('\0');
    let code = c as u32;
    let lookalike = |meant: &str| {
        SyntaxError::new(LOOKALIKE, format!("the character U+{code:04X} is not `{meant}`"), span)
            .label(span, "it only looks like it")
            .help(if meant == " " { "write a plain space".into() } else { format!("write `{meant}`") })
            .fix(span, meant)
    };
    match c {
        '\u{2212}' | '\u{2010}'..='\u{2015}' | '\u{ff0d}' | '\u{fe63}' => lookalike("-"),
        '×' | '·' | '⋅' | '∗' | '∙' | '•' | '⊗' => lookalike("*"),
        '÷' | '∕' | '⁄' => lookalike("/"),
        '≤' | '⩽' => lookalike("<="),
        '≥' | '⩾' => lookalike(">="),
        '≠' => lookalike("!="),
        '→' | '⟶' | '↦' => lookalike("->"),
        '∈' => lookalike("in"),
        '∧' => lookalike("and"),
        '∨' => lookalike("or"),
        '¬' => lookalike("not"),
        '∞' => lookalike("inf"),
        '…' => lookalike("..."),
        '≈' | '∼' => lookalike("~"),
        '¹' | '²' | '³' | '⁰'..='⁹' => {
            let digit = match c {
                '¹' => 1,
                '²' => 2,
                '³' => 3,
                _ => code - 0x2070,
            };
            let error = SyntaxError::new(FOREIGN_OPERATOR, "a power is written `**`", span)
                .label(span, "a raised digit");
            let error = error.help(format!("write `** {digit}`"));
            if text.len() == c.len_utf8() { error.fix(span, format!(" ** {digit}")) } else { error }
        }
        '“' | '”' | '„' | '«' | '»' => lookalike("\""),
        '’' | '′' => lookalike("'"),
        '，' => lookalike(","),
        '：' => lookalike(":"),
        '；' => lookalike(";"),
        '（' => lookalike("("),
        '）' => lookalike(")"),
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            lookalike(" ")
        }
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {
            SyntaxError::new(LOOKALIKE, format!("an invisible character U+{code:04X} stands here"), span)
                .label(span, "it cannot be seen")
                .help("remove it")
                .fix(span, "")
        }
        '"' => SyntaxError::new(BAD_STRING, "the string is not closed on its line", span)
            .label(span, "no `\"` follows")
            .help("end it with `\"`")
            .fix(Span { start: span.end, ..span }, "\""),
        '\'' | '`' => {
            let error = SyntaxError::new(BAD_STRING, format!("`{c}` does not open a string"), span)
                .label(span, "strings stand in double quotes");
            match text[1..].strip_suffix(c) {
                Some(inner) if !inner.contains('"') => {
                    error.help(format!("write `\"{inner}\"`")).fix(span, format!("\"{inner}\""))
                }
                _ => error.help("write `\"`"),
            }
        }
        '\\' => SyntaxError::new(UNKNOWN_CHARACTER, "`\\` has no meaning in the language", span)
            .label(span, "unknown character")
            .help("a statement goes on with the next line inside brackets and behind an operator"),
        c if c.is_control() => SyntaxError::new(
            UNKNOWN_CHARACTER,
            format!("the control character U+{code:04X} stands here"),
            span,
        )
        .label(span, "unknown character")
        .help("remove it")
        .fix(span, ""),
        c => SyntaxError::new(UNKNOWN_CHARACTER, format!("`{c}` has no meaning in the language"), span)
            .label(span, "unknown character"),
    }
}
