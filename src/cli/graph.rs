//! `einc graph`: which value feeds which, as text, for Graphviz, or as a picture.

use super::Told;
use super::args::{GraphArgs, GraphFormat};
use super::arrays;
use super::failure::Failure;
use super::open::{self, Opened};
use crate::graph::{Graph, NodeId};
use crate::pipeline;
use crate::plan::picture::escaped;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Runs the command.
pub fn graph(args: &GraphArgs, told: &Told) -> Result<(i32, String), Failure> {
    let (dims, dtypes) = open::sizes(&args.sizes)?;
    let Opened { sources, module, entry } = open::file(&args.program)?;
    let bindings = pipeline::bindings(dims, dtypes, std::iter::empty());
    let (program, warnings) = match pipeline::check(&module, &entry, &bindings) {
        Ok(checked) => checked,
        Err(diagnostics) => return Err(Failure::Diagnostics(diagnostics, sources)),
    };
    told.warn(warnings, &sources)?;
    let graph = pipeline::graph(&program);
    let text = match args.format {
        GraphFormat::Text => graph.to_string(),
        GraphFormat::Dot => dot(&graph),
        GraphFormat::Svg => svg(&graph),
    };
    match &args.output {
        Some(path) => {
            arrays::write_text(path, &text)?;
            Ok((0, String::new()))
        }
        None => Ok((0, text)),
    }
}

/// What stands in a node's box: its line in the text form.
fn labels(graph: &Graph) -> BTreeMap<NodeId, String> {
    let text = graph.to_string();
    let lines: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim().split_once(' ').map(|(id, _)| (id, line.trim())))
        .collect();
    let label =
        |id: NodeId| lines.get(id.to_string().as_str()).map_or(id.to_string(), |line| line.to_string());
    graph.ids().into_iter().map(|id| (id, label(id))).collect()
}

/// The graph for Graphviz.
fn dot(graph: &Graph) -> String {
    let mut out =
        format!("digraph {:?} {{\n  rankdir = TB\n  node [shape = box, fontname = monospace]\n", graph.name);
    for (id, label) in labels(graph) {
        let _ = writeln!(out, "  {id} [label = \"{}\"]", label.replace('\\', "\\\\").replace('"', "\\\""));
    }
    for id in graph.ids() {
        for source in graph.node(id).sources() {
            let _ = writeln!(out, "  {source} -> {id}");
        }
    }
    for (name, id) in &graph.outputs {
        let _ = writeln!(out, "  \"output {name}\" [shape = plaintext]\n  {id} -> \"output {name}\"");
    }
    out.push_str("}\n");
    out
}

/// Longest text in a box.
const LABEL: usize = 70;

/// The graph as a picture: a row for each distance from the inputs, values flow downwards.
fn svg(graph: &Graph) -> String {
    let mut rows: Vec<Vec<NodeId>> = Vec::new();
    let mut row_of: BTreeMap<NodeId, usize> = BTreeMap::new();
    // Ids are in the order of definition, so sources come first; a scan's reads of earlier steps come later and
    // only bend a line upwards.
    for id in graph.ids() {
        let sources = graph.node(id).sources();
        let row = sources.iter().filter_map(|source| row_of.get(source)).max().map_or(0, |row| row + 1);
        row_of.insert(id, row);
        if rows.len() <= row {
            rows.resize(row + 1, Vec::new());
        }
        rows[row].push(id);
    }
    let shorten = |text: String| match text.char_indices().nth(LABEL) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text,
    };
    let labels: BTreeMap<NodeId, String> =
        labels(graph).into_iter().map(|(id, label)| (id, shorten(label))).collect();
    let width = |id: &NodeId| labels.get(id).map_or(0, |label| label.chars().count() * 7 + 16);
    let full = rows.iter().map(|row| row.iter().map(|id| width(id) + 24).sum::<usize>()).max().unwrap_or(0);
    let mut place: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
    let mut boxes = String::new();
    for (number, row) in rows.iter().enumerate() {
        let used: usize = row.iter().map(|id| width(id) + 24).sum();
        let mut x = (full - used) / 2 + 12;
        let y = 20 + number * 80;
        for id in row {
            let w = width(id);
            place.insert(*id, (x + w / 2, y));
            let output = graph.outputs.iter().any(|(_, other)| other == id);
            let fill = if output { "#dff0d8" } else { "#f5f5f5" };
            let _ = writeln!(
                boxes,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"28\" rx=\"4\" fill=\"{fill}\" stroke=\"#555\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                x + 8,
                y + 18,
                escaped(&labels[id])
            );
            x += w + 24;
        }
    }
    let mut lines = String::new();
    for id in graph.ids() {
        let (x, y) = place[&id];
        for source in graph.node(id).sources() {
            if let Some((from, above)) = place.get(&source) {
                let (start, middle) = (above + 28, (above + 28 + y) / 2);
                let _ = writeln!(
                    lines,
                    "<path d=\"M{from} {start} C{from} {middle} {x} {middle} {x} {y}\" fill=\"none\" stroke=\"#888\"/>"
                );
            }
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full}\" height=\"{}\" font-family=\"monospace\" \
         font-size=\"11.5\">\n<title>{}</title>\n{lines}{boxes}</svg>\n",
        rows.len() * 80 + 20,
        escaped(&graph.name)
    )
}
