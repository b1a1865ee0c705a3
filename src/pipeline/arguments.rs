//! Arrays for a program: which sizes they give it, whether they fit its inputs, random ones.

use crate::diagnostic::{Code, Diagnostic};
use crate::program::{ArgInfo, Bindings, Program};
use einc_runtime::{DType, Scalar, Tensor};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Arrays by name, each the caller's own or made for the call.
pub type Arrays<'a> = BTreeMap<String, Cow<'a, Tensor>>;

/// Takes the rank-0 integers that are no inputs out of the arrays: they give dims of their names a value.
pub fn take_sizes(arrays: &mut Arrays<'_>, inputs: &[&str]) -> Vec<(String, i64)> {
    let size = |tensor: &Tensor| match tensor.shape() {
        [] if tensor.dtype().is_integer() => i64::try_from(tensor.get(0).int()).ok(),
        _ => None,
    };
    let sizes = arrays.iter().filter(|(name, _)| !inputs.contains(&name.as_str()));
    let sizes: Vec<(String, i64)> =
        sizes.filter_map(|(name, tensor)| Some((name.clone(), size(tensor)?))).collect();
    for (name, _) in &sizes {
        arrays.remove(name);
    }
    sizes
}

/// What the sizes and types of a program follow from: given sizes and types, and the arrays at hand.
pub fn bindings<'a>(
    dims: BTreeMap<String, i64>,
    dtypes: BTreeMap<String, DType>,
    arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Bindings {
    let info = |tensor: &Tensor| {
        let value = match tensor.shape() {
            [] if tensor.dtype().is_integer() => Some(tensor.get(0).int()),
            _ => None,
        };
        ArgInfo { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), value }
    };
    let args = arrays.into_iter().map(|(name, tensor)| (name.to_string(), info(tensor))).collect();
    Bindings { dims, dtypes, args }
}

/// Arrays in the order of the program's inputs, each of the declared type.
///
/// Integers (and `bool`) of any type are taken where every value fits; all else must have the declared type.
///
/// # Errors
/// What is missing and what does not fit, with the tensor, the dim and both sizes.
pub fn arguments<'a>(
    program: &Program,
    mut arrays: Arrays<'a>,
) -> Result<(Vec<Cow<'a, Tensor>>, Vec<String>), Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut inputs = Vec::new();
    for &id in &program.inputs {
        let declared = &program.tensors[id];
        let shape: Vec<String> = declared.shape.iter().map(u64::to_string).collect();
        let wanted = format!("{}: {}[{}]", declared.name, declared.dtype, shape.join(", "));
        let Some(array) = arrays.remove(&declared.name) else {
            let message = format!("no array is given for `{wanted}`");
            errors
                .push(Diagnostic::error(Code::MissingInput, message).label(declared.place, "declared here"));
            continue;
        };
        match fitting(array, declared.dtype, &declared.shape, &declared.name) {
            Ok(array) => inputs.push(array),
            Err(error) => errors.push(error.label(declared.place, format!("declared as `{wanted}`"))),
        }
    }
    if errors.is_empty() { Ok((inputs, arrays.into_keys().collect())) } else { Err(errors) }
}

/// The array as that type, if it has the shape and its values fit.
fn fitting<'a>(
    array: Cow<'a, Tensor>,
    dtype: DType,
    shape: &[u64],
    name: &str,
) -> Result<Cow<'a, Tensor>, Diagnostic> {
    if array.shape().len() != shape.len() {
        let (given, wanted) = (array.shape().len(), shape.len());
        let message = format!("array `{name}` has {given} dims, and the program declares {wanted}");
        return Err(Diagnostic::error(Code::InputRank, message));
    }
    if let Some(dim) = (0..shape.len()).find(|&dim| array.shape()[dim] != shape[dim]) {
        let (given, wanted) = (array.shape()[dim], shape[dim]);
        let message = format!("dim {dim} of array `{name}` is {given} long, and the program needs {wanted}");
        return Err(Diagnostic::error(Code::InputExtent, message));
    }
    if array.dtype() == dtype {
        return Ok(array);
    }
    let whole = |dtype: DType| dtype.is_integer() || dtype == DType::Bool;
    let message =
        format!("array `{name}` has elements of type {}, and the program needs {dtype}", array.dtype());
    let error = Diagnostic::error(Code::InputType, message);
    if !(whole(array.dtype()) && whole(dtype)) {
        return Err(error);
    }
    array.convert(dtype).map(Cow::Owned).map_err(|(position, value)| match value {
        Scalar::Int(value) if position < array.elems() => {
            error.note(format!("element {position} is {value}, which no {dtype} can be"))
        }
        _ => error.note("there is no memory to convert it"),
    })
}

/// Random numbers of that type and shape: floats in `-1..1`, integers from a few small values of the type.
///
/// `None` where there is no memory. Equal seeds and names give equal numbers, whatever else is drawn.
pub fn random(seed: u64, name: &str, dtype: DType, shape: &[u64]) -> Option<Tensor> {
    let mut state = seed;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut tensor = Tensor::zeros(dtype, shape)?;
    for position in 0..tensor.elems() {
        let mut real = || (next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let value = match dtype.integer_range() {
            None if dtype.is_complex() => Scalar::Complex(real(), real()),
            None => Scalar::Real(real()),
            // Wide integers are mostly positions in another tensor, narrow ones mostly quantised numbers.
            Some((low, high)) if dtype.bytes() < 4 => {
                let (low, high) = (low.max(-8), high.min(7));
                Scalar::Int(low + i128::from(next()) % (high - low + 1))
            }
            Some(_) => Scalar::Int(i128::from(next() % 4)),
        };
        tensor.set(position, value);
    }
    Some(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_convert_where_they_fit_and_floats_never() {
        let tensor: Cow<Tensor> = Cow::Owned(Tensor::from_slice(&[2], &[1i64, 200]).unwrap());
        assert_eq!(fitting(tensor.clone(), DType::U8, &[2], "a").unwrap().dtype(), DType::U8);
        let error = fitting(tensor.clone(), DType::I8, &[2], "a").unwrap_err();
        assert_eq!(error.code, Code::InputType);
        assert_eq!(error.notes, ["element 1 is 200, which no i8 can be"]);
        assert_eq!(fitting(tensor.clone(), DType::F64, &[2], "a").unwrap_err().code, Code::InputType);
        let error = fitting(tensor.clone(), DType::I64, &[3], "a").unwrap_err();
        assert_eq!(error.message, "dim 0 of array `a` is 2 long, and the program needs 3");
        assert_eq!(fitting(tensor, DType::I64, &[2, 1], "a").unwrap_err().code, Code::InputRank);
    }

    #[test]
    fn random_numbers_depend_on_seed_and_name_alone() {
        let draw = |seed, name| random(seed, name, DType::F64, &[50]).unwrap();
        assert_eq!(draw(7, "A"), draw(7, "A"));
        assert_ne!(draw(7, "A"), draw(7, "B"));
        assert_ne!(draw(7, "A"), draw(8, "A"));
        let values = draw(1, "x");
        let values = values.as_slice::<f64>().unwrap();
        assert!(values.iter().all(|x| (-1.0..1.0).contains(x)) && values.iter().any(|x| *x < 0.0));
        for dtype in DType::ALL {
            let tensor = random(3, "x", dtype, &[40]).unwrap();
            assert!((0..40).all(|k| tensor.get(k).fits(dtype)), "{dtype}");
        }
    }
}
