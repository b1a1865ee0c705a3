//! What a Rust program uses: parse, check, compile, call.
//!
//! ```
//! use ndarray::array;
//!
//! let module = einc::Module::parse(
//!     "dim M, K, N
//!      input A: f64[M, K]
//!      input B: f64[K, N]
//!      output C: f64[M, N]
//!      C[i, k] = A[i, j] * B[j, k]",
//! )?;
//! let matmul = module.jit()?;
//! let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [10.0]]);
//! let results = matmul.call(&[("A", &a), ("B", &b)])?;
//! assert_eq!(results.array::<f64>("C").unwrap(), array![[21.0], [43.0]].into_dyn());
//! # Ok::<(), einc::Error>(())
//! ```

mod compiled;
mod error;
mod function;
mod operand;
mod results;
#[cfg(test)]
mod tests;

pub use compiled::Compiled;
pub use error::Error;
pub use function::{Function, einsum};
pub use operand::{Operand, Shaped};
pub use results::{Results, array, view, view_mut};

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::pipeline::{self, Settings};
use crate::program::{self, Entry};
use crate::source::Sources;
use einc_runtime::{DType, Tensor};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Sizes and element types that no array's shape fixes, such as a rank.
///
/// ```
/// let sizes = einc::Sizes::new().dim("R", 4).dtype("F", einc::DType::F32);
/// # let _ = sizes;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    dims: BTreeMap<String, i64>,
    dtypes: BTreeMap<String, DType>,
}

impl Sizes {
    /// None yet.
    ///
    /// ```
    /// assert!(einc::Module::parse("y = 1 + 1")?.compile("main", &einc::Sizes::new()).is_ok());
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn new() -> Sizes {
        Sizes::default()
    }

    /// Gives a dim its value.
    ///
    /// ```
    /// let module = einc::Module::parse("fn ones() -> (y: f64[N]) { y[i] = 1 }")?;
    /// let ones = module.compile("ones", &einc::Sizes::new().dim("N", 4))?;
    /// assert_eq!(ones.results().unwrap()[0].shape(), [4]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn dim(mut self, name: impl Into<String>, value: i64) -> Sizes {
        self.dims.insert(name.into(), value);
        self
    }

    /// Gives a dtype variable its type.
    ///
    /// ```
    /// let module = einc::Module::parse("type F in f32, f64\nfn one() -> (y: F) { y = 1 }")?;
    /// let one = module.compile("one", &einc::Sizes::new().dtype("F", einc::DType::F32))?;
    /// assert_eq!(one.outputs().next().unwrap().1, einc::DType::F32);
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn dtype(mut self, name: impl Into<String>, dtype: DType) -> Sizes {
        self.dtypes.insert(name.into(), dtype);
        self
    }
}

/// A parsed program: a file and everything it imports. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Module {
    module: Arc<program::Module>,
    pub(super) sources: Arc<Sources>,
}

impl Module {
    /// Parses a text, which imports nothing but the standard library.
    ///
    /// ```
    /// let module = einc::Module::parse("fn double(x: f64[N]) -> f64[N] { return 2 * x[i] }")?;
    /// assert_eq!(module.entries()[0].name, "double");
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Every syntax error.
    pub fn parse(text: &str) -> Result<Module, Error> {
        let mut sources = Sources::default();
        let file = sources.add("<text>", None, text);
        Module::open(sources, file)
    }

    /// Reads and parses a file.
    ///
    /// # Errors
    /// A file that cannot be read, or every syntax error.
    ///
    /// ```
    /// assert!(einc::Module::load("no/such.ein").is_err());
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Module, Error> {
        let path = path.as_ref();
        let fail = |what: String| {
            Error::one(Diagnostic::error(Code::File, format!("cannot read `{}`: {what}", path.display())))
        };
        // A folder or a pipe could block or never end.
        let regular = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.is_file();
        let text = match regular {
            true => std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?,
            false => return Err(fail("not a regular file".to_string())),
        };
        let mut sources = Sources::default();
        let file = sources.add(path.display().to_string(), Some(path.to_path_buf()), text);
        Module::open(sources, file)
    }

    fn open(mut sources: Sources, file: u32) -> Result<Module, Error> {
        let (module, diagnostics) = program::load(&mut sources, file);
        let sources = Arc::new(sources);
        match diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            true => Err(Error::new(diagnostics, &sources)),
            false => Ok(Module { module: Arc::new(module), sources }),
        }
    }

    /// The entry points: `main` for the file's own statements, and each `fn`.
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[3]\noutput y: f64\ny = sum[i](x[i])")?;
    /// let main = &module.entries()[0];
    /// assert_eq!((main.name.as_str(), main.inputs[0].name.as_str()), ("main", "x"));
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn entries(&self) -> Vec<Entry> {
        program::entries(&self.module, &self.sources)
    }

    /// Checks everything that does not depend on sizes; gives the warnings.
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[3]\ny[i] = x[i] + z[i]")?;
    /// let error = module.check().unwrap_err();
    /// assert_eq!(error.diagnostics()[0].code.slug(), "unknown-name");
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong for any sizes.
    pub fn check(&self) -> Result<Vec<Diagnostic>, Error> {
        let diagnostics = pipeline::check_all(&self.module, &self.sources);
        match diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            true => Err(Error::new(diagnostics, &self.sources)),
            false => Ok(diagnostics),
        }
    }

    /// The file's own statements as a function, compiled at its first call for each set of sizes.
    ///
    /// ```
    /// let module = einc::Module::parse("dim N\ninput x: f64[N]\noutput s: f64\ns = x[i] * x[i]")?;
    /// let norm = module.jit()?;
    /// for n in 1..4 {
    ///     let x = ndarray::Array1::<f64>::ones(n);
    ///     assert_eq!(norm.call(&[("x", &x)])?.number("s"), Some(n as f64));
    /// }
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong for any sizes.
    pub fn jit(&self) -> Result<Function, Error> {
        self.function("main", &Sizes::default(), &Settings::default())
    }

    /// An entry point as a function, compiled at its first call for each set of sizes; `sizes` gives those that no
    /// array's shape fixes.
    ///
    /// ```
    /// let module = einc::Module::parse("fn head(x: f64[N]) -> (y: f64[K]) { y[i] = x[i] where i in 0..K }")?;
    /// let head = module.function("head", &einc::Sizes::new().dim("K", 2), &Default::default())?;
    /// let results = head.call(&[("x", &ndarray::array![7.0, 8.0, 9.0])])?;
    /// assert_eq!(results.first().as_slice::<f64>().unwrap(), [7.0, 8.0]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong for any sizes, or an unknown name.
    pub fn function(&self, entry: &str, sizes: &Sizes, settings: &Settings) -> Result<Function, Error> {
        self.check()?;
        let known = self.entries();
        if !known.iter().any(|candidate| candidate.name == entry) {
            let names: Vec<String> = known.iter().map(|entry| format!("`{}`", entry.name)).collect();
            return Err(Error::one(
                Diagnostic::error(Code::UnknownEntry, format!("there is no entry point `{entry}`"))
                    .note(format!("there is {}", names.join(", "))),
            ));
        }
        let mut settings = settings.clone();
        settings.plan.late.get_or_insert_default();
        Ok(Function {
            module: self.clone(),
            entry: entry.to_string(),
            inputs: known
                .into_iter()
                .filter(|candidate| candidate.name == entry)
                .flat_map(|entry| entry.inputs)
                .map(|input| input.name)
                .collect(),
            sizes: sizes.clone(),
            settings,
            cache: Mutex::default(),
        })
    }

    /// Compiles an entry point for given sizes, now.
    ///
    /// ```
    /// use einc::{Module, Sizes, Tensor};
    /// let module = Module::parse("fn gram(x: f64[N, K]) -> (g: f64[K, K]) { g[a, b] = x[n, a] * x[n, b] }")?;
    /// let gram = module.compile("gram", &Sizes::new().dim("N", 3).dim("K", 1))?;
    /// let x = Tensor::from_slice(&[3, 1], &[1.0, 2.0, 3.0]).unwrap();
    /// let mut results = gram.results().unwrap();
    /// gram.call_into(&[&x], &mut results)?; // allocates nothing
    /// assert_eq!(results[0].as_slice::<f64>().unwrap(), [14.0]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with it for these sizes, or a size that is missing.
    pub fn compile(&self, entry: &str, sizes: &Sizes) -> Result<Compiled, Error> {
        let bindings = pipeline::bindings(
            sizes.dims.clone(),
            sizes.dtypes.clone(),
            std::iter::empty::<(&str, &Tensor)>(),
        );
        self.build(entry, &bindings, &Settings::default())
    }

    pub(super) fn build(
        &self,
        entry: &str,
        bindings: &program::Bindings,
        settings: &Settings,
    ) -> Result<Compiled, Error> {
        let fail = |diagnostics| Error::new(diagnostics, &self.sources);
        let (program, _) = pipeline::check(&self.module, entry, bindings).map_err(fail)?;
        if let Some(late) = &settings.plan.late {
            pipeline::declare_ranges(&self.module, &program, late);
        }
        let executable = pipeline::compile(program, settings, &mut |_, _| ()).map_err(fail)?;
        Ok(Compiled { executable, sources: Arc::clone(&self.sources) })
    }
}
