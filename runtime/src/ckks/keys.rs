//! Secret keys, and the keys that evaluation needs.

use super::context::Context;
use super::error::{CkksError, Code};
use super::galois;
use super::random::{Random, uniform};
use super::rows::for_rows;
use super::schedule::Keys;
use std::collections::BTreeMap;
use zeroize::{Zeroize, Zeroizing};

/// A secret key. Its memory is overwritten when it is dropped.
pub struct SecretKey {
    /// Names the owner in files; public.
    pub(crate) owner: u64,
    pub(crate) parameters: u64,
    /// The coefficients: -1, 0, 1.
    pub(crate) ternary: Zeroizing<Vec<i8>>,
    /// Transformed, modulo all primes.
    pub(crate) rows: Zeroizing<Vec<u64>>,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl SecretKey {
    /// A new key, of uniform ternary coefficients.
    pub fn generate(context: &Context, random: &mut Random) -> SecretKey {
        let owner = random.word();
        let ternary = random.ternary(context.ring);
        SecretKey::from_ternary(context, owner, ternary)
    }

    pub(crate) fn from_ternary(context: &Context, owner: u64, ternary: Zeroizing<Vec<i8>>) -> SecretKey {
        let rows = Zeroizing::new(context.small(&ternary, context.parameters().levels(), true));
        SecretKey { owner, parameters: context.hash(), ternary, rows }
    }

    /// The number that names the owner in files; it says nothing of the secret.
    pub fn owner(&self) -> u64 {
        self.owner
    }
}

/// The key that turns what another key opens into what the secret key opens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SwitchKey {
    /// The highest level it works at.
    pub level: u32,
    /// What the uniform parts come from.
    pub seed: [u8; 32],
    /// For each digit two polynomials, the first the masked one; modulo the primes of the level and the special ones.
    pub rows: Vec<u64>,
}

impl SwitchKey {
    /// Rows of one polynomial.
    pub fn rows_each(context: &Context, level: u32) -> usize {
        level as usize + 1 + context.specials()
    }

    /// A key for the polynomial `message`, opened by `under`; both transformed, modulo all primes.
    fn generate(
        context: &Context,
        message: &[u64],
        under: &[u64],
        level: u32,
        random: &mut Random,
    ) -> SwitchKey {
        let (ring, tables) = (context.ring, &context.tables);
        let (digits, rows_each) = (context.digits_of(level), SwitchKey::rows_each(context, level));
        let seed = random.seed();
        let mut rows = SwitchKey::expand(context, level, seed);
        let per_digit = context.parameters().primes_per_digit();
        for digit in 0..digits {
            let errors = random.errors(ring);
            let errors = Zeroizing::new(context.small(&errors, level, true));
            let pair = &mut rows[2 * digit * rows_each * ring..][..2 * rows_each * ring];
            let (masked, mask) = pair.split_at_mut(rows_each * ring);
            let mask = &*mask;
            for_rows(masked, ring, &|number, row| {
                let prime = context.prime_of(number, level);
                let modulus = &tables[prime].modulus;
                let of = |data: &[u64], k: usize| data[k];
                let (mask, errors) = (&mask[number * ring..], &errors[number * ring..]);
                let (under, message) = (&under[prime * ring..], &message[prime * ring..]);
                let special = context.parameters().special.iter();
                let special = special.fold(1, |product, &p| modulus.mul(product, p % modulus.q));
                let special = modulus.factor(special);
                let holds = prime / per_digit == digit && number <= level as usize;
                for (k, out) in row.iter_mut().enumerate() {
                    let hidden = modulus.sub(of(errors, k), modulus.mul(of(mask, k), of(under, k)));
                    let told = if holds { modulus.scale(of(message, k), special) } else { 0 };
                    *out = modulus.add(hidden, told);
                }
            });
        }
        SwitchKey { level, seed, rows }
    }

    /// The uniform parts, with zeros for the others.
    pub fn expand(context: &Context, level: u32, seed: [u8; 32]) -> Vec<u64> {
        let (ring, digits) = (context.ring, context.digits_of(level));
        let rows_each = SwitchKey::rows_each(context, level);
        let mut rows = vec![0; 2 * digits * rows_each * ring];
        for_rows(&mut rows, ring, &|number, row| {
            if number / rows_each % 2 == 1 {
                let prime = context.prime_of(number % rows_each, level);
                uniform(seed, number as u64, &context.tables[prime].modulus, row);
            }
        });
        rows
    }
}

/// The keys that a party needs to run schedules on the ciphertexts of an owner. They open nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationKeys {
    pub(crate) owner: u64,
    pub(crate) parameters: u64,
    pub(crate) relinearize: Option<SwitchKey>,
    pub(crate) conjugate: Option<SwitchKey>,
    pub(crate) rotate: BTreeMap<u32, SwitchKey>,
}

impl EvaluationKeys {
    /// The keys that are wanted, each of its level.
    pub fn generate(
        context: &Context,
        secret: &SecretKey,
        wanted: &Keys,
        random: &mut Random,
    ) -> Result<EvaluationKeys, CkksError> {
        if secret.parameters != context.hash() {
            return Err(CkksError::new(Code::WrongParameters, "the secret key is of another parameter set"));
        }
        let top = context.parameters().levels();
        let levels = wanted.relinearize.iter().chain(&wanted.conjugate).chain(wanted.rotate.values());
        if let Some(level) = levels.copied().find(|&level| level > top) {
            return Err(CkksError::new(
                Code::Level,
                format!("a key of level {level}, above the highest, {top}"),
            ));
        }
        let slots = context.slots() as u32;
        if let Some(by) = wanted.rotate.keys().find(|&&by| by == 0 || by >= slots) {
            return Err(CkksError::new(Code::Value, format!("a key to rotate {slots} slots by {by}")));
        }
        let ring = context.ring;
        let relinearize = wanted.relinearize.map(|level| {
            let mut square = Zeroizing::new(secret.rows.to_vec());
            for (row, table) in square.chunks_exact_mut(ring).zip(&context.tables) {
                row.iter_mut().for_each(|x| *x = table.modulus.mul(*x, *x));
            }
            SwitchKey::generate(context, &square, &secret.rows, level, random)
        });
        // A rotation switches first and moves the slots after it, so the key opens what the secret key moved back opens.
        let moving = |exponent: usize, level: u32, random: &mut Random| {
            let mut permutation = galois::permutation(galois::inverse(exponent, ring), ring);
            let mut moved = Zeroizing::new(vec![0; secret.rows.len()]);
            for (out, row) in moved.chunks_exact_mut(ring).zip(secret.rows.chunks_exact(ring)) {
                out.iter_mut().zip(&permutation).for_each(|(out, &from)| *out = row[from as usize]);
            }
            permutation.zeroize();
            SwitchKey::generate(context, &secret.rows, &moved, level, random)
        };
        let conjugate = wanted.conjugate.map(|level| moving(galois::conjugation(ring), level, random));
        let rotate = wanted
            .rotate
            .iter()
            .map(|(&by, &level)| (by, moving(galois::rotation(by, ring), level, random)))
            .collect();
        Ok(EvaluationKeys { owner: secret.owner, parameters: context.hash(), relinearize, conjugate, rotate })
    }

    /// The number that names the owner in files.
    pub fn owner(&self) -> u64 {
        self.owner
    }

    /// Which keys there are.
    pub fn list(&self) -> Keys {
        Keys {
            relinearize: self.relinearize.as_ref().map(|key| key.level),
            conjugate: self.conjugate.as_ref().map(|key| key.level),
            rotate: self.rotate.iter().map(|(&by, key)| (by, key.level)).collect(),
        }
    }
}
