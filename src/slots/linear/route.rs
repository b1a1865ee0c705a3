//! Moves between layouts whose digits are powers of two, one bit at a time.
//!
//! A bit that moves from position `p` into a position `q` whose slots hold zeros costs one rotation: `x` plus `x`
//! rotated by `2^p - 2^q`. No mask is needed before the sum, nor between several such moves, because a slot whose bit
//! `q` is 1 held zero; only what is left where bit `p` is 1 must be masked, once for all, before that position is used
//! again. A bit whose target is taken waits until the other has gone and the mask is made, is parked elsewhere, or is
//! shuffled together with the others by [baby and giant steps](super::bsgs), which takes a level too.

use super::bsgs::{Entry, Split, combine};
use super::{Circuit, SlotSet};
use crate::slots::layout::{Bit, Bits};

/// A value of a circuit, with its layout.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its layout.
    pub bits: Bits,
    /// Its ciphertexts by number; `None` is all zeros.
    pub values: Vec<Option<usize>>,
}

/// One action of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Moves a bit from one position into another, that held zeros.
    Move(usize, usize),
    /// Copies over a position that held zeros.
    Copy(usize),
    /// Zeroes what nobody may read, and copies that nobody wants.
    Mask,
    /// Moves a bit of the slot's number into the ciphertext's and copies over the position that it leaves: both halves
    /// are masked and added to themselves, moved by the half.
    Split(usize, usize),
    /// Moves bits from positions to positions, all at once.
    Shuffle(Vec<(usize, usize)>),
}

/// Actions that lead from one layout to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// What is done, in order.
    pub actions: Vec<Action>,
    /// Rotations.
    pub rotations: usize,
    /// Products with masks.
    pub masks: usize,
    /// Levels.
    pub levels: usize,
    /// What each position holds at the end.
    pub end: Vec<Bit>,
}

impl Route {
    /// What the search makes small: rotations first.
    pub fn cost(&self) -> usize {
        self.rotations * ROTATION + self.masks
    }
}

/// A rotation in products with a mask: what they take of the time in libraries with residues (design, section 5).
pub const ROTATION: usize = 24;

/// How long to look for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Bits that block each other are shuffled all at once, or parked.
    Quick,
    /// They are also shuffled in parts, over several levels.
    Thorough,
}

/// The cheapest route with at most so many levels from a layout to another, if there is one.
///
/// In the target, zeros are demanded, and unknown positions may hold anything.
pub fn route(from: &Bits, to: &Bits, levels: usize, effort: Effort) -> Option<Route> {
    let mut state = from.bits.clone();
    let mut target = to.bits.clone();
    let bits = state.len().max(target.len());
    state.resize(bits, Bit::Zero);
    target.resize(bits, Bit::Zero);
    let held = |bits: &[Bit], bit: &Bit| !matches!(bit, Bit::Of(..)) || bits.contains(bit);
    if from.slot_bits != to.slot_bits || !state.iter().all(|bit| held(&target, bit)) {
        return None;
    }
    if !target.iter().all(|bit| held(&state, bit)) {
        return None;
    }
    let mut search = Search { target: &target, slot_bits: from.slot_bits, effort, split: None };
    let whole = search.best(state.clone(), levels);
    let outward = |(from, to): &(usize, usize)| {
        *from < search.slot_bits
            && *to >= search.slot_bits
            && target[*from] == Bit::Copy
            && state[*to] == Bit::Zero
    };
    let found = search.moves(&state).find(outward);
    search.split = found;
    let split = search.split.and_then(|_| search.best(state, levels));
    whole.into_iter().chain(split).min_by_key(|route| (route.cost(), route.levels))
}

/// How many rotations any route needs: one for each bit that moves and each copy inside ciphertexts.
pub fn least_rotations(from: &Bits, to: &Bits) -> usize {
    let places = from.bits.len().max(to.bits.len());
    let at = |bits: &Bits, place: usize| bits.bits.get(place).copied().unwrap_or(Bit::Zero);
    least_between(places, from.slot_bits, &|place| at(from, place), &|place| at(to, place))
}

/// The same between layouts that are told place by place, the first of them the bits of a slot's number.
pub fn least_between(
    places: usize,
    slot_bits: usize,
    from: &dyn Fn(usize) -> Bit,
    to: &dyn Fn(usize) -> Bit,
) -> usize {
    let wrong = |place: &usize| {
        let (held, wanted) = (from(*place), to(*place));
        match wanted {
            Bit::Copy => *place < slot_bits && held != Bit::Copy,
            Bit::Of(..) if held != wanted => {
                *place < slot_bits || (0..slot_bits).any(|place| from(place) == wanted)
            }
            _ => false,
        }
    };
    (0..places).filter(wrong).count()
}

struct Search<'a> {
    target: &'a [Bit],
    slot_bits: usize,
    effort: Effort,
    /// The move that is made last, as a split.
    split: Option<(usize, usize)>,
}

impl Search<'_> {
    fn best(&self, mut state: Vec<Bit>, levels: usize) -> Option<Route> {
        let mut route = Route::default();
        // Moves that add ciphertexts come last, so that the others are made once.
        while let Some((from, to)) =
            self.moves(&state).filter(|(_, to)| state[*to] == Bit::Zero).min_by_key(|m| m.1)
        {
            self.take_move(&mut state, &mut route, from, to);
        }
        let blocked: Vec<(usize, usize)> = self.moves(&state).collect();
        if blocked.is_empty() {
            return self.finish(state, route, levels);
        }
        if levels == 0 {
            return None;
        }
        let mut best = None;
        self.masked(&state, &route, levels, &mut best);
        self.shuffled(&state, &route, &blocked, levels, &mut best);
        self.parked(&state, &route, &blocked, levels, &mut best);
        if levels > 1 && self.effort == Effort::Thorough {
            for part in parts(&blocked, &state) {
                self.shuffled(&state, &route, &part, levels, &mut best);
            }
        }
        best
    }

    /// Every bit that is not at its target, with that.
    fn moves<'a>(&'a self, state: &'a [Bit]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let placed = state
            .iter()
            .enumerate()
            .filter(|(place, bit)| matches!(bit, Bit::Of(..)) && self.target[*place] != **bit);
        let moves = placed
            .filter_map(|(from, bit)| Some((from, self.target.iter().position(|wanted| wanted == bit)?)));
        moves.filter(|step| self.split != Some(*step))
    }

    fn ciphertexts(&self, state: &[Bit]) -> usize {
        1 << state[self.slot_bits..].iter().filter(|bit| matches!(bit, Bit::Of(..))).count()
    }

    fn take_move(&self, state: &mut [Bit], route: &mut Route, from: usize, to: usize) {
        let ciphertexts = self.ciphertexts(state);
        route.rotations += match (from < self.slot_bits, to < self.slot_bits) {
            (true, _) => ciphertexts,
            (false, true) => ciphertexts / 2,
            (false, false) => 0,
        };
        route.actions.push(Action::Move(from, to));
        state[to] = state[from];
        state[from] = if from < self.slot_bits { Bit::Unknown } else { Bit::Zero };
    }

    fn take_mask(&self, state: &mut [Bit], route: &mut Route) -> bool {
        let mut changed = false;
        for (place, bit) in state.iter_mut().enumerate() {
            if *bit == Bit::Unknown || *bit == Bit::Copy && self.target[place] != Bit::Copy {
                *bit = Bit::Zero;
                changed = true;
            }
        }
        route.masks += self.ciphertexts(state);
        route.levels += 1;
        route.actions.push(Action::Mask);
        changed
    }

    /// All bits are in place: makes the copies, after a mask if one is needed.
    fn finish(&self, mut state: Vec<Bit>, mut route: Route, levels: usize) -> Option<Route> {
        let split = self.split.map(|(from, _)| from);
        let dirty = state.iter().zip(self.target).enumerate().any(|(place, (bit, wanted))| match wanted {
            Bit::Zero => *bit != Bit::Zero,
            Bit::Copy => !matches!(bit, Bit::Zero | Bit::Copy) && split != Some(place),
            _ => false,
        });
        if dirty && levels == 0 {
            return None;
        }
        if dirty {
            self.take_mask(&mut state, &mut route);
        }
        for place in 0..state.len() {
            if self.target[place] == Bit::Copy && state[place] == Bit::Zero {
                route.rotations += if place < self.slot_bits { self.ciphertexts(&state) } else { 0 };
                route.actions.push(Action::Copy(place));
                state[place] = Bit::Copy;
            }
        }
        if let Some((from, to)) = self.split {
            if state[to] != Bit::Zero || route.levels >= levels {
                return None;
            }
            route.rotations += 2 * self.ciphertexts(&state);
            self.take_mask(&mut state, &mut route);
            route.masks += self.ciphertexts(&state);
            route.actions.pop();
            route.actions.push(Action::Split(from, to));
            state[to] = state[from];
            state[from] = Bit::Copy;
        }
        route.end = state;
        Some(route)
    }

    fn masked(&self, state: &[Bit], route: &Route, levels: usize, best: &mut Option<Route>) {
        let (mut state, mut route) = (state.to_vec(), route.clone());
        if self.take_mask(&mut state, &mut route) {
            self.go_on(state, route, levels - 1, best);
        }
    }

    fn shuffled(
        &self,
        state: &[Bit],
        route: &Route,
        moves: &[(usize, usize)],
        levels: usize,
        best: &mut Option<Route>,
    ) {
        let ciphertexts = self.ciphertexts(state);
        let least = route.rotations + ciphertexts * moves.len();
        if best.as_ref().is_some_and(|best: &Route| best.rotations < least) {
            return;
        }
        let (mut state, mut route) = (state.to_vec(), route.clone());
        let split = Split::of(&digits(moves, self.slot_bits));
        route.rotations += (split.rotations.0 + split.rotations.1) * ciphertexts;
        if best.as_ref().is_some_and(|best: &Route| best.rotations < route.rotations) {
            return;
        }
        route.masks += split.displacements * ciphertexts;
        route.levels += 1;
        let moved: Vec<Bit> = moves.iter().map(|(from, _)| state[*from]).collect();
        moves.iter().for_each(|(from, _)| state[*from] = Bit::Zero);
        for ((_, to), bit) in moves.iter().zip(moved) {
            state[*to] = bit;
        }
        for bit in state.iter_mut().filter(|bit| **bit == Bit::Unknown) {
            *bit = Bit::Zero;
        }
        route.actions.push(Action::Shuffle(moves.to_vec()));
        self.go_on(state, route, levels - 1, best);
    }

    /// Moves some of the bits that block others into positions that nobody needs.
    fn parked(
        &self,
        state: &[Bit],
        route: &Route,
        blocked: &[(usize, usize)],
        levels: usize,
        best: &mut Option<Route>,
    ) {
        /// Of how many bits every subset is tried.
        const MOST: usize = 6;
        let free = (0..self.slot_bits)
            .filter(|place| state[*place] == Bit::Zero && !matches!(self.target[*place], Bit::Of(..)));
        let free: Vec<usize> = free.collect();
        let blockers =
            blocked.iter().map(|(from, _)| *from).filter(|from| blocked.iter().any(|(_, to)| to == from));
        let blockers: Vec<usize> = blockers.take(MOST).collect();
        for subset in 1usize..1 << blockers.len() {
            if subset.count_ones() as usize > free.len() {
                continue;
            }
            let (mut state, mut route) = (state.to_vec(), route.clone());
            let chosen = blockers.iter().enumerate().filter(|(number, _)| subset >> number & 1 == 1);
            for ((_, from), to) in chosen.zip(&free) {
                self.take_move(&mut state, &mut route, *from, *to);
            }
            let least = route.rotations + self.bound(&state);
            if best.as_ref().is_none_or(|best: &Route| best.rotations > least) {
                self.masked(&state, &route, levels, best);
            }
        }
    }

    /// The rotations that are needed at least from here.
    fn bound(&self, state: &[Bit]) -> usize {
        let wanted = state.iter().zip(self.target).take(self.slot_bits);
        let copies = wanted.filter(|(held, wanted)| **wanted == Bit::Copy && **held != Bit::Copy).count();
        let inside = |place: usize| place < self.slot_bits;
        copies + self.moves(state).filter(|(from, to)| inside(*from) || inside(*to)).count()
    }

    fn go_on(&self, state: Vec<Bit>, mut route: Route, levels: usize, best: &mut Option<Route>) {
        let least = (route.rotations + self.bound(&state)) * ROTATION + route.masks;
        if best.as_ref().is_some_and(|best| best.cost() <= least) {
            return;
        }
        let Some(rest) = self.best(state, levels) else { return };
        route.actions.extend(rest.actions);
        route.rotations += rest.rotations;
        route.masks += rest.masks;
        route.levels += rest.levels;
        route.end = rest.end;
        if best.as_ref().is_none_or(|best| (route.cost(), route.levels) < (best.cost(), best.levels)) {
            *best = Some(route);
        }
    }
}

/// The digits by which these moves displace, of extent 2 each.
fn digits(moves: &[(usize, usize)], slot_bits: usize) -> Vec<(i64, usize)> {
    let value = |place: usize| if place < slot_bits { 1i64 << place } else { 0 };
    moves.iter().map(|(from, to)| (value(*from) - value(*to), 2)).collect()
}

/// Ways to shuffle only some bits first: subsets of the cycles, or ranges of one long cycle, whose bits go to their
/// targets while those that they push out fill the places they left.
fn parts(blocked: &[(usize, usize)], state: &[Bit]) -> Vec<Vec<(usize, usize)>> {
    let mut cycles: Vec<Vec<(usize, usize)>> = Vec::new();
    for step in blocked {
        let touches =
            |cycle: &[(usize, usize)]| cycle.iter().any(|other| other.0 == step.1 || other.1 == step.0);
        let (mut joined, apart): (Vec<_>, Vec<_>) = cycles.into_iter().partition(|cycle| touches(cycle));
        joined.push(vec![*step]);
        cycles = apart;
        cycles.push(joined.concat());
    }
    let mut parts = Vec::new();
    if cycles.len() > 1 && cycles.len() <= 7 {
        for subset in 1usize..(1 << cycles.len()) - 1 {
            let chosen = cycles.iter().enumerate().filter(|(number, _)| subset >> number & 1 == 1);
            parts.push(chosen.flat_map(|(_, cycle)| cycle.iter().copied()).collect());
        }
    }
    if cycles.iter().any(|cycle| cycle.len() > 2) && blocked.len() > 3 {
        for start in 0..blocked.len() {
            for end in start + 1..blocked.len() + usize::from(start > 0) {
                parts.push(settled(&blocked[start..end], state));
            }
        }
    }
    parts
}

/// These moves, and moves of the bits they push out into the places they leave, lowest to lowest.
fn settled(chosen: &[(usize, usize)], state: &[Bit]) -> Vec<(usize, usize)> {
    let mut moves = chosen.to_vec();
    let mut left: Vec<usize> = chosen.iter().map(|step| step.0).collect();
    left.retain(|place| !chosen.iter().any(|step| step.1 == *place));
    left.sort_unstable();
    let mut pushed: Vec<usize> = chosen.iter().map(|step| step.1).collect();
    pushed
        .retain(|place| matches!(state[*place], Bit::Of(..)) && !chosen.iter().any(|step| step.0 == *place));
    pushed.sort_unstable();
    moves.extend(pushed.into_iter().zip(left));
    moves
}

impl Placed {
    /// An operand of a circuit.
    pub fn input(circuit: &mut Circuit, operand: usize, bits: &Bits) -> Placed {
        let outer = bits.bits[bits.slot_bits..].to_vec();
        let number = |ciphertext: usize| {
            let bits = outer.iter().enumerate();
            let held = bits
                .clone()
                .all(|(bit, held)| ciphertext >> bit & 1 == 0 || matches!(held, Bit::Of(..) | Bit::Copy));
            held.then_some(ciphertext)
        };
        let values =
            (0..1usize << outer.len()).map(|ciphertext| Some(circuit.input(operand, number(ciphertext)?)));
        Placed { bits: bits.clone(), values: values.collect() }
    }

    /// Follows a route.
    pub fn follow(&mut self, circuit: &mut Circuit, route: &Route, target: &Bits) {
        let bits = self.bits.bits.len().max(target.bits.len());
        self.widen(bits);
        for action in &route.actions {
            match action {
                Action::Move(from, to) => self.shift(circuit, *from, *to),
                Action::Copy(place) => self.copy(circuit, *place),
                Action::Mask => self.mask(circuit, target),
                Action::Split(from, to) => self.split(circuit, *from, *to, target),
                Action::Shuffle(moves) => self.shuffle(circuit, moves),
            }
        }
    }

    fn widen(&mut self, bits: usize) {
        self.bits.bits.resize(bits.max(self.bits.bits.len()), Bit::Zero);
        self.values.resize(1 << (self.bits.bits.len() - self.bits.slot_bits), None);
    }

    fn slot_bit(&self, place: usize) -> bool {
        place < self.bits.slot_bits
    }

    fn shift(&mut self, circuit: &mut Circuit, from: usize, to: usize) {
        let low = |place: usize| 1i64 << place;
        let outer = |place: usize| 1usize << (place - self.bits.slot_bits);
        match (self.slot_bit(from), self.slot_bit(to)) {
            (true, true) => {
                for value in self.values.iter_mut().flatten() {
                    let moved = circuit.rotate(*value, low(from) - low(to));
                    *value = circuit.add(*value, moved);
                }
            }
            (true, false) => {
                for number in (0..self.values.len()).filter(|number| number & outer(to) == 0) {
                    let moved = self.values[number].map(|value| circuit.rotate(value, low(from)));
                    self.values[number | outer(to)] = moved;
                }
            }
            (false, inside) => {
                for number in (0..self.values.len()).filter(|number| number & outer(from) != 0) {
                    let Some(value) = self.values[number].take() else { continue };
                    let rest = number & !outer(from);
                    if inside {
                        let moved = circuit.rotate(value, -low(to));
                        self.values[rest] = circuit.sum(self.values[rest].into_iter().chain([moved]));
                    } else {
                        self.values[rest | outer(to)] = Some(value);
                    }
                }
            }
        }
        self.bits.bits[to] = self.bits.bits[from];
        self.bits.bits[from] = if self.slot_bit(from) { Bit::Unknown } else { Bit::Zero };
    }

    fn copy(&mut self, circuit: &mut Circuit, place: usize) {
        if self.slot_bit(place) {
            for value in self.values.iter_mut().flatten() {
                let moved = circuit.rotate(*value, -(1i64 << place));
                *value = circuit.add(*value, moved);
            }
        } else {
            let outer = 1usize << (place - self.bits.slot_bits);
            for number in (0..self.values.len()).filter(|number| number & outer == 0) {
                self.values[number | outer] = self.values[number];
            }
        }
        self.bits.bits[place] = Bit::Copy;
    }

    fn split(&mut self, circuit: &mut Circuit, from: usize, to: usize, target: &Bits) {
        self.forget(target);
        let half =
            |bit: usize| SlotSet::of(circuit.slots, |slot| slot >> from & 1 == bit && self.holds(slot));
        let (low, high) = (half(0), half(1));
        let outer = 1usize << (to - self.bits.slot_bits);
        for number in (0..self.values.len()).filter(|number| number & outer == 0) {
            let kept = self.holds_ciphertext(number);
            let Some(value) = self.values[number].filter(|_| kept) else { continue };
            for (number, keep, by) in [(number, &low, -(1i64 << from)), (number | outer, &high, 1i64 << from)]
            {
                let part = circuit.mask(value, keep.clone());
                let moved = circuit.rotate(part, by);
                self.values[number] = Some(circuit.add(part, moved));
            }
        }
        self.bits.bits[to] = self.bits.bits[from];
        self.bits.bits[from] = Bit::Copy;
    }

    /// Calls zero what is masked away: what nobody may read, and copies that the target does not want.
    fn forget(&mut self, target: &Bits) {
        for (place, bit) in self.bits.bits.iter_mut().enumerate() {
            if *bit == Bit::Unknown || *bit == Bit::Copy && target.bits.get(place) != Some(&Bit::Copy) {
                *bit = Bit::Zero;
            }
        }
    }

    fn mask(&mut self, circuit: &mut Circuit, target: &Bits) {
        self.forget(target);
        let keep = SlotSet::of(circuit.slots, |slot| self.holds(slot));
        for number in 0..self.values.len() {
            let kept = self.holds_ciphertext(number);
            let value = &mut self.values[number];
            *value = value.filter(|_| kept).map(|value| circuit.mask(value, keep.clone()));
        }
    }

    fn holds(&self, slot: usize) -> bool {
        let mut bits = self.bits.bits[..self.bits.slot_bits].iter().enumerate();
        bits.all(|(place, bit)| slot >> place & 1 == 0 || matches!(bit, Bit::Of(..) | Bit::Copy))
    }

    fn holds_ciphertext(&self, number: usize) -> bool {
        let mut bits = self.bits.bits[self.bits.slot_bits..].iter().enumerate();
        bits.all(|(place, bit)| number >> place & 1 == 0 || matches!(bit, Bit::Of(..) | Bit::Copy))
    }

    fn shuffle(&mut self, circuit: &mut Circuit, moves: &[(usize, usize)]) {
        let slot_bits = self.bits.slot_bits;
        let split = Split::of(&digits(moves, slot_bits));
        let moved: Vec<Bit> = moves.iter().map(|(from, _)| self.bits.bits[*from]).collect();
        moves.iter().for_each(|(from, _)| self.bits.bits[*from] = Bit::Zero);
        for ((_, to), bit) in moves.iter().zip(moved) {
            self.bits.bits[*to] = bit;
        }
        for bit in self.bits.bits.iter_mut().filter(|bit| **bit == Bit::Unknown) {
            *bit = Bit::Zero;
        }
        let to: usize = moves.iter().map(|(_, to)| 1usize << to).sum();
        let inside: Vec<usize> = (0..circuit.slots).filter(|slot| self.holds(*slot)).collect();
        let mut values = vec![None; self.values.len()];
        for (number, value) in values.iter_mut().enumerate() {
            if !self.holds_ciphertext(number) {
                continue;
            }
            let entries = inside.iter().filter_map(|slot| {
                let place = number << slot_bits | slot;
                let taken = moves.iter().map(|(_, to)| place >> to & 1);
                let origin =
                    moves.iter().fold(place & !to, |sum, (from, to)| sum | (place >> to & 1) << from);
                let source = self.values[origin >> slot_bits]?;
                let (baby, giant) = split.at(taken);
                Some(Entry { source, slot: *slot, baby, giant, element: 0 })
            });
            let entries: Vec<Entry> = entries.collect();
            *value = combine(circuit, entries, None).map(|sum| circuit.rescale(sum));
        }
        self.values = values;
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
