//! What operations cost on each executor, in milliseconds, as functions of the primes that are left.
//!
//! One measured time per operation and ring anchors a count of the work: of residues, of number-theoretic transforms,
//! and of the products with the key. Which primes there are, and how many a ring allows at 128 bits, is the executor's
//! to say (`einc_runtime::ckks::Parameters`).

/// What a ring and its key switching are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// log2 of the degree.
    pub log2: u32,
    /// The primes of a fresh ciphertext: one more than its levels.
    pub primes: u32,
    /// The primes that only key switching uses.
    pub special: u32,
    /// The digits of key switching.
    pub digits: u32,
}

/// Who runs a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The embedded one.
    Embedded,
    /// OpenFHE 1.6.1 with one thread.
    OpenFhe,
    /// poulpy 0.10 with NTTs of IFMA, which works on torus digits: its times scale as the others' do.
    Poulpy,
}

/// An instruction whose time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A sum or difference.
    Add,
    /// The product with an encoded vector.
    MulPlain,
    /// The product of two ciphertexts, left in three parts.
    Mul,
    /// Back to two parts.
    Relinearize,
    /// Takes a prime away.
    Rescale,
    /// A rotation on its own.
    Rotate,
    /// The digits that rotations of one value share.
    Hoist,
    /// A rotation of digits.
    RotateHoisted,
}

/// The rings that were measured.
const MEASURED: [Ring; 3] = [
    Ring { log2: 13, primes: 3, special: 1, digits: 3 },
    Ring { log2: 14, primes: 6, special: 2, digits: 3 },
    Ring { log2: 15, primes: 15, special: 4, digits: 3 },
];

impl Executor {
    /// Every executor, with its name.
    pub const ALL: [(Executor, &'static str); 3] =
        [(Executor::Embedded, "embedded"), (Executor::OpenFhe, "OpenFHE"), (Executor::Poulpy, "poulpy")];

    /// Milliseconds on one core (AMD Zen 4) in the measured rings, with all primes left.
    fn measured(self, operation: Operation) -> [f64; 3] {
        match (self, operation) {
            (Executor::Embedded, Operation::Add) => [0.03, 0.23, 1.5],
            (Executor::Embedded, Operation::MulPlain) => [0.08, 0.27, 0.8],
            (Executor::Embedded, Operation::Mul) => [0.14, 0.54, 3.4],
            (Executor::Embedded, Operation::Relinearize) => [1.7, 7.9, 43.0],
            (Executor::Embedded, Operation::Rescale) => [0.14, 0.64, 4.0],
            (Executor::Embedded, Operation::Rotate) => [1.4, 6.5, 38.0],
            (Executor::Embedded, Operation::Hoist) => [0.7, 2.6, 15.0],
            (Executor::Embedded, Operation::RotateHoisted) => [0.6, 2.5, 15.0],
            (Executor::OpenFhe, Operation::Add) => [0.05, 0.16, 1.3],
            (Executor::OpenFhe, Operation::MulPlain) => [0.12, 0.43, 2.7],
            (Executor::OpenFhe, Operation::Mul) => [0.23, 0.90, 5.3],
            (Executor::OpenFhe, Operation::Relinearize) => [3.7, 15.0, 78.0],
            (Executor::OpenFhe, Operation::Rescale) => [0.69, 3.3, 17.0],
            (Executor::OpenFhe, Operation::Rotate) => [3.9, 15.9, 80.0],
            (Executor::OpenFhe, Operation::Hoist) => [1.7, 7.6, 39.0],
            (Executor::OpenFhe, Operation::RotateHoisted) => [1.9, 8.2, 41.0],
            (Executor::Poulpy, Operation::Add) => [0.01, 0.07, 1.3],
            (Executor::Poulpy, Operation::MulPlain) => [1.1, 5.0, 21.0],
            // Its products are relinearized at once; rotations share no digits, and scales need no rescale.
            (Executor::Poulpy, Operation::Mul) => [2.3, 12.3, 63.0],
            (Executor::Poulpy, Operation::Rotate | Operation::RotateHoisted) => [0.94, 6.0, 33.0],
            (Executor::Poulpy, Operation::Relinearize | Operation::Rescale | Operation::Hoist) => [0.0; 3],
        }
    }

    /// The predicted milliseconds of an operation on a value that has so many primes left.
    pub fn milliseconds(self, ring: Ring, operation: Operation, left: u32) -> f64 {
        let nearest = (ring.log2.clamp(13, 15) - 13) as usize;
        let anchor = MEASURED[nearest];
        self.measured(operation)[nearest] * work(ring, operation, left)
            / work(anchor, operation, anchor.primes)
    }
}

/// The work of an operation, in butterflies; a product with a key takes about as long as one.
fn work(ring: Ring, operation: Operation, left: u32) -> f64 {
    let degree = f64::from(1u32 << ring.log2.min(31));
    let transform = degree * f64::from(ring.log2) / 2.0;
    let part = ring.primes.div_ceil(ring.digits.max(1)).max(1);
    let left = left.clamp(1, ring.primes.max(1));
    let digits = f64::from(left.div_ceil(part));
    let (l, k) = (f64::from(left), f64::from(ring.special));
    let hoist = (l + digits * (l + k - f64::from(part.min(left)))) * transform;
    // Key products and the division by the special primes are about half of it.
    let rotate = 2.0 * (l + k) * transform + 4.0 * digits * (l + k) * degree;
    match operation {
        Operation::Add | Operation::MulPlain => 2.0 * l * degree,
        Operation::Mul => 4.0 * l * degree,
        Operation::Rescale => 2.0 * l * transform,
        Operation::Hoist => hoist,
        Operation::RotateHoisted => rotate,
        Operation::Rotate | Operation::Relinearize => hoist + rotate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Operation; 8] = [
        Operation::Add,
        Operation::MulPlain,
        Operation::Mul,
        Operation::Relinearize,
        Operation::Rescale,
        Operation::Rotate,
        Operation::Hoist,
        Operation::RotateHoisted,
    ];

    #[test]
    fn measured_rings_cost_what_was_measured() {
        let time = Executor::Embedded.milliseconds(MEASURED[2], Operation::Rotate, 15);
        assert!((time - 38.0).abs() < 1e-9);
        let time = Executor::OpenFhe.milliseconds(MEASURED[0], Operation::Rescale, 3);
        assert!((time - 0.69).abs() < 1e-9);
    }

    /// Fewer primes never cost more, and a digit's worth of rotations is cheaper from shared digits.
    #[test]
    fn times_grow_with_the_primes_left() {
        for executor in [Executor::Embedded, Executor::OpenFhe, Executor::Poulpy] {
            for ring in MEASURED {
                for operation in ALL {
                    let times = (1..=ring.primes).map(|left| executor.milliseconds(ring, operation, left));
                    let times: Vec<f64> = times.collect();
                    assert!(times.is_sorted(), "{executor:?} {operation:?} {times:?}");
                }
            }
        }
        let time = |operation| Executor::Embedded.milliseconds(MEASURED[1], operation, 4);
        assert!(
            time(Operation::Hoist) + 3.0 * time(Operation::RotateHoisted) < 3.0 * time(Operation::Rotate)
        );
    }
}
