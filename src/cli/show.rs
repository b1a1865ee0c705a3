//! Prints tensors: small ones whole, large ones by their edges.
//!
//! ```text
//! C: f32[2, 3]
//! [[ 1.   2.5  3. ]
//!  [-4.   0.   1. ]]
//! ```

use einc_runtime::{DType, Scalar, Tensor};

/// Tensors with more elements than this are shown by their edges.
const WHOLE: usize = 1000;

/// How many slices stand at each edge of a dim that is too long.
const EDGE: usize = 3;

/// How wide a line may be.
const WIDTH: usize = 100;

/// The tensor with its name, element type and shape.
pub fn show(name: &str, tensor: &Tensor) -> String {
    let shape: Vec<String> = tensor.shape().iter().map(u64::to_string).collect();
    let mut out = format!("{name}: {}", tensor.dtype());
    if shape.is_empty() {
        let text = Style::of(&[tensor.get(0)], tensor.dtype()).text(tensor.get(0));
        return format!("{out} = {}\n", text.trim());
    }
    out.push_str(&format!("[{}]\n", shape.join(", ")));
    if tensor.elems() == 0 {
        out.push_str("[]\n");
        return out;
    }
    let shape: Vec<usize> = tensor.shape().iter().map(|&extent| extent as usize).collect();
    let whole = tensor.elems() <= WHOLE;
    let mut positions = Vec::new();
    collect(&shape, whole, 0, &mut positions);
    let values: Vec<Scalar> = positions.iter().map(|&position| tensor.get(position)).collect();
    let style = Style::of(&values, tensor.dtype());
    let mut texts = values.into_iter().map(|value| style.text(value));
    block(&shape, whole, 0, &mut texts, &mut out);
    out.push('\n');
    out
}

/// The positions along a dim that are shown, in two runs if some are left out.
fn runs(extent: usize, whole: bool) -> (usize, usize) {
    if whole || extent <= 2 * EDGE { (extent, 0) } else { (EDGE, EDGE) }
}

fn collect(shape: &[usize], whole: bool, base: usize, positions: &mut Vec<usize>) {
    let Some((&extent, rest)) = shape.split_first() else {
        positions.push(base);
        return;
    };
    let stride: usize = rest.iter().product();
    let (first, last) = runs(extent, whole);
    for k in (0..first).chain(extent - last..extent) {
        collect(rest, whole, base + k * stride, positions);
    }
}

fn block(
    shape: &[usize],
    whole: bool,
    depth: usize,
    texts: &mut impl Iterator<Item = String>,
    out: &mut String,
) {
    let (first, last) = runs(shape[0], whole);
    out.push('[');
    if shape.len() == 1 {
        let mut column = depth + 1;
        for k in 0..first + last {
            let gap = k == first && last > 0;
            let text = texts.next().unwrap_or_default();
            let width = text.chars().count() + if gap { 4 } else { 0 };
            if k > 0 {
                if column + 1 + width > WIDTH {
                    out.push('\n');
                    out.push_str(&" ".repeat(depth + 1));
                    column = depth + 1;
                } else {
                    out.push(' ');
                    column += 1;
                }
            }
            if gap {
                out.push_str("... ");
            }
            out.push_str(&text);
            column += width;
        }
    } else {
        for k in 0..first + last {
            if k > 0 {
                // As many empty lines between blocks as they have dims beyond two.
                out.push_str(&"\n".repeat(shape.len() - 1));
                out.push_str(&" ".repeat(depth + 1));
            }
            if k == first && last > 0 {
                out.push_str("...\n");
                out.push_str(&" ".repeat(depth + 1));
            }
            block(&shape[1..], whole, depth + 1, texts, out);
        }
    }
    out.push(']');
}

/// How the numbers of one tensor are written so that they stand below each other.
struct Style {
    dtype: DType,
    scientific: bool,
    left: usize,
    right: usize,
}

impl Style {
    fn of(values: &[Scalar], dtype: DType) -> Style {
        let mut style = Style { dtype, scientific: false, left: 0, right: 0 };
        let parts: Vec<f64> = match dtype {
            _ if dtype.is_complex() => values.iter().flat_map(|value| [value.re(), value.im()]).collect(),
            _ if dtype.is_float() => values.iter().map(|value| value.re()).collect(),
            _ => Vec::new(),
        };
        let sizes = || parts.iter().map(|part| part.abs()).filter(|part| part.is_finite() && *part > 0.0);
        let largest = sizes().fold(0.0, f64::max);
        let smallest = sizes().fold(f64::INFINITY, f64::min);
        style.scientific = largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e5;
        for part in parts {
            let (left, right) = style.split(part);
            style.left = style.left.max(left.len());
            style.right = style.right.max(right.len());
        }
        if !dtype.is_float() && !dtype.is_complex() {
            let widths = values.iter().map(|value| style.integer(*value).len());
            style.left = widths.max().unwrap_or(0);
        }
        style
    }

    /// The number before and after its point, with at most six digits after it.
    fn split(&self, value: f64) -> (String, String) {
        if !value.is_finite() {
            let text = if value.is_nan() {
                "nan"
            } else if value > 0.0 {
                "inf"
            } else {
                "-inf"
            };
            return (text.to_string(), String::new());
        }
        let text = if self.scientific { format!("{value:.6e}") } else { format!("{value:.6}") };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, ""));
        let (left, right) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let right = right.trim_end_matches('0');
        let exponent = if self.scientific { format!("e{exponent}") } else { String::new() };
        (left.to_string(), format!(".{right}{exponent}"))
    }

    fn real(&self, value: f64) -> String {
        let (left, right) = self.split(value);
        format!("{left:>width$}{right:<digits$}", width = self.left, digits = self.right)
    }

    fn integer(&self, value: Scalar) -> String {
        match self.dtype {
            DType::Bool if value.int() == 0 => "false".to_string(),
            DType::Bool => "true".to_string(),
            _ => value.int().to_string(),
        }
    }

    fn text(&self, value: Scalar) -> String {
        if self.dtype.is_complex() {
            let imag = self.real(value.im().abs());
            let sign = if value.im().is_sign_negative() { '-' } else { '+' };
            format!("{}{sign}{}j", self.real(value.re()), imag.trim())
        } else if self.dtype.is_float() {
            self.real(value.re())
        } else {
            format!("{:>width$}", self.integer(value), width = self.left)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tensors_are_whole() {
        let tensor = Tensor::from_slice(&[2, 3], &[1.0f32, 2.5, 3.0, -4.0, 0.0, 1.0]).unwrap();
        assert_eq!(show("C", &tensor), "C: f32[2, 3]\n[[ 1.   2.5  3. ]\n [-4.   0.   1. ]]\n");
        let tensor = Tensor::from_slice(&[2, 1, 2], &[1i32, -20, 3, 4]).unwrap();
        assert_eq!(show("n", &tensor), "n: i32[2, 1, 2]\n[[[  1 -20]]\n\n [[  3   4]]]\n");
        assert_eq!(show("s", &Tensor::from_slice(&[], &[0.25f64]).unwrap()), "s: f64 = 0.25\n");
        assert_eq!(
            show("b", &Tensor::from_slice(&[2], &[true, false]).unwrap()),
            "b: bool[2]\n[ true false]\n"
        );
        assert_eq!(show("e", &Tensor::zeros(DType::F32, &[0, 3]).unwrap()), "e: f32[0, 3]\n[]\n");
    }

    #[test]
    fn large_tensors_show_their_edges() {
        let values: Vec<i64> = (0..10_000).collect();
        let text = show("x", &Tensor::from_slice(&[10_000], &values).unwrap());
        assert_eq!(text, "x: i64[10000]\n[   0    1    2 ... 9997 9998 9999]\n");
        let text = show("x", &Tensor::from_slice(&[100, 100], &values).unwrap());
        assert!(
            text.contains("\n [ 200  201  202 ...  297  298  299]\n ...\n [9700 9701 9702 ..."),
            "{text}"
        );
    }

    #[test]
    fn wide_ranges_are_scientific_and_odd_values_have_names() {
        let values = [1e-9, 1.5, f64::NAN, f64::NEG_INFINITY];
        let text = show("x", &Tensor::from_slice(&[4], &values).unwrap());
        assert_eq!(text, "x: f64[4]\n[   1.e-9    1.5e0  nan     -inf    ]\n");
    }
}
