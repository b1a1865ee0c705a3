//! How many bits poulpy's values and keys have for a parameter set, and whether they are secure.

use super::super::error::{CkksError, Code};
use super::super::parameters::{Parameters, security_row};
use poulpy_core::layouts::{GLWEAutomorphismKeyLayout, GLWELayout, GLWETensorKeyLayout, Rank};
use poulpy_cpu_portable::NTT4x30Portable;
use poulpy_hal::layouts::Module;

/// A product of polynomials overflows its transform with a chance below 2^-128.
const FAILURE_BITS: usize = 128;

/// The fewest bits of a limb that are tried: keys grow with the number of limbs squared.
const LEAST_LIMB: u32 = 20;

/// The widths of values and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// The degree of the ring.
    pub ring: u32,
    /// Bits of the scale.
    pub scale: u32,
    /// Bits of a value of level 0.
    pub first: u32,
    /// The level of a fresh ciphertext.
    pub levels: u32,
    /// Bits of a limb, which is also a digit of key switching.
    pub limb: u32,
}

impl Widths {
    /// Widths for the levels, scale and ring of these parameters: the longest limbs, and so the fewest, with which the
    /// products are exact and the widest key is secure.
    pub fn choose(parameters: &Parameters) -> Result<Widths, CkksError> {
        parameters.check()?;
        let first = 64 - parameters.primes[0].leading_zeros();
        let mut widths = Widths {
            ring: parameters.ring,
            scale: parameters.scale_bits,
            first,
            levels: parameters.levels(),
            limb: 0,
        };
        let top = widths.of(widths.levels);
        let fewest = top.div_ceil(60).max(1);
        let mut refused = None;
        for limbs in fewest..=top.div_ceil(LEAST_LIMB) {
            widths.limb = top.div_ceil(limbs);
            // The middle part of a product of two ciphertexts adds the most products: two for each pair of limbs.
            let most = Module::<NTT4x30Portable>::max_base2k(
                widths.ring as usize,
                2 * limbs as usize + 2,
                FAILURE_BITS,
                true,
            );
            if widths.limb as usize > most {
                continue;
            }
            let (bits, row) = (widths.log_qp(), security_row(widths.ring));
            if parameters.insecure_toy || row.is_some_and(|row| bits <= row) {
                return Ok(widths);
            }
            refused.get_or_insert((bits, row.unwrap_or_default()));
        }
        let (bits, row) = refused.unwrap_or_default();
        let message = format!(
            "poulpy's keys have {bits} bits, of which a ring of degree {} secures {row}; the embedded executor needs fewer",
            widths.ring
        );
        Err(CkksError::new(Code::Insecure, message))
    }

    /// Bits of a value of that level.
    pub fn of(&self, level: u32) -> u32 {
        self.first + level * self.scale
    }

    /// Bits of the widest key: what security depends on.
    pub fn log_qp(&self) -> u32 {
        self.digits(self.levels) * self.limb + self.guard()
    }

    /// The digits of a value of that level.
    fn digits(&self, level: u32) -> u32 {
        self.of(level).div_ceil(self.limb)
    }

    /// Bits of a key below its digits, which take up its noise: those of a digit, and the growth of a product.
    fn guard(&self) -> u32 {
        self.limb + self.ring.ilog2()
    }

    pub(super) fn value(&self, level: u32) -> GLWELayout {
        GLWELayout { n: self.ring.into(), base2k: self.limb.into(), k: self.of(level).into(), rank: Rank(1) }
    }

    pub(super) fn tensor_key(&self, level: u32) -> GLWETensorKeyLayout {
        GLWETensorKeyLayout {
            n: self.ring.into(),
            base2k: self.limb.into(),
            dnum: self.digits(level).into(),
            k_aux: self.guard().into(),
            rank: Rank(1),
            k_digit: self.limb.into(),
        }
    }

    pub(super) fn rotation_key(&self, level: u32) -> GLWEAutomorphismKeyLayout {
        GLWEAutomorphismKeyLayout {
            n: self.ring.into(),
            base2k: self.limb.into(),
            dnum: self.digits(level).into(),
            k_aux: self.guard().into(),
            rank: Rank(1),
            k_digit: self.limb.into(),
        }
    }
}
