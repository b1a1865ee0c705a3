//! How the vectors of a machine are made of its instructions: the same for all machines.

/// Methods of vectors whose sums of products are vectors.
macro_rules! sums_are_vectors {
    () => {
        type Sum = Self;

        #[inline(always)]
        unsafe fn no_sum() -> Self {
            // SAFETY: as the trait demands.
            unsafe { Self::zero() }
        }

        #[inline(always)]
        unsafe fn sum_up(self, factor: Self, sum: Self) -> Self {
            // SAFETY: as the trait demands.
            unsafe { self.mul_add(factor, sum) }
        }

        #[inline(always)]
        unsafe fn summed(sum: Self) -> Self {
            sum
        }
    };
}

/// Vectors: their register, what they hold, and the instructions.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
macro_rules! vector {
    ($(
        $name:ident($register:ty): $type:ty, $lanes:expr, $mask:ty, |$count:ident| $make_mask:expr,
        $splat:ident,
        |$from:ident| $load:expr, |$part_from:ident, $part_mask:ident| $load_part:expr,
        |$to:ident, $value:ident| $store:expr, |$part_to:ident, $store_mask:ident, $part_value:ident| $store_part:expr,
        |$a:ident, $b:ident, $c:ident| $mul_add:expr, $add:ident;
    )*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        // SAFETY: methods are only called where the machine has the instructions, as the trait demands.
        unsafe impl Vector for $name {
            type Elem = $type;
            type Mask = $mask;
            const LANES: usize = $lanes;

            sums_are_vectors!();

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $splat(<$type>::default()) })
            }

            #[inline(always)]
            unsafe fn splat(value: $type) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $splat(value) })
            }

            #[inline(always)]
            unsafe fn mask($count: usize) -> $mask {
                // SAFETY: as the trait demands.
                #[allow(unused_unsafe)]
                unsafe { $make_mask }
            }

            #[inline(always)]
            unsafe fn load($from: *const $type) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $load })
            }

            #[inline(always)]
            unsafe fn load_part($part_from: *const $type, $part_mask: $mask) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $load_part })
            }

            #[inline(always)]
            unsafe fn store(self, $to: *mut $type) {
                let $value = self.0;
                // SAFETY: as the trait demands.
                unsafe { $store }
            }

            #[inline(always)]
            unsafe fn store_part(self, $part_to: *mut $type, $store_mask: $mask) {
                let $part_value = self.0;
                // SAFETY: as the trait demands.
                unsafe { $store_part }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                let ($a, $b, $c) = (self.0, factor.0, term.0);
                // SAFETY: as the trait demands.
                $name(unsafe { $mul_add })
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn prefetch(from: *const $type) {
                prefetch(from.cast());
            }

            #[inline(always)]
            unsafe fn prefetch_far(from: *const $type) {
                prefetch_far(from.cast());
            }

            #[inline(always)]
            unsafe fn sum(self) -> $type {
                let mut lanes = [<$type>::default(); $lanes];
                // SAFETY: the array has that many lanes.
                unsafe {
                    self.store(lanes.as_mut_ptr());
                    Plain::<$type, $lanes>::load(lanes.as_ptr()).sum()
                }
            }

            #[inline(always)]
            fn plus(a: $type, b: $type) -> $type {
                Plain::<$type, $lanes>::plus(a, b)
            }
        }
    )*};
}

/// Vectors of floats, and how they are rearranged.
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
macro_rules! vector_float {
    ($(
        $name:ident, $type:ty, $lanes:expr, |$x:ident, $y:ident, $z:ident| $negated:expr, $store:ident, $sub:ident, $mul:ident,
        |$pair:ident| $splat_pair:expr, |$twice:ident| $first_twice:expr, $second_twice:expr, $turned:expr,
        |$v:ident| $reverse:expr, |$a:ident, $b:ident| $zip:expr, |$low:ident, $high:ident| $unzip:expr;
    )*) => {$(
        // SAFETY: as for `Vector`.
        unsafe impl VectorFloat for $name {
            type Array = [$type; $lanes];
            const NOUGHT: $type = 0.0;

            #[inline(always)]
            unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self {
                let ($x, $y, $z) = (self.0, factor.0, term.0);
                // SAFETY: as the trait demands.
                $name(unsafe { $negated })
            }

            #[inline(always)]
            unsafe fn to_array(self) -> [$type; $lanes] {
                let mut array = [0.0; $lanes];
                // SAFETY: the array has that many lanes.
                unsafe { $store(array.as_mut_ptr(), self.0) };
                array
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $sub(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $mul(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn splat_pair($pair: Complex<$type>) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $splat_pair })
            }

            #[inline(always)]
            unsafe fn first_twice(self) -> Self {
                let $twice = self.0;
                // SAFETY: as the trait demands.
                $name(unsafe { $first_twice })
            }

            #[inline(always)]
            unsafe fn second_twice(self) -> Self {
                let $twice = self.0;
                // SAFETY: as the trait demands.
                $name(unsafe { $second_twice })
            }

            #[inline(always)]
            unsafe fn turned(self) -> Self {
                let $twice = self.0;
                // SAFETY: as the trait demands.
                $name(unsafe { $turned })
            }

            #[inline(always)]
            unsafe fn reverse(self) -> Self {
                let $v = self.0;
                // SAFETY: as the trait demands.
                $name(unsafe { $reverse })
            }

            #[inline(always)]
            unsafe fn zip(self, other: Self) -> [Self; 2] {
                let ($a, $b) = (self.0, other.0);
                // SAFETY: as the trait demands.
                let [first, second] = unsafe { $zip };
                [$name(first), $name(second)]
            }

            #[inline(always)]
            unsafe fn unzip(self, other: Self) -> [Self; 2] {
                let ($low, $high) = (self.0, other.0);
                // SAFETY: as the trait demands.
                let [first, second] = unsafe { $unzip };
                [$name(first), $name(second)]
            }
        }
    )*};
}
