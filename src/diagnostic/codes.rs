//! Every code a diagnostic can have, with its name and its explanation.

use std::fmt;

/// A stable code such as `EIN0301`; [`Code::slug`] is its name and [`Code::explanation`] what `einc explain` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

/// `codes! { Name = number, "slug", "explanation"; .. }`
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $number:literal, $slug:literal, $text:literal;)*) => {
        #[allow(non_upper_case_globals, missing_docs)]
        impl Code {
            $($(#[$meta])* pub const $name: Code = Code($number);)*
        }

        const TABLE: &[(u16, &str, &str)] = &[$(($number, $slug, $text)),*];
    };
}

codes! {
    UnknownName = 201, "unknown-name", "A name is used that nothing declares.\n\n    C[i] = A[i] * Q[i]        # error if no `Q` is declared\n\nDeclare it (`input Q: f64[N]`), define it by a statement, or correct the spelling.";
}

impl Code {
    /// A syntax error's code, as the grammar numbers it (1xx).
    pub fn syntax(number: u16) -> Code {
        Code(number)
    }

    /// Every code in order.
    pub fn all() -> impl Iterator<Item = Code> {
        let syntax = SYNTAX.iter().map(|entry| entry.0);
        syntax.chain(TABLE.iter().map(|entry| entry.0)).map(Code)
    }

    /// The code of that text: `EIN0301`, `0301`, `301`, or its name `extent-mismatch`.
    pub fn parse(text: &str) -> Option<Code> {
        let digits = text.strip_prefix("EIN").or(text.strip_prefix("ein")).unwrap_or(text);
        let number = digits.parse::<u16>().ok();
        Code::all().find(|code| Some(code.0) == number || code.slug() == text)
    }

    /// Its number: the first two digits of four tell the kind.
    pub fn number(self) -> u16 {
        self.0
    }

    fn entry(self) -> Option<&'static (u16, &'static str, &'static str)> {
        SYNTAX.iter().chain(TABLE).find(|entry| entry.0 == self.0)
    }

    /// Its name, such as `extent-mismatch`.
    pub fn slug(self) -> &'static str {
        self.entry().map_or("unknown", |entry| entry.1)
    }

    /// What `einc explain` prints.
    pub fn explanation(self) -> &'static str {
        self.entry().map_or("", |entry| entry.2)
    }
}

const SYNTAX: &[(u16, &str, &str)] = &[];

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EIN{:04}", self.0)
    }
}
