//! The formatter keeps meaning, comments and line breaks, and changes its own output no more.

use super::{items, programs::programs, shape};
use crate::format;
use crate::token::{Token, lex};

/// Formats a text, and checks what holds for every text.
fn formatted(text: &str) -> String {
    let once = format(text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
    assert_eq!(format(&once).unwrap(), once, "formatting twice differs");
    assert_eq!(shape::items(&items(&once)), shape::items(&items(text)), "the tree changed");
    assert_eq!(kept(&once), kept(text));
    assert!(!once.contains("\n\n\n") && !once.contains(" \n") && !once.contains('\t'));
    once
}

/// The text of every token and comment that a layout keeps.
fn kept(text: &str) -> Vec<&str> {
    let spaces = [Token::Newline, Token::Semicolon, Token::End];
    let lexemes = lex(text).into_iter().filter(|lexeme| !spaces.contains(&lexeme.token));
    lexemes.map(|lexeme| text[lexeme.start as usize..lexeme.end as usize].trim_end()).collect()
}

#[test]
fn programs_are_laid_out_already() {
    for (path, text) in programs() {
        assert_eq!(formatted(&text), text, "{}", path.display());
    }
}

#[test]
fn spaces() {
    for (text, laid_out) in [
        ("C [ i,k ]=A[i ,j]*B[j,k]", "C[i, k] = A[i, j] * B[j, k]\n"),
        ("y=-a**-2- -b as  f32", "y = -a ** -2 - -b as f32\n"),
        ("x=y[2 * s+u-1,i // 2,(a+b)*c else- 1]", "x = y[2*s + u - 1, i // 2, (a + b) * c else -1]\n"),
        ("x=y[( 2*s+u )//3]*(a*b+c)", "x = y[(2*s + u) // 3] * (a * b + c)\n"),
        ("s=sum [ j where j in 0 .. 3 ] ( x[j] )", "s = sum[j where j in 0..3](x[j])\n"),
        ("t=topk[e->k]( - x[ ... , ...b,_ ,(p  r)] )", "t = topk[e -> k](-x[..., ...b, _, (p r)])\n"),
        ("dim K in 1 ..= 9,N=3", "dim K in 1..=9, N = 3\n"),
        ("@ tile( i=3 )@acc(f32)  c=m . f (a,k=2) [ i ]", "@tile(i = 3) @acc(f32) c = m.f(a, k = 2)[i]\n"),
        ("import \"a\"(b,c)", "import \"a\" (b, c)\n"),
        ("if_ = if(a)then(b)else(c)", "if_ = if (a) then (b) else (c)\n"),
        ("grad L with g wrt W->dW", "grad L with g wrt W -> dW\n"),
        ("fn f( x:f32[N] , )->(a:f32){return x}", "fn f(x: f32[N],) -> (a: f32) { return x }\n"),
        ("fn f()->f32{}", "fn f() -> f32 {}\n"),
        ("scan[ t  reversed ]h[t]=0 from(1)", "scan[t reversed] h[t] = 0 from (1)\n"),
        ("check not(a)and b!=c", "check not (a) and b != c\n"),
    ] {
        assert_eq!(formatted(text), laid_out);
    }
}

#[test]
fn lines_and_comments() {
    let text = "\u{feff}\n\n#a\n\n\n\n##  doc  \nfn f(\nx: f32,\n) -> f32 {\n\n\n# in\nb = x+ # why\n\n  #more\n 1\n\twhere c\n\n; return b;\n\n}\n\n\n#end";
    let laid_out = "#a\n\n##  doc\nfn f(\n    x: f32,\n) -> f32 {\n    # in\n    b = x +  # why\n\n        #more\n        1\n        where c\n\n    return b\n}\n\n#end\n";
    assert_eq!(formatted(text), laid_out);
    assert_eq!(formatted("a = 1;b = 2 ;\n;\n c = 3"), "a = 1; b = 2\n\nc = 3\n");
    assert_eq!(formatted("target cpu{a=1,b = 2;\n c=3}"), "target cpu { a = 1, b = 2\n    c = 3 }\n");
    assert_eq!(formatted("y = f(\n g(\n a),\n)[i]"), "y = f(\n    g(\n        a),\n)[i]\n");
    assert_eq!(formatted("@a\n# c\n\n@b(\n 1)\ny = 2\r\n"), "@a\n# c\n\n@b(\n    1)\ny = 2\n");
    assert_eq!(
        formatted("scan[t] {\nm = 1\n} from\nm = 0\nwhere t in 0..2"),
        "scan[t] {\n    m = 1\n} from\n    m = 0\n    where t in 0..2\n"
    );
    assert_eq!(formatted("# only"), "# only\n");
    assert_eq!(formatted(" \n\n"), "");
}

#[test]
fn a_text_with_errors_is_left_alone() {
    let errors = format("a = 1 2\nb = = 3").unwrap_err();
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [102, 108]);
}
