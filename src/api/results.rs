//! Results by name, and tensors as arrays of `ndarray`.

use einc_runtime::{Element, Tensor};
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, IxDyn};

/// The results of a call by name, in the order of the program.
///
/// ```
/// use ndarray::array;
/// let module = einc::Module::parse("fn f(x: f64[N]) -> (s: f64, y: f64[N]) { s = sum[i](x[i])\n y[i] = 2 * x[i] }")?;
/// let results = module.function("f", &Default::default(), &Default::default())?.call(&[("x", &array![1.0, 2.0])])?;
/// assert_eq!(results.number("s"), Some(3.0));
/// assert_eq!(results.array::<f64>("y"), Some(array![2.0, 4.0].into_dyn()));
/// assert_eq!(results.view::<f64>("y").unwrap().sum(), 6.0);
/// assert_eq!(results.first(), results.get("s").unwrap());
/// assert_eq!(results.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["s", "y"]);
/// # Ok::<(), einc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Results {
    pub(super) results: Vec<(String, Tensor)>,
}

impl Results {
    /// The result of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.results.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor)
    }

    /// The first result; every entry point has one.
    pub fn first(&self) -> &Tensor {
        &self.results[0].1
    }

    /// The result of that name as an array, if it has that element type.
    pub fn array<T: Element>(&self, name: &str) -> Option<ArrayD<T>> {
        array(self.get(name)?)
    }

    /// The result of that name as a view of its elements, if it has that element type.
    pub fn view<T: Element>(&self, name: &str) -> Option<ArrayViewD<'_, T>> {
        view(self.get(name)?)
    }

    /// The result of that name as a number, if it has rank 0 and is real.
    pub fn number(&self, name: &str) -> Option<f64> {
        let tensor = self.get(name)?;
        (tensor.shape().is_empty() && !tensor.dtype().is_complex()).then(|| tensor.get(0).re())
    }

    /// Names and tensors in the order of the program.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.results.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// A tensor's elements as an `ndarray` view, if it has that element type; nothing is copied.
///
/// ```
/// let tensor = einc::Tensor::from_slice(&[2, 2], &[1i32, 2, 3, 4]).unwrap();
/// let view = einc::view::<i32>(&tensor).unwrap();
/// assert_eq!(view[[1, 0]], 3);
/// assert!(einc::view::<f32>(&tensor).is_none());
/// ```
pub fn view<T: Element>(tensor: &Tensor) -> Option<ArrayViewD<'_, T>> {
    ArrayViewD::from_shape(shape(tensor), tensor.as_slice::<T>()?).ok()
}

/// A tensor's elements as an `ndarray` view to write to, if it has that element type.
///
/// ```
/// let mut tensor = einc::Tensor::zeros(einc::DType::F32, &[2]).unwrap();
/// einc::view_mut::<f32>(&mut tensor).unwrap().fill(0.5);
/// assert_eq!(tensor.as_slice::<f32>(), Some(&[0.5, 0.5][..]));
/// ```
pub fn view_mut<T: Element>(tensor: &mut Tensor) -> Option<ArrayViewMutD<'_, T>> {
    let shape = shape(tensor);
    ArrayViewMutD::from_shape(shape, tensor.as_mut_slice::<T>()?).ok()
}

fn shape(tensor: &Tensor) -> IxDyn {
    IxDyn(&tensor.shape().iter().map(|&extent| extent as usize).collect::<Vec<usize>>())
}

/// A tensor's elements as an `ndarray` array, if it has that element type.
///
/// ```
/// let tensor = einc::Tensor::from_slice(&[2], &[1i32, 2]).unwrap();
/// assert_eq!(einc::array::<i32>(&tensor), Some(ndarray::array![1, 2].into_dyn()));
/// assert_eq!(einc::array::<f32>(&tensor), None);
/// ```
pub fn array<T: Element>(tensor: &Tensor) -> Option<ArrayD<T>> {
    view(tensor).map(|view| view.to_owned())
}
