//! Contractions in slices: against the interpreter of programs, and with equal bits on any number of threads.

use super::build::noise;
use super::random::assert_agrees;
use crate::backend::cranelift::compile;
use crate::graph::sample::*;
use crate::graph::{Graph, PASSES};
use crate::machine::Machine;
use crate::pass;
use crate::plan::{Locked, Plan, Processes, Settings, Step, plan};
use crate::program::Program;
use einc_runtime::{DType, Tensor};
use std::sync::Arc;

/// `y[a,f] = sum[b,c,d] P[a,b,c] * Q[c,d] * R[b,d,f] * S[a,d,b]`, axes in the order a b c d f.
fn program(dtype: DType, extents: [u64; 5]) -> Program {
    let mut s = Sample::new(dtype);
    let mut names = ["a", "b", "c", "d", "f"].into_iter();
    let axes = extents.map(|extent| s.axis(names.next().unwrap(), extent));
    let [a, b, c, d, f] = axes;
    let lists = [vec![a, b, c], vec![c, d], vec![b, d, f], vec![a, d, b]];
    let reads: Vec<E> = ["P", "Q", "R", "S"]
        .into_iter()
        .zip(&lists)
        .map(|(name, list)| {
            let shape: Vec<u64> = list.iter().map(|&axis| s.program.axes[axis].extent).collect();
            let id = s.input(name, &shape);
            s.at(id, list)
        })
        .collect();
    let y = s.define("y", &[a, f], sum(&[b, c, d], mul(reads)));
    s.output(y);
    s.program
}

fn sliced(program: &Program, extents: [u64; 5], path: &str, slices: &[u32]) -> Plan {
    planned(program, extents, path, slices, None)
}

fn planned(
    program: &Program,
    extents: [u64; 5],
    path: &str,
    slices: &[u32],
    processes: Option<Arc<dyn Processes>>,
) -> Plan {
    let text = format!(
        "{{\"inputs\": [[0,1,2],[2,3],[1,3,4],[0,1,3]], \"output\": [0,4], \"sizes\": {extents:?}, \
         \"path\": {path}, \"slices\": {slices:?}}}"
    );
    let locked = Arc::new(Locked::read(&text, true).unwrap());
    let graph = pass::run(Graph::new(program), PASSES, &mut |_, _| {});
    let plan = plan(&graph, &Settings { locked: Some(locked), processes, ..Settings::default() });
    let plan = plan.unwrap_or_else(|error| panic!("{}", error.message));
    plan.verify().unwrap_or_else(|law| panic!("{law}\n{plan}"));
    plan
}

/// The outputs for inputs that look random.
fn run(plan: &Plan, program: &Program, threads: usize) -> Vec<Tensor> {
    run_among(plan, program, threads, None)
}

fn run_among(
    plan: &Plan,
    program: &Program,
    threads: usize,
    processes: Option<Arc<dyn Processes>>,
) -> Vec<Tensor> {
    let tensor = |id, seed: u64| {
        let declared: &crate::program::Tensor = &program.tensors[id];
        let count = declared.shape.iter().product::<u64>() as usize;
        let values = noise(count, seed + 1);
        match declared.dtype {
            DType::F64 => Tensor::from_slice(&declared.shape, &values).unwrap(),
            _ => {
                let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                Tensor::from_slice(&declared.shape, &values).unwrap()
            }
        }
    };
    let inputs: Vec<Tensor> =
        program.inputs.iter().enumerate().map(|(k, &id)| tensor(id, k as u64)).collect();
    let (_, y) = &program.outputs[0];
    let y = &program.tensors[*y];
    let mut outputs = vec![Tensor::zeros(y.dtype, &y.shape).unwrap()];
    let compiled = compile(plan, &Machine::host()).unwrap().among(processes);
    compiled.run(&inputs.iter().collect::<Vec<_>>(), &mut outputs, threads).unwrap();
    outputs
}

fn apart(steps: &[Step]) -> usize {
    let of = |step: &Step| match step {
        Step::Scan(scan) => usize::from(scan.apart) + apart(&scan.body),
        _ => 0,
    };
    steps.iter().map(of).sum()
}

#[test]
fn slices_run_at_once_and_give_the_values_of_the_program() {
    let paths = ["[[0,3],[1,2],[4,5]]", "[[0,1],[2,3],[4,5]]", "[[1,2],[3,4],[0,5]]"];
    let slices: [&[u32]; 8] = [&[1], &[2], &[0], &[4], &[3, 1], &[0, 2], &[4, 3, 2], &[0, 1, 2, 3, 4]];
    let mut at_once = 0;
    for (k, extents) in [[3, 4, 5, 2, 6], [2, 36, 7, 4, 3], [20, 2, 2, 2, 9]].into_iter().enumerate() {
        let dtype = [DType::F64, DType::F32, DType::I64][k];
        let program = program(dtype, extents);
        for (path, slices) in paths.into_iter().flat_map(|path| slices.map(|slices| (path, slices))) {
            let plan = sliced(&program, extents, path, slices);
            at_once += usize::from(apart(&plan.steps) > 0);
            assert_agrees(&plan, &format!("{extents:?} {path} {slices:?}"));
            let inputs = super::random::inputs(&plan);
            let shaped: Vec<Tensor> = inputs
                .iter()
                .zip(&program.inputs)
                .map(|(tensor, &id)| {
                    Tensor::from_bytes(tensor.dtype(), &program.tensors[id].shape, tensor.bytes()).unwrap()
                })
                .collect();
            let wanted = crate::interpret::run(&program, &shaped.iter().collect::<Vec<_>>()).unwrap();
            let found = crate::interpret::run_plan(&plan, &inputs.iter().collect::<Vec<_>>()).unwrap();
            // Small integers: every order of the sum gives the same.
            assert_eq!(found[0].bytes(), wanted[0].bytes(), "{path} {slices:?}\n{plan}");
        }
    }
    // Not all: partial sums that are no smaller than the work for them do not pay.
    assert!(at_once > 36, "{at_once} of 72");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    // Large enough for matrix products inside of slices.
    let extents = [24, 16, 20, 8, 24];
    for dtype in [DType::F64, DType::F32] {
        let program = program(dtype, extents);
        for slices in [&[3][..], &[1], &[0], &[1, 3], &[4, 3]] {
            let plan = sliced(&program, extents, "[[0,1],[2,3],[4,5]]", slices);
            assert!(apart(&plan.steps) > 0, "{plan}");
            let alone = run(&plan, &program, 1);
            for threads in [2, 3, 16] {
                let together = run(&plan, &program, threads);
                assert_eq!(alone[0].bytes(), together[0].bytes(), "{threads} threads, {slices:?}\n{plan}");
            }
        }
    }
}

#[test]
fn little_memory_means_fewer_slices_at_once() {
    let extents = [8, 32, 8, 32, 8];
    let program = program(DType::F64, extents);
    let text = "{\"inputs\": [[0,1,2],[2,3],[1,3,4],[0,1,3]], \"output\": [0,4], \"sizes\": [8,32,8,32,8], \
                \"path\": [[0,1],[3,4],[2,5]], \"slices\": [1]}";
    let locked = Some(Arc::new(Locked::read(text, true).unwrap()));
    let graph = pass::run(Graph::new(&program), PASSES, &mut |_, _| {});
    let fitted = |memory_limit| {
        let settings = Settings { locked: locked.clone(), memory_limit, ..Settings::default() };
        let plan = plan(&graph, &settings).unwrap();
        assert!(memory_limit.is_none_or(|limit| plan.memory() <= limit), "{plan}");
        plan.arena
    };
    let free = fitted(None);
    let whole = fitted(None) + 8 * (8 * 32 * 8 + 8 * 32 + 32 * 32 * 8 + 8 * 32 * 32 + 64);
    let arenas = [free, fitted(Some(whole - free / 4)), fitted(Some(whole - free + free / 10))];
    assert!(arenas[0] > arenas[1] && arenas[1] > arenas[2], "{arenas:?}");
}

/// `y[i,k] = A[i,j] * B[j,k]`.
fn product(dtype: DType, [rows, sums, columns]: [u64; 3]) -> Program {
    let mut s = Sample::new(dtype);
    let [i, j, k] = [("i", rows), ("j", sums), ("k", columns)].map(|(name, extent)| s.axis(name, extent));
    let (a, b) = (s.input("A", &[rows, sums]), s.input("B", &[sums, columns]));
    let factors = mul(vec![s.at(a, &[i, j]), s.at(b, &[j, k])]);
    let y = s.define("y", &[i, k], sum(&[j], factors));
    s.output(y);
    s.program
}

#[test]
fn the_memory_of_products_on_many_threads_is_foreseen() {
    let planned_for = |program: &Program, settings: &Settings| {
        plan(&pass::run(Graph::new(program), PASSES, &mut |_, _| {}), settings)
    };
    let mut plans: Vec<Plan> = [
        ([300, 200, 400], DType::F32),
        ([64, 1000, 64], DType::F64),
        ([40, 30, 50], DType::C128),
        ([2, 50_000, 3], DType::F64),
    ]
    .map(|(sizes, dtype)| planned_for(&product(dtype, sizes), &Settings::default()).unwrap())
    .into();
    let extents = [8, 32, 8, 32, 24];
    for slices in [&[][..], &[1]] {
        plans.push(sliced(&program(DType::F64, extents), extents, "[[0,1],[3,4],[2,5]]", slices));
    }
    let mut counted = 0;
    for mut plan in plans {
        let compiled = compile(&plan, &Machine::host()).unwrap();
        let uncounted = plan.memory() - plan.workspace;
        for threads in [1, 2, 5, 16] {
            plan.run_on(threads, u64::MAX);
            let rest = plan.memory() - plan.arena - plan.workspace;
            let (foreseen, taken) = (plan.memory() as f64, (rest + compiled.workspace_bytes(threads)) as f64);
            // Beside it there are some numbers for each thread that say where it is.
            let small = 4096.0 * (threads as f64 + 1.0);
            assert!(
                foreseen <= taken && taken <= 1.1 * foreseen + small,
                "{foreseen} of {taken} bytes on {threads} threads\n{plan}"
            );
            counted += usize::from(plan.memory() as f64 > 1.1 * uncounted as f64);
        }
    }
    assert!(counted >= 6, "{counted}");
    // Where there is no memory for the products of all threads, fewer run.
    let mut plan = planned_for(&product(DType::F32, [300, 200, 400]), &Settings::default()).unwrap();
    let alone = plan.memory();
    plan.run_on(16, u64::MAX);
    let together = plan.memory();
    assert!(plan.threads == 16 && alone < together);
    plan.run_on(16, together - 1);
    assert!(plan.threads == 15 && plan.memory() < together);
    plan.run_on(16, alone);
    assert!(plan.threads == 1 && plan.memory() == alone);
}

/// Threads that stand for processes.
#[derive(Debug)]
struct Peer {
    rank: usize,
    together: Arc<Together>,
}

#[derive(Debug)]
struct Together {
    count: usize,
    door: std::sync::Barrier,
    bytes: std::sync::Mutex<Vec<u8>>,
}

impl Processes for Peer {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.together.count
    }

    fn join(&self, bytes: &mut [u8]) {
        let Together { door, bytes: all, .. } = &*self.together;
        if door.wait().is_leader() {
            *all.lock().unwrap() = vec![0; bytes.len()];
        }
        door.wait();
        all.lock().unwrap().iter_mut().zip(&*bytes).for_each(|(all, own)| *all |= own);
        door.wait();
        bytes.copy_from_slice(&all.lock().unwrap());
    }
}

#[test]
fn processes_share_slices_and_all_get_the_same_bits() {
    let extents = [12, 16, 6, 4, 9];
    let program = program(DType::F64, extents);
    for slices in [&[3][..], &[1], &[0], &[1, 3], &[4, 0], &[0, 1, 2, 3, 4]] {
        let alone = {
            let plan = sliced(&program, extents, "[[0,1],[2,3],[4,5]]", slices);
            run(&plan, &program, 1)
        };
        for count in [2, 3] {
            let (door, bytes) = (std::sync::Barrier::new(count), std::sync::Mutex::default());
            let together = Arc::new(Together { count, door, bytes });
            let found: Vec<Vec<Tensor>> = std::thread::scope(|scope| {
                let peers: Vec<_> = (0..count)
                    .map(|rank| {
                        let peer = Arc::new(Peer { rank, together: together.clone() });
                        let program = &program;
                        scope.spawn(move || {
                            let path = "[[0,1],[2,3],[4,5]]";
                            let plan = planned(program, extents, path, slices, Some(peer.clone()));
                            assert!(plan.to_string().contains(" shared b"), "{plan}");
                            run_among(&plan, program, 1, Some(peer))
                        })
                    })
                    .collect();
                peers.into_iter().map(|peer| peer.join().unwrap()).collect()
            });
            for found in found {
                assert_eq!(found[0].bytes(), alone[0].bytes(), "{count} processes, {slices:?}");
            }
        }
    }
}
