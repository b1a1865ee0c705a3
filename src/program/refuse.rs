//! What the language has and no target computes yet: names are checked, then it is refused.

use super::check::{Checker, Reported, Step};
use super::scope::Scope;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use einc_grammar::tree::{Expr, ExprKind, Item, ItemKind, Name, Number, Type};

/// Storage formats of types.
const FORMATS: [&str; 8] = ["csr", "csc", "coo", "csf", "packed", "bitpacked", "colmajor", "mask"];

/// Targets and their settings.
const TARGETS: [(&str, &[&str]); 3] = [
    ("cpu", &["threads", "deterministic", "memory"]),
    ("cuda", &["arch", "memory", "deterministic", "streams"]),
    ("ckks", &["slots", "ring", "depth", "scale", "security", "layout", "keys"]),
];

/// Methods of decompositions.
const METHODS: [&str; 11] =
    ["svd", "eigh", "qr", "hosvd", "hooi", "tt_svd", "kpsvd", "cur", "nystrom", "als", "rsvd"];

impl Checker<'_> {
    /// Refuses a decomposition, a solve or a gradient, after a look at its names.
    pub(super) fn refuse(&mut self, scope: &Scope, item: &Item) -> Step<()> {
        match &item.kind {
            ItemKind::Decompose { target, spec, method, .. } => {
                self.known_tensor(scope, &target.name, target.indices.as_ref().map(Vec::len))?;
                if let Some((method, _)) = method
                    && !METHODS.contains(&method.text.as_str())
                {
                    let message = format!("no method of decomposition is called `{method}`");
                    return Err(self.report(
                        Diagnostic::error(Code::Decomposition, message)
                            .label(method.span, "unknown method")
                            .help(format!("the methods are {}", METHODS.join(", "))),
                    ));
                }
                let span = spec.span;
                Err(self.error(
                    Code::Decomposition,
                    "decompositions cannot be computed yet",
                    span,
                    "this factorisation",
                ))
            }
            ItemKind::Solve { left, right, .. } => {
                self.known_reads(scope, left, true)?;
                self.known_reads(scope, right, false)?;
                Err(self.error(Code::Solve, "linear systems cannot be solved yet", item.span, "this system"))
            }
            ItemKind::Grad { value, cotangent, pairs } => {
                self.known_tensor(scope, value, None)?;
                for name in pairs.iter().map(|pair| &pair.0).chain(cotangent) {
                    self.known_tensor(scope, name, None)?;
                }
                Err(self.error(
                    Code::Gradient,
                    "gradients cannot be computed yet",
                    item.span,
                    "this gradient",
                ))
            }
            _ => Err(Reported),
        }
    }

    fn known_tensor(&mut self, scope: &Scope, name: &Name, rank: Option<usize>) -> Step<()> {
        let Some(symbol) = scope.tensors.get(&name.text) else {
            if scope.broken.contains(&name.text) {
                return Err(Reported);
            }
            let message = format!("`{name}` stands for nothing here");
            return Err(self.error(Code::UnknownName, message, name.span, "unknown tensor"));
        };
        match rank {
            Some(rank) if rank != symbol.shape.len() => {
                let message = format!("`{name}` has {} dims, not {rank}", symbol.shape.len());
                Err(self.error(Code::RankMismatch, message, name.span, "wrong number of indices"))
            }
            _ => Ok(()),
        }
    }

    /// Checks the tensors that an expression reads; the unknown of a system is not known.
    fn known_reads(&mut self, scope: &Scope, expr: &Expr, unknown: bool) -> Step<()> {
        if let ExprKind::Access { base, indices, .. } = &expr.kind
            && let ExprKind::Name(text) = &base.kind
            && (!unknown || scope.tensors.contains_key(text))
        {
            let name = Name { text: text.clone(), span: base.span };
            self.known_tensor(scope, &name, Some(indices.len()))?;
        }
        for part in super::resolve::parts(expr) {
            self.known_reads(scope, part, unknown)?;
        }
        Ok(())
    }

    /// Refuses storage formats.
    pub(super) fn refuse_format(&mut self, ty: &Type) -> Step<()> {
        let Some((name, _)) = &ty.format else { return Ok(()) };
        if !FORMATS.contains(&name.text.as_str()) {
            return Err(self.report(
                Diagnostic::error(Code::Format, format!("no storage format is called `{name}`"))
                    .label(name.span, "unknown format")
                    .help(format!("the formats are {}", FORMATS.join(", "))),
            ));
        }
        // These say how a dense tensor lies in memory, not what it holds: it is stored unpacked and row by row.
        if matches!(name.text.as_str(), "packed" | "bitpacked" | "colmajor") {
            return Ok(());
        }
        Err(self.report(
            Diagnostic::error(Code::Format, format!("tensors cannot be stored as `{name}` yet"))
                .label(name.span, "this format")
                .help("leave it out to store the tensor densely"),
        ))
    }

    /// Checks a `target` block.
    pub(super) fn target(&mut self, name: &Name, settings: &[(Name, Expr)]) {
        let Some((_, known)) = TARGETS.iter().find(|target| target.0 == name.text) else {
            self.report(
                Diagnostic::error(Code::TargetSetting, format!("no target is called `{name}`"))
                    .label(name.span, "unknown target")
                    .help("the targets are cpu, cuda and ckks"),
            );
            return;
        };
        for (setting, _) in settings {
            if !known.contains(&setting.text.as_str()) {
                self.report(
                    Diagnostic::error(
                        Code::TargetSetting,
                        format!("target `{name}` has no setting `{setting}`"),
                    )
                    .label(setting.span, "unknown setting")
                    .help(format!("its settings are {}", known.join(", "))),
                );
            }
        }
        if name.text == "ckks" {
            for (setting, value) in settings {
                let place = Span { end: value.span.end, ..setting.span };
                self.program.encryption.push((setting.text.clone(), number_or_word(value), place));
            }
        } else if name.text == "cpu" {
            for (setting, value) in settings {
                self.cpu_setting(setting, value);
            }
        } else {
            self.report(
                Diagnostic::warning(
                    Code::TargetSetting,
                    format!("target `{name}` cannot be compiled for yet; its settings have no effect"),
                )
                .label(name.span, "checked only"),
            );
        }
    }
}

impl Checker<'_> {
    /// Takes one setting of `target cpu { .. }`.
    fn cpu_setting(&mut self, setting: &Name, value: &Expr) {
        let number = match &value.kind {
            ExprKind::Number(Number::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let expected = match (setting.text.as_str(), number) {
            ("threads", Some(threads @ 1..=1024)) => {
                self.program.cpu.threads = Some(threads as u16);
                return;
            }
            ("deterministic", Some(wanted @ 0..=1)) => {
                self.program.cpu.deterministic = wanted == 1;
                return;
            }
            ("memory", Some(bytes)) => {
                let known = self.program.memory_limit.unwrap_or(u64::MAX);
                self.program.memory_limit = Some(known.min(bytes));
                return;
            }
            ("threads", _) => "a number from 1 to 1024",
            ("deterministic", _) => "0 or 1",
            ("memory", _) => "a number of bytes such as 2GiB",
            // Told already: the setting is unknown.
            _ => return,
        };
        self.error(
            Code::TargetSetting,
            format!("`{setting}` is {expected}"),
            value.span,
            "another value stands here",
        );
    }
}

/// The text of a setting's value: a word, or a number that may be a power.
fn number_or_word(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Name(name) => name.clone(),
        _ => constant(value).map_or_else(String::new, |number| number.to_string()),
    }
}

/// The number that an expression of numbers is.
pub(super) fn constant(value: &Expr) -> Option<f64> {
    match &value.kind {
        ExprKind::Number(Number::Int(number)) => Some(*number as f64),
        ExprKind::Number(Number::Real(number)) => Some(*number),
        ExprKind::Negate(inner) => Some(-constant(inner)?),
        ExprKind::Power(base, exponent) => Some(constant(base)?.powf(constant(exponent)?)),
        _ => None,
    }
}
