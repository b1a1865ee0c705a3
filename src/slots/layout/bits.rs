//! Layouts whose every digit is a power of two, as one bit of an axis, or none, for each bit of the slot's number.

use super::{Axis, Layout, Piece};

/// What one bit of the number of a slot or ciphertext chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bit {
    /// A bit of an axis: its number, and which bit, from the lowest.
    Of(usize, u32),
    /// Nothing: both hold the same.
    Copy,
    /// 0; 1 holds zeros.
    Zero,
    /// 0; 1 holds what nobody may read.
    Unknown,
}

/// A layout by bits, lowest first; those past the bits of a slot choose the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits {
    /// What each bit chooses.
    pub bits: Vec<Bit>,
    /// How many of them are of the slot.
    pub slot_bits: usize,
}

impl Bit {
    /// The same bit where the layout's axes are these of others.
    pub fn over(self, axes: &[usize]) -> Bit {
        match self {
            Bit::Of(axis, bit) => Bit::Of(axes[axis], bit),
            other => other,
        }
    }
}

impl Layout {
    /// The layout by bits, if all its digits are powers of two.
    pub fn bits(&self, slots: usize) -> Option<Bits> {
        if !slots.is_power_of_two() || self.unknown_rest {
            return None;
        }
        let mut bits = pieces_to_bits(&self.slots)?;
        let slot_bits = slots.ilog2() as usize;
        if bits.len() > slot_bits {
            return None;
        }
        bits.resize(slot_bits, Bit::Zero);
        bits.extend(pieces_to_bits(&self.ciphertexts)?);
        Some(Bits { bits, slot_bits })
    }
}

impl Bits {
    /// The layout of the bits over these axes.
    pub fn layout(&self, axes: &[Axis]) -> Layout {
        Layout {
            axes: axes.to_vec(),
            ciphertexts: bits_to_pieces(&self.bits[self.slot_bits..]),
            slots: bits_to_pieces(&self.bits[..self.slot_bits]),
            unknown_rest: false,
        }
    }

    /// Where a bit of an axis is.
    pub fn place(&self, axis: usize, bit: u32) -> Option<usize> {
        self.bits.iter().position(|held| *held == Bit::Of(axis, bit))
    }
}

fn pieces_to_bits(pieces: &[Piece]) -> Option<Vec<Bit>> {
    let mut bits = Vec::new();
    for piece in pieces.iter().rev() {
        let extent = piece.extent();
        if !extent.is_power_of_two() {
            return None;
        }
        for bit in 0..extent.ilog2() {
            bits.push(match piece {
                Piece::Digit { axis, div, .. } if div.is_power_of_two() => Bit::Of(*axis, div.ilog2() + bit),
                Piece::Copy(_) => Bit::Copy,
                Piece::Zero(_) => Bit::Zero,
                Piece::Unknown(_) => Bit::Unknown,
                Piece::Digit { .. } | Piece::Affine { .. } => return None,
            });
        }
    }
    Some(bits)
}

fn bits_to_pieces(bits: &[Bit]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for bit in bits {
        match (bit, pieces.last_mut()) {
            (Bit::Of(axis, bit), Some(Piece::Digit { axis: last, div, extent }))
                if axis == last && (*div * *extent).trailing_zeros() == *bit =>
            {
                *extent *= 2;
            }
            (Bit::Copy, Some(Piece::Copy(extent)))
            | (Bit::Zero, Some(Piece::Zero(extent)))
            | (Bit::Unknown, Some(Piece::Unknown(extent))) => *extent *= 2,
            (Bit::Of(axis, bit), _) => pieces.push(Piece::Digit { axis: *axis, div: 1 << bit, extent: 2 }),
            (Bit::Copy, _) => pieces.push(Piece::Copy(2)),
            (Bit::Zero, _) => pieces.push(Piece::Zero(2)),
            (Bit::Unknown, _) => pieces.push(Piece::Unknown(2)),
        }
    }
    pieces.reverse();
    pieces
}
