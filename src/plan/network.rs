//! Networks and contraction orders as JSON, for people who bring a tensor network and want only its plan.
//!
//! A network is an object with `inputs` (a list of axis numbers for each operand), `output` (the axis numbers of the
//! result) and `sizes` (the extent of each axis, as a list or as an object with the numbers as keys). A `name` is
//! kept, other members are ignored.
//!
//! ```json
//! {"name": "chain", "inputs": [[0, 1], [1, 2]], "output": [0, 2], "sizes": [2, 3, 4]}
//! ```

pub mod report;

use super::search::{self, Network};
use serde_json::{Map, Value, json};

/// A network and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Its name; empty if the file has none.
    pub name: String,
    /// The network.
    pub network: Network,
}

/// Reads a network.
///
/// # Errors
/// Says what is missing or wrong, and where.
pub fn read(text: &str) -> Result<Named, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    of(&value)
}

/// The network that a JSON value states.
///
/// # Errors
/// As [`read`].
pub fn of(value: &Value) -> Result<Named, String> {
    let object = value.as_object().ok_or("a network is a JSON object with `inputs`, `output` and `sizes`")?;
    let name = match object.get("name") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err("`name` is not a string".into()),
    };
    let inputs = list(object, "inputs")?;
    let inputs = inputs
        .iter()
        .enumerate()
        .map(|(k, axes)| axis_list(axes, &format!("`inputs[{k}]`")))
        .collect::<Result<Vec<_>, _>>()?;
    let output = match object.get("output") {
        Some(output) => axis_list(output, "`output`")?,
        None => return Err("`output` is missing".into()),
    };
    let extents = sizes(object.get("sizes").ok_or("`sizes` is missing")?, &inputs)?;
    let network = Network::new(inputs, output, extents).map_err(|refusal| refusal.to_string())?;
    Ok(Named { name, network })
}

/// Writes a network as [`read`] reads it.
pub fn write(named: &Named) -> String {
    let network = &named.network;
    let value = json!({
        "name": named.name,
        "inputs": network.inputs(),
        "output": network.output(),
        "sizes": network.extents(),
    });
    format!("{value}\n")
}

fn list<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], String> {
    match object.get(name) {
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("`{name}` is not a list")),
        None => Err(format!("`{name}` is missing")),
    }
}

/// The numbers of axes in a list.
fn axis_list(value: &Value, place: &str) -> Result<Vec<u32>, String> {
    let list = value.as_array().ok_or_else(|| format!("{place} is not a list of axis numbers"))?;
    list.iter()
        .map(|axis| {
            axis.as_u64()
                .and_then(|axis| u32::try_from(axis).ok())
                .ok_or_else(|| format!("{place} has {axis}, which is no axis number"))
        })
        .collect()
}

/// The extents, by axis number. An object may leave out axes that nothing carries.
fn sizes(value: &Value, inputs: &[Vec<u32>]) -> Result<Vec<u64>, String> {
    let size = |axis: &str, size: &Value| {
        size.as_u64().ok_or_else(|| format!("the size of axis {axis} is {size}, not a whole number from 0"))
    };
    match value {
        Value::Array(list) => {
            list.iter().enumerate().map(|(axis, value)| size(&axis.to_string(), value)).collect()
        }
        Value::Object(object) => {
            // Only as long as the largest axis that occurs: a file may claim any key.
            let count = inputs.iter().flatten().map(|&axis| axis as usize + 1).max().unwrap_or(0);
            if count > 64 * (object.len() + 1) {
                return Err(format!("axis {} has no size", count - 1));
            }
            let mut extents: Vec<Option<u64>> = vec![None; count];
            for (key, value) in object {
                let axis: usize =
                    key.parse().map_err(|_| format!("`sizes` has `{key}`, which is no axis number"))?;
                let extent = size(key, value)?;
                if let Some(place) = extents.get_mut(axis)
                    && place.replace(extent).is_some()
                {
                    return Err(format!("`sizes` has axis {axis} twice"));
                }
            }
            let mut carried = vec![false; count];
            inputs.iter().flatten().for_each(|&axis| carried[axis as usize] = true);
            let missing = (0..count).find(|&axis| carried[axis] && extents[axis].is_none());
            match missing {
                Some(axis) => Err(format!("axis {axis} has no size")),
                None => Ok(extents.into_iter().map(|extent| extent.unwrap_or(1)).collect()),
            }
        }
        _ => Err("`sizes` is neither a list nor an object".into()),
    }
}

/// Pairs of tensors and the axes to slice.
pub type Order = (Vec<(usize, usize)>, Vec<u32>);

/// Reads a contraction order for a network: an object with `path` (SSA pairs) or `opt_einsum_path`, and optionally
/// `slices`; or the list of SSA pairs alone.
///
/// # Errors
/// Says what is wrong, and at which step.
pub fn read_plan(text: &str, network: &Network) -> Result<Order, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    order_of(&value, network)
}

/// The contraction order that a JSON value states for a network.
///
/// # Errors
/// As [`read_plan`].
pub fn order_of(value: &Value, network: &Network) -> Result<Order, String> {
    let inputs = network.inputs().len();
    let (path, slices) = match value {
        Value::Array(_) => (pairs(value)?, Vec::new()),
        Value::Object(object) => {
            let path = match (object.get("path"), object.get("opt_einsum_path")) {
                (Some(path), _) => pairs(path)?,
                (None, Some(path)) => from_linear(inputs, &pairs(path)?)?,
                (None, None) => return Err("neither `path` nor `opt_einsum_path` is there".into()),
            };
            let slices =
                object.get("slices").map_or(Ok(Vec::new()), |slices| axis_list(slices, "`slices`"))?;
            (path, slices)
        }
        _ => return Err("a plan is a list of pairs or an object with `path`".into()),
    };
    search::evaluate(network, &path, &slices).map_err(|refusal| refusal.to_string())?;
    Ok((path, slices))
}

fn pairs(value: &Value) -> Result<Vec<(usize, usize)>, String> {
    let list = value.as_array().ok_or("a path is a list of pairs")?;
    list.iter()
        .enumerate()
        .map(|(step, pair)| {
            let number = |k: usize| pair.get(k)?.as_u64().and_then(|id| usize::try_from(id).ok());
            match (pair.as_array().map(Vec::len), number(0), number(1)) {
                (Some(2), Some(a), Some(b)) => Ok((a, b)),
                _ => Err(format!("step {step} of the path is {pair}, not a pair of numbers")),
            }
        })
        .collect()
}

/// Counts what is alive below a number, in logarithmic time.
struct Ranks {
    /// A Fenwick tree from place one.
    sums: Vec<usize>,
}

impl Ranks {
    fn new(count: usize) -> Ranks {
        let mut sums = vec![1; count + 1];
        sums[0] = 0;
        for place in 1..=count {
            let up = place + (place & place.wrapping_neg());
            if up <= count {
                sums[up] += sums[place];
            }
        }
        Ranks { sums }
    }

    fn remove(&mut self, id: usize) {
        let mut place = id + 1;
        while place < self.sums.len() {
            self.sums[place] -= 1;
            place += place & place.wrapping_neg();
        }
    }

    fn below(&self, id: usize) -> usize {
        let (mut place, mut sum) = (id, 0);
        while place > 0 {
            sum += self.sums[place];
            place &= place - 1;
        }
        sum
    }

    /// The number that has `rank` alive ones below it.
    fn at(&self, rank: usize) -> usize {
        let (mut place, mut rest) = (0, rank);
        let mut jump = self.sums.len().next_power_of_two();
        while jump > 0 {
            if place + jump < self.sums.len() && self.sums[place + jump] <= rest {
                place += jump;
                rest -= self.sums[place];
            }
            jump /= 2;
        }
        place
    }
}

/// Turns a path in SSA numbering into one of opt_einsum: every pair names positions in the list of what is left, and
/// the result goes to the end of the list.
///
/// ```
/// use einc::plan::network::{from_linear, to_linear};
/// let path = [(0, 1), (2, 3), (4, 5)];
/// assert_eq!(to_linear(4, &path), [(0, 1), (0, 1), (0, 1)]);
/// assert_eq!(from_linear(4, &[(0, 1), (0, 1), (0, 1)]).unwrap(), path);
/// ```
///
/// The path must be one of that many inputs.
pub fn to_linear(inputs: usize, path: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut ranks = Ranks::new(inputs + path.len());
    path.iter()
        .map(|&(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            let pair = (ranks.below(a), ranks.below(b));
            ranks.remove(a);
            ranks.remove(b);
            pair
        })
        .collect()
}

/// Turns a path of opt_einsum into SSA numbering.
///
/// # Errors
/// Names the first step that points beyond what is left.
pub fn from_linear(inputs: usize, path: &[(usize, usize)]) -> Result<Vec<(usize, usize)>, String> {
    let mut ranks = Ranks::new(inputs + path.len());
    path.iter()
        .enumerate()
        .map(|(step, &(a, b))| {
            let alive = inputs.saturating_sub(step);
            if a == b || a >= alive || b >= alive {
                return Err(format!("step {step} of the path is ({a}, {b}), but {alive} tensors are left"));
            }
            let pair = (ranks.at(a.min(b)), ranks.at(a.max(b)));
            ranks.remove(pair.0);
            ranks.remove(pair.1);
            Ok(pair)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_survive_writing_and_reading() {
        for seed in 0..20 {
            let network = search::generate::random_hypergraph(8, 20, 5, seed);
            let named = Named { name: "a \"name\"".into(), network };
            assert_eq!(read(&write(&named)).unwrap(), named);
        }
        let text = r#"{"inputs": [[3, 1], [1]], "output": [3], "sizes": {"1": 4, "3": 2}, "kind": "x"}"#;
        assert_eq!(read(text).unwrap().network.extents(), [1, 4, 1, 2]);
        assert!(read(r#"{"inputs": [], "output": [], "sizes": []}"#).unwrap().network.inputs().is_empty());
    }

    #[test]
    fn wrong_files_say_what_is_wrong() {
        let cases = [
            ("[", "not JSON"),
            ("[]", "JSON object"),
            (r#"{"output": [], "sizes": []}"#, "`inputs` is missing"),
            (r#"{"inputs": 1, "output": [], "sizes": []}"#, "`inputs` is not a list"),
            (r#"{"inputs": [[0], 3], "output": [], "sizes": [2]}"#, "`inputs[1]` is not a list"),
            (r#"{"inputs": [["i"]], "output": [], "sizes": [2]}"#, "`inputs[0]` has \"i\""),
            (r#"{"inputs": [[-1]], "output": [], "sizes": [2]}"#, "`inputs[0]` has -1"),
            (r#"{"inputs": [[5]], "output": [], "sizes": [2]}"#, "axis 5"),
            (r#"{"inputs": [[4000000000]], "output": [], "sizes": {"0": 2}}"#, "axis 4000000000 has no size"),
            (r#"{"inputs": [[0]], "output": [], "sizes": [2.5]}"#, "the size of axis 0 is 2.5"),
            (r#"{"inputs": [[0]], "output": [], "sizes": {"0": -2}}"#, "the size of axis 0 is -2"),
            (r#"{"inputs": [[0]], "output": [], "sizes": {"0": 2, "00": 2}}"#, "axis 0 twice"),
            (r#"{"inputs": [[0]], "output": [], "sizes": {"i": 2}}"#, "`i`"),
            (r#"{"inputs": [[0], [1]], "output": [], "sizes": {"1": 2}}"#, "axis 0 has no size"),
            (r#"{"inputs": [[0]], "output": [], "sizes": 3}"#, "`sizes` is neither"),
            (r#"{"inputs": [[0]], "sizes": [3]}"#, "`output` is missing"),
            (r#"{"inputs": [[0]], "output": [1], "sizes": [3, 4]}"#, "the output has axis 1"),
            (r#"{"inputs": [[0]], "output": [0, 0], "sizes": [3]}"#, "twice"),
            (r#"{"inputs": [[0]], "output": [], "sizes": [3], "name": 4}"#, "`name`"),
        ];
        for (text, part) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn paths_of_both_numberings_are_the_same_order() {
        for seed in 0..10 {
            let network = search::generate::random_hypergraph(30, 50, 3, seed);
            let mut options = search::Options { work: Some(1000), seed, ..search::Options::default() };
            let path = search::optimize(&network, &mut options).unwrap().path;
            let linear = to_linear(30, &path);
            // Replayed on a list, as opt_einsum does.
            let mut list: Vec<usize> = (0..30).collect();
            for (step, (&(a, b), &(i, j))) in path.iter().zip(&linear).enumerate() {
                assert!(i < j);
                assert_eq!((list[i], list[j]), (a.min(b), a.max(b)));
                list.remove(j);
                list.remove(i);
                list.push(30 + step);
            }
            let back: Vec<(usize, usize)> = path.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect();
            assert_eq!(from_linear(30, &linear).unwrap(), back);
        }
        assert!(from_linear(3, &[(0, 3)]).unwrap_err().contains("3 tensors are left"));
        assert!(from_linear(3, &[(0, 1), (0, 1), (0, 1)]).is_err());
    }

    #[test]
    fn plans_are_read_in_every_form() {
        let network = search::generate::chain(4, 2, 5, 1);
        let path = vec![(0, 1), (2, 3), (4, 5)];
        for text in [
            "[[0, 1], [2, 3], [4, 5]]",
            r#"{"path": [[0, 1], [2, 3], [4, 5]], "slices": []}"#,
            r#"{"opt_einsum_path": [[0, 1], [0, 1], [0, 1]]}"#,
        ] {
            assert_eq!(read_plan(text, &network).unwrap(), (path.clone(), vec![]));
        }
        for (text, part) in [
            ("[[0, 1]]", "step 1"),
            ("[[0, 1], [2, 3], [4]]", "step 2"),
            ("[[0, 1], [0, 3], [4, 5]]", "step 1"),
            (r#"{"path": [[0, 1], [2, 3], [4, 5]], "slices": [9]}"#, "axis 9"),
            (r#"{"x": 1}"#, "neither"),
            ("7", "list of pairs"),
        ] {
            let error = read_plan(text, &network).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
