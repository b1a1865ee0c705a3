//! Layouts as text: `[i:8 | k:128 *4]`.

use super::{Axis, Layout, Piece, Term};
use std::fmt;

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |axis: usize| self.axes.get(axis).map_or("?", |axis| axis.name.as_str());
        let show = |piece: &Piece| match piece {
            Piece::Digit { axis, div: 1, extent } => format!("{}:{extent}", name(*axis)),
            Piece::Digit { axis, div, extent } => format!("{}/{div}:{extent}", name(*axis)),
            Piece::Affine { terms, extent } => {
                let mut text = String::new();
                for term in terms {
                    let sign = match (term.factor < 0, text.is_empty()) {
                        (true, _) => "-",
                        (false, true) => "",
                        (false, false) => "+",
                    };
                    let factor = match term.factor.unsigned_abs() {
                        1 => String::new(),
                        factor => factor.to_string(),
                    };
                    text += &format!("{sign}{factor}{}", name(term.axis));
                }
                format!("({text}):{extent}")
            }
            Piece::Copy(extent) => format!("*{extent}"),
            Piece::Zero(extent) => format!("_{extent}"),
            Piece::Unknown(extent) => format!("?{extent}"),
        };
        let mut words: Vec<String> = self.ciphertexts.iter().map(show).collect();
        if !words.is_empty() {
            words.push("|".into());
        }
        words.extend(self.slots.iter().map(show));
        words.extend(self.unknown_rest.then(|| "?".into()));
        write!(f, "[{}]", words.join(" "))
    }
}

/// The piece of a text that says nothing about a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLayoutError(pub String);

impl fmt::Display for ParseLayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no piece of a layout", self.0)
    }
}

impl Layout {
    /// Reads the text form of a layout over these axes.
    ///
    /// ```
    /// use einc::slots::layout::{Axis, Layout};
    ///
    /// let axes = [("i", 8), ("k", 100)].map(|(name, extent)| Axis { name: name.into(), extent });
    /// let layout = Layout::parse("[i:8 | k:128 *4]", &axes).unwrap();
    /// assert_eq!(layout.places(&[2, 1], 512), [(2, 4), (2, 5), (2, 6), (2, 7)]);
    /// assert_eq!(layout.to_string(), "[i:8 | k:128 *4]");
    /// ```
    pub fn parse(text: &str, axes: &[Axis]) -> Result<Layout, ParseLayoutError> {
        let wrong = |word: &str| ParseLayoutError(word.to_owned());
        let inside = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let inside = inside.ok_or_else(|| wrong(text))?;
        let (outer, mut inner) = inside.split_once('|').unwrap_or(("", inside));
        inner = inner.trim();
        let mut unknown_rest = false;
        if let Some(before) = inner.strip_suffix('?') {
            (inner, unknown_rest) = (before, true);
        }
        let pieces = |text: &str| {
            let words = text.split_whitespace();
            words.map(|word| piece(word, axes).ok_or_else(|| wrong(word))).collect::<Result<Vec<_>, _>>()
        };
        Ok(Layout { axes: axes.to_vec(), ciphertexts: pieces(outer)?, slots: pieces(inner)?, unknown_rest })
    }
}

fn piece(word: &str, axes: &[Axis]) -> Option<Piece> {
    let extent = |text: &str| text.parse().ok().filter(|extent: &usize| *extent > 0);
    if let Some(copies) = word.strip_prefix('*') {
        return Some(Piece::Copy(extent(copies)?));
    }
    if let Some(zeros) = word.strip_prefix('_')
        && let Some(zeros) = extent(zeros)
    {
        return Some(Piece::Zero(zeros));
    }
    if let Some(gap) = word.strip_prefix('?') {
        return Some(Piece::Unknown(extent(gap)?));
    }
    let (digit, count) = word.rsplit_once(':')?;
    let count = extent(count)?;
    let axis = |name: &str| axes.iter().position(|axis| axis.name == name);
    if let Some(sum) = digit.strip_prefix('(').and_then(|sum| sum.strip_suffix(')')) {
        let mut terms = Vec::new();
        let mut start = 0;
        for end in (1..=sum.len()).filter(|end| matches!(sum.as_bytes().get(*end), None | Some(b'+' | b'-')))
        {
            let term = sum.get(start..end)?;
            start = end;
            let (sign, term) = match term.strip_prefix('-') {
                Some(term) => (-1, term),
                None => (1, term.strip_prefix('+').unwrap_or(term)),
            };
            let digits = term.len() - term.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let factor = if digits == 0 { 1 } else { term[..digits].parse::<i64>().ok()? };
            terms.push(Term { axis: axis(&term[digits..])?, factor: sign * factor });
        }
        return Some(Piece::Affine { terms, extent: count });
    }
    let (name, div) = match digit.split_once('/') {
        Some((name, div)) => (name, extent(div)?),
        None => (digit, 1),
    };
    Some(Piece::Digit { axis: axis(name)?, div, extent: count })
}
