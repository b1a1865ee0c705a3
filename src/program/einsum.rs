//! Einsum strings: the notation of NumPy, opt_einsum, PyTorch and einops, turned into a checked program.
//!
//! ```
//! use einc::program::einsum;
//! use einc_runtime::DType;
//!
//! let spec = einsum::parse("ij,jk", &[2, 2]).unwrap();
//! let made = einsum::program(&spec, DType::F64, &[vec![2, 3], vec![3, 4]]).unwrap();
//! assert!(made.program.to_string().contains("t2[i,k] = sum[j](t0[i,j] * t1[j,k])"));
//! ```
//!
//! The rules: one term for each operand, separated by commas; a letter for each dim; after `->` the dims of the result,
//! each once. Without `->` the result has the letters that occur once, in the order of their code points. A letter
//! that the result lacks is summed; one that an operand has twice is its diagonal. `...` stands for the dims that the
//! letters leave over, aligned at the last one; where the result has no `...` they are summed. Spaces mean nothing. Any
//! letter of any script is a label, as are other signs beyond ASCII. A dim of extent 1 stretches to the extent that its
//! label has elsewhere; for a named label, where NumPy is silent, that gives a warning.

use super::{Define, Program, Role, Statement, Tensor, TensorId};
use crate::expr::{Axis, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp};
use crate::id::IdVec;
use crate::source::Span;
use einc_runtime::DType;
use std::collections::BTreeMap;
use std::fmt;

/// What an einsum string or its lists of labels say, for operands with known numbers of dims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EinsumSpec {
    /// The name of each label.
    pub names: Vec<String>,
    /// How many labels, the first ones, stand for dims of an ellipsis.
    pub unnamed: usize,
    /// For each operand the label of each dim, a number into `names`.
    pub operands: Vec<Vec<usize>>,
    /// The labels of the result, each once.
    pub output: Vec<usize>,
}

/// A program made from an einsum string.
#[derive(Clone, Debug)]
pub struct EinsumProgram {
    /// The program; its inputs are the operands, its output is called `out`.
    pub program: Program,
    /// What the writer may not have meant, one sentence each.
    pub warnings: Vec<String>,
}

/// Why an einsum string is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EinsumError {
    /// One sentence without a full stop.
    pub message: String,
    /// The byte of the string where it shows, if it shows at one place.
    pub position: Option<usize>,
}

impl fmt::Display for EinsumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EinsumError {}

fn refuse<T>(position: Option<usize>, message: impl Into<String>) -> Result<T, EinsumError> {
    Err(EinsumError { message: message.into(), position })
}

/// A label in the form with lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// The dims that the other labels leave over.
    Ellipsis,
    /// A number, not negative.
    Number(i64),
    /// A name.
    Name(String),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Ellipsis => f.write_str("..."),
            Label::Number(number) => write!(f, "{number}"),
            Label::Name(name) => f.write_str(name),
        }
    }
}

/// One label of a term and where it stands.
type Placed = (Label, Option<usize>);

/// The terms before and after the arrow.
struct Terms {
    operands: Vec<Vec<Placed>>,
    output: Option<Vec<Placed>>,
}

/// Reads a string with one letter for each dim, such as `"ij,jk->ik"`.
///
/// # Errors
/// Where the string breaks a rule of the notation or does not fit operands of these numbers of dims.
pub fn parse(spec: &str, ranks: &[usize]) -> Result<EinsumSpec, EinsumError> {
    resolve(split(spec, letters)?, ranks)
}

/// Reads a string with one word for each dim, as einops writes it: `"batch i, batch j -> batch i j"`.
///
/// # Errors
/// Where the string breaks a rule of the notation or does not fit operands of these numbers of dims. The arrow must be
/// there.
pub fn parse_named(spec: &str, ranks: &[usize]) -> Result<EinsumSpec, EinsumError> {
    let terms = split(spec, words)?;
    if terms.output.is_none() {
        return refuse(None, "an einsum with names needs `->` and the names of the result");
    }
    resolve(terms, ranks)
}

/// Takes lists of labels, as in `einsum(a, [0, 1], b, [1, 2], [0, 2])`.
///
/// Without an output the result has the labels that occur once, numbers before names, ascending.
///
/// # Errors
/// Where the lists break a rule of the notation or do not fit operands of these numbers of dims.
pub fn from_labels(
    operands: &[Vec<Label>],
    output: Option<&[Label]>,
    ranks: &[usize],
) -> Result<EinsumSpec, EinsumError> {
    let negative = |label: &&Label| matches!(label, Label::Number(number) if *number < 0);
    let mut all = operands.iter().flatten().chain(output.into_iter().flatten());
    if let Some(label) = all.find(negative) {
        return refuse(None, format!("the label {label} is negative"));
    }
    let place = |labels: &[Label]| labels.iter().map(|label| (label.clone(), None)).collect();
    let operands = operands.iter().map(|labels| place(labels)).collect();
    resolve(Terms { operands, output: output.map(place) }, ranks)
}

/// Splits at the arrow and the commas; `read` reads one term, given its first byte.
fn split(
    spec: &str,
    read: fn(&str, usize) -> Result<Vec<Placed>, EinsumError>,
) -> Result<Terms, EinsumError> {
    let (inputs, output) = match spec.find("->") {
        Some(at) => (&spec[..at], Some((&spec[at + 2..], at + 2))),
        None => (spec, None),
    };
    let mut operands = Vec::new();
    let mut start = 0;
    for term in inputs.split(',') {
        operands.push(read(term, start)?);
        start += term.len() + 1;
    }
    let output = output.map(|(term, start)| read(term, start)).transpose()?;
    Ok(Terms { operands, output })
}

/// The labels of a term of letters.
fn letters(term: &str, start: usize) -> Result<Vec<Placed>, EinsumError> {
    let mut labels = Vec::new();
    let mut rest = term.char_indices().filter(|(_, c)| !c.is_whitespace());
    while let Some((at, c)) = rest.next() {
        let position = Some(start + at);
        let label = match c {
            '.' => {
                let all = rest.next().is_some_and(|next| next.1 == '.')
                    && rest.next().is_some_and(|next| next.1 == '.');
                if !all {
                    return refuse(position, "a dot is not part of an ellipsis `...`");
                }
                Label::Ellipsis
            }
            c if c.is_ascii_alphabetic() || !(c.is_ascii() || c.is_control()) => Label::Name(c.to_string()),
            '-' | '>' => return refuse(position, format!("`{c}` is not part of the one arrow `->`")),
            ',' => return refuse(position, "the result is one term, without commas"),
            c => return refuse(position, format!("`{c}` is not a letter")),
        };
        labels.push((label, position));
    }
    Ok(labels)
}

/// The labels of a term of words.
fn words(term: &str, start: usize) -> Result<Vec<Placed>, EinsumError> {
    let mut labels = Vec::new();
    for word in term.split_whitespace() {
        let position = Some(start + (word.as_ptr() as usize - term.as_ptr() as usize));
        let is_first = |c: char| c.is_alphabetic() || c == '_';
        let is_name = word.starts_with(is_first) && word.chars().all(|c| c.is_alphanumeric() || c == '_');
        if word == "..." {
            labels.push((Label::Ellipsis, position));
        } else if is_name {
            labels.push((Label::Name(word.to_string()), position));
        } else {
            return refuse(position, format!("`{word}` is not the name of an index"));
        }
    }
    Ok(labels)
}

/// Gives each label its number, spells the ellipses out and fills in the result.
fn resolve(terms: Terms, ranks: &[usize]) -> Result<EinsumSpec, EinsumError> {
    if terms.operands.len() != ranks.len() {
        let (terms, operands) = (terms.operands.len(), ranks.len());
        let count = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let (terms, operands) = (count(terms, "term"), count(operands, "operand"));
        return refuse(None, format!("the string has {terms} for {operands}"));
    }
    let mut unnamed = 0;
    let mut left_over = Vec::new();
    for (number, (term, &rank)) in terms.operands.iter().zip(ranks).enumerate() {
        let ellipses: Vec<&Placed> = term.iter().filter(|label| label.0 == Label::Ellipsis).collect();
        let named = term.len() - ellipses.len();
        let position = term.first().and_then(|label| label.1);
        if ellipses.len() > 1 {
            return refuse(ellipses[1].1, format!("operand {number} has more than one ellipsis"));
        }
        if named > rank || (ellipses.is_empty() && named < rank) {
            let labels = format!("{named} label{}", if named == 1 { "" } else { "s" });
            return refuse(position, format!("operand {number} has {rank} dims, but its term has {labels}"));
        }
        unnamed = unnamed.max(rank - named);
        left_over.push(rank - named);
    }
    let mut names: Vec<String> = (0..unnamed).map(|number| format!("batch{number}")).collect();
    let mut numbers: BTreeMap<Label, usize> = BTreeMap::new();
    let mut uses: Vec<usize> = vec![0; unnamed];
    let mut operands = Vec::new();
    for (term, count) in terms.operands.iter().zip(left_over) {
        let mut labels = Vec::new();
        for (label, _) in term {
            if *label == Label::Ellipsis {
                labels.extend(unnamed - count..unnamed);
                continue;
            }
            let number = *numbers.entry(label.clone()).or_insert_with(|| {
                names.push(match label {
                    Label::Number(number) => format!("i{number}"),
                    other => other.to_string(),
                });
                uses.push(0);
                names.len() - 1
            });
            uses[number] += 1;
            labels.push(number);
        }
        operands.push(labels);
    }
    let mut output = Vec::new();
    match terms.output {
        None => {
            output.extend(0..unnamed);
            output.extend(numbers.values().filter(|&&number| uses[number] == 1));
        }
        Some(term) => {
            let mut seen_ellipsis = false;
            for (label, position) in term {
                if label == Label::Ellipsis {
                    if seen_ellipsis {
                        return refuse(position, "the result has more than one ellipsis");
                    }
                    seen_ellipsis = true;
                    output.extend(0..unnamed);
                    continue;
                }
                let Some(&number) = numbers.get(&label) else {
                    return refuse(position, format!("`{label}` is in the result but in no operand"));
                };
                if output.contains(&number) {
                    return refuse(position, format!("`{label}` is twice in the result"));
                }
                output.push(number);
            }
        }
    }
    Ok(EinsumSpec { names, unnamed, operands, output })
}

/// The program of an einsum for operands of one dtype and these shapes.
///
/// The result has the operands' dtype, except that integers narrower than 32 bits give `i64`, so that no sum of
/// products wraps unseen. `f16` and `bf16` are multiplied and added in `f32`; of `bool`s, products are `and` and sums
/// `or`.
///
/// # Errors
/// Where a label has two extents, or a shape does not have the number of dims that the spec was read for.
pub fn program(spec: &EinsumSpec, dtype: DType, shapes: &[Vec<u64>]) -> Result<EinsumProgram, EinsumError> {
    let (extents, warnings) = label_extents(spec, shapes)?;
    let mut axes: IdVec<AxisId, Axis> = IdVec::new();
    let ids: Vec<AxisId> = spec
        .names
        .iter()
        .zip(&extents)
        .map(|(name, &extent)| axes.push(Axis { name: name.clone(), extent }))
        .collect();
    let mut tensors = IdVec::new();
    let mut inputs = Vec::new();
    let mut factors = Vec::new();
    let wide = match dtype {
        DType::F16 | DType::Bf16 => DType::F32,
        dtype if dtype.is_integer() && dtype.bytes() < 4 => DType::I64,
        dtype => dtype,
    };
    let place = Span::default();
    for (number, (labels, shape)) in spec.operands.iter().zip(shapes).enumerate() {
        let (name, shape) = (format!("op{number}"), shape.clone());
        let source = tensors.push(Tensor { name, dtype, shape: shape.clone(), role: Role::Input, place });
        inputs.push(source);
        let index = |(&label, &extent): (&usize, &u64)| match extents[label] {
            stretched if stretched != extent => Expr::int(0),
            _ => Expr::Index(ids[label]),
        };
        let indices = labels.iter().zip(&shape).map(index).collect();
        let read = Expr::Read(Read { source, dtype, indices, outside: Outside::Never, place });
        factors.push(if wide == dtype { read } else { Expr::Cast(wide, Box::new(read)) });
    }
    let summed =
        (0..ids.len()).filter(|label| !spec.output.contains(label)).map(|label| ids[label]).collect();
    let result = if dtype.is_float() { dtype } else { wide };
    let value = sum_of_product(summed, factors, result)?;
    let shape: Vec<u64> = spec.output.iter().map(|&label| extents[label]).collect();
    let bytes = shape.iter().try_fold(result.bytes() as u64, |bytes, &extent| bytes.checked_mul(extent));
    if bytes.is_none() {
        return refuse(None, format!("the result has more than 2^64 bytes: {shape:?}"));
    }
    let target: TensorId =
        tensors.push(Tensor { name: "out".to_string(), dtype: result, shape, role: Role::Computed, place });
    let dims = spec.output.iter().map(|&label| vec![ids[label]]).collect();
    let define = Define { target, dims, value, keep_order: false, place };
    let program = Program {
        axes,
        tensors,
        inputs,
        outputs: vec![("out".to_string(), target)],
        statements: vec![Statement::Define(define)],
        ..Program::new("einsum")
    };
    Ok(EinsumProgram { program, warnings })
}

fn sum_of_product(
    summed: Vec<AxisId>,
    mut factors: Vec<Expr<TensorId>>,
    result: DType,
) -> Result<Expr<TensorId>, EinsumError> {
    let Some(first) = factors.first() else {
        return refuse(None, "an einsum has at least one operand");
    };
    let is_bool = first.dtype() == DType::Bool;
    let product = if is_bool {
        let and = |all, one| Expr::Binary(Binary::And, Box::new(all), Box::new(one));
        factors.into_iter().reduce(and).expect("there is a first factor")
    } else if factors.len() == 1 {
        factors.remove(0)
    } else {
        Expr::Product(factors)
    };
    let op = if is_bool { ReduceOp::Any } else { ReduceOp::Sum };
    let value = match summed.is_empty() {
        true => product,
        false => Expr::Reduce(Box::new(Reduce { op, axes: summed, body: product })),
    };
    Ok(if value.dtype() == result { value } else { Expr::Cast(result, Box::new(value)) })
}

/// The extent of each label, and what to warn of.
fn label_extents(spec: &EinsumSpec, shapes: &[Vec<u64>]) -> Result<(Vec<u64>, Vec<String>), EinsumError> {
    if shapes.len() != spec.operands.len() {
        let (found, wanted) = (shapes.len(), spec.operands.len());
        return refuse(None, format!("there are {found} shapes for {wanted} operands"));
    }
    // The extent that is not 1, if one was seen, and the operand that has it.
    let mut found: Vec<Option<(u64, usize)>> = vec![None; spec.names.len()];
    for (number, (labels, shape)) in spec.operands.iter().zip(shapes).enumerate() {
        if labels.len() != shape.len() {
            let (dims, wanted) = (shape.len(), labels.len());
            return refuse(
                None,
                format!("operand {number} has {dims} dims, but its term was read for {wanted}"),
            );
        }
        for (dim, (&label, &extent)) in labels.iter().zip(shape).enumerate() {
            let name = &spec.names[label];
            let first = labels.iter().position(|&other| other == label).unwrap_or(dim);
            if shape[first] != extent {
                let other = shape[first];
                return refuse(
                    None,
                    format!(
                        "index `{name}` runs over {other} in dim {first} of operand {number}, and over {extent} in dim {dim}"
                    ),
                );
            }
            match found[label] {
                Some((other, before)) if extent != 1 && other != extent => {
                    return refuse(
                        None,
                        format!(
                            "index `{name}` runs over {other} in operand {before}, and over {extent} in operand {number}"
                        ),
                    );
                }
                None if extent != 1 => found[label] = Some((extent, number)),
                _ => {}
            }
        }
    }
    let mut warnings = Vec::new();
    for (number, (labels, shape)) in spec.operands.iter().zip(shapes).enumerate() {
        for (dim, (&label, &extent)) in labels.iter().zip(shape).enumerate() {
            let first = labels.iter().position(|&other| other == label) == Some(dim);
            if let Some((stretched, by)) = found[label]
                && extent == 1
                && label >= spec.unnamed
                && first
            {
                let name = &spec.names[label];
                warnings.push(format!(
                    "index `{name}` is stretched from 1 in operand {number} to {stretched} as in operand {by}"
                ));
            }
        }
    }
    let extents = found.into_iter().map(|found| found.map_or(1, |found| found.0)).collect();
    Ok((extents, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(spec: &str, ranks: &[usize]) -> (String, Option<usize>) {
        let error = parse(spec, ranks).unwrap_err();
        (error.message, error.position)
    }

    #[test]
    fn the_result_defaults_to_single_labels_in_order() {
        let spec = parse("ba,bc", &[2, 2]).unwrap();
        let names: Vec<&str> = spec.output.iter().map(|&label| spec.names[label].as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let spec = parse("b...a", &[4]).unwrap();
        let names: Vec<&str> = spec.output.iter().map(|&label| spec.names[label].as_str()).collect();
        assert_eq!(names, ["batch0", "batch1", "a", "b"]);
    }

    #[test]
    fn ellipses_align_at_the_last_dim() {
        let spec = parse("...i,...->i...", &[3, 1]).unwrap();
        assert_eq!(spec.operands, [vec![0, 1, 2], vec![1]]);
        assert_eq!(spec.output, [2, 0, 1]);
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(error("i%->i", &[2]), ("`%` is not a letter".to_string(), Some(1)));
        assert_eq!(error("ij, .j", &[2, 1]), ("a dot is not part of an ellipsis `...`".to_string(), Some(4)));
        assert_eq!(error("ij->iji", &[2]), ("`i` is twice in the result".to_string(), Some(6)));
        assert_eq!(error("ij->ik", &[2]), ("`k` is in the result but in no operand".to_string(), Some(5)));
        assert_eq!(error("i->j->k", &[1]).1, Some(4));
        assert_eq!(error("i>i", &[1]).1, Some(1));
        assert_eq!(error("i-i", &[1]).1, Some(1));
        assert_eq!(error("i->i,i", &[1]).1, Some(4));
        assert_eq!(error("i,", &[1]).0, "the string has 2 terms for 1 operand");
        assert_eq!(error("ij", &[1]).0, "operand 0 has 1 dims, but its term has 2 labels");
        assert_eq!(error("......", &[2]), ("operand 0 has more than one ellipsis".to_string(), Some(3)));
        assert_eq!(error("α->β", &[1]), ("`β` is in the result but in no operand".to_string(), Some(4)));
    }

    #[test]
    fn named_labels_need_an_arrow_and_names() {
        assert!(parse_named("row column -> column", &[2]).is_ok());
        assert!(parse_named("row column", &[2]).is_err());
        let error = parse_named("row 2 -> row", &[2]).unwrap_err();
        assert_eq!((error.message.as_str(), error.position), ("`2` is not the name of an index", Some(4)));
    }

    #[test]
    fn lists_of_labels_sort_numbers_before_names() {
        let operand = [Label::Name("z".to_string()), Label::Number(10), Label::Number(9)];
        let spec = from_labels(&[operand.to_vec()], None, &[3]).unwrap();
        let names: Vec<&str> = spec.output.iter().map(|&label| spec.names[label].as_str()).collect();
        assert_eq!(names, ["i9", "i10", "z"]);
        assert!(from_labels(&[vec![Label::Number(-1)]], None, &[1]).is_err());
    }

    #[test]
    fn extents_must_agree_or_be_one() {
        let spec = parse("ij,jk", &[2, 2]).unwrap();
        let made = program(&spec, DType::F64, &[vec![3, 4], vec![1, 6]]).unwrap();
        let expected = "index `j` is stretched from 1 in operand 1 to 4 as in operand 0";
        assert_eq!(made.warnings, [expected]);
        let error = program(&spec, DType::F64, &[vec![3, 4], vec![5, 6]]).unwrap_err();
        assert_eq!(error.message, "index `j` runs over 4 in operand 0, and over 5 in operand 1");
        let spec = parse("ii", &[2]).unwrap();
        let error = program(&spec, DType::F64, &[vec![1, 3]]).unwrap_err();
        assert_eq!(error.message, "index `i` runs over 1 in dim 0 of operand 0, and over 3 in dim 1");
    }

    #[test]
    fn an_ellipsis_stretches_without_a_warning() {
        let spec = parse("...,...", &[2, 2]).unwrap();
        let made = program(&spec, DType::F64, &[vec![3, 1], vec![1, 0]]).unwrap();
        assert!(made.warnings.is_empty());
        assert_eq!(made.program.tensors[made.program.outputs[0].1].shape, [3, 0]);
    }

    #[test]
    fn narrow_types_accumulate_in_wide_ones() {
        let text = |dtype| {
            let spec = parse("i,i->", &[1, 1]).unwrap();
            program(&spec, dtype, &[vec![100], vec![100]]).unwrap().program.to_string()
        };
        assert!(text(DType::I8).contains("t2 out: i64\nt2 = sum[i](i64(t0[i]) * i64(t1[i]))"));
        assert!(text(DType::F16).contains("t2 = f16(sum[i](f32(t0[i]) * f32(t1[i])))"));
        assert!(text(DType::Bool).contains("t2 = any[i]((t0[i] and t1[i]))"));
        assert!(text(DType::I32).contains("t2 = sum[i](t0[i] * t1[i])"));
    }

    #[test]
    fn results_too_large_to_address_are_refused() {
        let spec = parse("i,j->ij", &[1, 1]).unwrap();
        assert!(program(&spec, DType::F64, &[vec![1 << 40], vec![1 << 40]]).is_err());
    }
}
