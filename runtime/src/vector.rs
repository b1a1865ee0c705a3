//! Vectors of the machine behind one trait.

#[macro_use]
mod register;

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use num_complex::Complex;

/// A vector register.
///
/// # Safety
/// Every method may only be called where the machine has the instructions of the type.
pub(crate) unsafe trait Vector: Copy {
    /// What it holds.
    type Elem: Copy + 'static;
    /// Which lanes take part.
    type Mask: Copy;
    /// How many it holds.
    const LANES: usize;

    unsafe fn zero() -> Self;
    unsafe fn splat(value: Self::Elem) -> Self;
    /// The mask of the first `lanes` lanes.
    unsafe fn mask(lanes: usize) -> Self::Mask;
    unsafe fn load(from: *const Self::Elem) -> Self;
    /// Zero in the other lanes, whose memory is not touched.
    unsafe fn load_part(from: *const Self::Elem, mask: Self::Mask) -> Self;
    unsafe fn store(self, to: *mut Self::Elem);
    unsafe fn store_part(self, to: *mut Self::Elem, mask: Self::Mask);
    /// `self * factor + term`.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// The number at a place over and over, in the parts by which [`Vector::times_add`] multiplies: loads alone make them.
    #[inline(always)]
    unsafe fn factor(at: *const Self::Elem) -> [Self; 2] {
        // SAFETY: the place is good; the rest as the trait demands.
        let factor = unsafe { Self::splat(*at) };
        [factor, factor]
    }
    /// `self * factor + term`.
    #[inline(always)]
    unsafe fn times_add(self, [factor, _]: [Self; 2], term: Self) -> Self {
        // SAFETY: as the trait demands.
        unsafe { self.mul_add(factor, term) }
    }
    /// A sum of products that is not put together yet.
    type Sum: Copy;
    unsafe fn no_sum() -> Self::Sum;
    /// Adds `self` times a factor that is one number over and over.
    unsafe fn sum_up(self, factor: Self, sum: Self::Sum) -> Self::Sum;
    unsafe fn summed(sum: Self::Sum) -> Self;
    /// Asks for the line of memory to come near, if the machine can be asked.
    #[inline(always)]
    unsafe fn prefetch(_: *const Self::Elem) {}
    /// Asks for it to come into a cache that holds what is needed a while later.
    #[inline(always)]
    unsafe fn prefetch_far(_: *const Self::Elem) {}
    /// The sum of the lanes.
    unsafe fn sum(self) -> Self::Elem;
    /// The sum of two elements.
    fn plus(a: Self::Elem, b: Self::Elem) -> Self::Elem;
}

/// A vector register of floats.
///
/// # Safety
/// As [`Vector`].
pub(crate) unsafe trait VectorFloat: Vector<Elem: std::ops::Add<Output = Self::Elem>> {
    /// The lanes in memory.
    type Array: AsRef<[Self::Elem]> + AsMut<[Self::Elem]>;
    /// The number zero.
    const NOUGHT: Self::Elem;

    /// `term - self * factor`.
    unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn to_array(self) -> Self::Array;

    /// A complex number over and over: real part, imaginary part.
    #[inline(always)]
    unsafe fn splat_pair(value: Complex<Self::Elem>) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = Self::splat(value.re).to_array();
            lanes.as_mut().iter_mut().skip(1).step_by(2).for_each(|lane| *lane = value.im);
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// Of pairs of lanes the first one in both places.
    #[inline(always)]
    unsafe fn first_twice(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            lanes.as_mut().chunks_exact_mut(2).for_each(|pair| pair[1] = pair[0]);
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// Of pairs of lanes the second one in both places.
    #[inline(always)]
    unsafe fn second_twice(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            lanes.as_mut().chunks_exact_mut(2).for_each(|pair| pair[0] = pair[1]);
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// Pairs of lanes, taken for complex numbers, times the imaginary unit.
    #[inline(always)]
    unsafe fn turned(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            let negative = Self::zero().sub(self).to_array();
            for (pair, negative) in lanes.as_mut().chunks_exact_mut(2).zip(negative.as_ref().chunks_exact(2))
            {
                (pair[0], pair[1]) = (negative[1], pair[0]);
            }
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// The lanes, last one first.
    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            lanes.as_mut().reverse();
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// `a0 b0 a1 b1 ..`, in two vectors.
    #[inline(always)]
    unsafe fn zip(self, other: Self) -> [Self; 2] {
        // SAFETY: the arrays have that many lanes.
        unsafe {
            let (a, b) = (self.to_array(), other.to_array());
            let (mut low, mut high) = (self.to_array(), self.to_array());
            for lane in 0..Self::LANES {
                let from = if lane % 2 == 0 { a.as_ref() } else { b.as_ref() };
                low.as_mut()[lane] = from[lane / 2];
                high.as_mut()[lane] = from[(lane + Self::LANES) / 2];
            }
            [Self::load(low.as_ref().as_ptr()), Self::load(high.as_ref().as_ptr())]
        }
    }

    /// What was zipped.
    #[inline(always)]
    unsafe fn unzip(self, other: Self) -> [Self; 2] {
        // SAFETY: the arrays have that many lanes.
        unsafe {
            let (low, high) = (self.to_array(), other.to_array());
            let (mut a, mut b) = (self.to_array(), self.to_array());
            for lane in 0..Self::LANES {
                let (from, at) = match 2 * lane < Self::LANES {
                    true => (low.as_ref(), 2 * lane),
                    false => (high.as_ref(), 2 * lane - Self::LANES),
                };
                (a.as_mut()[lane], b.as_mut()[lane]) = (from[at], from[at + 1]);
            }
            [Self::load(a.as_ref().as_ptr()), Self::load(b.as_ref().as_ptr())]
        }
    }
}

/// A vector as an array: what every machine has, and what its compiler makes vectors of.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T, const LANES: usize>([T; LANES]);

macro_rules! plain {
    ($($type:ty, $zero:expr, |$a:ident, $b:ident, $c:ident| $mul_add:expr, |$x:ident, $y:ident| $add:expr;)*) => {$(
        // SAFETY: it needs nothing of the machine.
        unsafe impl<const N: usize> Vector for Plain<$type, N> {
            type Elem = $type;
            type Mask = usize;
            const LANES: usize = N;

            sums_are_vectors!();

            #[inline(always)]
            unsafe fn zero() -> Self {
                Plain([$zero; N])
            }

            #[inline(always)]
            unsafe fn splat(value: $type) -> Self {
                Plain([value; N])
            }

            #[inline(always)]
            unsafe fn mask(lanes: usize) -> usize {
                lanes
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: the caller's promise.
                Plain(unsafe { from.cast::<[$type; N]>().read_unaligned() })
            }

            #[inline(always)]
            unsafe fn load_part(from: *const $type, lanes: usize) -> Self {
                // SAFETY: the caller's promise, for the first `lanes` lanes.
                Plain(std::array::from_fn(|lane| if lane < lanes { unsafe { *from.add(lane) } } else { $zero }))
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<[$type; N]>().write_unaligned(self.0) }
            }

            #[inline(always)]
            unsafe fn store_part(self, to: *mut $type, lanes: usize) {
                // SAFETY: the caller's promise, for the first `lanes` lanes.
                self.0.iter().enumerate().take(lanes).for_each(|(lane, &value)| unsafe { *to.add(lane) = value });
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                Plain(std::array::from_fn(|lane| {
                    let ($a, $b, $c) = (self.0[lane], factor.0[lane], term.0[lane]);
                    $mul_add
                }))
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Plain(std::array::from_fn(|lane| {
                    let ($x, $y) = (self.0[lane], other.0[lane]);
                    $add
                }))
            }

            #[inline(always)]
            unsafe fn sum(self) -> $type {
                let mut lanes = self.0;
                let mut len = N;
                while len > 1 {
                    len /= 2;
                    for lane in 0..len {
                        lanes[lane] = Self::plus(lanes[lane], lanes[lane + len]);
                    }
                }
                lanes[0]
            }

            #[inline(always)]
            fn plus($x: $type, $y: $type) -> $type {
                $add
            }
        }
    )*};
}

plain! {
    f32, 0.0, |a, b, c| a * b + c, |a, b| a + b;
    f64, 0.0, |a, b, c| a * b + c, |a, b| a + b;
    i32, 0, |a, b, c| a.wrapping_mul(b).wrapping_add(c), |a, b| a.wrapping_add(b);
    i64, 0, |a, b, c| a.wrapping_mul(b).wrapping_add(c), |a, b| a.wrapping_add(b);
}

macro_rules! plain_float {
    ($($type:ty;)*) => {$(
        // SAFETY: it needs nothing of the machine.
        unsafe impl<const N: usize> VectorFloat for Plain<$type, N> {
            type Array = [$type; N];
            const NOUGHT: $type = 0.0;

            #[inline(always)]
            unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self {
                Plain(std::array::from_fn(|lane| term.0[lane] - self.0[lane] * factor.0[lane]))
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Plain(std::array::from_fn(|lane| self.0[lane] - other.0[lane]))
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Plain(std::array::from_fn(|lane| self.0[lane] * other.0[lane]))
            }

            #[inline(always)]
            unsafe fn to_array(self) -> [$type; N] {
                self.0
            }
        }
    )*};
}

plain_float! {
    f32;
    f64;
}

/// A vector of complex numbers, real and imaginary parts in turn.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<V>(V);

// SAFETY: as of the vector of floats.
unsafe impl<V: VectorFloat> Vector for Pairs<V> {
    type Elem = Complex<V::Elem>;
    type Mask = V::Mask;
    const LANES: usize = V::LANES / 2;
    /// What real parts of factors make, and what imaginary ones do.
    type Sum = [V; 2];

    #[inline(always)]
    unsafe fn no_sum() -> [V; 2] {
        // SAFETY: as the trait demands.
        unsafe { [V::zero(), V::zero()] }
    }

    #[inline(always)]
    unsafe fn sum_up(self, factor: Self, [real, imaginary]: [V; 2]) -> [V; 2] {
        // SAFETY: as the trait demands.
        unsafe {
            [self.0.mul_add(factor.0.first_twice(), real), self.0.mul_add(factor.0.second_twice(), imaginary)]
        }
    }

    #[inline(always)]
    unsafe fn summed([real, imaginary]: [V; 2]) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { real.add(imaginary.turned()) })
    }

    #[inline(always)]
    unsafe fn factor(at: *const Complex<V::Elem>) -> [Self; 2] {
        let parts: *const V::Elem = at.cast();
        // SAFETY: the place is good, and a complex number is two floats; the rest as the trait demands.
        unsafe { [Pairs(V::splat(*parts)), Pairs(V::splat(*parts.add(1)))] }
    }

    #[inline(always)]
    unsafe fn times_add(self, [real, imaginary]: [Self; 2], term: Self) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { self.0.turned().mul_add(imaginary.0, self.0.mul_add(real.0, term.0)) })
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { V::zero() })
    }

    #[inline(always)]
    unsafe fn splat(value: Complex<V::Elem>) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { V::splat_pair(value) })
    }

    #[inline(always)]
    unsafe fn mask(lanes: usize) -> V::Mask {
        // SAFETY: as the trait demands.
        unsafe { V::mask(2 * lanes) }
    }

    #[inline(always)]
    unsafe fn load(from: *const Complex<V::Elem>) -> Self {
        // SAFETY: as the trait demands; a complex number is two floats.
        Pairs(unsafe { V::load(from.cast()) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const Complex<V::Elem>, mask: V::Mask) -> Self {
        // SAFETY: as above.
        Pairs(unsafe { V::load_part(from.cast(), mask) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut Complex<V::Elem>) {
        // SAFETY: as above.
        unsafe { self.0.store(to.cast()) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut Complex<V::Elem>, mask: V::Mask) {
        // SAFETY: as above.
        unsafe { self.0.store_part(to.cast(), mask) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: as the trait demands.
        unsafe {
            let sum = self.0.first_twice().mul_add(factor.0, term.0);
            Pairs(self.0.second_twice().mul_add(factor.0.turned(), sum))
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { self.0.add(other.0) })
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const Complex<V::Elem>) {
        // SAFETY: it touches nothing.
        unsafe { V::prefetch(from.cast()) }
    }

    #[inline(always)]
    unsafe fn prefetch_far(from: *const Complex<V::Elem>) {
        // SAFETY: it touches nothing.
        unsafe { V::prefetch_far(from.cast()) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> Complex<V::Elem> {
        // SAFETY: as the trait demands.
        let lanes = unsafe { self.0.to_array() };
        let lanes = lanes.as_ref().chunks_exact(2).map(|pair| Complex::new(pair[0], pair[1]));
        lanes.reduce(Self::plus).unwrap_or(Complex::new(V::NOUGHT, V::NOUGHT))
    }

    #[inline(always)]
    fn plus(a: Complex<V::Elem>, b: Complex<V::Elem>) -> Complex<V::Elem> {
        Complex::new(a.re + b.re, a.im + b.im)
    }
}
