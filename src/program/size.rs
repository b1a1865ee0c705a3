//! Sizes as the text writes them: polynomials over dims, with or without values.
//!
//! A [`Size`] stays symbolic, so that `X - K + 1` in a shape and the same range found by inference compare equal for
//! every value, and a message can show both the text and the number. The [`Sizes`] table knows the dims, the
//! quotients and remainders of them, and the values that arrays or `--set` gave.

use std::collections::HashMap;

/// A polynomial with integer coefficients over the atoms of a [`Sizes`] table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Size {
    /// Products of atoms (sorted, repeated for powers) with coefficients that are not zero, in order.
    terms: Vec<(Vec<u32>, i64)>,
}

/// What a size consists of besides numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Atom {
    /// A dim; the number tells dims of one name apart.
    Dim(String, u32),
    /// A quotient rounded down.
    Div(Size, Size),
    /// A remainder with the sign of the divisor.
    Rem(Size, Size),
    Pow(Size, Size),
    Min(Size, Size),
    Max(Size, Size),
}

/// Whether two sizes are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// For all values of the dims, or for the values they have.
    Equal,
    /// Never, or not for the values they have, or two dims that nothing makes equal.
    Different,
    /// That depends on values that are not known yet.
    Unknown,
}

/// Why a size has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncountable {
    /// It passes [`LIMIT`].
    TooLarge,
    /// It divides by this, which is 0.
    ZeroDivisor(String),
    /// It is a power whose exponent is this.
    NegativeExponent(String),
}

/// The table of dims and of what is computed from them.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    atoms: Vec<Atom>,
    values: Vec<Option<i64>>,
    numbers: HashMap<Atom, u32>,
    /// Pairs that a condition of the program equates.
    equal: Vec<(Size, Size)>,
}

/// The largest magnitude of a size.
pub const LIMIT: i64 = 1 << 62;

impl Size {
    /// A number.
    pub fn constant(value: i64) -> Size {
        Size { terms: if value == 0 { Vec::new() } else { vec![(Vec::new(), value)] } }
    }

    fn atom(atom: u32) -> Size {
        Size { terms: vec![(vec![atom], 1)] }
    }

    /// The number it is, if it contains no dim.
    pub fn as_constant(&self) -> Option<i64> {
        match &self.terms[..] {
            [] => Some(0),
            [(atoms, value)] if atoms.is_empty() => Some(*value),
            _ => None,
        }
    }

    fn as_atom(&self) -> Option<u32> {
        match &self.terms[..] {
            [(atoms, 1)] if atoms.len() == 1 => Some(atoms[0]),
            _ => None,
        }
    }

    fn from_map(map: HashMap<Vec<u32>, i64>) -> Size {
        let mut terms: Vec<_> = map.into_iter().filter(|term| term.1 != 0).collect();
        terms.sort();
        Size { terms }
    }

    /// `self + factor * other`; `None` on overflow.
    fn combine(&self, factor: i64, other: &Size) -> Option<Size> {
        let mut map: HashMap<Vec<u32>, i64> = self.terms.iter().cloned().collect();
        for (atoms, coefficient) in &other.terms {
            let entry = map.entry(atoms.clone()).or_insert(0);
            *entry = within(entry.checked_add(coefficient.checked_mul(factor)?)?)?;
        }
        Some(Size::from_map(map))
    }

    /// The sum; `None` on overflow.
    pub fn plus(&self, other: &Size) -> Option<Size> {
        self.combine(1, other)
    }

    /// The difference; `None` on overflow.
    pub fn minus(&self, other: &Size) -> Option<Size> {
        self.combine(-1, other)
    }

    /// The product; `None` on overflow, or where it has more than 64 terms.
    pub fn times(&self, other: &Size) -> Option<Size> {
        let mut map: HashMap<Vec<u32>, i64> = HashMap::new();
        for (a, x) in &self.terms {
            for (b, y) in &other.terms {
                let mut atoms = a.clone();
                atoms.extend(b);
                atoms.sort_unstable();
                let entry = map.entry(atoms).or_insert(0);
                *entry = within(entry.checked_add(x.checked_mul(*y)?)?)?;
            }
        }
        (map.len() <= 64).then(|| Size::from_map(map))
    }

    /// Whether no coefficient is negative, so that the size is not negative for dims that are not.
    pub fn is_nonnegative(&self) -> bool {
        self.terms.iter().all(|term| term.1 >= 0)
    }

    /// Whether no coefficient is positive.
    pub fn is_nonpositive(&self) -> bool {
        self.terms.iter().all(|term| term.1 <= 0)
    }

    /// The quotient if `other` is one term that divides every term.
    fn divided_exactly(&self, other: &Size) -> Option<Size> {
        let [(divisor, factor)] = &other.terms[..] else { return None };
        let mut terms = Vec::new();
        for (atoms, coefficient) in &self.terms {
            let mut rest = atoms.clone();
            for atom in divisor {
                rest.remove(rest.iter().position(|a| a == atom)?);
            }
            if coefficient % factor != 0 {
                return None;
            }
            terms.push((rest, coefficient / factor));
        }
        terms.sort();
        Some(Size { terms })
    }
}

fn within(value: i64) -> Option<i64> {
    (value.abs() <= LIMIT).then_some(value)
}

impl Sizes {
    /// A dim of its own, even if another one has that name.
    pub fn dim(&mut self, name: &str) -> Size {
        let number = self.atoms.len() as u32;
        self.intern(Atom::Dim(name.to_string(), number))
    }

    fn intern(&mut self, atom: Atom) -> Size {
        if let Some(&number) = self.numbers.get(&atom) {
            return Size::atom(number);
        }
        let number = self.atoms.len() as u32;
        self.atoms.push(atom.clone());
        self.values.push(None);
        self.numbers.insert(atom, number);
        Size::atom(number)
    }

    /// The quotient rounded down; `None` by zero or on overflow.
    pub fn div(&mut self, a: &Size, b: &Size) -> Option<Size> {
        if let (Some(x), Some(y)) = (a.as_constant(), b.as_constant()) {
            return (y != 0).then(|| Size::constant(floor_div(x, y)));
        }
        if let Some(quotient) = a.divided_exactly(b) {
            return Some(quotient);
        }
        if let Some(divisor) = b.as_constant().filter(|&divisor| divisor > 0) {
            // What divides without a remainder leaves the quotient: (2 X + 3) // 2 = X + 1.
            let mut whole = Size::default();
            let mut rest = Size::default();
            for term in &a.terms {
                let quotient = floor_div(term.1, divisor);
                if term.1 % divisor == 0 || term.0.is_empty() {
                    whole.terms.push((term.0.clone(), quotient));
                    let left = term.1 - quotient * divisor;
                    if left != 0 {
                        rest.terms.push((term.0.clone(), left));
                    }
                } else {
                    rest.terms.push(term.clone());
                }
            }
            whole.terms.retain(|term| term.1 != 0);
            let rest = self.intern(Atom::Div(rest, b.clone()));
            return whole.plus(&rest);
        }
        (b.as_constant() != Some(0)).then(|| self.intern(Atom::Div(a.clone(), b.clone())))
    }

    /// The remainder with the sign of the divisor; `None` by zero.
    pub fn rem(&mut self, a: &Size, b: &Size) -> Option<Size> {
        if let (Some(x), Some(y)) = (a.as_constant(), b.as_constant()) {
            return (y != 0).then(|| Size::constant(x - floor_div(x, y) * y));
        }
        if a.divided_exactly(b).is_some() {
            return Some(Size::default());
        }
        (b.as_constant() != Some(0)).then(|| self.intern(Atom::Rem(a.clone(), b.clone())))
    }

    /// The power; `None` for a negative exponent or on overflow.
    pub fn pow(&mut self, a: &Size, b: &Size) -> Option<Size> {
        match b.as_constant() {
            Some(exponent @ 0..=62) => (0..exponent).try_fold(Size::constant(1), |power, _| power.times(a)),
            Some(_) => None,
            None => Some(self.intern(Atom::Pow(a.clone(), b.clone()))),
        }
    }

    /// The lesser.
    pub fn min(&mut self, a: &Size, b: &Size) -> Size {
        match (a.as_constant(), b.as_constant()) {
            _ if a == b => a.clone(),
            (Some(x), Some(y)) => Size::constant(x.min(y)),
            _ => self.intern(Atom::Min(a.clone(), b.clone())),
        }
    }

    /// The greater.
    pub fn max(&mut self, a: &Size, b: &Size) -> Size {
        match (a.as_constant(), b.as_constant()) {
            _ if a == b => a.clone(),
            (Some(x), Some(y)) => Size::constant(x.max(y)),
            _ => self.intern(Atom::Max(a.clone(), b.clone())),
        }
    }

    /// Gives a dim its value.
    ///
    /// Sizes that are no plain dim are left alone.
    pub fn set(&mut self, dim: &Size, value: i64) {
        if let Some(atom) = dim.as_atom() {
            self.values[atom as usize] = Some(value);
        }
    }

    /// Takes two sizes for equal from here on.
    pub fn equate(&mut self, a: &Size, b: &Size) {
        self.equal.push((a.clone(), b.clone()));
    }

    /// The value, if all its dims have one.
    ///
    /// # Errors
    /// Where it is no number that can be counted.
    pub fn value(&self, size: &Size) -> Result<Option<i64>, Uncountable> {
        let mut sum = 0i64;
        for (atoms, coefficient) in &size.terms {
            let mut product = *coefficient;
            for &atom in atoms {
                match self.atom_value(atom)? {
                    Some(value) => {
                        product = product.checked_mul(value).and_then(within).ok_or(Uncountable::TooLarge)?
                    }
                    None => return Ok(None),
                }
            }
            sum = sum.checked_add(product).and_then(within).ok_or(Uncountable::TooLarge)?;
        }
        Ok(Some(sum))
    }

    fn atom_value(&self, atom: u32) -> Result<Option<i64>, Uncountable> {
        let (Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Pow(a, b) | Atom::Min(a, b) | Atom::Max(a, b)) =
            &self.atoms[atom as usize]
        else {
            return Ok(self.values[atom as usize]);
        };
        let (Some(x), Some(y)) = (self.value(a)?, self.value(b)?) else { return Ok(None) };
        Ok(Some(match &self.atoms[atom as usize] {
            Atom::Div(..) | Atom::Rem(..) if y == 0 => return Err(Uncountable::ZeroDivisor(self.text(b))),
            Atom::Pow(..) if y < 0 => return Err(Uncountable::NegativeExponent(self.described(b))),
            Atom::Div(..) => floor_div(x, y),
            Atom::Rem(..) => x - floor_div(x, y) * y,
            Atom::Pow(..) => {
                let power = u32::try_from(y).ok().and_then(|y| x.checked_pow(y));
                power.and_then(within).ok_or(Uncountable::TooLarge)?
            }
            Atom::Min(..) => x.min(y),
            Atom::Max(..) | Atom::Dim(..) => x.max(y),
        }))
    }

    /// Whether two sizes are equal.
    pub fn same(&self, a: &Size, b: &Size) -> Sameness {
        let assumed = |pair: &(Size, Size)| (&pair.0 == a && &pair.1 == b) || (&pair.0 == b && &pair.1 == a);
        if a == b || self.equal.iter().any(assumed) {
            return Sameness::Equal;
        }
        if let (Some(x), Some(y)) = (a.as_atom(), b.as_atom())
            && let (Atom::Dim(..), Atom::Dim(..)) = (&self.atoms[x as usize], &self.atoms[y as usize])
        {
            return Sameness::Different;
        }
        if let Some(difference) = a.minus(b).and_then(|difference| difference.as_constant()) {
            return if difference == 0 { Sameness::Equal } else { Sameness::Different };
        }
        match (self.value(a), self.value(b)) {
            (Ok(Some(x)), Ok(Some(y))) if x == y => Sameness::Equal,
            (Ok(Some(_)), Ok(Some(_))) => Sameness::Different,
            _ => Sameness::Unknown,
        }
    }

    /// The dims that it contains and that have no value, by name.
    pub fn unknown_dims(&self, size: &Size) -> Vec<String> {
        let mut names = Vec::new();
        self.collect_unknown(size, &mut names);
        names
    }

    /// Whether no dim without a value is in a quotient, a power or a product with such a dim.
    pub fn is_linear(&self, size: &Size) -> bool {
        size.terms.iter().all(|(atoms, _)| {
            let unknown = atoms.iter().filter(|&&atom| !matches!(self.atom_value(atom), Ok(Some(_))));
            let plain = |atom: &u32| matches!(self.atoms[*atom as usize], Atom::Dim(..));
            unknown.clone().count() <= 1 && unknown.clone().all(plain)
        })
    }

    fn collect_unknown(&self, size: &Size, names: &mut Vec<String>) {
        for &atom in size.terms.iter().flat_map(|term| &term.0) {
            match &self.atoms[atom as usize] {
                Atom::Dim(name, _) => {
                    if self.values[atom as usize].is_none() && !names.contains(name) {
                        names.push(name.clone());
                    }
                }
                Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Pow(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    self.collect_unknown(a, names);
                    self.collect_unknown(b, names);
                }
            }
        }
    }

    /// The size that `dim` must have for `pattern` to be `target`, where `pattern` is linear in it.
    pub fn solve(&mut self, pattern: &Size, dim: &Size, target: &Size) -> Option<Size> {
        let atom = dim.as_atom()?;
        let mut coefficient = Size::default();
        let mut rest = Size::default();
        for (atoms, factor) in &pattern.terms {
            match atoms.iter().filter(|&&a| a == atom).count() {
                0 if !atoms.iter().any(|&a| self.contains(a, atom)) => {
                    rest.terms.push((atoms.clone(), *factor))
                }
                1 => {
                    let others: Vec<u32> = atoms.iter().copied().filter(|&a| a != atom).collect();
                    coefficient.terms.push((others, *factor));
                }
                _ => return None,
            }
        }
        coefficient.terms.sort();
        let left = target.minus(&rest)?;
        if let (Ok(Some(left)), Ok(Some(factor))) = (self.value(&left), self.value(&coefficient)) {
            return (factor != 0 && left % factor == 0).then(|| Size::constant(left / factor));
        }
        left.divided_exactly(&coefficient)
    }

    fn contains(&self, atom: u32, inner: u32) -> bool {
        let within =
            |size: &Size| size.terms.iter().flat_map(|term| &term.0).any(|&a| self.contains(a, inner));
        atom == inner
            || match &self.atoms[atom as usize] {
                Atom::Dim(..) => false,
                Atom::Div(a, b) | Atom::Rem(a, b) | Atom::Pow(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    within(a) || within(b)
                }
            }
    }

    /// The text of a size: `X - K + 1`.
    pub fn text(&self, size: &Size) -> String {
        // The constant comes last, and what is positive first, as people write it.
        let mut terms: Vec<_> = size.terms.iter().collect();
        terms.sort_by_key(|(atoms, factor)| (atoms.is_empty(), *factor < 0));
        let mut text = String::new();
        for (atoms, factor) in terms {
            let sign = if *factor < 0 { "-" } else { "+" };
            match (text.is_empty(), sign) {
                (true, "-") => text.push('-'),
                (true, _) => {}
                _ => text.push_str(&format!(" {sign} ")),
            }
            let mut parts: Vec<String> = atoms.iter().map(|&atom| self.atom_text(atom)).collect();
            if factor.abs() != 1 || parts.is_empty() {
                parts.insert(0, factor.abs().to_string());
            }
            text.push_str(&parts.join("*"));
        }
        if text.is_empty() { "0".to_string() } else { text }
    }

    fn atom_text(&self, atom: u32) -> String {
        let part = |size: &Size| {
            let text = self.text(size);
            if text.contains([' ', '*', '/', '-']) { format!("({text})") } else { text }
        };
        match &self.atoms[atom as usize] {
            Atom::Dim(name, _) => name.clone(),
            Atom::Div(a, b) => format!("({} // {})", part(a), part(b)),
            Atom::Rem(a, b) => format!("({} % {})", part(a), part(b)),
            Atom::Pow(a, b) => format!("{}**{}", part(a), part(b)),
            Atom::Min(a, b) => format!("min({}, {})", self.text(a), self.text(b)),
            Atom::Max(a, b) => format!("max({}, {})", self.text(a), self.text(b)),
        }
    }

    /// The text of a size and its value where that says more: `K = 512`.
    pub fn described(&self, size: &Size) -> String {
        let text = self.text(size);
        match self.value(size) {
            Ok(Some(value)) if value.to_string() != text => format!("{text} = {value}"),
            _ => text,
        }
    }
}

/// The quotient rounded down.
pub fn floor_div(a: i64, b: i64) -> i64 {
    let quotient = a.wrapping_div(b);
    if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_polynomials_are_equal_sizes() {
        let mut sizes = Sizes::default();
        let (x, k) = (sizes.dim("X"), sizes.dim("K"));
        let one = Size::constant(1);
        let declared = x.minus(&k).unwrap().plus(&one).unwrap();
        let inferred = x.minus(&one).unwrap().minus(&k.minus(&one).unwrap()).unwrap().plus(&one).unwrap();
        assert_eq!(sizes.same(&declared, &inferred), Sameness::Equal);
        assert_eq!(sizes.text(&declared), "X - K + 1");
        assert_eq!(sizes.same(&x, &k), Sameness::Different);
        assert_eq!(sizes.same(&x, &Size::constant(3)), Sameness::Unknown);
        sizes.set(&x, 3);
        assert_eq!(sizes.same(&x, &Size::constant(3)), Sameness::Equal);
        assert_eq!(sizes.described(&x), "X = 3");
    }

    #[test]
    fn quotients_take_out_what_divides() {
        let mut sizes = Sizes::default();
        let (g, q, x) = (sizes.dim("G"), sizes.dim("q"), sizes.dim("X"));
        let product = g.times(&q).unwrap();
        assert_eq!(sizes.div(&product, &g).unwrap(), q);
        let two = Size::constant(2);
        let odd = x.times(&two).unwrap().plus(&Size::constant(3)).unwrap();
        let quotient = sizes.div(&odd, &two).unwrap();
        sizes.set(&x, 5);
        assert_eq!(sizes.value(&quotient), Ok(Some(6)));
        let third = sizes.div(&x, &Size::constant(3)).unwrap();
        assert_eq!(sizes.described(&third), "(X // 3) = 1");
        assert_eq!(sizes.div(&x, &Size::constant(0)), None);
    }

    #[test]
    fn a_linear_pattern_gives_its_dim() {
        let mut sizes = Sizes::default();
        let (n, m) = (sizes.dim("N"), sizes.dim("M"));
        sizes.set(&m, 4);
        let pattern = n.times(&m).unwrap();
        assert_eq!(sizes.solve(&pattern, &n, &Size::constant(12)), Some(Size::constant(3)));
        assert_eq!(sizes.solve(&pattern, &n, &Size::constant(13)), None);
        let square = n.times(&n).unwrap();
        assert_eq!(sizes.solve(&square, &n, &Size::constant(9)), None);
    }

    #[test]
    fn overflow_is_an_error() {
        let mut sizes = Sizes::default();
        let n = sizes.dim("N");
        sizes.set(&n, 1 << 40);
        assert_eq!(sizes.value(&n.times(&n).unwrap()), Err(Uncountable::TooLarge));
        assert_eq!(Size::constant(LIMIT).plus(&Size::constant(1)), None);
    }
}
