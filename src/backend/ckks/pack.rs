//! What the client does besides encrypting: tensors into slots and back.

use crate::slots::{Cell, Packing};

/// The slots of each ciphertext of a tensor in row-major order.
pub fn pack(packing: &Packing, tensor: &[f64], slots: u32) -> Vec<Vec<f64>> {
    (0..packing.ciphertexts() as u32)
        .map(|k| {
            let number = |cell: Cell| match cell {
                Cell::Element(element) => tensor.get(element as usize).copied().unwrap_or(0.0),
                Cell::Zero | Cell::Unknown => 0.0,
            };
            packing.cells(k, slots).into_iter().map(number).collect()
        })
        .collect()
}

/// The elements of a tensor in row-major order; copies are averaged, which halves their noise.
pub fn unpack(packing: &Packing, shape: &[u64], ciphertexts: &[Vec<f64>], slots: u32) -> Vec<f64> {
    let elements = shape.iter().product::<u64>() as usize;
    let mut sums = vec![(0.0, 0u32); elements];
    for (k, numbers) in ciphertexts.iter().enumerate() {
        for (cell, number) in packing.cells(k as u32, slots).into_iter().zip(numbers) {
            if let Cell::Element(element) = cell
                && let Some((sum, count)) = sums.get_mut(element as usize)
            {
                *sum += number;
                *count += 1;
            }
        }
    }
    sums.into_iter().map(|(sum, count)| sum / f64::from(count.max(1))).collect()
}
