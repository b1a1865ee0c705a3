//! Programs compiled for one set of sizes.

use super::error::Error;
use crate::pipeline::{self, Executable};
use crate::source::Sources;
use einc_runtime::{DType, Tensor};
use std::sync::Arc;

/// A program compiled for one set of sizes.
///
/// May be called from many threads at once.
///
/// ```
/// fn needs_send_and_sync<T: Send + Sync>() {}
/// needs_send_and_sync::<einc::Compiled>();
/// needs_send_and_sync::<einc::Function>();
/// ```
#[derive(Debug)]
pub struct Compiled {
    pub(super) executable: Executable,
    pub(super) sources: Arc<Sources>,
}

impl Compiled {
    /// Name, element type and shape of each input, in the order of [`Compiled::call_into`].
    ///
    /// ```
    /// use einc::{DType, Module, Sizes};
    /// let module = Module::parse("fn f(x: f32[N], k: i64) -> (y: f32[N]) { y[i] = x[i] * (k as f32) }")?;
    /// let f = module.compile("f", &Sizes::new().dim("N", 3))?;
    /// let inputs: Vec<_> = f.inputs().collect();
    /// assert_eq!(inputs, [("x", DType::F32, &[3][..]), ("k", DType::I64, &[])]);
    /// assert_eq!(f.outputs().next(), Some(("y", DType::F32, &[3][..])));
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn inputs(&self) -> impl Iterator<Item = (&str, DType, &[u64])> {
        let program = self.executable.program();
        program.inputs.iter().map(|&id| {
            let tensor = &program.tensors[id];
            (tensor.name.as_str(), tensor.dtype, tensor.shape.as_slice())
        })
    }

    /// Name, element type and shape of each result, in the order of [`Compiled::call_into`].
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[2]\noutput s: f64\ns = sum[i](x[i])")?;
    /// assert_eq!(module.compile("main", &Default::default())?.outputs().count(), 1);
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn outputs(&self) -> impl Iterator<Item = (&str, DType, &[u64])> {
        let program = self.executable.program();
        program.outputs.iter().map(|(name, id)| {
            let tensor = &program.tensors[*id];
            (name.as_str(), tensor.dtype, tensor.shape.as_slice())
        })
    }

    /// Tensors for the results; until a call they hold anything. `None` where there is no memory for them.
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[2]\noutput y: f64[2]\ny[i] = 2 * x[i]")?;
    /// let results = module.compile("main", &Default::default())?.results().unwrap();
    /// assert_eq!(results[0].shape(), [2]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn results(&self) -> Option<Vec<Tensor>> {
        self.executable.results()
    }

    /// Computes the results into tensors that are there already; allocates nothing after the first call.
    ///
    /// ```
    /// use einc::{Module, Sizes, Tensor, view, view_mut};
    /// let module = Module::parse("fn scale(x: f64[N, M]) -> (y: f64[N, M]) { y[i, j] = 10 * x[i, j] }")?;
    /// let scale = module.compile("scale", &Sizes::new().dim("N", 2).dim("M", 2))?;
    /// let mut x = Tensor::zeros(einc::DType::F64, &[2, 2]).unwrap();
    /// let mut results = scale.results().unwrap();
    /// for step in 0..3 {
    ///     view_mut::<f64>(&mut x).unwrap()[[0, 1]] = f64::from(step);
    ///     scale.call_into(&[&x], &mut results)?;
    ///     assert_eq!(view::<f64>(&results[0]).unwrap()[[0, 1]], 10.0 * f64::from(step));
    /// }
    /// assert!(scale.call_into(&[], &mut results).is_err());
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// An input or result of another type or shape, or a computed index that leaves its tensor; the results are then
    /// of no use.
    pub fn call_into(&self, inputs: &[&Tensor], results: &mut [Tensor]) -> Result<(), Error> {
        self.executable.run(inputs, results).map_err(|stopped| {
            Error::new(vec![pipeline::stopped_diagnostic(&stopped, &self.sources)], &self.sources)
        })
    }
}
