//! Ciphertexts: encrypting and decrypting.

use super::context::Context;
use super::error::{CkksError, Code};
use super::keys::SecretKey;
use super::random::{Random, uniform};
use super::rows::for_rows;
use zeroize::Zeroizing;

/// A packed vector of encrypted numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Ciphertext {
    pub(crate) owner: u64,
    pub(crate) parameters: u64,
    pub(crate) level: u32,
    pub(crate) product: bool,
    pub(crate) parts: u32,
    /// Part by part, row by row; transformed.
    pub(crate) data: Vec<u64>,
    /// What the second part of a fresh ciphertext comes from.
    pub(crate) seed: Option<[u8; 32]>,
}

/// What a ciphertext held.
#[derive(Clone, Debug, PartialEq)]
pub struct Decrypted {
    /// The number of each slot.
    pub slots: Vec<f64>,
    /// The largest imaginary part, which is noise: about as large as the largest error of `slots`.
    pub noise: f64,
}

impl Ciphertext {
    /// Encrypts a number for each slot, at the highest level.
    pub fn encrypt(
        context: &Context,
        secret: &SecretKey,
        values: &[f64],
        random: &mut Random,
    ) -> Result<Ciphertext, CkksError> {
        if secret.parameters != context.hash() {
            return Err(CkksError::new(Code::WrongParameters, "the secret key is of another parameter set"));
        }
        let level = context.parameters().levels();
        let largest = values.iter().fold(0f64, |most, value| most.max(value.abs()));
        let room = context.room(0);
        if largest >= room {
            let message = format!("{largest} does not fit: values must stay below {room:.0}");
            return Err(CkksError::new(Code::Range, message));
        }
        let message = Zeroizing::new(context.encode(values, level, context.scale(level))?);
        let errors = random.errors(context.ring);
        let errors = Zeroizing::new(context.small(&errors, level, false));
        let seed = random.seed();
        let mut data = Ciphertext::expand(context, seed);
        let (ring, length) = (context.ring, message.len());
        let (masked, mask) = data.split_at_mut(length);
        let mask = &*mask;
        for_rows(masked, ring, &|prime, row| {
            let modulus = &context.tables[prime].modulus;
            let at = prime * ring;
            for (k, out) in row.iter_mut().enumerate() {
                let hidden = modulus.sub(errors[at + k], modulus.mul(mask[at + k], secret.rows[at + k]));
                *out = modulus.add(hidden, message[at + k]);
            }
        });
        Ok(Ciphertext {
            owner: secret.owner,
            parameters: context.hash(),
            level,
            product: false,
            parts: 2,
            data,
            seed: Some(seed),
        })
    }

    /// Both parts of a fresh ciphertext, the first one zero.
    pub(crate) fn expand(context: &Context, seed: [u8; 32]) -> Vec<u64> {
        let rows = context.parameters().primes.len();
        let mut data = vec![0; 2 * rows * context.ring];
        for_rows(&mut data[rows * context.ring..], context.ring, &|prime, row| {
            uniform(seed, prime as u64, &context.tables[prime].modulus, row);
        });
        data
    }

    /// Decrypts. An error if it is not of this key and parameter set, or what comes out cannot be what was meant.
    pub fn decrypt(&self, context: &Context, secret: &SecretKey) -> Result<Decrypted, CkksError> {
        if self.parameters != context.hash() || secret.parameters != context.hash() {
            return Err(CkksError::new(
                Code::WrongParameters,
                "the ciphertext or the secret key is of another parameter set",
            ));
        }
        if self.owner != secret.owner {
            let message =
                format!("the ciphertext is of owner {:016x}, the key of {:016x}", self.owner, secret.owner);
            return Err(CkksError::new(Code::WrongKey, message));
        }
        let (ring, rows) = (context.ring, self.level as usize + 1);
        let length = rows * ring;
        let mut message = Zeroizing::new(self.data[..length].to_vec());
        for_rows(&mut message, ring, &|prime, row| {
            let modulus = &context.tables[prime].modulus;
            let at = prime * ring;
            for (k, out) in row.iter_mut().enumerate() {
                let key = secret.rows[at + k];
                let mut sum = 0;
                for part in (1..self.parts as usize).rev() {
                    sum = modulus.mul(modulus.add(sum, self.data[part * length + at + k]), key);
                }
                *out = modulus.add(*out, sum);
            }
        });
        let scale = context.scale_of(self.level, self.product);
        let coefficients = Zeroizing::new(context.coefficients(&mut message, self.level));
        let values = context.encoder.decode(&coefficients, scale);
        let noise = values.iter().fold(0f64, |most, value| most.max(value.im.abs()));
        let largest = values.iter().fold(0f64, |most, value| most.max(value.re.abs()));
        // What another key leaves is larger than the primes that were looked at in both parts, and what an overflow
        // leaves in the real one.
        let room = context.opened() / scale;
        let room = if self.level == 0 { room } else { room * context.parameters().primes[1] as f64 };
        if largest > room || noise > room / 16.0 {
            let message = "the result is noise: values have grown beyond the first prime, or it is damaged";
            return Err(CkksError::new(Code::Range, message));
        }
        Ok(Decrypted { slots: values.iter().map(|value| value.re).collect(), noise })
    }

    /// How many rescales are left.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// The number that names the owner.
    pub fn owner(&self) -> u64 {
        self.owner
    }

    /// The row of a part and a prime.
    pub(crate) fn row(&self, part: usize, prime: usize, ring: usize) -> &[u64] {
        &self.part(part)[prime * ring..][..ring]
    }

    pub(crate) fn part(&self, part: usize) -> &[u64] {
        let length = self.data.len() / self.parts as usize;
        &self.data[part * length..][..length]
    }
}

impl Context {
    /// The magnitude that values of a level must stay below so that the first prime holds them.
    pub(crate) fn room(&self, level: u32) -> f64 {
        self.opened() / self.scale(level)
    }

    /// Half of the first prime.
    fn opened(&self) -> f64 {
        self.parameters().primes[0] as f64 / 2.0
    }
}
