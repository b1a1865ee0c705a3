//! In which order operands are multiplied.

use super::super::Request;

/// A node of a tree of products.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// An operand.
    Leaf(usize),
    /// A product of nodes, summed over its contracted axes.
    Product {
        /// The factors, as numbers of earlier nodes.
        children: Vec<usize>,
        /// Every axis of the factors.
        axes: Vec<usize>,
        /// The axes that nobody needs afterwards.
        contracted: Vec<usize>,
    },
}

/// Products in the order of their computation; the last is the whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// The axes that each node's value still has.
    kept: Vec<Vec<usize>>,
}

impl Tree {
    /// The axes of a node's value.
    pub fn axes(&self, node: usize) -> &[usize] {
        &self.kept[node]
    }

    fn leaf(&mut self, request: &Request, operand: usize) -> usize {
        self.nodes.push(Node::Leaf(operand));
        self.kept.push(request.contraction.operands[operand].axes.clone());
        self.nodes.len() - 1
    }

    /// A product of nodes that leaves out the axes that neither the output nor these operands have.
    fn product(&mut self, request: &Request, children: Vec<usize>, others: &[usize]) -> usize {
        let contraction = &request.contraction;
        let mut axes: Vec<usize> = Vec::new();
        for child in &children {
            axes.extend(
                self.kept[*child].iter().copied().filter(|axis| !axes.contains(axis)).collect::<Vec<_>>(),
            );
        }
        let needed = |axis: &usize| {
            let elsewhere = others.iter().any(|other| contraction.operands[*other].axes.contains(axis));
            elsewhere || contraction.output.contains(axis)
        };
        let (kept, contracted) = axes.iter().copied().partition(needed);
        self.nodes.push(Node::Product { children, axes, contracted });
        self.kept.push(kept);
        self.nodes.len() - 1
    }

    /// An operand, summed over what only it has.
    fn operand(&mut self, request: &Request, operand: usize) -> usize {
        let leaf = self.leaf(request, operand);
        let contraction = &request.contraction;
        let others: Vec<usize> = (0..contraction.operands.len()).filter(|other| *other != operand).collect();
        let own = |axis: &usize| {
            !contraction.output.contains(axis)
                && !others.iter().any(|other| contraction.operands[*other].axes.contains(axis))
        };
        if others.is_empty() || contraction.operands[operand].clear || !self.kept[leaf].iter().any(own) {
            return leaf;
        }
        self.product(request, vec![leaf], &others)
    }
}

/// The trees that are tried.
pub(super) fn trees(request: &Request) -> Vec<Tree> {
    let operands = request.contraction.operands.len();
    let mut flat = Tree::default();
    let children = (0..operands).map(|operand| flat.operand(request, operand)).collect();
    flat.product(request, children, &[]);
    let mut trees = vec![flat];
    let all: Vec<usize> = (0..operands).collect();
    if operands > 2 {
        let shapes = if operands <= 4 { shapes(&all) } else { vec![chain(&all)] };
        for shape in shapes {
            let mut tree = Tree::default();
            grow(&mut tree, request, &shape);
            trees.push(tree);
        }
    }
    trees
}

/// A binary tree over operands.
#[derive(Clone, Debug)]
enum Shape {
    Operand(usize),
    Pair(Box<(Shape, Shape)>),
}

impl Shape {
    fn operands(&self) -> Vec<usize> {
        match self {
            Shape::Operand(operand) => vec![*operand],
            Shape::Pair(pair) => [pair.0.operands(), pair.1.operands()].concat(),
        }
    }
}

/// Every binary tree over these operands, each pair once.
fn shapes(operands: &[usize]) -> Vec<Shape> {
    let [first, rest @ ..] = operands else { return Vec::new() };
    if rest.is_empty() {
        return vec![Shape::Operand(*first)];
    }
    let mut found = Vec::new();
    for subset in 0..(1usize << rest.len()) - 1 {
        let with = |side: usize| {
            let chosen = rest.iter().enumerate().filter(move |(number, _)| subset >> number & 1 == side);
            chosen.map(|(_, operand)| *operand)
        };
        let left: Vec<usize> = [*first].into_iter().chain(with(1)).collect();
        let right: Vec<usize> = with(0).collect();
        for one in shapes(&left) {
            found.extend(shapes(&right).into_iter().map(|other| Shape::Pair(Box::new((one.clone(), other)))));
        }
    }
    found
}

fn chain(operands: &[usize]) -> Shape {
    let pair = |chain: Shape, operand: Shape| Shape::Pair(Box::new((chain, operand)));
    operands.iter().map(|operand| Shape::Operand(*operand)).reduce(pair).unwrap_or(Shape::Operand(0))
}

fn grow(tree: &mut Tree, request: &Request, shape: &Shape) -> usize {
    match shape {
        Shape::Operand(operand) => tree.operand(request, *operand),
        Shape::Pair(pair) => {
            let inside = shape.operands();
            let children = vec![grow(tree, request, &pair.0), grow(tree, request, &pair.1)];
            let all = 0..request.contraction.operands.len();
            let others: Vec<usize> = all.filter(|operand| !inside.contains(operand)).collect();
            tree.product(request, children, &others)
        }
    }
}
