//! Entry points that compile themselves for the sizes at hand, and einsum strings.

use super::compiled::Compiled;
use super::error::{Error, out_of_memory};
use super::operand::Operand;
use super::results::Results;
use super::{Module, Sizes};
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline::{self, Settings};
use einc_runtime::{DType, Tensor};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// An entry point that compiles itself for the sizes of its arguments and remembers what it has compiled.
///
/// Contractions of many operands are searched for the ranges of sizes that the program declares (`dim N in 2..=64`); where it
/// declares none, for the first sizes, and with the second ones for a range about both. Further sizes
/// within the range take one of the trees that are known, see [`crate::plan::Late`]. With
/// [`Settings::deterministic`] every size has a search of its own, so that no call depends on earlier ones.
#[derive(Debug)]
pub struct Function {
    pub(super) module: Module,
    pub(super) entry: String,
    /// The names of its inputs; rank-0 integers of other names are sizes.
    pub(super) inputs: Vec<String>,
    pub(super) sizes: Sizes,
    pub(super) settings: Settings,
    pub(super) cache: Mutex<Cache>,
}

/// What a compiled program depends on: sizes, and the types, shapes and rank-0 integers of the arguments.
pub(super) type Key = (Vec<(String, i64)>, Vec<(String, DType, Vec<u64>, Option<i128>)>);

/// What has been compiled.
pub(super) type Cache = HashMap<Key, Arc<Compiled>>;

/// How many sets of sizes one function remembers.
pub(super) const REMEMBERED: usize = 64;

impl Function {
    /// Calls it with arrays by name.
    ///
    /// ```
    /// let module = einc::Module::parse("fn head(x: f64[N]) -> (y: f64[K]) { y[i] = x[i] where i in 0..K }")?;
    /// let head = module.function("head", &Default::default(), &Default::default())?;
    /// let x = ndarray::array![7.0, 8.0, 9.0];
    /// for k in [1i64, 3] {
    ///     // `K` is no array of the function: the number gives the dim its value.
    ///     assert_eq!(head.call(&[("x", &x), ("K", &k)])?.first().shape(), [k as u64]);
    /// }
    /// assert!(head.call(&[("x", &x)]).unwrap_err().to_string().contains("`K`"));
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the arrays, with the program for these sizes, or a computed index that leaves its tensor.
    pub fn call(&self, arrays: &[(&str, &dyn Operand)]) -> Result<Results, Error> {
        let mut tensors = pipeline::Arrays::new();
        for (name, operand) in arrays {
            if tensors.insert(name.to_string(), operand.tensor()?).is_some() {
                return Err(Error::one(Diagnostic::error(
                    Code::ExtraInput,
                    format!("array `{name}` is given twice"),
                )));
            }
        }
        let names: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        let mut dims = self.sizes.dims.clone();
        dims.extend(pipeline::take_sizes(&mut tensors, &names));
        let compiled = self.compiled(dims, &tensors)?;
        let program = compiled.executable.program();
        let fail = |diagnostics| Error::new(diagnostics, &self.module.sources);
        let (inputs, extra) = pipeline::arguments(program, tensors).map_err(fail)?;
        if let Some(name) = extra.first() {
            let message = format!("the program takes no array `{name}`");
            return Err(Error::one(Diagnostic::error(Code::ExtraInput, message)));
        }
        let mut results = compiled.results().ok_or_else(out_of_memory)?;
        let inputs: Vec<&Tensor> = inputs.iter().map(Cow::as_ref).collect();
        compiled.call_into(&inputs, &mut results)?;
        let names = program.outputs.iter().map(|(name, _)| name.clone());
        Ok(Results { results: names.zip(results).collect() })
    }

    /// The program for the sizes of these arguments, compiled unless it is there already.
    fn compiled(
        &self,
        dims: BTreeMap<String, i64>,
        tensors: &pipeline::Arrays<'_>,
    ) -> Result<Arc<Compiled>, Error> {
        let given = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.as_ref()));
        let bindings = pipeline::bindings(dims, self.sizes.dtypes.clone(), given);
        let arrays = bindings
            .args
            .iter()
            .map(|(name, info)| (name.clone(), info.dtype, info.shape.clone(), info.value))
            .collect();
        let key = (bindings.dims.clone().into_iter().collect(), arrays);
        if let Some(found) = locked(&self.cache).get(&key) {
            return Ok(Arc::clone(found));
        }
        let compiled = Arc::new(self.module.build(&self.entry, &bindings, &self.settings)?);
        let mut cache = locked(&self.cache);
        if cache.len() >= REMEMBERED {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

/// A cache is whole after every step on it, so a panic elsewhere leaves it fit for use.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An einsum string on arrays, with the rules of NumPy and opt_einsum; compiled once for each string and shapes.
///
/// ```
/// use ndarray::array;
/// let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [10.0]]);
/// let c = einc::einsum("ij,jk->ik", &[&a, &b])?;
/// assert_eq!(c.as_slice::<f64>().unwrap(), [21.0, 43.0]);
/// # Ok::<(), einc::Error>(())
/// ```
///
/// # Errors
/// A string that does not fit the arrays.
pub fn einsum(spec: &str, operands: &[&dyn Operand]) -> Result<Tensor, Error> {
    static COMPILED: OnceLock<Mutex<EinsumCache>> = OnceLock::new();
    let tensors = operands.iter().map(|operand| operand.tensor()).collect::<Result<Vec<_>, Error>>()?;
    let tensors: Vec<&Tensor> = tensors.iter().map(|tensor| tensor.as_ref()).collect();
    let types = tensors.iter().map(|tensor| (tensor.dtype(), tensor.shape().to_vec())).collect();
    let key = (spec.to_string(), types);
    let cache = COMPILED.get_or_init(Mutex::default);
    let found = locked(cache).get(&key).cloned();
    let compiled = match found {
        Some(compiled) => compiled,
        None => {
            let (program, _) = pipeline::einsum(spec, &tensors).map_err(Error::one)?;
            let sources = Arc::default();
            let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| ())
                .map_err(|diagnostics| Error::new(diagnostics, &sources))?;
            let compiled = Arc::new(Compiled { executable, sources });
            let mut cache = locked(cache);
            if cache.len() >= REMEMBERED {
                cache.clear();
            }
            cache.insert(key, Arc::clone(&compiled));
            compiled
        }
    };
    let mut results = compiled.results().ok_or_else(out_of_memory)?;
    compiled.call_into(&tensors, &mut results)?;
    results.pop().ok_or_else(out_of_memory)
}

/// What [`einsum`] has compiled, by the string and the types and shapes of the operands.
type EinsumCache = HashMap<(String, Vec<(DType, Vec<u64>)>), Arc<Compiled>>;
