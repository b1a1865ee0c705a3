//! Functions of complex numbers where the plain formulas leave the range of `f64` on the way.

use num_complex::Complex64;

/// The power of two that is nearest below a magnitude, as far as it and its reciprocal are numbers.
fn exponent(largest: f64) -> i32 {
    if largest == 0.0 || !largest.is_finite() {
        0
    } else {
        (largest.log2().floor() as i32).clamp(-1020, 1020)
    }
}

fn largest(z: Complex64) -> f64 {
    z.re.abs().max(z.im.abs())
}

/// `a / b`, scaled so that nothing overflows or vanishes on the way.
pub fn quotient(a: Complex64, b: Complex64) -> Complex64 {
    let (up, down) = (exponent(largest(a)), exponent(largest(b)));
    let scaled = (a * 2f64.powi(-up)) / (b * 2f64.powi(-down));
    // In two steps, for the whole power may be beyond every f64 where the result is not.
    let half = (up - down) / 2;
    scaled * 2f64.powi(half) * 2f64.powi(up - down - half)
}

/// `base ** exponent`; repeated products for integers, which are exact where logarithms are not, as in `(1 + 2j) ** 2`.
pub fn power(base: Complex64, exponent: Complex64) -> Complex64 {
    if exponent.im == 0.0 && exponent.re.fract() == 0.0 && exponent.re.abs() <= 1024.0 {
        let power = base.powu(exponent.re.abs() as u32);
        if exponent.re < 0.0 { quotient(Complex64::new(1.0, 0.0), power) } else { power }
    } else if base == Complex64::new(0.0, 0.0) && exponent.re > 0.0 {
        base
    } else {
        base.powc(exponent)
    }
}

/// The hyperbolic tangent.
pub fn tanh(z: Complex64) -> Complex64 {
    if z.re.abs() <= 20.0 || z.re.is_nan() {
        return z.tanh();
    }
    // Beyond, cosh(2 re) is so large that cos(2 im) beside it does not count.
    Complex64::new(1f64.copysign(z.re), 4.0 * z.im.sin() * z.im.cos() * (-2.0 * z.re.abs()).exp())
}

/// The tangent.
pub fn tan(z: Complex64) -> Complex64 {
    let turned = tanh(Complex64::new(-z.im, z.re));
    Complex64::new(turned.im, -turned.re)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Complex64, re: f64, im: f64) {
        let close = |a: f64, b: f64| a == b || (a - b).abs() <= 4e-16 * b.abs();
        assert!(close(found.re, re) && close(found.im, im), "{found} instead of {re} {im}");
    }

    #[test]
    fn quotients_at_the_ends_of_the_range_are_right() {
        let c = Complex64::new;
        let one = c(1.0, 0.0);
        near(quotient(one, c(1e200, 1e200)), 5e-201, -5e-201);
        near(quotient(one, c(1e-200, 1e-200)), 5e199, -5e199);
        near(quotient(one, c(0.0, 1e-160)), 0.0, -1e160);
        near(quotient(c(1e300, 1e300), c(1e300, 1e300)), 1.0, 0.0);
        near(quotient(c(1e-297, 0.0), c(1e-307, 0.0)), 1e10, 0.0);
        near(quotient(c(3.0, 4.0), c(1.0, 2.0)), 2.2, -0.4);
        assert!(quotient(one, c(0.0, 0.0)).re.is_nan() || quotient(one, c(0.0, 0.0)).re.is_infinite());
        near(power(c(1e200, 0.0), c(-1.0, 0.0)), 1e-200, 0.0);
        near(power(c(1.0, 2.0), c(2.0, 0.0)), -3.0, 4.0);
    }

    #[test]
    fn tangents_far_out_are_one() {
        let c = Complex64::new;
        near(tanh(c(360.0, 1.0)), 1.0, 4.0 * 1f64.sin() * 1f64.cos() * (-720f64).exp());
        near(tanh(c(-1e20, 0.0)), -1.0, 0.0);
        near(tan(c(0.0, 800.0)), 0.0, 1.0);
        // Where both formulas hold they agree.
        let z = c(19.5, 0.3);
        let far = c(1.0, 4.0 * 0.3f64.sin() * 0.3f64.cos() * (-39f64).exp());
        assert!((tanh(z) - far).norm() < 1e-15);
    }
}
