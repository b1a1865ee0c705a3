//! What a target can do, as numbers: what lowering decides by.

/// The numbers of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name in snapshots and messages.
    pub name: String,
    /// The processor family: `x86_64` or `aarch64`.
    pub family: &'static str,
    /// Bytes of a vector register that generated code may use.
    pub vector_bytes: u32,
    /// How many vector registers there are.
    pub vector_registers: u32,
    /// Whether a fused multiply-add is one instruction.
    pub fma: bool,
    /// Bytes of the first-level data cache.
    pub first_cache: u64,
    /// Whether the generated code is for the processor it is made on, with all that this one can do.
    pub host: bool,
}

impl Machine {
    /// The processor this runs on.
    pub fn host() -> Machine {
        #[cfg(target_arch = "x86_64")]
        let fma = std::arch::is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        let fma = cfg!(target_arch = "aarch64");
        let family = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
        let named = Machine::named(family).expect("the family is one of the named machines");
        Machine { name: "host".into(), fma, host: true, ..named }
    }

    /// The machine of that name, the same everywhere: `x86_64` (no FMA), `x86_64-v3` (FMA) or `aarch64`.
    pub fn named(name: &str) -> Option<Machine> {
        let (family, fma, registers) = match name {
            "x86_64" => ("x86_64", false, 16),
            "x86_64-v3" => ("x86_64", true, 16),
            "aarch64" => ("aarch64", true, 32),
            _ => return None,
        };
        Some(Machine {
            name: name.into(),
            family,
            vector_bytes: 16,
            vector_registers: registers,
            fma,
            first_cache: 32 << 10,
            host: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_machines_do_not_depend_on_the_host() {
        assert!(Machine::named("x86_64-v3").unwrap().fma);
        assert!(!Machine::named("x86_64").unwrap().fma);
        assert_eq!(Machine::named("aarch64").unwrap().vector_registers, 32);
        assert_eq!(Machine::named("z80"), None);
        assert_eq!(Machine::host().name, "host");
    }
}
