//! Products with an operand that is read through windows.

use super::super::panels::Panels;
use super::*;
use std::collections::BTreeSet;

/// `C[n,p,q] = sum over u, v of A[n,u,v] * B[n,p+u,q+v]`, with either operand first.
#[test]
fn a_vector_times_windows() {
    let mut numbers = Numbers(23);
    let cases = [
        (3, 13, 13, 7, 7),
        (2, 1, 40, 3, 2),
        (1, 25, 4, 2, 5),
        (4, 6, 33, 1, 3),
        (1, 7, 65, 3, 1),
        (2, 11, 5, 9, 60),
    ];
    for (number, (n, p, q, u, v)) in cases.into_iter().enumerate() {
        for (dtype, swapped) in DTYPES.into_iter().flat_map(|dtype| [(dtype, false), (dtype, true)]) {
            let (height, width) = (p + u - 1, q + v - 1);
            let axis = axes(swapped);
            let gemm = Gemm {
                dtype,
                batch: vec![axis(n, u * v, height * width, p * q)],
                m: vec![],
                n: vec![axis(p, 0, width, q), axis(q, 0, 1, 1)],
                k: vec![axis(u, v, width, 0), axis(v, 1, 1, 0)],
                accumulate: number % 2 == 1,
                wanted: vec![],
                band: None,
            };
            let mut lens = [n * u * v, n * height * width, n * p * q].map(|len| len as usize);
            if swapped {
                lens.swap(0, 1);
            }
            if p > 1 && (2..16).contains(&v) {
                assert_eq!(GemmPlan::new(&gemm).unwrap().ready.way, Way::Runs);
            }
            check_any(&Problem { gemm, lens }, &mut numbers, 1 + number % 3);
        }
    }
}

/// Several rows times windows, which step by one or two: runs of columns that follow each other in the result, of lengths that
/// fill no vector, or two.
#[test]
fn rows_times_windows_of_short_rows() {
    let mut numbers = Numbers(29);
    let cases = [
        (2, 8, 24, 5, 5, 32, 1),
        (3, 16, 12, 3, 3, 17, 1),
        (1, 40, 20, 1, 3, 19, 1),
        (2, 13, 5, 3, 2, 33, 1),
        (1, 96, 9, 2, 1, 18, 1),
        (2, 70, 11, 2, 3, 20, 1),
        (2, 6, 32, 3, 3, 18, 1),
        (2, 6, 32, 3, 3, 18, 2),
        (1, 7, 45, 2, 4, 9, 2),
        (3, 5, 13, 3, 1, 33, 2),
        (1, 1, 48, 1, 1, 40, 2),
    ];
    for (number, (n, p, q, u, v, o, by)) in cases.into_iter().enumerate() {
        for (dtype, swapped) in DTYPES.into_iter().flat_map(|dtype| [(dtype, false), (dtype, true)]) {
            let (height, width) = ((p - 1) * by + u, (q - 1) * by + v);
            let axis = axes(swapped);
            // The result with the rows outside, or innermost.
            let (row, y, x) = if number % 3 == 2 { (1, q * o, o) } else { (p * q, q, 1) };
            let gemm = Gemm {
                dtype,
                batch: vec![],
                m: vec![axis(o, u * v, 0, row)],
                n: vec![axis(n, 0, height * width, o * p * q), axis(p, 0, by * width, y), axis(q, 0, by, x)],
                k: vec![axis(u, v, width, 0), axis(v, 1, 1, 0)],
                accumulate: number % 2 == 1,
                wanted: vec![],
                band: None,
            };
            let mut lens = [o * u * v, n * height * width, n * o * p * q].map(|len| len as usize);
            if swapped {
                lens.swap(0, 1);
            }
            if number == 0 && dtype == DType::F32 {
                let ready = GemmPlan::new(&gemm).unwrap().ready;
                // Runs fill short vectors.
                assert!(ready.lanes < 16 || ready.panels == Panels::Flat, "{ready:?}");
            }
            if number == 6 && dtype == DType::F32 {
                // No vector of these is longer than 16.
                assert!(GemmPlan::new(&gemm).unwrap().ready.b_unpacked);
            }
            check_any(&Problem { gemm, lens }, &mut numbers, 1 + number % 3);
        }
    }
}

/// `C[o,y,x] = sum over c, u, v of A[o,c,u,v] * B[c,y+u,x+v]`: columns are read where they lie, but for strides of pages and
/// where many rows are worth full tiles, and the sums of A are one run.
#[test]
fn rows_times_windows_of_long_rows() {
    let mut numbers = Numbers(31);
    // Rows, channels, points, taps, and the elements of a row and of a channel where there are more than points.
    let cases = [
        (17, 30, [5, 64], [3, 3], None),
        (8, 9, [4, 50], [2, 3], None),
        (19, 13, [3, 97], [1, 5], Some([101, 101 * 3])),
        (21, 11, [6, 48], [3, 1], Some([48, 4096])),
        (3, 5, [2, 17], [2, 2], None),
        (100, 1, [2, 33], [2, 9], None),
        (200, 3, [7, 64], [3, 2], None),
    ];
    for (number, (o, c, [p, q], [u, v], laid)) in cases.into_iter().enumerate() {
        for (dtype, swapped) in DTYPES.into_iter().flat_map(|dtype| [(dtype, false), (dtype, true)]) {
            let [row, channel] = laid.unwrap_or([q + v - 1, (p + u - 1) * (q + v - 1)]);
            let axis = axes(swapped);
            let gemm = Gemm {
                dtype,
                batch: vec![],
                m: vec![axis(o, c * u * v, 0, p * q)],
                n: vec![axis(p, 0, row, q), axis(q, 0, 1, 1)],
                k: vec![axis(c, u * v, channel, 0), axis(u, v, row, 0), axis(v, 1, 1, 0)],
                accumulate: number % 2 == 1,
                wanted: vec![],
                band: None,
            };
            let image = (c - 1) * channel + (p + u - 2) * row + q + v - 1;
            let mut lens = [o * c * u * v, image, o * p * q].map(|len| len as usize);
            if swapped {
                lens.swap(0, 1);
            }
            if number < 4 && dtype == DType::F32 {
                let ready = GemmPlan::new(&gemm).unwrap().ready;
                assert_eq!((ready.b_unpacked, ready.a_run), (number < 3, (c * u * v) as usize), "{gemm:?}");
            }
            if o == 200 && dtype == DType::F32 && Level::of_machine() == Level::Widest {
                // Four vectors would be two tiles of three.
                assert_eq!(GemmPlan::new(&gemm).unwrap().ready.panels, Panels::Flat);
            }
            check_any(&Problem { gemm, lens }, &mut numbers, 1 + number % 3);
        }
    }
}

/// What a panel reads through windows in a block of sums, and the rows of a tile, fit 48 KiB; few sums fill no more of it.
#[test]
fn windows_stay_in_the_nearest_cache() {
    let bytes = |c: i64, [p, q]: [i64; 2], [u, v]: [i64; 2]| {
        let (row, channel) = (q + v - 1, (p + u - 1) * (q + v - 1));
        let axis = |extent: i64, a: i64, b: i64, c: i64| Axis { extent: extent as u64, a, b, c };
        let gemm = Gemm {
            dtype: DType::F32,
            batch: vec![],
            m: vec![axis(96, c * u * v, 0, p * q)],
            n: vec![axis(p, 0, row, q), axis(q, 0, 1, 1)],
            k: vec![axis(c, u * v, channel, 0), axis(u, v, row, 0), axis(v, 1, 1, 0)],
            accumulate: false,
            wanted: vec![],
            band: None,
        };
        let ready = GemmPlan::new(&gemm).unwrap().ready;
        assert!(ready.b_unpacked, "{ready:?}");
        let columns = ready.panel(0).columns as i64;
        let lines: BTreeSet<i64> = (0..ready.sums_block.min((c * u * v) as usize) as i64)
            .map(|k| k / (u * v) * channel + k / v % u * row + k % v)
            .flat_map(|from| (from..from + columns).map(|at| at * 4 / 64))
            .collect();
        (lines.len() * 64 + ready.tile_rows * ready.sums_block * 4, ready.sums_block)
    };
    for (c, image, taps) in [(160, [40, 96], [3, 3]), (256, [48, 48], [3, 3]), (250, [3, 960], [1, 3])] {
        let (bytes, _) = bytes(c, image, taps);
        assert!(bytes <= 48 << 10, "{bytes}");
    }
    if Level::of_machine() == Level::Widest {
        let (_, sums) = bytes(16, [96, 96], [5, 5]);
        assert_eq!(sums, 400);
    }
}

/// `C[n,y,x,o] = sum over u, v, c of A[n,y+u,x+v,c] * B[u,v,c,o]` with `c` innermost: rows are read where they are by runs,
/// whatever their lengths, where runs of sums are long and columns are few.
#[test]
fn windows_of_channels_are_read_by_runs() {
    let mut numbers = Numbers(41);
    // Images, places, taps, channels, filters; the first four are read by runs.
    let cases = [
        (2, [3, 12], [3, 5], 16, 32),
        (1, [4, 9], [2, 3], 8, 30),
        (3, [2, 20], [5, 3], 30, 16),
        (40, [2, 13], [3, 1], 17, 16),
        (2, [9, 1], [1, 3], 20, 31),
        (1, [2, 300], [2, 2], 100, 13),
        (5, [4, 3], [3, 3], 16, 16),
        (2, [3, 12], [3, 5], 3, 16),
    ];
    for (number, (n, [p, q], [u, v], c, o)) in cases.into_iter().enumerate() {
        for (dtype, swapped) in DTYPES.into_iter().flat_map(|dtype| [(dtype, false), (dtype, true)]) {
            let (width, image) = ((q + v - 1) * c, (p + u - 1) * (q + v - 1) * c);
            let axis = axes(swapped);
            let gemm = Gemm {
                dtype,
                batch: vec![],
                m: vec![axis(n, image, 0, p * q * o), axis(p, width, 0, q * o), axis(q, c, 0, o)],
                n: vec![axis(o, 0, 1, 1)],
                k: vec![axis(u, width, v * c * o, 0), axis(v, c, c * o, 0), axis(c, 1, o, 0)],
                accumulate: number % 2 == 1,
                wanted: vec![],
                band: None,
            };
            let mut lens = [n * image, u * v * c * o, n * p * q * o].map(|len| len as usize);
            if swapped {
                lens.swap(0, 1);
            }
            if number < 4 && dtype == DType::F32 && Level::of_machine() == Level::Widest {
                let ready = GemmPlan::new(&gemm).unwrap().ready;
                assert_eq!((ready.runs.is_some(), ready.swapped), (true, swapped), "{gemm:?}");
            }
            check_any(&Problem { gemm, lens }, &mut numbers, 1 + number % 3);
        }
    }
}
