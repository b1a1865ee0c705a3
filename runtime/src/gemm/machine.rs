//! The kernels of this machine, chosen when first needed.

use super::kernel::{Kernel, Kernels, Tile, real};
use super::pack::{self, transpose_plain};
#[cfg(target_arch = "x86_64")]
use super::thin::{Run, Strip, Sweep};
use super::thin::{dots, runs, strips, sweep};
#[cfg(target_arch = "x86_64")]
use super::winograd::{Places, Results};
use super::winograd::{Transforms, places, results, weights};
#[cfg(target_arch = "x86_64")]
use crate::vector::VectorFloat;
use crate::vector::{Pairs, Plain, Vector};
use num_complex::Complex;

/// A row of a table: kernels of 1, 2, .. rows.
macro_rules! heights {
    ($body:ident, $vector:ty, $vectors:expr, $partial:expr; $($rows:expr),*) => {
        &[$($body::<$vector, $rows, $vectors, $partial> as Kernel<_>),*]
    };
}

/// The table of instances by up to 4 rows and 2 columns.
macro_rules! by_two {
    ($body:ident, $first:ty) => {
        [
            [$body::<$first, 1, 1>, $body::<$first, 1, 2>],
            [$body::<$first, 2, 1>, $body::<$first, 2, 2>],
            [$body::<$first, 3, 1>, $body::<$first, 3, 2>],
            [$body::<$first, 4, 1>, $body::<$first, 4, 2>],
        ]
    };
}

/// The table of instances by up to 6 rows and 2 vectors.
macro_rules! six_by_two {
    ($body:ident, $first:ty) => {
        [
            [$body::<$first, 1, 1>, $body::<$first, 1, 2>],
            [$body::<$first, 2, 1>, $body::<$first, 2, 2>],
            [$body::<$first, 3, 1>, $body::<$first, 3, 2>],
            [$body::<$first, 4, 1>, $body::<$first, 4, 2>],
            [$body::<$first, 5, 1>, $body::<$first, 5, 2>],
            [$body::<$first, 6, 1>, $body::<$first, 6, 2>],
        ]
    };
}

/// The instances of the kernel bodies for one set of machine features.
#[cfg(target_arch = "x86_64")]
macro_rules! instances {
    (
        $features:literal, $real:ident, $dots:ident, $strips:ident, $sweep:ident, $runs:ident, $columns:ident, $rows:ident,
        $weights:ident, $places:ident, $results:ident
    ) => {
        #[target_feature(enable = $features)]
        unsafe fn $weights<V: VectorFloat<Elem: From<f32>>, const STEP: usize>(
            from: *const V::Elem,
            rows: usize,
            to: *mut V::Elem,
            plane: usize,
        ) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { weights::<V, STEP>(from, rows, to, plane) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $places<V: VectorFloat, const STEP: usize>(strip: &Places<V::Elem>) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { places::<V, STEP>(strip) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $results<V: VectorFloat, const STEP: usize>(strip: &Results<V::Elem>) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { results::<V, STEP>(strip) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $columns<T: Copy + Default>(
            from: *const T,
            columns: &[isize],
            sums: &[isize],
            width: usize,
            to: *mut T,
        ) {
            // SAFETY: the caller's promise.
            unsafe { pack::columns(from, columns, sums, width, to) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $rows<T: Copy>(from: *const T, rows: &[isize], sums: &[isize], to: *mut T) {
            // SAFETY: the caller's promise.
            unsafe { pack::rows(from, rows, sums, to) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $real<V: Vector, const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(
            tile: &Tile<V::Elem>,
        ) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { real::<V, ROWS, VECTORS, PARTIAL>(tile) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $dots<V: Vector, const ROWS: usize, const COLUMNS: usize>(
            k: usize,
            a: *const V::Elem,
            rows: *const isize,
            b: *const V::Elem,
            columns: *const isize,
            out: *mut V::Elem,
        ) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { dots::<V, ROWS, COLUMNS>(k, a, rows, b, columns, out) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $strips<V: Vector, const ROWS: usize, const COLUMNS: usize>(strip: &Strip<V::Elem>) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { strips::<V, ROWS, COLUMNS>(strip) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $sweep<V: Vector>(swept: &Sweep<V::Elem>) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { sweep::<V>(swept) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $runs<V: Vector, const ROWS: usize, const VECTORS: usize>(run: &Run<V::Elem>) {
            // SAFETY: the caller's promise; the features are those of `V`.
            unsafe { runs::<V, ROWS, VECTORS>(run) }
        }
    };
}

unsafe fn real_plain<V: Vector, const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(
    tile: &Tile<V::Elem>,
) {
    // SAFETY: the caller's promise.
    unsafe { real::<V, ROWS, VECTORS, PARTIAL>(tile) }
}

/// The transforms of floats, for windows that step by one and by two.
macro_rules! transforms {
    ($weights:ident, $places:ident, $results:ident, $vector:ty) => {
        Some([
            transforms!($weights, $places, $results, $vector, 1),
            transforms!($weights, $places, $results, $vector, 2),
        ])
    };
    ($weights:ident, $places:ident, $results:ident, $vector:ty, $step:literal) => {
        Transforms {
            weights: $weights::<$vector, $step>,
            places: $places::<$vector, $step>,
            results: $results::<$vector, $step>,
        }
    };
}

/// Tables of up to 4 rows of up to 2 vectors: 16 registers of 128 bits.
macro_rules! small_tables {
    ($real:ident, $vector:ty, $winograd:expr) => {
        Kernels {
            rows: 4,
            vectors: 2,
            lanes: <$vector>::LANES,
            whole: &[
                heights!($real, $vector, 1, false; 1, 2, 3, 4),
                heights!($real, $vector, 2, false; 1, 2, 3, 4),
            ],
            partial: &[
                heights!($real, $vector, 1, true; 1, 2, 3, 4),
                heights!($real, $vector, 2, true; 1, 2, 3, 4),
            ],
            transpose: transpose_plain,
            pack_columns: pack::columns,
            pack_rows: pack::rows,
            dots: by_two!(dots, $vector),
            strips: by_two!(strips, $vector),
            sweep: sweep::<$vector>,
            runs: six_by_two!(runs, $vector),
            winograd: $winograd,
            strip_lanes: <$vector>::LANES,
            rows_packed: 96,
            sums_packed: 256,
            columns_packed: 2048,
        }
    };
}

/// What vectors a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Whatever the compiler makes of plain loops.
    Plain,
    /// NEON, or AVX2 with FMA.
    Wide,
    /// AVX-512.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Widest,
}

impl Level {
    /// The best level of this machine.
    pub fn of_machine() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
            return match (has_avx2, has_avx512) {
                (true, true) => Level::Widest,
                (true, false) => Level::Wide,
                _ => Level::Plain,
            };
        }
        #[cfg(target_arch = "aarch64")]
        return Level::Wide;
        #[allow(unreachable_code)]
        Level::Plain
    }
}

/// An element type with kernels.
pub(super) trait HasKernels: Copy + Default + PartialEq + 'static {
    /// The best kernels of at most that level, which the machine must have.
    fn kernels(level: Level) -> &'static Kernels<Self>;

    /// The sum, which wraps.
    fn plus(self, other: Self) -> Self;

    /// Whether zero times this is zero.
    fn is_finite(self) -> bool;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::kernel::Kernels;
    use super::super::pack::x86::{transpose_32, transpose_64};
    use super::*;
    use crate::vector::x86::*;

    instances!(
        "avx2,fma",
        real_avx2,
        dots_avx2,
        strips_avx2,
        sweep_avx2,
        runs_avx2,
        columns_avx2,
        rows_avx2,
        weights_avx2,
        places_avx2,
        results_avx2
    );
    instances!(
        "avx512f,avx512dq",
        real_avx512,
        dots_avx512,
        strips_avx512,
        sweep_avx512,
        runs_avx512,
        columns_avx512,
        rows_avx512,
        weights_avx512,
        places_avx512,
        results_avx512
    );

    macro_rules! avx512_tables {
        (
            $vector:ty, $transpose:ident, $rows_packed:expr, $sums_packed:expr, $columns_packed:expr, $winograd:expr
        ) => {
            Kernels {
                rows: 8,
                vectors: 3,
                lanes: <$vector>::LANES,
                whole: &[
                    heights!(real_avx512, $vector, 1, false; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_avx512, $vector, 2, false; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_avx512, $vector, 3, false; 1, 2, 3, 4, 5, 6, 7, 8),
                ],
                partial: &[
                    heights!(real_avx512, $vector, 1, true; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_avx512, $vector, 2, true; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_avx512, $vector, 3, true; 1, 2, 3, 4, 5, 6, 7, 8),
                ],
                transpose: $transpose,
                pack_columns: columns_avx512,
                pack_rows: rows_avx512,
                dots: by_two!(dots_avx512, $vector),
            strips: by_two!(strips_avx512, $vector),
            sweep: sweep_avx512::<$vector>,
            runs: six_by_two!(runs_avx512, $vector),
            winograd: $winograd,
            strip_lanes: <$vector>::LANES,
            rows_packed: $rows_packed,
                sums_packed: $sums_packed,
                columns_packed: $columns_packed,
            }
        };
    }

    macro_rules! avx2_tables {
        ($vector:ty, $transpose:ident, $rows_packed:expr, $columns_packed:expr, $winograd:expr) => {
            Kernels {
                rows: 6,
                vectors: 2,
                lanes: <$vector>::LANES,
                whole: &[
                    heights!(real_avx2, $vector, 1, false; 1, 2, 3, 4, 5, 6),
                    heights!(real_avx2, $vector, 2, false; 1, 2, 3, 4, 5, 6),
                ],
                partial: &[
                    heights!(real_avx2, $vector, 1, true; 1, 2, 3, 4, 5, 6),
                    heights!(real_avx2, $vector, 2, true; 1, 2, 3, 4, 5, 6),
                ],
                transpose: $transpose,
                pack_columns: columns_avx2,
                pack_rows: rows_avx2,
                dots: by_two!(dots_avx2, $vector),
            strips: by_two!(strips_avx2, $vector),
            sweep: sweep_avx2::<$vector>,
            runs: six_by_two!(runs_avx2, $vector),
            winograd: $winograd,
            strip_lanes: <$vector>::LANES,
            rows_packed: $rows_packed,
                sums_packed: 256,
                columns_packed: $columns_packed,
            }
        };
    }

    pub(super) static F32_AVX512: Kernels<f32> = avx512_tables!(
        F32x16,
        transpose_32,
        192,
        512,
        1536,
        transforms!(weights_avx512, places_avx512, results_avx512, F32x16)
    );
    pub(super) static F64_AVX512: Kernels<f64> = avx512_tables!(
        F64x8,
        transpose_64,
        96,
        512,
        1536,
        transforms!(weights_avx512, places_avx512, results_avx512, F64x8)
    );
    pub(super) static I32_AVX512: Kernels<i32> = avx512_tables!(I32x16, transpose_32, 192, 512, 1536, None);
    pub(super) static I64_AVX512: Kernels<i64> = avx512_tables!(I64x8, transpose_64, 192, 256, 1536, None);
    pub(super) static F32_AVX2: Kernels<f32> = avx2_tables!(
        F32x8,
        transpose_32,
        240,
        2048,
        transforms!(weights_avx2, places_avx2, results_avx2, F32x8)
    );
    pub(super) static F64_AVX2: Kernels<f64> = avx2_tables!(
        F64x4,
        transpose_64,
        120,
        1024,
        transforms!(weights_avx2, places_avx2, results_avx2, F64x4)
    );
    pub(super) static I32_AVX2: Kernels<i32> = avx2_tables!(I32x8, transpose_32, 240, 2048, None);

    pub(super) static C64_AVX512: Kernels<Complex<f32>> =
        avx512_tables!(Pairs<F32x16>, transpose_64, 192, 256, 1024, None);
    pub(super) static C128_AVX512: Kernels<Complex<f64>> =
        avx512_tables!(Pairs<F64x8>, transpose_plain, 96, 256, 1024, None);
    pub(super) static C64_AVX2: Kernels<Complex<f32>> =
        avx2_tables!(Pairs<F32x8>, transpose_64, 120, 1024, None);
    pub(super) static C128_AVX2: Kernels<Complex<f64>> =
        avx2_tables!(Pairs<F64x4>, transpose_plain, 60, 1024, None);
}

static F32_PLAIN: Kernels<f32> =
    small_tables!(real_plain, Plain<f32, 4>, transforms!(weights, places, results, Plain<f32, 4>));
static F64_PLAIN: Kernels<f64> =
    small_tables!(real_plain, Plain<f64, 2>, transforms!(weights, places, results, Plain<f64, 2>));
static I32_PLAIN: Kernels<i32> = small_tables!(real_plain, Plain<i32, 4>, None);
static I64_PLAIN: Kernels<i64> = small_tables!(real_plain, Plain<i64, 2>, None);
static C64_PLAIN: Kernels<Complex<f32>> = small_tables!(real_plain, Pairs<Plain<f32, 4>>, None);
static C128_PLAIN: Kernels<Complex<f64>> = small_tables!(real_plain, Pairs<Plain<f64, 2>>, None);

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::*;
    use crate::vector::neon::*;

    /// Tables of up to 8 rows of up to 3 vectors: 32 registers.
    macro_rules! tables {
        ($vector:ty, $winograd:expr) => {
            Kernels {
                rows: 8,
                vectors: 3,
                lanes: <$vector>::LANES,
                whole: &[
                    heights!(real_plain, $vector, 1, false; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_plain, $vector, 2, false; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_plain, $vector, 3, false; 1, 2, 3, 4, 5, 6, 7, 8),
                ],
                partial: &[
                    heights!(real_plain, $vector, 1, true; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_plain, $vector, 2, true; 1, 2, 3, 4, 5, 6, 7, 8),
                    heights!(real_plain, $vector, 3, true; 1, 2, 3, 4, 5, 6, 7, 8),
                ],
                transpose: transpose_plain,
                pack_columns: pack::columns,
                pack_rows: pack::rows,
                dots: by_two!(dots, $vector),
            strips: by_two!(strips, $vector),
            sweep: sweep::<$vector>,
            runs: six_by_two!(runs, $vector),
            winograd: $winograd,
            strip_lanes: <$vector>::LANES,
            rows_packed: 128,
                sums_packed: 256,
                columns_packed: 2048,
            }
        };
    }

    pub(super) static F32_NEON: Kernels<f32> = tables!(F32x4, transforms!(weights, places, results, F32x4));
    pub(super) static F64_NEON: Kernels<f64> = tables!(F64x2, transforms!(weights, places, results, F64x2));
    pub(super) static C64_NEON: Kernels<Complex<f32>> = tables!(Pairs<F32x4>, None);
    pub(super) static C128_NEON: Kernels<Complex<f64>> = tables!(Pairs<F64x2>, None);
}

macro_rules! has_kernels {
    ($($type:ty: $plain:ident, $plus:expr, $finite:expr $(, avx512 $avx512:ident)? $(, avx2 $avx2:ident)? $(, neon $neon:ident)?;)*) => {$(
        impl HasKernels for $type {
            fn kernels(level: Level) -> &'static Kernels<$type> {
                match level {
                    $(
                        #[cfg(target_arch = "x86_64")]
                        Level::Widest => &x86::$avx512,
                    )?
                    $(
                        #[cfg(target_arch = "x86_64")]
                        Level::Wide => &x86::$avx2,
                    )?
                    $(
                        #[cfg(target_arch = "aarch64")]
                        Level::Wide | Level::Widest => &neon::$neon,
                    )?
                    _ => &$plain,
                }
            }

            #[inline(always)]
            fn plus(self, other: $type) -> $type {
                $plus(self, other)
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                $finite(self)
            }
        }
    )*};
}

has_kernels! {
    f32: F32_PLAIN, std::ops::Add::add, f32::is_finite, avx512 F32_AVX512, avx2 F32_AVX2, neon F32_NEON;
    f64: F64_PLAIN, std::ops::Add::add, f64::is_finite, avx512 F64_AVX512, avx2 F64_AVX2, neon F64_NEON;
    i32: I32_PLAIN, i32::wrapping_add, |_| true, avx512 I32_AVX512, avx2 I32_AVX2;
    i64: I64_PLAIN, i64::wrapping_add, |_| true, avx512 I64_AVX512;
    Complex<f32>: C64_PLAIN, std::ops::Add::add, Complex::is_finite, avx512 C64_AVX512, avx2 C64_AVX2, neon C64_NEON;
    Complex<f64>: C128_PLAIN, std::ops::Add::add, Complex::is_finite, avx512 C128_AVX512, avx2 C128_AVX2, neon C128_NEON;
}
