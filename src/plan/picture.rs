//! Pictures of plans: the tree of steps, memory over time, and a page with both.

use std::fmt::Write;

/// A value in the picture: an input, or the result of a step. Operands come before what is made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is made of.
    pub operands: Vec<usize>,
    /// A short name.
    pub label: String,
    /// What is shown under the pointer.
    pub title: String,
    /// The binary logarithm of its elements: how wide the lines are that leave it.
    pub size: f64,
    /// The binary logarithm of the work of the step; none for inputs.
    pub work: Option<f64>,
}

/// A page about a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// What is said first: names and values.
    pub facts: Vec<[String; 2]>,
    /// The tree.
    pub nodes: Vec<Node>,
    /// The memory alive while each step runs, relative to any unit.
    pub alive: Vec<f64>,
    /// How much may be alive, in the same unit.
    pub limit: Option<f64>,
    /// The heads of the table of steps.
    pub heads: Vec<&'static str>,
    /// The rows of the table of steps.
    pub rows: Vec<Vec<String>>,
    /// What stands below: text laid out in lines.
    pub text: String,
}

/// A text inside of tags.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Draws the tree: inputs at the bottom, lines as wide as the logarithm of what flows along them, steps in colours from
/// pale to red by their share of the work.
pub fn tree(nodes: &[Node]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_tree(&mut out, nodes);
    out
}

/// The column of every node: inputs in the order of the tree, steps above the middle of their operands.
fn columns(nodes: &[Node], height: &[usize]) -> (Vec<f64>, f64) {
    let mut used = vec![false; nodes.len()];
    nodes.iter().flat_map(|node| &node.operands).for_each(|&operand| used[operand] = true);
    let mut x = vec![f64::NAN; nodes.len()];
    let mut next = 0.0;
    let mut stack: Vec<(usize, bool)> =
        (0..nodes.len()).rev().filter(|&k| !used[k]).map(|k| (k, false)).collect();
    while let Some((id, ready)) = stack.pop() {
        let operands = &nodes[id].operands;
        if !x[id].is_nan() {
            continue;
        }
        if operands.is_empty() {
            x[id] = next;
            next += 1.0;
        } else if ready {
            x[id] = operands.iter().map(|&k| x[k]).sum::<f64>() / operands.len() as f64;
        } else {
            stack.push((id, true));
            stack.extend(operands.iter().rev().map(|&k| (k, false)));
        }
    }
    // Steps of one height that share operands would lie on one another.
    let levels = height.iter().copied().max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); levels + 1];
    (0..nodes.len()).filter(|&id| height[id] > 0).for_each(|id| rows[height[id]].push(id));
    let mut right: f64 = next;
    for row in &mut rows {
        row.sort_by(|&a, &b| x[a].total_cmp(&x[b]).then(a.cmp(&b)));
        for pair in 1..row.len() {
            let least = x[row[pair - 1]] + 0.8;
            x[row[pair]] = x[row[pair]].max(least);
        }
        right = right.max(row.last().map_or(0.0, |&last| x[last] + 1.0));
    }
    (x, right)
}

fn write_tree(out: &mut String, nodes: &[Node]) -> std::fmt::Result {
    let mut height = vec![0usize; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        height[id] =
            node.operands.iter().map(|&k| height[k] + 1).max().unwrap_or(usize::from(node.work.is_some()));
    }
    let (x, columns) = columns(nodes, &height);
    let levels = height.iter().copied().max().unwrap_or(0);
    let step_x = (1600.0 / columns.max(1.0)).clamp(2.0, 48.0);
    let step_y = (1000.0 / levels.max(1) as f64).clamp(6.0, 48.0);
    let margin = 24.0;
    let at = |id: usize| (margin + x[id] * step_x, margin + (levels - height[id]) as f64 * step_y);
    let (wide, high) = (2.0 * margin + columns * step_x, 2.0 * margin + levels as f64 * step_y);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} {high:.0}\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    writeln!(out, "<g stroke=\"#8899aa\" stroke-linecap=\"round\">")?;
    for (id, node) in nodes.iter().enumerate() {
        let (x2, y2) = at(id);
        for &operand in &node.operands {
            let (x1, y1) = at(operand);
            let width = 0.5 + nodes[operand].size.clamp(0.0, 60.0) / 6.0;
            writeln!(
                out,
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke-width=\"{width:.1}\"/>"
            )?;
        }
    }
    writeln!(out, "</g>")?;
    let most = nodes.iter().filter_map(|node| node.work).fold(f64::NEG_INFINITY, f64::max);
    let radius = (step_x / 3.0).clamp(1.5, 7.0);
    let labelled = columns <= 80.0;
    for (id, node) in nodes.iter().enumerate() {
        let (cx, cy) = at(id);
        let fill = match node.work {
            None => "#ffffff".to_string(),
            Some(work) => {
                // White at a millionth of the most expensive step, red at that step.
                let heat = (1.0 - (most - work) / 20.0).clamp(0.0, 1.0);
                let pale = (235.0 * (1.0 - heat)).round() as u8;
                format!("#eb{pale:02x}{pale:02x}")
            }
        };
        writeln!(
            out,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"#334455\"><title>{}</title></circle>",
            escaped(&node.title)
        )?;
        if labelled {
            let input = node.work.is_none();
            let y = cy + if input { radius + 11.0 } else { 3.0 };
            let shift = if input { 0.0 } else { radius + 4.0 };
            let anchor = if input { "middle" } else { "start" };
            writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"9\" font-family=\"sans-serif\" text-anchor=\"{anchor}\">{}</text>",
                cx + shift,
                escaped(&node.label)
            )?;
        }
    }
    writeln!(out, "</svg>")
}

/// Draws the memory over time, one bar for each step (for several where there are many), and the limit as a line.
pub fn memory(alive: &[f64], limit: Option<f64>) -> String {
    const BARS: usize = 800;
    const HIGH: f64 = 160.0;
    let each = alive.len().div_ceil(BARS).max(1);
    let bars: Vec<f64> = alive.chunks(each).map(|part| part.iter().copied().fold(0.0, f64::max)).collect();
    let peak = bars.iter().copied().fold(0.0, f64::max);
    // A limit far above the peak would leave nothing of the bars to see.
    let shown = limit.filter(|&limit| limit <= 4.0 * peak);
    let top = shown.map_or(peak, |limit| limit.max(peak)) * 1.05;
    let scale = |value: f64| if top > 0.0 { HIGH * (value / top).clamp(0.0, 1.0) } else { 0.0 };
    let step = (800.0 / bars.len().max(1) as f64).clamp(1.0, 24.0);
    let wide = bars.len() as f64 * step;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{HIGH:.0}\" viewBox=\"0 0 {wide:.0} {HIGH:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f6f7f9\"/>\n"
    );
    for (number, &bar) in bars.iter().enumerate() {
        let over = limit.is_some_and(|limit| bar > limit);
        let high = scale(bar);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{high:.1}\" fill=\"{}\"/>",
            number as f64 * step,
            HIGH - high,
            (step * 0.9).max(0.9),
            if over { "#eb2222" } else { "#4477aa" }
        );
    }
    if let Some(limit) = shown {
        let y = HIGH - scale(limit);
        let _ = writeln!(
            out,
            "<line x1=\"0\" y1=\"{y:.1}\" x2=\"{wide:.0}\" y2=\"{y:.1}\" stroke=\"#eb2222\" stroke-dasharray=\"4 3\"/>"
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Writes a page with everything: facts, tree, memory, steps. It needs nothing but itself.
pub fn html(page: &Page) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_html(&mut out, page);
    out
}

fn write_html(out: &mut String, page: &Page) -> std::fmt::Result {
    let title = escaped(&page.title);
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
         body {{ font: 14px sans-serif; margin: 2em; color: #223 }}\n\
         table {{ border-collapse: collapse; margin: 1em 0 }}\n\
         td, th {{ padding: 2px 10px; text-align: right; border-bottom: 1px solid #dde }}\n\
         .facts td {{ text-align: left }}\n\
         .picture {{ overflow: auto; max-height: 80vh; border: 1px solid #dde }}\n\
         pre {{ background: #f6f7f9; padding: 1em; overflow: auto }}\n\
         </style>\n</head>\n<body>\n<h1>{title}</h1>\n<table class=\"facts\">"
    )?;
    for [name, value] in &page.facts {
        writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", escaped(name), escaped(value))?;
    }
    writeln!(out, "</table>")?;
    if !page.nodes.is_empty() {
        write!(out, "<h2>Tree</h2>\n<div class=\"picture\">\n{}</div>\n", tree(&page.nodes))?;
    }
    if !page.alive.is_empty() {
        write!(
            out,
            "<h2>Memory over time</h2>\n<div class=\"picture\">\n{}</div>\n",
            memory(&page.alive, page.limit)
        )?;
    }
    if !page.rows.is_empty() {
        let row = |cells: &mut dyn Iterator<Item = String>| cells.collect::<String>();
        let heads = row(&mut page.heads.iter().map(|head| format!("<th>{}</th>", escaped(head))));
        writeln!(out, "<h2>Steps</h2>\n<table>\n<tr>{heads}</tr>")?;
        for cells in &page.rows {
            writeln!(
                out,
                "<tr>{}</tr>",
                row(&mut cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))))
            )?;
        }
        writeln!(out, "</table>")?;
    }
    if !page.text.is_empty() {
        writeln!(out, "<pre>{}</pre>", escaped(&page.text))?;
    }
    writeln!(out, "</body>\n</html>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(label: &str) -> Node {
        Node { operands: vec![], label: label.into(), title: label.into(), size: 3.0, work: None }
    }

    fn step(operands: &[usize]) -> Node {
        Node {
            operands: operands.to_vec(),
            label: "s<1>".into(),
            title: "x".into(),
            size: 1.0,
            work: Some(5.0),
        }
    }

    #[test]
    fn every_node_has_a_place_of_its_own() {
        // Two steps that read the same inputs, and one that reads both.
        let nodes = [input("a"), input("b"), step(&[0, 1]), step(&[0, 1]), step(&[2, 3])];
        let picture = tree(&nodes);
        assert_eq!(picture.matches("<circle").count(), 5);
        assert_eq!(picture.matches("<line").count(), 6);
        let mut places: Vec<&str> = picture.lines().filter(|line| line.starts_with("<circle")).collect();
        places.iter_mut().for_each(|line| *line = line.split(" r=").next().unwrap_or(""));
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 5, "{picture}");
        assert!(picture.contains("s&lt;1&gt;"));
        assert!(tree(&[]).contains("<svg"));
    }

    #[test]
    fn memory_has_a_bar_for_each_step_and_the_limit() {
        let picture = memory(&[1.0, 4.0, 2.0], Some(3.0));
        assert_eq!(picture.matches("<rect").count(), 4);
        assert_eq!(picture.matches("fill=\"#eb2222\"").count(), 1);
        assert_eq!(picture.matches("<line").count(), 1);
        assert_eq!(memory(&[1.0, 4.0], Some(1e9)).matches("<line").count(), 0);
        assert!(memory(&vec![1.0; 100_000], None).matches("<rect").count() <= 801);
        assert!(!memory(&[], None).contains("NaN"));
    }

    #[test]
    fn a_page_holds_all_its_parts() {
        let page = Page {
            title: "a & b".into(),
            facts: vec![["work".into(), "12".into()]],
            nodes: vec![input("a"), input("b"), step(&[0, 1])],
            alive: vec![1.0],
            limit: None,
            heads: vec!["step", "flops"],
            rows: vec![vec!["2".into(), "12".into()]],
            text: "contract < all".into(),
        };
        let text = html(&page);
        for part in [
            "<h1>a &amp; b</h1>",
            "<td>work</td><td>12</td>",
            "<circle",
            "<th>flops</th>",
            "contract &lt; all",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert_eq!(text.matches("<svg").count(), 2);
        assert!(text.ends_with("</html>\n"));
    }
}
