//! How long steps take: a model of the code that the back end makes of them.
//!
//! A matrix product runs at the machine's rate, less where `m`, `n` or `k` is short. Everything else is loops, at a rate
//! of their own. Both read their operands and write their result at the speed of the memory that these fit in, and
//! every step costs something to start.

use super::math::{self, LogTable};
use super::{StepCost, StepShape};
use serde_json::{Value, json};
use std::fmt;

/// What a step becomes in native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// A matrix product of packed panels.
    Gemm,
    /// Loops that sum over both operands, too small or too thin to pack.
    Loops,
    /// A product without a sum: one multiplication for each element written.
    Map,
}

impl Kernel {
    /// Multiply-adds of one matrix product above which packing pays, as a binary logarithm.
    const PACKED: f64 = 13.0;

    /// What the back end makes of a step; the numbers are binary logarithms of extents.
    pub fn of(m: f64, n: f64, k: f64) -> Kernel {
        if m.min(n).min(k) > 1.999 && m + n + k > Kernel::PACKED {
            Kernel::Gemm
        } else if k > 0.0 {
            Kernel::Loops
        } else {
            Kernel::Map
        }
    }

    /// A word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Gemm => "gemm",
            Kernel::Loops => "loops",
            Kernel::Map => "map",
        }
    }
}

/// How fast a machine is with what steps are made of, on one thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Seconds that a step costs to start.
    pub step: f64,
    /// Multiply-adds of `f64` in a second in a large matrix product; of `f32` twice as many.
    pub gemm: f64,
    /// The `m`, `n` and `k` at which a matrix product reaches half of its rate.
    pub half: [f64; 3],
    /// Multiply-adds of `f64` in a second in loops that sum.
    pub loops: f64,
    /// Elements in a second that products without a sum write, most of them not in the order of their operands.
    pub map: f64,
    /// Bytes in a second that are read or written in the cache.
    pub cache: f64,
    /// Bytes in a second that are read or written in memory.
    pub memory: f64,
    /// Bytes of the cache.
    pub cache_bytes: f64,
}

impl Rates {
    /// Those of a current x86-64 core, where nothing has been measured.
    pub const SHIPPED: Rates = Rates {
        step: 1e-7,
        gemm: 4e10,
        half: [1.0, 3.0, 5.0],
        loops: 4e9,
        map: 2e9,
        cache: 4e10,
        memory: 1.4e10,
        cache_bytes: 4e6,
    };
}

impl Rates {
    /// The rates as JSON.
    pub fn json(&self) -> String {
        let value = json!({
            "step": self.step,
            "gemm": self.gemm,
            "half": self.half,
            "loops": self.loops,
            "map": self.map,
            "cache": self.cache,
            "memory": self.memory,
            "cache_bytes": self.cache_bytes,
        });
        format!("{value:#}\n")
    }

    /// The rates that [`Rates::json`] wrote; none if something is missing or not positive.
    pub fn from_json(text: &str) -> Option<Rates> {
        let value: Value = serde_json::from_str(text).ok()?;
        let positive = |value: &Value| value.as_f64().filter(|x| x.is_finite() && *x > 0.0);
        let number = |name: &str| positive(value.get(name)?);
        let half = value.get("half")?.as_array()?.iter().map(positive).collect::<Option<Vec<f64>>>()?;
        Some(Rates {
            step: number("step")?,
            gemm: number("gemm")?,
            half: half.try_into().ok()?,
            loops: number("loops")?,
            map: number("map")?,
            cache: number("cache")?,
            memory: number("memory")?,
            cache_bytes: number("cache_bytes")?,
        })
    }

    /// The seconds of loops that do so much work on so many bytes.
    pub fn seconds_of_loops(&self, macs: f64, bytes: f64) -> f64 {
        let speed = if bytes > self.cache_bytes { self.memory } else { self.cache };
        self.step + macs / self.loops + bytes / speed
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let giga = |rate: f64| rate / 1e9;
        let [m, n, k] = self.half;
        write!(
            f,
            "{:.2} us a step, f64 matrix products {:.1} GMAC/s (half at m = {m:.0}, n = {n:.0}, k = {k:.0}), \
             loops {:.2} GMAC/s, maps {:.2} Gelem/s, {:.1} GB/s in {:.0} KiB of cache, {:.1} GB/s beyond",
            self.step * 1e6,
            giga(self.gemm),
            giga(self.loops),
            giga(self.map),
            giga(self.cache),
            self.cache_bytes / 1024.0,
            giga(self.memory)
        )
    }
}

impl Default for Rates {
    fn default() -> Rates {
        Rates::SHIPPED
    }
}

/// The time of a step of a network whose elements have so many bytes.
#[derive(Clone)]
pub struct StepTime {
    table: &'static LogTable,
    step: f64,
    gemm: f64,
    half: [f64; 3],
    loops: f64,
    map: f64,
    /// Seconds for an element in the cache and in memory.
    element: [f64; 2],
    /// Elements that fit the cache.
    cached: f64,
}

impl StepTime {
    /// The model of a machine.
    pub fn new(rates: &Rates, element_bytes: u64) -> StepTime {
        let bytes = element_bytes.max(1) as f64;
        let log = math::log2;
        // Half as many bytes are twice as many lanes.
        let wide = log(8.0 / bytes);
        StepTime {
            table: LogTable::get(),
            step: log(rates.step),
            gemm: log(rates.gemm) + wide,
            half: rates.half.map(log),
            loops: log(rates.loops) + wide,
            map: log(rates.map),
            element: [log(bytes / rates.cache), log(bytes / rates.memory)],
            cached: log(rates.cache_bytes / bytes),
        }
    }

    /// The binary logarithm of the seconds that a step takes.
    pub fn log2_seconds(&self, step: &StepShape) -> f64 {
        let add = |a, b| self.table.add(a, b);
        let (m, n, k) = (step.left_free(), step.right_free(), step.contracted());
        let compute = match Kernel::of(m, n, k) {
            Kernel::Gemm => {
                let [hm, hn, hk] = self.half;
                step.all - self.gemm + add(0.0, hm - m) + add(0.0, hn - n) + add(0.0, hk - k)
            }
            Kernel::Loops => step.all - self.loops,
            Kernel::Map => step.all - self.map,
        };
        let moved = add(add(step.left, step.right), step.result);
        let element = self.element[usize::from(moved > self.cached)];
        add(add(self.step, compute), moved + element)
    }

    /// The seconds that a step takes; infinity beyond the range of floats.
    pub fn seconds(&self, step: &StepShape) -> f64 {
        math::exp2(self.log2_seconds(step))
    }
}

impl StepCost for StepTime {
    fn cost(&self, step: &StepShape) -> f64 {
        self.seconds(step)
    }

    fn log2_cost(&self, step: &StepShape) -> f64 {
        self.log2_seconds(step)
    }

    fn log2_of_element(&self) -> f64 {
        // Less than it takes, by more than the table of sums is inexact.
        self.element[0].min(self.element[1]) - 1e-3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gemm(m: f64, n: f64, k: f64) -> StepShape {
        let log = |x: f64| x.log2();
        StepShape {
            left: log(m * k),
            right: log(k * n),
            result: log(m * n),
            all: log(m * n * k),
            left_input: false,
            right_input: false,
        }
    }

    #[test]
    fn times_are_sums_of_what_a_step_does() {
        let rates = Rates::SHIPPED;
        let time = StepTime::new(&rates, 8);
        let seconds = |m, n, k| time.seconds(&gemm(m, n, k));
        let near = |have: f64, want: f64| assert!((have / want - 1.0).abs() < 1e-3, "{have} {want}");
        let [hm, hn, hk] = rates.half;
        let n = 1024.0f64;
        let compute = n.powi(3) / rates.gemm * (1.0 + hm / n) * (1.0 + hn / n) * (1.0 + hk / n);
        near(seconds(n, n, n), rates.step + compute + 3.0 * n * n * 8.0 / rates.memory);
        // A dot product is loops.
        near(seconds(1.0, 1.0, 100.0), rates.step + 100.0 / rates.loops + 201.0 * 8.0 / rates.cache);
        assert!(seconds(2.0, n, n) > seconds(4.0, n, n) / 2.0);
        let single = StepTime::new(&rates, 4);
        near(seconds(n, n, n) / single.seconds(&gemm(n, n, n)), 2.0);
    }

    #[test]
    fn rates_survive_writing_and_reading() {
        assert_eq!(Rates::from_json(&Rates::SHIPPED.json()), Some(Rates::SHIPPED));
        for (from, to) in
            [("\"loops\"", "\"loop\""), ("\"step\": ", "\"step\": -"), ("half", "whole"), ("{", "")]
        {
            assert_eq!(Rates::from_json(&Rates::SHIPPED.json().replacen(from, to, 1)), None, "{from}");
        }
        assert!(Rates::SHIPPED.to_string().contains("40.0 GMAC/s"));
    }

    #[test]
    fn steps_beyond_all_floats_have_a_time() {
        let time = StepTime::new(&Rates::SHIPPED, 8);
        let log = time.log2_seconds(&StepShape {
            left: 2000.0,
            right: 2000.0,
            result: 2000.0,
            all: 3000.0,
            left_input: false,
            right_input: false,
        });
        assert!((log - (3000.0 - Rates::SHIPPED.gemm.log2())).abs() < 0.01, "{log}");
    }

    #[test]
    fn kernels_are_those_of_the_back_end() {
        assert_eq!(Kernel::of(2.0, 2.0, 2.0), Kernel::Loops);
        assert_eq!(Kernel::of(5.0, 5.0, 5.0), Kernel::Gemm);
        assert_eq!(Kernel::of(1.0, 20.0, 20.0), Kernel::Loops);
        assert_eq!(Kernel::of(5.0, 5.0, 0.0), Kernel::Map);
    }
}
