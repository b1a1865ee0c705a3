//! Every syntax error, at least twice, as it reads.

use super::errors;
use crate::{DEEPEST, LONGEST, MOST_TERMS, SYNTAX_CODES, SyntaxError, format, parse, parse_expr};
use std::collections::BTreeMap;

/// Code, text, message, first label, and the text after the fix (empty if there is none).
type Case = (u16, &'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    (101, "y = a * * b", "unexpected `*`", "expected an operand", ""),
    (101, "dim K 3", "unexpected `3`", "expected `in`, `where`, `,` or `=`", ""),
    (101, "/ = 3", "unexpected `/`", "expected a statement", ""),
    (101, "y = {a}", "no block can stand here", "unexpected block", ""),
    (101, "y = x[i][j]", "indices stand in one pair of brackets", "a second pair", "y = x[i, j]"),
    (101, "y = [1, 2]", "there are no lists", "an operand is expected", ""),
    (101, "y[i] = x[0:i]", "there are no slices", "an index is expected", ""),
    (101, "y[i] = x[0..3]", "there are no slices", "an index is expected", ""),
    (101, "dim K = 3..4", "a range stands only behind `in`", "not expected here", ""),
    (101, "y = 2 * if c then a else b", "`if` stands within an expression", "an operand is expected", ""),
    (101, "y[i] = x[i] else 0", "`else` belongs to no `if` and to no access", "not expected here", ""),
    (101, "scan[t forward] h[t] = 1 from 0", "unexpected `forward`", "expected `reversed` or `]`", ""),
    (101, "target cpu { x[i] = 3 }", "a `target` block holds only settings", "not a setting", ""),
    (101, "y[...b] = x[..b]", "an ellipsis has three dots", "2 dots", "y[...b] = x[...b]"),
    (101, "input x: f64[....b]", "an ellipsis has three dots", "4 dots", "input x: f64[...b]"),
    (
        101,
        "input A: f64[M] output B: f64[M]",
        "`output` begins another statement",
        "the statement before has not ended",
        "input A: f64[M]\noutput B: f64[M]",
    ),
    (102, "dim M, K N", "a comma is missing between `K` and `N`", "one operand", "dim M, K, N"),
    (
        109,
        "y = x[i,, j]",
        "nothing stands before the comma",
        "an entry of the list is missing",
        "y = x[i, j]",
    ),
    (120, "ipnut A: f64[M]", "`ipnut` opens no statement", "not a word of the language", "input A: f64[M]"),
    (120, "outpt A: f64[M]", "`outpt` opens no statement", "not a word of the language", "output A: f64[M]"),
    (
        102,
        "C[i, k] = A[i, j] B[j, k]",
        "an operator is missing between `A[i, j]` and `B[j, k]`",
        "one operand",
        "C[i, k] = A[i, j] * B[j, k]",
    ),
    (
        102,
        "y = 2 (a + b)",
        "an operator is missing between `2` and `(a + b)`",
        "one operand",
        "y = 2 * (a + b)",
    ),
    (102, "y = x[i j]", "a comma is missing between `i` and `j`", "one operand", "y = x[i, j]"),
    (
        102,
        "y[i, j] = x[i] where i in 0..3 j in 0..4",
        "a comma is missing between `3` and `j`",
        "one operand",
        "y[i, j] = x[i] where i in 0..3, j in 0..4",
    ),
    (103, "y = exp(a * b\nz = 1", "`(` is not closed", "no `)` follows", "y = exp(a * b)\nz = 1"),
    (103, "y = exp(a[i)", "`[` is not closed", "opened here", "y = exp(a[i])"),
    (
        103,
        "input A: f32[M  # sizes\ninput B: f32",
        "`[` is not closed",
        "no `]` follows",
        "input A: f32[M]  # sizes\ninput B: f32",
    ),
    (103, "fn f() -> f32 {\n  return 1\n", "`{` is not closed", "no `}` follows", ""),
    (104, "C[i) = A[i]", "`)` does not close `[`", "`]` is expected", "C[i] = A[i]"),
    (104, "C[i] = A[i])", "`)` closes nothing", "no bracket is open here", "C[i] = A[i]"),
    (104, "y = 1\n}", "`}` closes nothing", "no bracket is open here", "y = 1\n"),
    (
        105,
        "A[i, j] * B[j, k] -> C[i, k]",
        "the result of an equation stands on its left",
        "no arrow is expected",
        "C[i, k] = A[i, j] * B[j, k]",
    ),
    (105, "ij,jk->ik", "the result of an equation stands on its left", "no arrow is expected", ""),
    (
        105,
        "(a + b) -> c",
        "the result of an equation stands on its left",
        "no arrow is expected",
        "c = (a + b)",
    ),
    (
        106,
        "C[i] := A[i]",
        "a definition is written with `=`",
        "not an operator of the language",
        "C[i] = A[i]",
    ),
    (
        106,
        "const n := 3",
        "a definition is written with `=`",
        "not an operator of the language",
        "const n = 3",
    ),
    (107, "C[i] == A[i]", "a definition is written with `=`", "`==` compares", "C[i] = A[i]"),
    (107, "y == 1", "a definition is written with `=`", "`==` compares", "y = 1"),
    (
        108,
        "C[i, j] = if i = j then 1 else 0",
        "a comparison is written with `==`",
        "`=` defines",
        "C[i, j] = if i == j then 1 else 0",
    ),
    (
        108,
        "y[i] = x[i] where i = 3",
        "a comparison is written with `==`",
        "`=` defines",
        "y[i] = x[i] where i == 3",
    ),
    (108, "y = sum[i = 3](x)", "`=` stands in square brackets", "`=` defines", ""),
    (108, "a = b = 1", "`=` stands within an expression", "`=` defines", ""),
    (
        109,
        "y[s] = x[2*s] where s in 0..4,\nz[s] = y[s]",
        "a comma ends the list",
        "nothing follows that belongs to the list",
        "y[s] = x[2*s] where s in 0..4\nz[s] = y[s]",
    ),
    (
        109,
        "dim M, K,\ninput A: f32",
        "a comma ends the list",
        "nothing follows that belongs to the list",
        "dim M, K\ninput A: f32",
    ),
    (109, "y = x[i, j,]", "a comma ends the list", "nothing follows that belongs to the list", "y = x[i, j]"),
    (
        110,
        "input in: f32[N]",
        "`in` is a keyword and cannot be a name",
        "a name is expected",
        "input in_: f32[N]",
    ),
    (110, "check = 3", "`check` is a keyword and cannot be a name", "a name is expected", "check_ = 3"),
    (110, "scan[i] = 3", "`scan` is a keyword and cannot be a name", "a name is expected", "scan_[i] = 3"),
    (
        110,
        "y = 2 * output[i]",
        "`output` is a keyword and cannot be a name",
        "a name is expected",
        "y = 2 * output_[i]",
    ),
    (111, "y = x − 1", "the character U+2212 is not `-`", "it only looks like it", "y = x - 1"),
    (111, "y = x\u{a0}* 2", "the character U+00A0 is not ` `", "it only looks like it", "y = x * 2"),
    (111, "y = x × 2", "the character U+00D7 is not `*`", "it only looks like it", "y = x * 2"),
    (111, "y = x\u{200b} * 2", "an invisible character U+200B stands here", "it cannot be seen", "y = x * 2"),
    (112, "y = $x", "`$` has no meaning in the language", "unknown character", ""),
    (112, "y = x + \\\n  1", "`\\` has no meaning in the language", "unknown character", ""),
    (112, "y = x\u{7}", "the control character U+0007 stands here", "unknown character", "y = x"),
    (
        113,
        "C(i, k) = A[i, k]",
        "the indices of `C` stand in square brackets",
        "parentheses are for calls",
        "C[i, k] = A[i, k]",
    ),
    (
        113,
        "scan[t] h(t) = 1 from 0",
        "the indices of `h` stand in square brackets",
        "parentheses are for calls",
        "scan[t] h[t] = 1 from 0",
    ),
    (114, "c[i] -= a[i]", "there is no `-=`, only `+=`", "not an operator of the language", ""),
    (114, "c *= 2", "there is no `*=`, only `+=`", "not an operator of the language", ""),
    (115, "m = if 0 <= i < n then 1 else 0", "comparisons do not chain", "a second comparison", ""),
    (115, "y = x where a == b == c", "comparisons do not chain", "a second comparison", ""),
    (116, "y = x ^ 2", "`^` is not an operator of the language", "unknown operator", "y = x ** 2"),
    (116, "y = a && b", "`&&` is not an operator of the language", "unknown operator", "y = a and b"),
    (116, "y = c ? a : b", "`?` is not an operator of the language", "unknown operator", ""),
    (116, "y = a if c else b", "the condition of a choice comes first", "an operand stands before it", ""),
    (
        117,
        "y = 1\n\nz = 3 // the rest",
        "a comment begins with `#`",
        "this is an operator of the language",
        "y = 1\n\nz = 3 # the rest",
    ),
    (
        117,
        "// head\ny = 1",
        "a comment begins with `#`",
        "this is an operator of the language",
        "# head\ny = 1",
    ),
    (117, "/* head */\ny = 1", "a comment begins with `#`", "this is an operator of the language", ""),
    (
        118,
        "y = x[2s + 1]",
        "`s` behind the number `2` means nothing",
        "a number and a name without an operator",
        "y = x[2 * s + 1]",
    ),
    (
        118,
        "@memory(limit = 2GB) y = 1",
        "`GB` behind the number `2` means nothing",
        "a number and a name without an operator",
        "",
    ),
    (118, "y = 1e999", "`1e999` is larger than any f64", "too large", ""),
    (
        118,
        "y = 999999999999999999999999999999999999999",
        "`999999999999999999999999999999999999999` is larger than any integer type holds",
        "too large",
        "",
    ),
    (118, "y = .5", "digits stand on both sides of a decimal point", "a digit is missing", "y = 0.5"),
    (118, "y = 1. + x", "digits stand on both sides of a decimal point", "a digit is missing", "y = 1.0 + x"),
    (118, "y = 0.3KiB", "`0.3KiB` is no whole number of bytes below 2^63", "not a size", ""),
    (
        119,
        "import \"a\ny = 1",
        "the string is not closed on its line",
        "no `\"` follows",
        "import \"a\"\ny = 1",
    ),
    (119, "import \"a\\n\"", "a string knows no escape `\\n`", "in this string", ""),
    (119, "import 'a'", "`'` does not open a string", "strings stand in double quotes", "import \"a\""),
    (
        120,
        "input A[M, K]: f32",
        "the sizes of `A` belong to its type",
        "sizes stand here",
        "input A: f32[M, K]",
    ),
    (
        120,
        "input A f32[M]",
        "`A` is declared without a type",
        "`:` and a type are expected",
        "input A: f32[M]",
    ),
    (120, "output y", "`y` is declared without a type", "`:` and a type are expected", ""),
    (
        120,
        "input A: f32(M, K)",
        "the sizes of a type stand in square brackets",
        "a parenthesis",
        "input A: f32[M, K]",
    ),
    (120, "let y[i] = x[i]", "`let` opens no statement", "not a word of the language", "y[i] = x[i]"),
    (
        120,
        "def f(x: f32) -> f32 { return x }",
        "`def` opens no statement",
        "not a word of the language",
        "fn f(x: f32) -> f32 { return x }",
    ),
    (120, "fn f(x) -> f32 { return x }", "the parameter `x` has no type", "`:` and a type are expected", ""),
    (121, "scan[t] h[t] = h[t - 1] + x[t]", "a scan has no `from`", "the scan ends here", ""),
    (121, "y = if c then a", "an `if` has no `else`", "`else` is expected", ""),
    (121, "y = if c", "an `if` has no `then`", "`then` is expected", ""),
    (121, "y =", "the statement ends too early", "an operand is expected", ""),
    (121, "fn f(x: f32) { return x }", "a `fn` does not say what it returns", "`->` is expected", ""),
    (121, "fn f(x: f32) -> f32", "a `fn` has no body", "`{` is expected", ""),
    (121, "target cpu", "a `target` has no settings", "`{` is expected", ""),
    (121, "grad L", "a `grad` has no `wrt`", "`wrt` is expected", ""),
    (121, "grad L wrt W", "a gradient has no name", "`->` is expected", ""),
    (121, "solve a * x = b", "a `solve` does not name its unknown", "`for` is expected", ""),
    (121, "decompose W[i, j] = A[i] * B[j]", "a `decompose` has no factors", "`~` is expected", ""),
    (122, "A[i, j] * B[j, k]", "an expression stands alone", "what does it define?", ""),
    (122, "print(x)", "an expression stands alone", "what does it define?", ""),
    (122, "2 * y = x", "the left side of a definition is one tensor", "an expression stands on the left", ""),
    (
        126,
        "y = sum[2*i](x[i])",
        "`2*i` is no name of an index",
        "a reduction or map binds indices by name",
        "",
    ),
    (
        126,
        "z[j] = x[j where j < 3]",
        "`where` stands in the brackets of an access",
        "only a reduction or a map has this",
        "",
    ),
    (
        126,
        "z[j] = x[i -> j]",
        "`->` stands in the brackets of an access",
        "only a reduction or a map has this",
        "",
    ),
    (
        126,
        "y = sum[i else 0](x[i])",
        "`else` stands in the brackets of a reduction",
        "a reduction reads nothing here",
        "",
    ),
    (
        126,
        "y = m.sum[i](x[i])",
        "brackets and then parentheses follow the function of a module",
        "only a reduction or a map binds indices",
        "",
    ),
];

fn fixed(text: &str, error: &SyntaxError) -> String {
    error.fix.as_ref().map_or(String::new(), |(span, new)| {
        let mut fixed = text.to_string();
        fixed.replace_range(span.start as usize..span.end as usize, new);
        fixed
    })
}

#[test]
fn read_as_they_should() {
    for &(code, text, message, label, after) in CASES {
        let errors = errors(text);
        assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
        let error = &errors[0];
        assert_eq!((error.code, error.message.as_str()), (code, message), "{text}");
        assert_eq!(error.labels.first().map(|label| label.1.as_str()), Some(label), "{text}");
        assert_eq!(fixed(text, error), after, "{text}");
    }
}

#[test]
fn fixes_mend_the_text() {
    // These point at the first of two mistakes, or at a form that needs more than a word.
    let halfway = ["input A: f32[M", "fn f(x) ", "def f", "c ? a : b"];
    for &(_, text, .., after) in CASES {
        if !after.is_empty() && !halfway.iter().any(|start| text.starts_with(start)) {
            assert_eq!(errors(after), [], "{after}");
        }
    }
}

#[test]
fn limits() {
    let chains: [fn(usize) -> String; 8] = [
        |count| format!("y = {}x{}", "(".repeat(count), ")".repeat(count)),
        |count| format!("{}{}", "fn f() -> f32 {".repeat(count), "}".repeat(count)),
        |count| format!("y = {}x", "-".repeat(count)),
        |count| format!("y = {}x", "not ".repeat(count)),
        |count| format!("y = x{}", " ** x".repeat(count)),
        |count| format!("y = x{}", " as f32".repeat(count)),
        |count| format!("y = {}d", "if c then x else ".repeat(count)),
        |count| format!("y = x{}", ".x".repeat(count)),
    ];
    for text in chains {
        assert_eq!(errors(&text(DEEPEST)), []);
        for count in [DEEPEST + 1, 100 * DEEPEST] {
            let errors = errors(&text(count));
            assert_eq!(errors[0].code, 123);
            assert_eq!(errors[0].message, "the statement nests more than 256 deep");
        }
    }
    let wide = |count: usize| format!("y = x{}\n", " + x".repeat(count));
    assert_eq!(errors(&wide(MOST_TERMS)), []);
    for text in [wide(MOST_TERMS + 1), wide(1_000_000), format!("y = f({})", "x, ".repeat(MOST_TERMS + 1))] {
        let errors = errors(&text);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].code, 124);
        assert_eq!(errors[0].message, "the statement has more than 65536 operators and commas");
    }
    let long = " ".repeat(LONGEST + 1);
    let message = "the text has 16777217 bytes; 16777216 is the limit";
    for errors in [parse(&long, 0).1, parse_expr(&long, 0).unwrap_err(), format(&long).unwrap_err()] {
        assert_eq!((errors.len(), errors[0].code, errors[0].message.as_str()), (1, 125, message));
    }
    assert_eq!(errors(&" ".repeat(LONGEST)), []);
}

#[test]
fn every_code_is_tried_and_explained() {
    let mut tried: BTreeMap<u16, usize> = BTreeMap::from([(123, 2), (124, 2), (125, 2)]);
    CASES.iter().for_each(|case| *tried.entry(case.0).or_default() += 1);
    for (place, (code, slug, text)) in SYNTAX_CODES.iter().enumerate() {
        assert_eq!(usize::from(*code), 101 + place);
        assert!(tried.get(code).is_some_and(|&count| count >= 2), "{code} is not tried twice");
        assert!(slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        assert!(text.contains("\n    ") && text.contains('.'), "{code} has no example");
    }
    assert_eq!(SYNTAX_CODES.len(), 26);
}

#[test]
fn the_examples_of_the_explanations_are_what_they_say() {
    for (code, _, text) in SYNTAX_CODES {
        if [123, 124, 125].contains(code) {
            continue;
        }
        // A line with `# error` is wrong together with what follows up to a blank line; one with `# right` is right.
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        let wrong = lines.iter().filter(|line| line.contains("error"));
        assert!(wrong.clone().count() > 0, "{code} shows no error");
        for line in wrong {
            if *code != 109 {
                let errors = errors(line);
                assert!(errors.iter().any(|error| error.code == *code), "{code}: {line}\n{errors:#?}");
            }
        }
        for line in lines.iter().filter(|line| line.ends_with("right")) {
            assert_eq!(errors(line), [], "{code}: {line}");
        }
    }
}
