//! Writes trees as nested lists, every bracket of the tree told, so that tests can say what they expect.

use crate::tree::*;

fn join<T>(parts: &[T], show: impl Fn(&T) -> String) -> String {
    parts.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn list(head: &str, parts: &[Expr]) -> String {
    format!("({head} {})", join(parts, expr))
}

fn clause(word: &str, parts: &[Expr]) -> String {
    if parts.is_empty() { String::new() } else { format!(" ({word} {})", join(parts, expr)) }
}

fn args(parts: &[Argument]) -> String {
    join(parts, |part| match &part.name {
        Some(name) => format!("{name}={}", expr(&part.value)),
        None => expr(&part.value),
    })
}

fn index(index: &Index) -> String {
    match index {
        Index::Expr(e) => expr(e),
        Index::Ellipsis(name, _) => format!("...{}", name.as_ref().map_or("", |name| &name.text)),
        Index::Unit(_) => "_".into(),
        Index::Group(names, _) => format!("{{{}}}", join(names, Name::to_string)),
    }
}

pub fn expr(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Number(Number::Int(value)) => value.to_string(),
        ExprKind::Number(Number::Real(value)) => format!("{value:?}"),
        ExprKind::Number(Number::Imaginary(value)) => format!("{value:?}j"),
        ExprKind::String(text) => format!("{text:?}"),
        ExprKind::Name(text) => text.clone(),
        ExprKind::Access { base, indices, otherwise } => {
            let tail = otherwise.as_ref().map_or(String::new(), |value| format!(" (else {})", expr(value)));
            format!("(at {} [{}]{tail})", expr(base), join(indices, index))
        }
        ExprKind::Field(base, name) => format!("(field {} {name})", expr(base)),
        ExprKind::Call { function, args: list } => format!("(call {} [{}])", expr(function), args(list)),
        ExprKind::Over { function, binders, conditions, body } => {
            let binders = join(binders, |binder| {
                let dots = if binder.ellipsis { "..." } else { "" };
                let rename = binder.rename.as_ref().map_or(String::new(), |name| format!("->{name}"));
                format!("{dots}{}{rename}", binder.name)
            });
            format!("(over {function} [{binders}]{} {})", clause("where", conditions), expr(body))
        }
        ExprKind::Negate(a) => format!("(neg {})", expr(a)),
        ExprKind::Not(a) => format!("(not {})", expr(a)),
        ExprKind::Sum(terms) => {
            format!(
                "(sum {})",
                join(terms, |(minus, e)| format!("{}{}", if *minus { "-" } else { "+" }, expr(e)))
            )
        }
        ExprKind::Product(factors) => {
            let op = |op| match op {
                ProductOp::Mul => "*",
                ProductOp::Div => "/",
                ProductOp::Rem => "%",
                ProductOp::FloorDiv => "//",
            };
            format!("(product {})", join(factors, |(o, e)| format!("{}{}", op(*o), expr(e))))
        }
        ExprKind::Power(a, b) => format!("(power {} {})", expr(a), expr(b)),
        ExprKind::Cast(a, dtype) => format!("(cast {} {dtype})", expr(a)),
        ExprKind::Compare(op, a, b) => format!("({op:?} {} {})", expr(a), expr(b)),
        ExprKind::In(a, b) => format!("(in {} {})", expr(a), expr(b)),
        ExprKind::Range { start, end, inclusive } => {
            format!("(range{} {} {})", if *inclusive { "=" } else { "" }, expr(start), expr(end))
        }
        ExprKind::And(parts) => list("and", parts),
        ExprKind::Or(parts) => list("or", parts),
        ExprKind::If(c, a, b) => format!("(if {} {} {})", expr(c), expr(a), expr(b)),
        ExprKind::Tuple(parts) => list("tuple", parts),
    }
}

fn ty(ty: &Type) -> String {
    let format =
        ty.format.as_ref().map_or(String::new(), |(name, list)| format!(" in {name}({})", args(list)));
    format!("{}[{}]{format}", ty.dtype, join(&ty.dims, index))
}

fn target(target: &Target) -> String {
    match &target.indices {
        Some(indices) => format!("{}[{}]", target.name, join(indices, index)),
        None => target.name.to_string(),
    }
}

pub fn items(list: &[Item]) -> String {
    list.iter().map(item).collect::<Vec<_>>().join("; ")
}

pub fn item(item: &Item) -> String {
    let mut text = String::new();
    if let Some(doc) = &item.doc {
        text += &format!("doc {doc:?} ");
    }
    for attribute in &item.attributes {
        text += &format!("@{}({}) ", attribute.name, args(&attribute.args));
    }
    text += &match &item.kind {
        ItemKind::Import { path, alias, names } => {
            format!(
                "import {path} as {:?} [{}]",
                alias.as_ref().map(|name| &name.text),
                join(names, Name::to_string)
            )
        }
        ItemKind::Dim { specs, conditions } => {
            let specs = join(specs, |spec| match &spec.kind {
                DimKind::Free => spec.name.to_string(),
                DimKind::Within(range) => format!("{} in {}", spec.name, expr(range)),
                DimKind::Computed(value) => format!("{}={}", spec.name, expr(value)),
            });
            format!("dim {specs}{}", clause("where", conditions))
        }
        ItemKind::TypeVariable { name, choices } => {
            format!("type {name} [{}]", join(choices, Name::to_string))
        }
        ItemKind::Declare { qualifiers, names, ty: kind, init } => {
            let qualifiers = join(qualifiers, |(qualifier, _)| format!("{qualifier:?}"));
            let init = init.as_ref().map_or(String::new(), |value| format!(" = {}", expr(value)));
            format!("declare {qualifiers} [{}] {}{init}", join(names, Name::to_string), ty(kind))
        }
        ItemKind::Const { name, ty: kind, value } => {
            format!("const {name} {} = {}", kind.as_ref().map_or("?".into(), ty), expr(value))
        }
        ItemKind::Function(function) => {
            let params = join(&function.params, |(name, kind)| format!("{name}:{}", ty(kind)));
            let results = join(&function.results, |(name, kind)| {
                format!("{}:{}", name.as_ref().map_or("?", |name| &name.text), ty(kind))
            });
            format!(
                "fn {} ({params}) -> ({results}){} {{{}}}",
                function.name,
                clause("where", &function.conditions),
                items(&function.body)
            )
        }
        ItemKind::Target { name, settings } => {
            format!("target {name} {{{}}}", join(settings, |(name, value)| format!("{name}={}", expr(value))))
        }
        ItemKind::Define { targets, value, conditions } => {
            format!("{} = {}{}", join(targets, target), expr(value), clause("where", conditions))
        }
        ItemKind::Accumulate { target: to, value, conditions } => {
            format!("{} += {}{}", target(to), expr(value), clause("where", conditions))
        }
        ItemKind::Scan(scan) => format!(
            "scan {}{}{} {{{}}} from [{}]{}",
            scan.axis,
            if scan.reversed { " reversed" } else { "" },
            if scan.block { " block" } else { "" },
            items(&scan.body),
            args(&scan.init),
            clause("where", &scan.conditions)
        ),
        ItemKind::Decompose { target: of, spec, conditions, method, options } => {
            let method =
                method.as_ref().map_or(String::new(), |(name, list)| format!(" by {name}({})", args(list)));
            format!(
                "decompose {} ~ {}{}{method} with [{}]",
                target(of),
                expr(spec),
                clause("where", conditions),
                args(options)
            )
        }
        ItemKind::Solve { left, right, unknown, conditions, options } => format!(
            "solve {} = {} for {}{} with [{}]",
            expr(left),
            expr(right),
            target(unknown),
            clause("where", conditions),
            args(options)
        ),
        ItemKind::Grad { value, cotangent, pairs } => format!(
            "grad {value} with {:?} wrt {}",
            cotangent.as_ref().map(|name| &name.text),
            join(pairs, |(of, name)| format!("{of}->{name}"))
        ),
        ItemKind::Check(e) => format!("check {}", expr(e)),
        ItemKind::Return(parts) => list("return", parts),
    };
    text
}
