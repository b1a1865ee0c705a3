use super::*;
use crate::slots::layout::{Axis, Held, Layout};
use crate::slots::linear::Counts;
use crate::slots::linear::circuit::judge;

fn axes(extents: &[(&str, usize)]) -> Vec<Axis> {
    extents.iter().map(|(name, extent)| Axis { name: (*name).into(), extent: *extent }).collect()
}

/// Routes from one layout to another, runs the circuit and compares every slot with what the target says.
fn checked(axes: &[Axis], from: &str, to: &str, slots: usize, levels: usize) -> Option<Counts> {
    let (from, to) = (Layout::parse(from, axes).unwrap(), Layout::parse(to, axes).unwrap());
    let (source, target) = (from.bits(slots).unwrap(), to.bits(slots).unwrap());
    let route = route(&source, &target, levels, Effort::Thorough)?;
    let mut circuit = Circuit::new(slots);
    let mut placed = Placed::input(&mut circuit, 0, &source);
    placed.follow(&mut circuit, &route, &target);
    let contents = from.contents(slots).unwrap();
    let number = |element: usize| (element * element + 3) as i64;
    let inputs = (0..contents.ciphertexts()).map(|ciphertext| {
        let at = |slot| match contents.at(ciphertext, slot) {
            Held::Element(element) => number(element),
            Held::Zero => 0,
            Held::Garbage => judge::GARBAGE + slot as i64,
        };
        (0..slots).map(at).collect()
    });
    let inputs: Vec<Vec<i64>> = inputs.collect();
    circuit.outputs = placed.values.iter().copied().flatten().collect();
    let results = judge::run(&circuit, &[inputs], &|_, _| 0);
    let mut results = results.iter();
    let zeros = vec![0; slots];
    let wanted = to.contents(slots).unwrap();
    for ciphertext in 0..placed.values.len() {
        let result = placed.values[ciphertext].map_or(&zeros, |_| results.next().unwrap());
        for (slot, found) in result.iter().enumerate() {
            let held =
                if ciphertext < wanted.ciphertexts() { wanted.at(ciphertext, slot) } else { Held::Zero };
            match held {
                Held::Element(element) => {
                    assert_eq!(*found, number(element), "{from} to {to}: {ciphertext} {slot}")
                }
                Held::Zero => assert_eq!(*found, 0, "{from} to {to}: {ciphertext} {slot}"),
                Held::Garbage => {}
            }
        }
    }
    let counts = circuit.counts();
    // Displacements may coincide modulo the slots, or in the circuit.
    assert!(counts.rotations <= route.rotations && counts.mul_plain <= route.masks, "{from} to {to}");
    assert_eq!(counts.levels, route.levels, "{from} to {to}");
    Some(counts)
}

#[test]
fn a_transpose_of_128_takes_16_rotations_in_two_stages() {
    let axes = axes(&[("i", 128), ("j", 128)]);
    let one = checked(&axes, "[i:128 j:128]", "[j:128 i:128]", 16384, 1).unwrap();
    assert_eq!((one.rotations, one.mul_plain, one.levels), (30, 255, 1));
    let two = checked(&axes, "[i:128 j:128]", "[j:128 i:128]", 16384, 2).unwrap();
    assert_eq!((two.rotations, two.mul_plain, two.levels), (16, 46, 2));
    assert!(checked(&axes, "[i:128 j:128]", "[j:128 i:128]", 16384, 0).is_none());
}

#[test]
fn a_gather_of_zeros_between_costs_a_rotation_a_bit() {
    let axes = axes(&[("i", 128)]);
    let clean = checked(&axes, "[i:128 _128]", "[_128 i:128]", 16384, 2).unwrap();
    assert_eq!((clean.rotations, clean.mul_plain, clean.levels), (7, 1, 1));
    let dirty = checked(&axes, "[i:128 ?128]", "[_128 i:128]", 16384, 2).unwrap();
    assert_eq!((dirty.rotations, dirty.mul_plain, dirty.levels), (7, 2, 2));
}

#[test]
fn an_outer_product_spreads_in_seven_and_copies_in_seven() {
    let axes = axes(&[("i", 128)]);
    let counts = checked(&axes, "[_128 i:128]", "[i:128 *128]", 16384, 1).unwrap();
    assert_eq!((counts.rotations, counts.mul_plain, counts.levels), (14, 1, 1));
    let counts = checked(&axes, "[_128 i:128]", "[*128 i:128]", 16384, 0).unwrap();
    assert_eq!((counts.rotations, counts.levels), (7, 0));
}

#[test]
fn values_in_several_ciphertexts_move_between_them() {
    let axes = axes(&[("i", 7), ("k", 16)]);
    for (from, to) in [
        ("[i:8 | _2 k:16]", "[k/8:2 | i:8 _2 k:8]"),
        ("[_2 | i:8 k:16]", "[i/4:2 | i:4 k:16 _2]"),
        ("[k/2:8 | ?2 i:8 k:2]", "[*2 | k:16 i:8]"),
        ("[i/2:4 | k:16 i:2]", "[i/2:4 | i:2 k:16]"),
    ] {
        let slots =
            Layout::parse(from, &axes).unwrap().reach().max(Layout::parse(to, &axes).unwrap().reach());
        assert!(checked(&axes, from, to, slots, 2).is_some(), "{from} {to}");
    }
}

/// Every way to put four bits, copies and gaps into five positions, from four layouts.
#[test]
fn every_small_route_moves_what_it_says() {
    let axes = axes(&[("i", 4), ("k", 3)]);
    let mut routes = 0;
    for from in ["[_2 i:4 k:4]", "[?2 i:4 k:4]", "[k/2:2 i:2 *2 k:2 i/2:2]", "[i:4 k:4 _2]"] {
        for number in 0..3125usize {
            let mut words = vec!["i:2", "i/2:2", "k:2", "k/2:2", "*2", "_2", "?2"];
            let mut rest = number * 17;
            let mut pieces = Vec::new();
            for left in (3..=7).rev() {
                pieces.push(words.remove(rest % left));
                rest /= left;
            }
            if words.iter().any(|word| word.contains(':')) {
                continue;
            }
            let to = format!("[{}]", pieces.join(" "));
            for levels in 0..=2 {
                routes += usize::from(checked(&axes, from, &to, 32, levels).is_some());
            }
        }
    }
    assert!(routes > 1000, "{routes}");
}
