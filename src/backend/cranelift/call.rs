//! Running compiled programs: their memory, their threads and their faults.

use super::unit::{FRAME_HEAD, SCRATCH_HEAD};
use crate::fault::Fault;
use crate::id::IdVec;
use crate::loops::{Fourier, Loops, Place, Site, SiteId};
use crate::plan::Processes;
use cranelift_jit::JITModule;
use einc_runtime::fourier::{ConvolutionPlan, TransformPlan};
use einc_runtime::gemm::GemmPlan;
use einc_runtime::permute::PermutePlan;
use einc_runtime::{DType, Tensor, pool};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The signature of every function that takes no range: frame and scratch memory.
type Entry = extern "C" fn(*const u64, *mut u8) -> i32;

/// A program in machine code.
///
/// It can be called from several threads at once; every call that runs has its own memory, which is kept for later
/// calls.
pub struct Compiled {
    entry: Entry,
    /// The code. Freed when this is dropped.
    module: Mutex<Option<JITModule>>,
    slots: Vec<Slot>,
    sites: IdVec<SiteId, Site>,
    inputs: Vec<Option<(DType, u64)>>,
    outputs: Vec<Option<(DType, u64)>>,
    arena: u64,
    scratch: u64,
    gemms: Vec<GemmPlan>,
    permutes: Vec<PermutePlan>,
    fouriers: Vec<FourierPlan>,
    /// Words of the frame.
    frame: usize,
    /// Whether any loop may run on several threads.
    parallel: bool,
    /// Whether matrix products run inside such loops.
    alone: bool,
    /// The processes that share loops.
    processes: Option<Arc<dyn Processes>>,
    idle: Mutex<Vec<Workspace>>,
}

/// A transform or convolution made ready.
pub(super) enum FourierPlan {
    Transform(TransformPlan),
    Convolution(ConvolutionPlan),
}

impl FourierPlan {
    /// `None` where no memory holds it.
    pub(super) fn new(fourier: &Fourier) -> Option<FourierPlan> {
        Some(match fourier {
            Fourier::Transform(transform) => FourierPlan::Transform(TransformPlan::new(transform)?),
            Fourier::Convolution(convolution) => FourierPlan::Convolution(ConvolutionPlan::new(convolution)?),
        })
    }
}

/// Bytes from which on the memory of a call is made so large that it is in huge pages.
const SOME: u64 = 512 << 10;

/// What a word of the frame that stands for a buffer holds.
enum Slot {
    Input(usize),
    Output(usize),
    Constant(Arc<Tensor>),
    Arena(u64),
    Scratch,
}

/// The memory of one call: frame, arena, the scratch memory of every worker, and that of matrix products.
struct Workspace {
    memory: Tensor,
    /// How many threads it is large enough for.
    threads: usize,
}

/// What the functions of the host need: the first word of the frame points here.
struct Host<'a> {
    threads: usize,
    scratch_bytes: usize,
    gemms: &'a [GemmPlan],
    permutes: &'a [PermutePlan],
    fouriers: &'a [FourierPlan],
    processes: Option<&'a dyn Processes>,
    /// The scratch memory of the first worker.
    scratch: *mut u8,
    /// Memory of the matrix product that runs, or of one for each worker.
    workspace: *mut u8,
    /// Bytes of the memory of a matrix product that runs on one thread.
    alone_bytes: usize,
}

impl Compiled {
    pub(super) fn new(
        loops: Loops,
        module: JITModule,
        entry: *const u8,
        (gemms, permutes, fouriers): (Vec<GemmPlan>, Vec<PermutePlan>, Vec<FourierPlan>),
    ) -> Compiled {
        // SAFETY: `unit::translate` gives the main function this signature in the platform's calling convention, and
        // `module` keeps its code alive for as long as `entry` is used.
        let entry = unsafe { mem::transmute::<*const u8, Entry>(entry) };
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        let mut slots = Vec::new();
        for (_, buffer) in loops.buffers.iter() {
            let note = |list: &mut Vec<Option<(DType, u64)>>, number: usize| {
                list.resize(list.len().max(number + 1), None);
                list[number] = Some((buffer.dtype, buffer.elems));
            };
            slots.push(match &buffer.place {
                Place::Input(number) => {
                    note(&mut inputs, *number);
                    Slot::Input(*number)
                }
                Place::Output(number) => {
                    note(&mut outputs, *number);
                    Slot::Output(*number)
                }
                Place::Constant(tensor) => Slot::Constant(tensor.clone()),
                Place::Arena(at) => Slot::Arena(*at),
                Place::Scratch(_) => Slot::Scratch,
            });
        }
        Compiled {
            entry,
            module: Mutex::new(Some(module)),
            frame: FRAME_HEAD + slots.len() + loops.vars.len(),
            slots,
            parallel: loops.steps.iter().any(|step| super::unit::has_parallel(step)),
            alone: loops.steps.iter().any(|step| super::unit::has_gemm_alone(step, false)),
            gemms,
            permutes,
            fouriers,
            processes: None,
            sites: loops.sites,
            inputs,
            outputs,
            arena: loops.arena,
            scratch: loops.scratch,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Lets processes share slices; all of them must run the same programs in the same order.
    pub fn among(mut self, processes: Option<Arc<dyn Processes>>) -> Compiled {
        self.processes = processes;
        self
    }

    /// Bytes of memory that a call on that many threads takes besides its arguments and results.
    pub fn workspace_bytes(&self, threads: usize) -> u64 {
        let workers = if self.parallel { threads.max(1) as u64 } else { 1 };
        let frame = (self.frame as u64 * 8).next_multiple_of(64);
        let scratch = (self.scratch_bytes() as u64).saturating_mul(workers);
        frame
            .saturating_add(self.arena.next_multiple_of(64))
            .saturating_add(scratch)
            .saturating_add(self.gemm_bytes(threads.max(1)))
    }

    /// Bytes of scratch memory of one worker.
    fn scratch_bytes(&self) -> usize {
        SCRATCH_HEAD.saturating_add(self.scratch as usize).next_multiple_of(64)
    }

    /// Bytes that the matrix products need, one after the other or one for each worker.
    fn gemm_bytes(&self, threads: usize) -> u64 {
        let shared = self.gemms.iter().map(|plan| plan.workspace_bytes(threads) as u64).max().unwrap_or(0);
        let workers = if self.parallel { threads as u64 } else { 1 };
        shared.max((self.alone_bytes() as u64).saturating_mul(workers))
    }

    /// Bytes that any matrix product needs on one thread, if one runs inside a parallel loop.
    fn alone_bytes(&self) -> usize {
        let bytes = self.gemms.iter().filter(|_| self.alone).map(|plan| plan.workspace_bytes(1)).max();
        bytes.unwrap_or(0).saturating_add(63) / 64 * 64
    }

    /// Runs the program: reads `inputs`, writes `outputs`, both as the plan numbers them.
    ///
    /// # Panics
    ///
    /// If a tensor is missing, or has another dtype or number of elements than the plan says; if memory is short.
    pub fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor], threads: usize) -> Result<(), Fault> {
        for (number, wanted) in self.inputs.iter().enumerate() {
            if let Some((dtype, elems)) = *wanted {
                let given = inputs[number];
                assert!(
                    given.dtype() == dtype && given.elems() as u64 == elems,
                    "input {number} has {elems} elements of {dtype}"
                );
            }
        }
        for (number, wanted) in self.outputs.iter().enumerate() {
            if let Some((dtype, elems)) = *wanted {
                let given = &outputs[number];
                assert!(
                    given.dtype() == dtype && given.elems() as u64 == elems,
                    "output {number} has {elems} elements of {dtype}"
                );
            }
        }
        let input = |number: usize| inputs[number].bytes().as_ptr();
        let mut output = |number: usize| outputs[number].bytes_mut().as_mut_ptr();
        // SAFETY: the tensors have the sizes that the plan says, and are borrowed for as long as the program runs.
        unsafe { self.run_with(&input, &mut output, threads) }
    }

    /// Runs the program on memory of the caller.
    ///
    /// # Safety
    ///
    /// Every pointer is aligned to its dtype; inputs can be read and outputs written for as many elements as the plan
    /// says; no output overlaps another tensor; nobody else writes inputs or touches outputs meanwhile.
    pub unsafe fn run_raw(
        &self,
        inputs: &[*const u8],
        outputs: &[*mut u8],
        threads: usize,
    ) -> Result<(), Fault> {
        // SAFETY: what the caller promises.
        unsafe { self.run_with(&|number| inputs[number], &mut |number| outputs[number], threads) }
    }

    /// # Safety
    ///
    /// As for [`Compiled::run_raw`].
    unsafe fn run_with(
        &self,
        input: &dyn Fn(usize) -> *const u8,
        output: &mut dyn FnMut(usize) -> *mut u8,
        threads: usize,
    ) -> Result<(), Fault> {
        let threads = threads.max(1);
        let workers = if self.parallel { threads } else { 1 };
        let mut workspace = self.workspace(threads);
        let base = workspace.memory.bytes_mut().as_mut_ptr();
        let arena = (self.frame * 8).next_multiple_of(64);
        let scratch_at = arena + (self.arena as usize).next_multiple_of(64);
        // SAFETY: `workspace` made the memory as large as `workspace_bytes` says, of which the arena is a part.
        let (arena, scratch) = unsafe { (base.add(arena), base.add(scratch_at)) };
        let host = Host {
            threads,
            scratch_bytes: self.scratch_bytes(),
            gemms: &self.gemms,
            permutes: &self.permutes,
            fouriers: &self.fouriers,
            processes: self.processes.as_deref(),
            scratch,
            alone_bytes: self.alone_bytes(),
            // SAFETY: as above; this is the last part.
            workspace: unsafe { scratch.add(self.scratch_bytes() * workers) },
        };
        let frame = base.cast::<u64>();
        let word = |number: usize, value: u64| {
            // SAFETY: the frame is the first part of the memory, 64-byte aligned, and has this many words.
            unsafe { frame.add(number).write(value) }
        };
        word(0, &raw const host as u64);
        for (number, slot) in self.slots.iter().enumerate() {
            let address = match slot {
                Slot::Input(number) => input(*number) as u64,
                Slot::Output(number) => output(*number) as u64,
                Slot::Constant(tensor) => tensor.bytes().as_ptr() as u64,
                Slot::Arena(at) => arena as u64 + at,
                Slot::Scratch => continue,
            };
            word(FRAME_HEAD + number, address);
        }
        let failed = (self.entry)(frame, scratch);
        let fault = (failed != 0).then(|| {
            // SAFETY: a failed program wrote site and value to the first words of the first worker's scratch memory.
            let (site, value) =
                unsafe { (scratch.cast::<i64>().read(), scratch.cast::<i64>().add(1).read()) };
            let site = &self.sites[SiteId(site as u32)];
            Fault {
                place: site.place,
                tensor: site.tensor.clone(),
                checked: site.checked,
                extent: site.extent,
                value,
            }
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        fault.map_or(Ok(()), Err)
    }

    /// Memory for a call, of an earlier one if there is any.
    fn workspace(&self, threads: usize) -> Workspace {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = idle.iter().rposition(|workspace| workspace.threads >= threads) {
            return idle.swap_remove(at);
        }
        drop(idle);
        let bytes = match self.workspace_bytes(threads) {
            // The memory of large tensors is in huge pages, which a walk through values of many rows misses less.
            SOME..Tensor::HUGE_FROM => Tensor::HUGE_FROM,
            other => other,
        };
        let memory = Tensor::zeros(DType::U8, &[bytes]).expect("memory for the arena of the program");
        Workspace { memory, threads }
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(module) = module {
            // SAFETY: only calls of `self` use the code, and nobody else can hold `self` now.
            unsafe { module.free_memory() }
        }
    }
}

/// The signature of the body of a parallel loop: frame, scratch memory and a part of the range.
type Part = extern "C" fn(*const u64, *mut u8, i64, i64) -> i32;

/// The values of a parallel loop.
struct Range {
    start: i64,
    end: i64,
    step: i64,
}

impl Range {
    fn iterations(&self) -> i64 {
        let length = self.end - self.start;
        length.div_euclid(self.step) + i64::from(length.rem_euclid(self.step) != 0)
    }

    /// Where one of so many parts of about equal length begins and ends.
    fn part(&self, number: usize, parts: usize) -> (i64, i64) {
        let before = |part: usize| (part as i128 * i128::from(self.iterations()) / parts as i128) as i64;
        let at = |part: usize| self.start + before(part) * self.step;
        (at(number), at(number + 1).min(self.end))
    }
}

/// Runs the body of a parallel loop: cuts the range into as many parts as there are threads. Gives 1 after a fault, of
/// which the first in the order of the range stands in `scratch`.
pub(super) extern "C" fn parallel(
    frame: *const u64,
    scratch: *mut u8,
    code: *const u8,
    start: i64,
    end: i64,
    step: i64,
) -> i32 {
    // SAFETY: generated code passes one of its own functions, which `unit::translate` gave this signature.
    let code = unsafe { mem::transmute::<*const u8, Part>(code) };
    // SAFETY: `Compiled::run_with` put the address of a `Host` that lives until the program ends into the first word.
    let host = unsafe { &*(frame.read() as *const Host) };
    let range = Range { start, end, step };
    let parts = host.threads.min(usize::try_from(range.iterations()).unwrap_or(0));
    if parts <= 1 {
        return code(frame, scratch, start, end);
    }
    let (frame, first, bytes) = (frame as usize, scratch as usize, host.scratch_bytes);
    let failed: Vec<AtomicBool> = (0..parts).map(|_| AtomicBool::new(false)).collect();
    pool::parallel(parts, &|number| {
        let (from, to) = range.part(number, parts);
        let scratch = (first + number * bytes) as *mut u8;
        if code(frame as *const u64, scratch, from, to) != 0 {
            failed[number].store(true, Ordering::Relaxed);
        }
    });
    let Some(number) = failed.iter().position(|failed| failed.load(Ordering::Relaxed)) else { return 0 };
    let from = (first + number * bytes) as *const u8;
    // SAFETY: both are the heads of scratch memory of workers of this call, whose threads are done.
    unsafe { std::ptr::copy(from, scratch, SCRATCH_HEAD) };
    1
}

/// Runs this process's part of the body of a parallel loop, and puts together what all processes have written to a
/// buffer. Gives 1 after a fault of this process.
#[allow(clippy::too_many_arguments)]
pub(super) extern "C" fn shared(
    frame: *const u64,
    scratch: *mut u8,
    code: *const u8,
    start: i64,
    end: i64,
    step: i64,
    buffer: *mut u8,
    bytes: i64,
) -> i32 {
    // SAFETY: as in `parallel`.
    let host = unsafe { &*(frame.read() as *const Host) };
    let Some(processes) = host.processes else { return parallel(frame, scratch, code, start, end, step) };
    let (from, to) = Range { start, end, step }.part(processes.rank(), processes.count().max(1));
    let failed = if from < to { parallel(frame, scratch, code, from, to, step) } else { 0 };
    // SAFETY: generated code passes a buffer of the plan with its size, and nothing else runs now.
    processes.join(unsafe { std::slice::from_raw_parts_mut(buffer, bytes as usize) });
    failed
}

/// Runs a matrix product.
pub(super) extern "C" fn gemm(
    frame: *const u64,
    number: i64,
    a: *const u8,
    b: *const u8,
    c: *mut u8,
    wanted: *const u8,
) {
    // SAFETY: as in `parallel`.
    let host = unsafe { &*(frame.read() as *const Host) };
    let plan = &host.gemms[number as usize];
    // SAFETY: `verify` holds the addresses and strides of every product inside its buffers, whose memory is as large as
    // the plan says; the plan's results overlap no operand; the workspace is as large as the largest product asks, and
    // products run one after the other.
    unsafe { einc_runtime::gemm::gemm_where(plan, [a, b], c, wanted, host.workspace, host.threads) }
}

/// Transforms or convolves rows; of a transform `k` are the factors, if it has any.
pub(super) extern "C" fn fourier(
    frame: *const u64,
    number: i64,
    x: *const u8,
    k: *const u8,
    y: *mut u8,
    work: *mut u8,
) {
    // SAFETY: as in `parallel`.
    let host = unsafe { &*(frame.read() as *const Host) };
    // SAFETY: `verify` holds addresses and strides inside their buffers, whose memory is as large as the plan says;
    // results overlap no operand; the working memory is the worker's own scratch memory.
    match &host.fouriers[number as usize] {
        FourierPlan::Transform(plan) => unsafe { plan.run_with([x, k], y, work) },
        FourierPlan::Convolution(plan) => unsafe { plan.run(x, k, y, work) },
    }
}

/// Runs a matrix product on the thread of one worker of a parallel loop.
pub(super) extern "C" fn gemm_alone(
    frame: *const u64,
    scratch: *mut u8,
    number: i64,
    a: *const u8,
    b: *const u8,
    c: *mut u8,
    wanted: *const u8,
) {
    // SAFETY: as in `parallel`.
    let host = unsafe { &*(frame.read() as *const Host) };
    let worker = (scratch as usize - host.scratch as usize) / host.scratch_bytes;
    let plan = &host.gemms[number as usize];
    // SAFETY: as in `gemm`; the workspace has as many parts as there are workers, each as large as any product asks on
    // one thread, and a worker runs one product after the other.
    unsafe {
        let workspace = host.workspace.add(worker * host.alone_bytes);
        einc_runtime::gemm::gemm_where(plan, [a, b], c, wanted, workspace, 1);
    }
}

/// Copies a tensor into another order.
pub(super) extern "C" fn permute(frame: *const u64, number: i64, from: *const u8, to: *mut u8) {
    // SAFETY: as in `parallel`.
    let host = unsafe { &*(frame.read() as *const Host) };
    let plan = &host.permutes[number as usize];
    // SAFETY: `verify` holds the addresses and strides of every copy inside its buffers, whose memory is as large as the
    // plan says; lowering calls a copy only between buffers that share no memory.
    unsafe { plan.run(from, to, host.threads) }
}
