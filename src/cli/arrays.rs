//! Reads arrays from files, makes random ones, and writes and compares results.

use super::failure::Failure;
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline::{self, free_memory};
use einc_runtime::{FileError, FileErrorKind, Scalar, Staged, Tensor, file, npy, npz, safetensors};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The arrays that a command line names.
#[derive(Debug, Default)]
pub struct Arrays {
    /// The arrays by name.
    pub tensors: pipeline::Arrays<'static>,
    /// The names that stood on the command line itself rather than in an archive.
    pub named: Vec<String>,
}

/// Held while results are written, so that an interruption waits for it.
pub static WRITING: Mutex<()> = Mutex::new(());

/// Reads `NAME=FILE` and `NAME=NUMBER` words, then whole archives.
pub fn read(words: &[String], archives: &[PathBuf]) -> Result<Arrays, Failure> {
    let mut arrays = Arrays::default();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("expected NAME=FILE.npy, found `{word}`")))?;
        let tensor = match number(value) {
            Some(tensor) => tensor,
            None => read_one(name, Path::new(value))?,
        };
        arrays.named.push(name.to_string());
        insert(&mut arrays, name.to_string(), tensor)?;
    }
    for path in archives {
        for (name, tensor) in read_archive(path)? {
            insert(&mut arrays, name, tensor)?;
        }
    }
    Ok(arrays)
}

fn insert(arrays: &mut Arrays, name: String, tensor: Tensor) -> Result<(), Failure> {
    match arrays.tensors.insert(name.clone(), Cow::Owned(tensor)) {
        None => Ok(()),
        Some(_) => Err(Failure::Usage(format!("array `{name}` is given twice"))),
    }
}

/// A number on the command line is an array of rank 0.
fn number(text: &str) -> Option<Tensor> {
    match text.parse::<i64>() {
        Ok(value) => Tensor::from_slice(&[], &[value]),
        Err(_) => text.parse::<f64>().ok().and_then(|value| Tensor::from_slice(&[], &[value])),
    }
}

/// The array in an `.npy` file, or the member of that name in an archive.
pub fn read_one(name: &str, path: &Path) -> Result<Tensor, Failure> {
    if extension(path) == "npy" {
        return npy::read(path).map_err(file_failure);
    }
    let members = read_archive(path)?;
    let names: Vec<String> = members.iter().map(|(member, _)| format!("`{member}`")).collect();
    let found = members.into_iter().find(|(member, _)| member == name).map(|(_, tensor)| tensor);
    found.ok_or_else(|| {
        let message = format!("`{}` has no array `{name}`", path.display());
        Failure::of(
            Diagnostic::error(Code::MissingInput, message).note(format!("it has {}", names.join(", "))),
        )
    })
}

/// Every array of an `.npz` or `.safetensors` file; one alone of an `.npy` file goes by the file's name.
pub fn read_archive(path: &Path) -> Result<Vec<(String, Tensor)>, Failure> {
    match extension(path).as_str() {
        "npz" => npz::read(path, free_memory()).map_err(file_failure),
        "safetensors" => safetensors::read(path).map_err(file_failure),
        "npy" => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(vec![(name, npy::read(path).map_err(file_failure)?)])
        }
        _ => Err(Failure::Usage(format!(
            "`{}` is no array file: its name ends in none of .npy, .npz, .safetensors",
            path.display()
        ))),
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// A file's failure as the user reads it.
pub fn file_failure(error: FileError) -> Failure {
    let verb = match error.kind {
        FileErrorKind::NotFound | FileErrorKind::Io => "cannot use",
        FileErrorKind::Format => "cannot read",
        FileErrorKind::TooLarge => "no room for",
        FileErrorKind::Unsupported => "cannot take",
    };
    Failure::of(Diagnostic::error(
        Code::File,
        format!("{verb} `{}`: {}", error.path.display(), error.message),
    ))
}

/// Where results go.
#[derive(Debug, PartialEq)]
pub enum Place {
    /// All of them into an archive.
    Archive(PathBuf),
    /// One of them into an `.npy` file; the only one if it has no name.
    One(Option<String>, PathBuf),
}

/// Reads `-o` words.
pub fn places(words: &[String]) -> Result<Vec<Place>, Failure> {
    let place = |word: &String| {
        let (name, path) = match word.split_once('=') {
            Some((name, path)) => (Some(name.to_string()), PathBuf::from(path)),
            None => (None, PathBuf::from(word)),
        };
        match (extension(&path).as_str(), name) {
            ("npy", name) => Ok(Place::One(name, path)),
            ("npz" | "safetensors", None) => Ok(Place::Archive(path)),
            _ => Err(Failure::Usage(format!(
                "cannot write `{word}`: expected FILE.npz, FILE.safetensors, FILE.npy or NAME=FILE.npy"
            ))),
        }
    };
    words.iter().map(place).collect()
}

/// Refuses places for results that the program does not have, before anything runs.
pub fn check_places(places: &[Place], results: &[String]) -> Result<(), Failure> {
    let list = || results.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    for place in places {
        let (Place::Archive(path) | Place::One(_, path)) = place;
        if places
            .iter()
            .filter(|other| matches!(other, Place::Archive(other) | Place::One(_, other) if other == path))
            .count()
            > 1
        {
            return Err(Failure::Usage(format!("`-o` names `{}` twice", path.display())));
        }
        match place {
            Place::One(Some(name), _) if !results.contains(name) => {
                return Err(Failure::Usage(format!("no result is called `{name}`; there is {}", list())));
            }
            Place::One(None, path) if results.len() != 1 => {
                let path = path.display();
                return Err(Failure::Usage(format!(
                    "`-o {path}` takes one result, and there are {}: write `-o NAME={path}` or an .npz file",
                    list()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes results to their places: every file whole, or none of them.
pub fn write(places: &[Place], results: &[(String, Tensor)]) -> Result<(), Failure> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<(&str, &Tensor)> = results.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let stage = |place: &Place| match place {
        Place::Archive(path) if extension(path) == "npz" => npz::stage(path, &all).map(Some),
        Place::Archive(path) => safetensors::stage(path, &all).map(Some),
        Place::One(wanted, path) => {
            let found = all.iter().find(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name));
            found.map(|(_, tensor)| npy::stage(path, tensor)).transpose()
        }
    };
    let staged: Result<Vec<Option<Staged>>, FileError> = places.iter().map(stage).collect();
    staged.and_then(|staged| staged.into_iter().flatten().try_for_each(Staged::commit)).map_err(file_failure)
}

/// Writes a text, whole or not at all.
pub fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    file::save(path, |writer| Ok(writer.write_all(text.as_bytes())?)).map_err(file_failure)
}

/// Compares results with a reference; the lines say how far they are apart, the warnings what only one side has, the
/// errors where the distance is too far. Integers are the same or not unless a tolerance is given.
pub fn compare(
    results: &[(String, Tensor)],
    reference: &[(String, Tensor)],
    rtol: Option<f64>,
    atol: Option<f64>,
) -> (Vec<String>, Vec<Diagnostic>, Vec<Diagnostic>) {
    let mut lines = Vec::new();
    let mut unmatched = Vec::new();
    let mut errors = Vec::new();
    let mut one_sided = |message: String| unmatched.push(Diagnostic::warning(Code::Comparison, message));
    for (name, _) in reference {
        if !results.iter().any(|(other, _)| other == name) {
            one_sided(format!("the reference has `{name}`, and no result is called that"));
        }
    }
    for (name, result) in results {
        let Some((_, expected)) = reference.iter().find(|(other, _)| other == name) else {
            one_sided(format!("the reference has no `{name}`: that result is compared with nothing"));
            continue;
        };
        let exact = result.dtype().integer_range().is_some() && expected.dtype().integer_range().is_some();
        let (rtol, atol) = match exact {
            true => (rtol.unwrap_or(0.0), atol.unwrap_or(0.0)),
            false => (rtol.unwrap_or(1e-5), atol.unwrap_or(1e-8)),
        };
        if result.shape() != expected.shape() {
            let message = format!(
                "`{name}` has the shape {:?}, the reference has {:?}",
                result.shape(),
                expected.shape()
            );
            errors.push(Diagnostic::error(Code::Comparison, message));
            continue;
        }
        let mut largest = 0.0f64;
        let mut worst: Option<(usize, f64)> = None;
        let mut outside = 0usize;
        for position in 0..result.elems() {
            let (a, b) = (result.get(position), expected.get(position));
            let (distance, limit) = distance(a, b, rtol, atol);
            largest = largest.max(distance);
            if distance.is_nan() || distance > limit {
                outside += 1;
                let excess = if distance.is_nan() { f64::INFINITY } else { distance - limit };
                if worst.is_none_or(|(_, most)| excess > most) {
                    worst = Some((position, excess));
                }
            }
        }
        lines.push(format!("{name}: {} elements, largest difference {largest:.3e}", result.elems()));
        if let Some((position, _)) = worst {
            let place = indices(position, result.shape());
            let (a, b) = (text(result.get(position)), text(expected.get(position)));
            let message = format!("{outside} of {} elements of `{name}` differ", result.elems());
            errors.push(
                Diagnostic::error(Code::Comparison, message)
                    .note(format!("worst at {name}{place}: {a}, and the reference has {b}"))
                    .note(format!("allowed is {atol:e} + {rtol:e} * |reference|")),
            );
        }
    }
    if lines.is_empty() && errors.is_empty() {
        errors.push(Diagnostic::error(
            Code::Comparison,
            "the reference has no array with the name of a result",
        ));
    }
    (lines, unmatched, errors)
}

/// How far two numbers are apart and may be; equal infinities and two NaN are 0 apart.
fn distance(a: Scalar, b: Scalar, rtol: f64, atol: f64) -> (f64, f64) {
    if let (Scalar::Int(a), Scalar::Int(b)) = (a, b) {
        return (a.abs_diff(b) as f64, atol + rtol * b.unsigned_abs() as f64);
    }
    let part = |x: f64, y: f64| if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() };
    let distance = part(a.re(), b.re()).hypot(part(a.im(), b.im()));
    let size = b.re().hypot(b.im());
    (distance, atol + if size.is_finite() { rtol * size } else { 0.0 })
}

/// `[2,0,5]`, the position in a tensor of that shape.
fn indices(position: usize, shape: &[u64]) -> String {
    let mut rest = position as u64;
    let mut indices: Vec<String> = Vec::new();
    for &extent in shape.iter().rev() {
        indices.push((rest % extent).to_string());
        rest /= extent;
    }
    indices.reverse();
    if indices.is_empty() { String::new() } else { format!("[{}]", indices.join(",")) }
}

fn text(value: Scalar) -> String {
    match value {
        Scalar::Int(value) => value.to_string(),
        Scalar::Real(value) => format!("{value:?}"),
        Scalar::Complex(re, im) => format!("{re:?}{im:+?}j"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, values: &[f64]) -> Vec<(String, Tensor)> {
        vec![(name.to_string(), Tensor::from_slice(&[values.len() as u64], values).unwrap())]
    }

    #[test]
    fn a_comparison_names_the_worst_element() {
        let tight = (Some(1e-5), Some(0.0));
        let errors = |a: &[(String, Tensor)], b: &[(String, Tensor)]| compare(a, b, Some(1.0), Some(1.0)).2;
        let (.., failed) = compare(&named("y", &[1.0, 2.0]), &named("y", &[1.0, 2.5]), None, None);
        assert_eq!(failed[0].message, "1 of 2 elements of `y` differ");
        assert_eq!(failed[0].notes[0], "worst at y[1]: 2.0, and the reference has 2.5");
        let (lines, unmatched, failed) =
            compare(&named("y", &[1.0, f64::NAN]), &named("y", &[1.0 + 1e-9, f64::NAN]), tight.0, tight.1);
        assert!(failed.is_empty() && unmatched.is_empty(), "{failed:?}");
        assert_eq!(lines, ["y: 2 elements, largest difference 1.000e-9"]);
        assert_eq!(errors(&named("y", &[f64::NAN]), &named("y", &[1.0])).len(), 1);
        assert_eq!(errors(&named("y", &[f64::INFINITY]), &named("y", &[1.0])).len(), 1);
        assert_eq!(errors(&named("y", &[1.0]), &named("z", &[1.0])).len(), 1);
        assert_eq!(errors(&named("y", &[1.0]), &named("y", &[1.0, 1.0])).len(), 1);
    }

    #[test]
    fn a_comparison_says_what_only_one_side_has() {
        let both = |a, b| [named(a, &[1.0]), named(b, &[1.0])].concat();
        let (lines, unmatched, failed) = compare(&both("y", "z"), &both("y", "q"), None, None);
        assert!(failed.is_empty());
        assert_eq!(lines.len(), 1);
        let messages: Vec<&str> = unmatched.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "the reference has `q`, and no result is called that",
                "the reference has no `z`: that result is compared with nothing"
            ]
        );
    }

    #[test]
    fn integers_compare_exactly_unless_a_tolerance_is_given() {
        let one = |value: i64| vec![("y".to_string(), Tensor::from_slice(&[1], &[value]).unwrap())];
        let (a, b) = (one(1 << 62), one((1 << 62) + 1));
        assert_eq!(compare(&a, &b, None, None).2.len(), 1);
        assert_eq!(compare(&a, &b, None, Some(1.0)).2.len(), 0);
        assert_eq!(compare(&a, &b, Some(1e-9), None).2.len(), 0);
    }

    #[test]
    fn places_are_checked_before_anything_runs() {
        let words = |list: &[&str]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        assert!(places(&words(&["a=b.npz"])).is_err());
        assert!(places(&words(&["out.txt"])).is_err());
        let one = places(&words(&["C=c.npy", "all.npz"])).unwrap();
        assert!(check_places(&one, &words(&["C"])).is_ok());
        assert!(check_places(&one, &words(&["D"])).is_err());
        let any = places(&words(&["c.npy"])).unwrap();
        assert!(check_places(&any, &words(&["C"])).is_ok());
        assert!(check_places(&any, &words(&["C", "D"])).is_err());
    }

    #[test]
    fn an_unknown_ending_is_wrong_usage_and_a_missing_file_is_not() {
        assert_eq!(read_archive(Path::new("a.txt")).unwrap_err().exit_code(), 2);
        assert_eq!(read_one("A", Path::new("/no/such.npy")).unwrap_err().exit_code(), 4);
        assert_eq!(read(&["A".to_string()], &[]).unwrap_err().exit_code(), 2);
        let arrays = read(&["K=3".to_string(), "t=0.5".to_string()], &[]).unwrap();
        assert_eq!(arrays.tensors["K"].get(0), Scalar::Int(3));
        assert_eq!(arrays.tensors["t"].get(0), Scalar::Real(0.5));
        assert!(read(&["K=3".to_string(), "K=4".to_string()], &[]).is_err());
    }
}
