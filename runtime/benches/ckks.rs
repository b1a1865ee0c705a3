//! Time per operation of the encrypted executor: `cargo bench -p einc-runtime --bench ckks -- [THREADS]`.
//!
//! One line per parameter set and operation, in milliseconds: the least of nine, of processor time with one thread (the
//! default) and of wall time with more. `ckks_openfhe.py` beside it prints the same table for OpenFHE. A nightly build
//! with `--features ckks-poulpy` prints it for poulpy, too.

use einc_runtime::ckks::schedule::{Instruction, Keys, Values};
use einc_runtime::ckks::{
    Builder, Ciphertext, Context, EvaluationKeys, Inputs, Parameters, Random, Request, Schedule, SecretKey,
    run,
};
use einc_runtime::pool;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Degree of the ring, levels, digits.
const SETS: [(u32, u32, u32); 4] = [(1 << 13, 1, 2), (1 << 13, 2, 3), (1 << 14, 5, 3), (1 << 15, 14, 3)];

/// Times each operation is repeated.
const ROUNDS: usize = 9;

fn main() {
    let threads = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1);
    pool::set_threads(threads);
    println!("einc, {threads} threads, unaudited, not constant time, for evaluation");
    println!(
        "{:>6} {:>6} {:>6} {:>7}  {:<18} {:>9}",
        "ring", "levels", "digits", "log QP", "operation", "ms"
    );
    for (ring, levels, digits) in SETS {
        let request = Request { digits: Some(digits), ..Request::new(ring, levels) };
        let parameters = match Parameters::choose(&request) {
            Ok(parameters) => parameters,
            Err(error) => {
                println!("{ring:>6} {levels:>6} {digits:>6}  {error}");
                continue;
            }
        };
        let set = format!("{ring:>6} {levels:>6} {digits:>6} {:>7.1}", parameters.log_qp());
        for (operation, time) in measure(&parameters) {
            println!("{set}  {operation:<18} {:>9.3}", time.as_secs_f64() * 1e3);
        }
        #[cfg(feature = "ckks-poulpy")]
        for (operation, time) in measure_poulpy(&parameters) {
            println!("{set}  poulpy: {operation:<18} {:>9.3}", time.as_secs_f64() * 1e3);
        }
    }
}

/// Processor time of the process with one thread, wall time with more.
fn now(start: Instant) -> Duration {
    if pool::threads() > 1 {
        return start.elapsed();
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a time that the call fills.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "every system has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn least(times: impl IntoIterator<Item = Duration>) -> Duration {
    times.into_iter().min().unwrap_or_default()
}

/// Every operation [`ROUNDS`] times.
fn operations(parameters: &Parameters) -> Schedule {
    let mut b = Builder::new(parameters.clone());
    let (x, y) = (b.secret("x", 1)[0], b.secret("y", 1)[0]);
    let digits = b.hoist(x);
    // One operation after the other, as the other library does it: what each takes is in the caches.
    for _ in 0..ROUNDS {
        b.add(x, y);
    }
    for round in 0..ROUNDS {
        b.rotate(x, 1 + round as i64 % 2);
    }
    for _ in 0..ROUNDS {
        b.hoist(x);
    }
    for _ in 0..ROUNDS {
        b.rotate(digits, 1);
    }
    for _ in 0..ROUNDS {
        let product = b.mul(x, y);
        let product = b.relinearize(product);
        b.rescale(product);
    }
    for round in 0..ROUNDS {
        let p = b.constant(Values::Splat(1.0 + round as f64));
        let plain = b.mul_plain(x, p);
        b.mul_plain(y, p);
        b.rescale(plain);
    }
    b.output("x", &[x]);
    b.finish().expect("the schedule is right")
}

/// The least time of each operation, from the time before each instruction and after the last.
fn by_operation(schedule: &Schedule, stamps: &[Duration]) -> Vec<(String, Duration)> {
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut seen = 0;
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        let name = match instruction {
            Instruction::Add(..) => "add",
            Instruction::Rotate { .. } if schedule.is_hoisted(instruction) => "rotate hoisted",
            Instruction::Rotate { .. } => "rotate",
            Instruction::Hoist(_) => "hoist",
            Instruction::Mul(..) => "mul",
            Instruction::Relinearize(_) => "relinearize",
            Instruction::Rescale(_) => "rescale",
            Instruction::MulPlain(..) => {
                seen += 1;
                if seen % 2 == 1 { "encode, mul_plain" } else { "mul_plain" }
            }
            _ => continue,
        };
        times.entry(name).or_default().push(stamps[place + 1] - stamps[place]);
    }
    times.into_iter().map(|(name, times)| (name.to_owned(), least(times))).collect()
}

/// The same by poulpy, which does a product's relinearization and rescaling with the product.
#[cfg(feature = "ckks-poulpy")]
fn measure_poulpy(parameters: &Parameters) -> Vec<(String, Duration)> {
    use einc_runtime::ckks::poulpy;
    let clock = Instant::now();
    let schedule = operations(parameters);
    let values: Vec<f64> = (0..parameters.slots()).map(|k| f64::from(k).sin()).collect();
    let inputs: poulpy::Vectors =
        [("x".into(), vec![values.clone()]), ("y".into(), vec![values])].into_iter().collect();
    let mut random = Random::system().expect("the system has random numbers");
    let mut stamps = Vec::new();
    let start = now(clock);
    let outputs = poulpy::run(&schedule, &inputs, &mut random, &mut |_, _| {
        stamps.push(now(clock));
        true
    });
    assert!(outputs.is_ok_and(|outputs| outputs["x"].len() == 1));
    let mut table = by_operation(&schedule, &stamps);
    table.push(("encrypt".into(), (stamps[1] - stamps[0]).min(stamps[2] - stamps[1])));
    table.push((format!("all {} keys", schedule.keys.count() + 1), stamps[0] - start));
    table
}

fn measure(parameters: &Parameters) -> Vec<(String, Duration)> {
    let clock = Instant::now();
    let schedule = operations(parameters);
    let context = Context::new(parameters).expect("the parameters are right");
    let mut random = Random::system().expect("the system has random numbers");
    let secret = SecretKey::generate(&context, &mut random);
    let keys = EvaluationKeys::generate(&context, &secret, &schedule.keys, &mut random).expect("keys");
    let values: Vec<f64> = (0..context.slots()).map(|k| (k as f64).sin()).collect();
    let mut encrypt_times = Vec::new();
    let mut encrypt = || {
        let start = now(clock);
        let value = Ciphertext::encrypt(&context, &secret, &values, &mut random).expect("a ciphertext");
        encrypt_times.push(now(clock) - start);
        value
    };
    let (x, y) = (encrypt(), encrypt());
    (0..3).for_each(|_| drop(encrypt()));
    let inputs =
        Inputs { secret: [("x".into(), vec![x]), ("y".into(), vec![y])].into(), clear: BTreeMap::new() };
    let mut stamps = Vec::new();
    let outputs = run(&context, &schedule, &keys, &inputs, &mut |_, _| {
        stamps.push(now(clock));
        true
    });
    let outputs = outputs.expect("it runs");
    let mut table = by_operation(&schedule, &stamps);
    table.push(("encrypt".into(), least(encrypt_times)));
    let opened = (0..5).map(|_| {
        let start = now(clock);
        outputs.values["x"][0].decrypt(&context, &secret).expect("it opens");
        now(clock) - start
    });
    table.push(("decrypt".into(), least(opened)));
    let wanted = Keys { rotate: [(3, parameters.levels())].into(), ..Keys::default() };
    let made = (0..5).map(|_| {
        let start = now(clock);
        EvaluationKeys::generate(&context, &secret, &wanted, &mut random).expect("a key");
        now(clock) - start
    });
    table.push(("key".into(), least(made)));
    table
}
