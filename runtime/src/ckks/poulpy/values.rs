//! Keys, ciphertexts and operations of poulpy for one run.

use super::super::error::{CkksError, Code};
use super::super::random::Random;
use super::super::schedule::{Keys, Values};
use super::Widths;
use poulpy_ckks::layouts::{CKKSCiphertextOwned, CKKSPlaintextOwned};
use poulpy_ckks::prelude::*;
use poulpy_core::layouts::{
    GLWEAutomorphismKeyAlloc, GLWEAutomorphismKeyPrepared, GLWESecretAlloc, GLWETensorKeyAlloc, LWEInfos,
    prepared::{GLWESecretPrepared, GLWETensorKeyPrepared},
};
use poulpy_core::{
    GLWEAutomorphismKeyEncryptSk, GLWENormalize, GLWETensorKeyEncryptSk,
    api::{
        GLWEAutomorphismKeyPreparedFactory, GLWESecretPreparedFactory, GLWESecretSampling,
        GLWETensorKeyPreparedFactory,
    },
};
use poulpy_cpu_portable::NTT4x30Portable as Backend;
use poulpy_hal::AlignedBuf;
use poulpy_hal::api::{ScratchOwnedAlloc, ScratchOwnedBorrow};
use poulpy_hal::layouts::{Module, ScratchOwned};
use poulpy_hal::source::Source;
use std::collections::HashMap;

/// Uniform ternary: two of three coefficients are not zero.
const TERNARY: f64 = 2.0 / 3.0;

/// The most bits that a clear vector may have above its scale.
const MOST_BITS: u32 = 60;

/// The identifier of conjugation among the automorphisms.
const CONJUGATION: i64 = -1;

/// A ciphertext, and how many ciphertexts without carries it may be the sum of.
pub struct Value {
    data: CKKSCiphertextOwned<Backend>,
    terms: u64,
}

/// What a run holds besides its values.
pub struct Engine {
    widths: Widths,
    module: Module<Backend>,
    scratch: ScratchOwned<Backend>,
    secret: GLWESecretPrepared<AlignedBuf, Backend>,
    tensor_key: Option<GLWETensorKeyPrepared<AlignedBuf, Backend>>,
    automorphism_keys: HashMap<i64, GLWEAutomorphismKeyPrepared<AlignedBuf, Backend>>,
    errors: Source,
    masks: Source,
}

/// A refusal of poulpy.
fn refused(error: impl std::fmt::Display) -> CkksError {
    CkksError::new(Code::Unsupported, format!("poulpy refuses: {error}"))
}

/// What poulpy has to know of a polynomial before it encodes or decodes it: what is not told is garbage.
fn meta(widths: &Widths) -> GLWEPlaintextMeta {
    GLWEPlaintextMeta { scale: Scale::Log(widths.scale as usize), slots: SlotsKind::Complex, log_sparsity: 0 }
}

impl Engine {
    /// A secret key and these others.
    pub fn new(widths: Widths, keys: &Keys, random: &mut Random) -> Result<Engine, CkksError> {
        let module = Module::<Backend>::new(u64::from(widths.ring));
        let top = widths.value(widths.levels);
        let (tensor, rotation) = (widths.tensor_key(widths.levels), widths.rotation_key(widths.levels));
        let value = CKKSLayout { glwe_layout: top, meta: meta(&widths) };
        let mut plain = value;
        plain.glwe_layout.k = widths.of(widths.levels).max(widths.scale + MOST_BITS).into();
        let bytes = module
            .ckks_all_ops_with_atk_tmp_bytes(&value, &plain, &tensor, &rotation)
            .max(module.ckks_conjugate_tmp_bytes(&value, &rotation))
            .max(module.glwe_normalize_tmp_bytes())
            .max(<Module<Backend> as CKKSEncodingHostOps<Backend, f64>>::ckks_encoding_host_tmp_bytes(
                &module,
                widths.ring as usize / 2,
            ));
        let mut scratch = ScratchOwned::<Backend>::alloc(bytes);
        let (mut errors, mut masks) = (Source::new(random.seed()), Source::new(random.seed()));
        let mut raw = module.glwe_secret_alloc_from_infos(&top);
        module.glwe_secret_fill_ternary_prob(&mut raw, TERNARY, &mut Source::new(random.seed()));
        let mut secret = module.glwe_secret_prepared_alloc_from_infos(&top);
        module.glwe_secret_prepare(&mut secret, &raw);
        let tensor_key = keys.relinearize.map(|level| {
            let layout = widths.tensor_key(level);
            let mut key = module.glwe_tensor_key_alloc_from_infos(&layout);
            module.glwe_tensor_key_encrypt_sk(&mut key, &raw, &mut errors, &mut masks, &mut scratch.borrow());
            let mut prepared = module.glwe_tensor_key_prepared_alloc_from_infos(&layout);
            module.glwe_tensor_key_prepare(&mut prepared, &key, &mut scratch.borrow());
            prepared
        });
        let rotations =
            keys.rotate.iter().map(|(&by, &level)| (module.ckks_galois_element(i64::from(by)), level));
        let conjugation = keys.conjugate.map(|level| (CONJUGATION, level));
        let mut automorphism_keys = HashMap::new();
        for (element, level) in rotations.chain(conjugation).collect::<Vec<_>>() {
            let layout = widths.rotation_key(level);
            let mut key = module.glwe_automorphism_key_alloc_from_infos(&layout);
            module.glwe_automorphism_key_encrypt_sk(
                &mut key,
                element,
                &raw,
                &mut errors,
                &mut masks,
                &mut scratch.borrow(),
            );
            let mut prepared = module.glwe_automorphism_key_prepared_alloc_from_infos(&layout);
            module.glwe_automorphism_key_prepare(&mut prepared, &key, &mut scratch.borrow());
            automorphism_keys.insert(element, prepared);
        }
        Ok(Engine { widths, module, scratch, secret, tensor_key, automorphism_keys, errors, masks })
    }

    /// An unset value of so many bits.
    fn empty(&self, bits: u32) -> CKKSCiphertextOwned<Backend> {
        self.module.ckks_ciphertext_alloc(self.widths.limb.into(), bits.into())
    }

    /// Wide enough for its numbers and their sign: what is narrower is garbage without an error.
    fn bits(&self, numbers: &[f64]) -> Result<u32, CkksError> {
        let most = numbers.iter().fold(0.0, |most: f64, number| most.max(number.abs()));
        let above = if most < 1.0 { 0 } else { most.log2() as u32 + 1 };
        if above + 2 > MOST_BITS {
            return Err(CkksError::new(Code::Range, format!("{most} is too large to encode")));
        }
        Ok(self.widths.scale + above + 2)
    }

    fn encode(&mut self, numbers: &[f64]) -> Result<CKKSPlaintextOwned<Backend>, CkksError> {
        let bits = self.bits(numbers)?;
        let mut plain = self.module.ckks_plaintext_alloc_from_slots(
            self.module.ckks_max_slots(),
            self.widths.limb.into(),
            bits.into(),
        );
        plain.set_meta(meta(&self.widths));
        let zeros = vec![0.0; numbers.len()];
        self.module
            .ckks_encode_slots_host_into(&mut plain, numbers, &zeros, &mut self.scratch.borrow())
            .map_err(refused)?;
        Ok(plain)
    }

    /// One number, as the first coefficient of a short polynomial.
    fn encode_number(&mut self, number: f64) -> Result<CKKSPlaintextOwned<Backend>, CkksError> {
        let bits = self.bits(&[number])?;
        let least = <Backend as poulpy_hal::layouts::Backend>::MIN_DEGREE;
        let mut plain = self.module.ckks_plaintext_alloc(least.into(), self.widths.limb.into(), bits.into());
        plain.set_meta(meta(&self.widths));
        let mut coefficients = vec![0.0; least];
        coefficients[0] = number;
        self.module
            .ckks_encode_coeffs_host_into(&mut plain, &coefficients, &mut self.scratch.borrow())
            .map_err(refused)?;
        Ok(plain)
    }

    /// Whether the numbers fit a value of so many bits.
    fn fits(&self, plain: &CKKSPlaintextOwned<Backend>, bits: u32) -> Result<(), CkksError> {
        if plain.k().as_u32() > bits {
            let room = bits - self.widths.scale;
            let message = format!("a number does not fit: it must stay below 2^{}", room.saturating_sub(2));
            return Err(CkksError::new(Code::Range, message));
        }
        Ok(())
    }

    /// A fresh ciphertext.
    pub fn encrypt(&mut self, numbers: &[f64]) -> Result<Value, CkksError> {
        let plain = self.encode(numbers)?;
        self.fits(&plain, self.widths.first)?;
        let mut data = self.empty(self.widths.of(self.widths.levels));
        self.module
            .ckks_encrypt_sk(
                &mut data,
                &plain,
                &self.secret,
                &mut self.errors,
                &mut self.masks,
                &mut self.scratch.borrow(),
            )
            .map_err(refused)?;
        Ok(Value { data, terms: 1 })
    }

    /// The numbers of a ciphertext.
    pub fn decrypt(&mut self, value: &Value) -> Result<Vec<f64>, CkksError> {
        // Few bits, because what is wider than 127 cannot be decoded.
        let above = (value.data.log_budget() as u32).min(MOST_BITS);
        let slots = self.module.ckks_max_slots();
        let mut plain = self.module.ckks_plaintext_alloc_from_slots(
            slots,
            self.widths.limb.into(),
            (self.widths.scale + above).into(),
        );
        plain.set_meta(meta(&self.widths));
        self.module
            .ckks_decrypt(&mut plain, &value.data, &self.secret, &mut self.scratch.borrow())
            .map_err(refused)?;
        let (mut real, mut imaginary) = (vec![0.0; slots], vec![0.0; slots]);
        self.module
            .ckks_decode_slots_host_into(&plain, &mut real, &mut imaginary, &mut self.scratch.borrow())
            .map_err(refused)?;
        Ok(real)
    }

    /// A sum, whose carries are done before they could overflow.
    fn sum(&mut self, mut data: CKKSCiphertextOwned<Backend>, terms: u64) -> Value {
        if terms >= 1 << (61 - self.widths.limb) {
            self.module.glwe_normalize_assign(&mut data, &mut self.scratch.borrow());
            return Value { data, terms: 1 };
        }
        Value { data, terms }
    }

    /// `a + b`.
    pub fn add(&mut self, a: &Value, b: &Value) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32());
        self.module
            .ckks_add_into(&mut data, &a.data, &b.data, &mut self.scratch.borrow())
            .map_err(refused)?;
        Ok(self.sum(data, a.terms + b.terms))
    }

    /// `a - b`.
    pub fn sub(&mut self, a: &Value, b: &Value) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32());
        self.module
            .ckks_sub_into(&mut data, &a.data, &b.data, &mut self.scratch.borrow())
            .map_err(refused)?;
        Ok(self.sum(data, a.terms + b.terms))
    }

    /// `-a`.
    pub fn neg(&mut self, a: &Value) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32());
        self.module.ckks_neg_into(&mut data, &a.data, &mut self.scratch.borrow()).map_err(refused)?;
        Ok(Value { data, terms: a.terms })
    }

    /// `a + p`.
    pub fn add_plain(&mut self, a: &Value, values: &Values) -> Result<Value, CkksError> {
        let bits = a.data.k().as_u32();
        let mut data = self.empty(bits);
        if let Values::Splat(number) = *values {
            let plain = self.encode_number(number)?;
            self.fits(&plain, bits)?;
            self.module
                .ckks_add_pt_const_into(&mut data, 0, &a.data, &plain, 0, &mut self.scratch.borrow())
                .map_err(refused)?;
        } else {
            let plain = self.encode(&values.to_dense(self.widths.ring / 2))?;
            self.fits(&plain, bits)?;
            self.module
                .ckks_add_pt_vec_into(&mut data, &a.data, &plain, &mut self.scratch.borrow())
                .map_err(refused)?;
        }
        Ok(self.sum(data, a.terms + 1))
    }

    /// `a * b`, relinearized, at the next level.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32() - self.widths.scale);
        let missing = || CkksError::new(Code::MissingKey, "no key to relinearize");
        let key = self.tensor_key.as_ref().ok_or_else(missing)?;
        let scratch = &mut self.scratch.borrow();
        let done = if std::ptr::eq(a, b) {
            self.module.ckks_square_into(&mut data, &a.data, key, scratch)
        } else {
            self.module.ckks_mul_into(&mut data, &a.data, &b.data, key, scratch)
        };
        done.map_err(refused)?;
        Ok(Value { data, terms: 1 })
    }

    /// `a * p`, at the next level.
    pub fn mul_plain(&mut self, a: &Value, values: &Values) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32() - self.widths.scale);
        if let Values::Splat(number) = *values {
            let plain = self.encode_number(number)?;
            self.module
                .ckks_mul_pt_const_into(&mut data, &a.data, &plain, 0, &mut self.scratch.borrow())
                .map_err(refused)?;
        } else {
            let plain = self.encode(&values.to_dense(self.widths.ring / 2))?;
            self.module
                .ckks_mul_pt_vec_into(&mut data, &a.data, &plain, &mut self.scratch.borrow())
                .map_err(refused)?;
        }
        Ok(Value { data, terms: 1 })
    }

    /// `a` rotated to the left.
    pub fn rotate(&mut self, a: &Value, by: u32) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32());
        self.module
            .ckks_rotate_into(
                i64::from(by),
                &mut data,
                &a.data,
                &self.automorphism_keys,
                &mut self.scratch.borrow(),
            )
            .map_err(refused)?;
        Ok(Value { data, terms: 1 })
    }

    /// Every slot conjugated.
    pub fn conjugate(&mut self, a: &Value) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32());
        self.module
            .ckks_conjugate_into(&mut data, &a.data, &self.automorphism_keys, &mut self.scratch.borrow())
            .map_err(refused)?;
        Ok(Value { data, terms: 1 })
    }

    /// `a` at that level, which is lower.
    pub fn narrow(&mut self, a: &Value, level: u32) -> Result<Value, CkksError> {
        let mut data = self.empty(self.widths.of(level));
        self.module.ckks_copy(&mut data, &a.data, &mut self.scratch.borrow()).map_err(refused)?;
        Ok(Value { data, terms: a.terms })
    }

    /// `a` with its carries done, once for all who read it.
    pub fn carried(&mut self, a: &Value) -> Result<Value, CkksError> {
        let mut data = self.empty(a.data.k().as_u32());
        self.module.ckks_copy(&mut data, &a.data, &mut self.scratch.borrow()).map_err(refused)?;
        if a.terms > 1 {
            self.module.glwe_normalize_assign(&mut data, &mut self.scratch.borrow());
        }
        Ok(Value { data, terms: 1 })
    }
}
