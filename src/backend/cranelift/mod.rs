//! Loops to machine code in memory, by Cranelift.

mod call;
mod cast;
mod host;
mod math;
mod memory;
mod ops;
mod sort;
mod unit;

pub use call::Compiled;

use crate::backend::Unsupported;
use crate::loops::{Loops, lower};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::source::Span;
use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, Context};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module};
use einc_runtime::gemm::GemmPlan;
use einc_runtime::permute::PermutePlan;

/// Makes a plan callable on this processor.
///
/// Fails with the first thing in it that this target cannot do.
pub fn compile(plan: &Plan, machine: &Machine) -> Result<Compiled, Unsupported> {
    compile_loops(lower(plan, machine), machine)
}

/// Makes loops callable on this processor.
pub fn compile_loops(loops: Loops, machine: &Machine) -> Result<Compiled, Unsupported> {
    #[cfg(debug_assertions)]
    if let Err(broken) = crate::loops::verify(&loops) {
        panic!("bug in `lower`: {broken}\n{loops}");
    }
    let nowhere = |what: String| Unsupported { place: Span::default(), what };
    let isa = target(machine).map_err(nowhere)?;
    let unit = unit::translate(&loops, isa.frontend_config(), machine.fma);
    let mut builder = JITBuilder::with_isa(isa, cranelift_module::default_libcall_names());
    for symbol in unit.symbols.iter().filter(|symbol| symbol.code.is_none()) {
        let address = host::address(&symbol.name)
            .ok_or_else(|| nowhere(format!("the function `{}` in native code", symbol.name)))?;
        builder.symbol(&symbol.name, address);
    }
    let mut module = JITModule::new(builder);
    let mut failed = |error: cranelift_module::ModuleError| {
        let what = match error {
            cranelift_module::ModuleError::Compilation(CodegenError::Verifier(errors)) => errors.to_string(),
            other => other.to_string(),
        };
        nowhere(format!("native code: {what}"))
    };
    let mut ids = Vec::new();
    for symbol in &unit.symbols {
        let linkage = if symbol.code.is_some() { Linkage::Local } else { Linkage::Import };
        ids.push(module.declare_function(&symbol.name, linkage, &symbol.signature).map_err(&mut failed)?);
    }
    let main = ids[unit.main];
    let mut context = Context::new();
    for (symbol, id) in unit.symbols.into_iter().zip(ids) {
        if let Some(code) = symbol.code {
            context.func = code;
            module.define_function(id, &mut context).map_err(&mut failed)?;
            context.clear();
        }
    }
    module.finalize_definitions().map_err(&mut failed)?;
    let entry = module.get_finalized_function(main);
    let gemms = loops.gemms.iter().map(|(_, gemm)| GemmPlan::new(gemm)).collect::<Option<Vec<_>>>();
    let gemms = gemms.ok_or_else(|| nowhere("a contraction larger than memory".into()))?;
    let permutes = loops
        .permutes
        .iter()
        .map(|(_, permute)| PermutePlan::new(permute.dtype.bytes(), &permute.axes))
        .collect::<Option<Vec<_>>>();
    let permutes = permutes.ok_or_else(|| nowhere("a copy larger than memory".into()))?;
    let fouriers =
        loops.fouriers.iter().map(|(_, one)| call::FourierPlan::new(one)).collect::<Option<Vec<_>>>();
    let fouriers = fouriers.ok_or_else(|| nowhere("a transform larger than memory".into()))?;
    Ok(Compiled::new(loops, module, entry, (gemms, permutes, fouriers)))
}

/// The code of a plan before Cranelift optimises it: what `--dump clif` prints.
pub fn clif(plan: &Plan, machine: &Machine) -> Result<String, Unsupported> {
    let isa = target(machine).map_err(|what| Unsupported { place: Span::default(), what })?;
    let unit = unit::translate(&lower(plan, machine), isa.frontend_config(), machine.fma);
    let mut text = String::new();
    for (number, symbol) in unit.symbols.iter().enumerate() {
        text.push_str(&format!("; u0:{number} is {}\n", symbol.name));
    }
    for symbol in unit.symbols {
        if let Some(mut code) = symbol.code {
            code.name = UserFuncName::testcase(&symbol.name);
            text.push_str(&format!("\n{code}"));
        }
    }
    Ok(text)
}

fn target(machine: &Machine) -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [
        ("opt_level", "speed"),
        ("enable_verifier", verifier),
        ("use_colocated_libcalls", "false"),
        ("is_pic", "false"),
    ] {
        flags.set(name, value).map_err(|error| error.to_string())?;
    }
    let builder = if machine.host {
        cranelift_native::builder().map_err(|error| error.to_owned())?
    } else {
        let mut builder = isa::lookup_by_name(&format!("{}-unknown-linux-gnu", machine.family))
            .map_err(|error| error.to_string())?;
        if machine.fma && machine.family == "x86_64" {
            for flag in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_avx", "has_avx2", "has_fma"]
            {
                builder.enable(flag).map_err(|error| error.to_string())?;
            }
        }
        builder
    };
    builder.finish(settings::Flags::new(flags)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
