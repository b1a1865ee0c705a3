//! How long networks run, whole and step by step.

use crate::measure;
use einc::backend::cranelift::{self, Compiled};
use einc::machine::Machine;
use einc::pipeline::{self, Settings};
use einc::plan::search::{Network, Rates};
use einc::plan::{BufferId, Goal, Place, Plan, Step, cost};
use einc::program::Program;
use einc::{DType, Tensor};
use std::time::{Duration, Instant};

/// The objectives whose orders are compared.
const GOALS: [Goal; 6] = [Goal::Time, Goal::Macs, Goal::Flops, Goal::Size, Goal::Write, Goal::Combo];

/// How long all runs of a network take together, in seconds.
const SECONDS: f64 = 4.0;

/// How long runs that are timed together take at least, in seconds: the clock of a thread tells no single microseconds.
const TOGETHER: f64 = 1e-3;

/// A network as a program, with random operands.
struct Runnable {
    program: Program,
    inputs: Vec<Tensor>,
}

impl Runnable {
    fn new(network: &Network) -> Option<Runnable> {
        // Any letter of any script is a label of an einsum string.
        let letters: Vec<char> = ('a'..='z').chain('\u{4e00}'..='\u{9fff}').collect();
        let word =
            |axes: &[u32]| axes.iter().map(|&axis| letters.get(axis as usize)).collect::<Option<String>>();
        let terms: Option<Vec<String>> = network.inputs().iter().map(|axes| word(axes)).collect();
        let spec = format!("{}->{}", terms?.join(","), word(network.output())?);
        let extent = |&axis: &u32| network.extents()[axis as usize];
        let operands = (0..).zip(network.inputs()).map(|(seed, axes)| {
            pipeline::random(seed, "x", DType::F64, &axes.iter().map(extent).collect::<Vec<u64>>())
        });
        let inputs: Vec<Tensor> = operands.collect::<Option<_>>()?;
        let (program, _) = pipeline::einsum(&spec, &inputs.iter().collect::<Vec<_>>()).ok()?;
        Some(Runnable { program, inputs })
    }

    fn inputs(&self) -> Vec<&Tensor> {
        self.inputs.iter().collect()
    }

    fn results(&self) -> Option<Vec<Tensor>> {
        let outputs = self.program.outputs.iter().map(|(_, id)| &self.program.tensors[*id]);
        outputs.map(|tensor| Tensor::zeros(tensor.dtype, &tensor.shape)).collect()
    }
}

/// A plan for an objective, ready to run.
struct Contender {
    goal: Goal,
    predicted: f64,
    compiled: Compiled,
    results: Vec<Tensor>,
    /// How many runs are timed together.
    runs: u32,
    /// The least that a run has taken so far.
    seconds: f64,
}

/// How long to search: in seconds, or in units of work.
#[derive(Clone, Copy)]
pub enum Effort {
    Seconds(f64),
    Work(u64),
}

fn settings(goal: Goal, rates: &Rates, (effort, seed): (Effort, u64)) -> Settings {
    let mut settings = Settings { threads: Some(1), ..Settings::default() };
    settings.plan.seed = seed;
    settings.plan.objective = goal;
    settings.plan.rates = rates.clone();
    match effort {
        Effort::Seconds(seconds) => settings.plan.seconds = Some(seconds),
        Effort::Work(work) => settings.plan.work = Some(work),
    }
    settings
}

/// Compares whole runs of orders that were sought for different objectives, with so much effort and from so many seeds
/// each; a network counts with the median of its seeds.
pub fn objectives(networks: &[(String, Network)], rates: &Rates, effort: Effort, seeds: u64) {
    let mut ratios = Vec::new();
    for (name, network) in networks {
        let mut found: Vec<f64> =
            (0..seeds).filter_map(|seed| compare(name, network, rates, (effort, seed))).collect();
        found.sort_by(f64::total_cmp);
        match found.get(found.len() / 2) {
            Some(&median) => ratios.push(median),
            None => println!("{name}: does not run"),
        }
    }
    ratios.sort_by(f64::total_cmp);
    if let (Some(median), Some(worst)) = (ratios.get(ratios.len() / 2), ratios.last()) {
        let within = ratios.iter().filter(|&&ratio| ratio <= 1.15).count();
        println!("{} networks: median {median:.3}, worst {worst:.3}, {within} within 1.15", ratios.len());
    }
}

/// How many times as long as the fastest of all orders the one for `time` takes.
fn compare(name: &str, network: &Network, rates: &Rates, effort: (Effort, u64)) -> Option<f64> {
    let runnable = Runnable::new(network)?;
    let inputs = runnable.inputs();
    let mut programs: Vec<Contender> = Vec::new();
    for goal in GOALS {
        let Ok(plan) = pipeline::plan(&runnable.program, &settings(goal, rates, effort)) else { continue };
        let compiled = cranelift::compile(&plan, &Machine::host()).ok()?;
        let mut results = runnable.results()?;
        compiled.run(&inputs, &mut results, 1).ok()?;
        let (runs, _) = measure::repeats(1, TOGETHER, &mut || again(&compiled, &inputs, &mut results));
        let predicted = cost(&plan, rates).seconds;
        programs.push(Contender { goal, predicted, compiled, results, runs, seconds: f64::INFINITY });
    }
    // In turns, so that what else the machine does meets all of them.
    let start = Instant::now();
    for round in 0.. {
        if round >= 3 && start.elapsed().as_secs_f64() > SECONDS {
            break;
        }
        for Contender { compiled, results, runs, seconds, .. } in &mut programs {
            let together = measure::timed(1, *runs, &mut || again(compiled, &inputs, results));
            *seconds = seconds.min(together / f64::from(*runs));
        }
    }
    let fastest = programs.iter().map(|program| program.seconds).fold(f64::INFINITY, f64::min);
    let ours = programs.iter().find(|program| program.goal == Goal::Time)?.seconds;
    let times: Vec<String> = programs
        .iter()
        .map(|Contender { goal, seconds, predicted, .. }| {
            format!("{goal:?} {:.3} ({:.3})", seconds * 1e3, predicted * 1e3).to_lowercase()
        })
        .collect();
    println!("{name:<44} {:>6.3} x the fastest; ms (predicted): {}", ours / fastest, times.join(", "));
    Some(ours / fastest)
}

/// Compares predicted times of steps with measured ones: so many of each plan, those that take longest. What a plan takes
/// as a whole stands beside them.
pub fn times(networks: &[(String, Network)], rates: &Rates, effort: Effort, most: usize) {
    let (mut predicted, mut measured) = (Vec::new(), Vec::new());
    for (name, network) in networks {
        let Some(runnable) = Runnable::new(network) else { continue };
        for goal in [Goal::Time, Goal::Macs, Goal::Combo] {
            let Ok(plan) = pipeline::plan(&runnable.program, &settings(goal, rates, (effort, 0))) else {
                continue;
            };
            let costs = cost(&plan, rates).steps;
            let mut order: Vec<usize> = (0..costs.len()).collect();
            order.sort_by(|&a, &b| costs[b].seconds.total_cmp(&costs[a].seconds));
            let mut sums = (0.0, 0.0);
            // Calling a program costs something for each of its operands.
            let none = Plan { steps: Vec::new(), ..plan.clone() };
            let Some(call) = run(&none, runnable.inputs()) else { continue };
            for step in order.into_iter().take(most) {
                let Some((alone, more)) = alone(&plan, step, runnable.inputs.len()) else { continue };
                let inputs = runnable.inputs.iter().chain(&more).collect();
                let Some(seconds) = run(&alone, inputs) else { continue };
                let seconds = (seconds - call).max(0.0);
                let guess = costs[step].seconds;
                if std::env::var_os("EINC_BENCH_STEPS").is_some() {
                    let text = alone.to_string();
                    let line = text.lines().last().unwrap_or_default();
                    println!(
                        "  {:.1} us, predicted {:.1} us, {}: {line}",
                        seconds * 1e6,
                        guess * 1e6,
                        costs[step].kernel
                    );
                }
                sums = (sums.0 + seconds, sums.1 + guess);
                measured.push(seconds);
                predicted.push(guess);
            }
            let Some(whole) = run(&plan, runnable.inputs()) else { continue };
            println!(
                "{name} for {goal:?}: {:.4} s measured, {:.4} s predicted; the whole plan {whole:.4} s",
                sums.0, sums.1
            );
        }
    }
    println!(
        "{} steps, rank correlation {:.3}",
        measured.len(),
        correlation(&ranks(&measured), &ranks(&predicted))
    );
}

/// A plan of one step, and what it reads as more inputs: memory of the arena that nobody has written takes no room in
/// caches.
fn alone(plan: &Plan, step: usize, inputs: usize) -> Option<(Plan, Vec<Tensor>)> {
    let mut alone = Plan { steps: vec![plan.steps[step].clone()], ..plan.clone() };
    let read: Vec<BufferId> = match &plan.steps[step] {
        Step::Contract(contract) => vec![contract.a.buffer, contract.b.buffer],
        Step::Nest(nest) => nest.operands.iter().map(|operand| operand.buffer).collect(),
        _ => return None,
    };
    let mut more = Vec::new();
    for id in read {
        let buffer = &mut alone.buffers[id];
        if matches!(buffer.place, Place::Arena(_)) {
            buffer.place = Place::Input(inputs + more.len());
            more.push(pipeline::random(more.len() as u64, "x", buffer.dtype, &[buffer.elems])?);
        }
    }
    Some((alone, more))
}

/// The seconds that this thread takes for one run of a plan, the least of several.
fn run(plan: &Plan, inputs: Vec<&Tensor>) -> Option<f64> {
    let compiled = cranelift::compile(plan, &Machine::host()).ok()?;
    let mut results = Vec::new();
    for (_, buffer) in plan.buffers.iter() {
        if let Place::Output(number) = buffer.place {
            results.push((number, Tensor::zeros(buffer.dtype, &[buffer.elems])?));
        }
    }
    results.sort_by_key(|result| result.0);
    let mut results: Vec<Tensor> = results.into_iter().map(|result| result.1).collect();
    compiled.run(&inputs, &mut results, 1).ok()?;
    Some(measure::best(1, Duration::from_millis(10), &mut || again(&compiled, &inputs, &mut results)))
}

/// Runs what has run before.
fn again(compiled: &Compiled, inputs: &[&Tensor], results: &mut [Tensor]) {
    compiled.run(inputs, results, 1).expect("it ran before");
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    order.iter().enumerate().for_each(|(rank, &k)| ranks[k] = rank as f64);
    ranks
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (p, q) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - p, y - q)).sum::<f64>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}
