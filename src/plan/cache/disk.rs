//! One small file for each order: numbers one after the other, and a checksum.

use super::Entry;
use crate::plan::search::{Amount, Cost, Mark, Network, Plan};
use einc_runtime::file;
use std::fs;
use std::path::{Path, PathBuf};

/// No file of the cache is longer.
const LONGEST: u64 = 64 << 20;

/// What every file begins with; it changes with the form.
const MAGIC: u64 = u64::from_le_bytes(*b"einc ord");

fn path(folder: &Path, key: u128) -> PathBuf {
    folder.join(format!("{key:032x}.order"))
}

/// The entry of a key, if it is there and whole.
pub(super) fn read(folder: &Path, key: u128, network: &Network) -> Option<Entry> {
    let path = path(folder, key);
    if fs::metadata(&path).ok()?.len() > LONGEST {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (words, rest) = bytes.as_chunks::<8>();
    let (body, sum) = words.split_last_chunk::<2>()?;
    let sum = u128::from(u64::from_le_bytes(sum[0])) << 64 | u128::from(u64::from_le_bytes(sum[1]));
    let mut words = body.iter().map(|&word| u64::from_le_bytes(word));
    if !rest.is_empty() || checksum(words.clone()) != sum {
        return None;
    }
    let entry = decode(&mut words, key)?;
    (words.next().is_none() && is_of(&entry.plan, network)).then_some(entry)
}

/// Writes an entry so that a reader finds the old file or the new one.
///
/// # Errors
/// Where the system refuses.
pub(super) fn write(folder: &Path, key: u128, entry: &Entry) -> Result<(), file::FileError> {
    fs::create_dir_all(folder)?;
    let mut words = encode(key, entry);
    let sum = checksum(words.iter().copied());
    words.extend([(sum >> 64) as u64, sum as u64]);
    let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    file::save(&path(folder, key), |writer| Ok(writer.write_all(&bytes)?))
}

fn checksum(words: impl Iterator<Item = u64>) -> u128 {
    let mut mark = Mark::new();
    words.for_each(|word| mark.add(word));
    mark.value()
}

fn encode(key: u128, entry: &Entry) -> Vec<u64> {
    let Entry { effort, plan } = entry;
    let Cost { macs, ops, size, write, peak, max_step, runs } = plan.cost;
    let mut words = vec![MAGIC, (key >> 64) as u64, key as u64, effort.to_bits()];
    words.extend([plan.log2_value, plan.log2_bound, plan.seconds].map(f64::to_bits));
    words.extend([plan.work, plan.rounds, u64::from(plan.proven), u64::from(plan.capped)]);
    for amount in [macs, ops, size, write, peak, max_step, runs] {
        let (mantissa, exponent) = amount.parts();
        words.extend([mantissa.to_bits(), exponent as u64]);
    }
    words.extend([plan.slices.len(), plan.path.len()].map(|len| len as u64));
    words.extend(plan.slices.iter().map(|&axis| u64::from(axis)));
    words.extend(plan.path.iter().map(|&(a, b)| (a as u64) << 32 | b as u64));
    words
}

/// The entry that [`encode`] has written under a key.
fn decode(words: &mut impl Iterator<Item = u64>, key: u128) -> Option<Entry> {
    if words.next()? != MAGIC || u128::from(words.next()?) << 64 | u128::from(words.next()?) != key {
        return None;
    }
    let mut number = || words.next().map(f64::from_bits);
    let (effort, log2_value, log2_bound, seconds) = (number()?, number()?, number()?, number()?);
    let (work, rounds) = (words.next()?, words.next()?);
    let (proven, capped) = (words.next()? != 0, words.next()? != 0);
    let mut amount = || Amount::of_parts(f64::from_bits(words.next()?), words.next()? as i64);
    let cost = Cost {
        macs: amount()?,
        ops: amount()?,
        size: amount()?,
        write: amount()?,
        peak: amount()?,
        max_step: amount()?,
        runs: amount()?,
    };
    let (slices, steps) = (words.next()?, words.next()?);
    let slices: Vec<u32> = words.take(slices as usize).map(|axis| axis as u32).collect();
    let path: Vec<(usize, usize)> =
        words.take(steps as usize).map(|pair| ((pair >> 32) as usize, pair as u32 as usize)).collect();
    let plan = Plan { path, slices, cost, log2_value, proven, log2_bound, work, rounds, seconds, capped };
    Some(Entry { effort, plan })
}

/// Whether a plan joins all operands of a network, each of them and each result once, and slices axes that it has.
fn is_of(plan: &Plan, network: &Network) -> bool {
    let count = network.inputs().len();
    let mut used = vec![false; count + plan.path.len()];
    let mut take = |tensor: usize, made: usize| tensor < made && !std::mem::replace(&mut used[tensor], true);
    plan.path.len() + 1 == count.max(1)
        && plan.path.iter().enumerate().all(|(k, &(a, b))| take(a, count + k) && take(b, count + k))
        && plan.slices.iter().all(|&axis| (axis as usize) < network.extents().len())
}
