//! The transforms of weights, places and products, for vectors of any machine; see [`super`].

use crate::vector::VectorFloat;

/// The most factors of a row of weights or places.
const MOST_FACTORS: usize = 5;

/// By how many sums places are fetched before they are transformed.
const SUMS_AHEAD: usize = 4;

/// The most terms of a product.
pub(super) const MOST_TERMS: usize = 4;

/// Products along one axis that are put together, where windows step by so many: of how many terms each is.
pub(super) const fn terms(step: usize) -> &'static [usize] {
    match step {
        1 => &[1, 1, 1, 1],
        _ => &[2, 1, 2],
    }
}

/// How many factors there are along one axis: all terms of all products, one after the other.
pub(super) const fn factors(step: usize) -> usize {
    let (terms, mut all, mut at) = (terms(step), 0, 0);
    while at < terms.len() {
        all += terms[at];
        at += 1;
    }
    all
}

/// By factors along y and along x, which plane they are in: the terms of a product are next to each other.
const fn planes(step: usize) -> [[usize; MOST_FACTORS]; MOST_FACTORS] {
    let terms = terms(step);
    let mut planes = [[0; MOST_FACTORS]; MOST_FACTORS];
    let (mut plane, mut y, mut first_y) = (0, 0, 0);
    while y < terms.len() {
        let (mut x, mut first_x) = (0, 0);
        while x < terms.len() {
            let mut term = 0;
            while term < terms[y] * terms[x] {
                planes[first_y + term / terms[x]][first_x + term % terms[x]] = plane;
                (plane, term) = (plane + 1, term + 1);
            }
            (x, first_x) = (x + 1, first_x + terms[x]);
        }
        (y, first_y) = (y + 1, first_y + terms[y]);
    }
    planes
}

/// The transforms of one element type on one machine, for windows that step by so many.
pub(in super::super) struct Transforms<T> {
    /// Nine weights of each of some rows, weight by weight, become 16 or 25 for each row, from one plane to the next.
    pub weights: unsafe fn(from: *const T, rows: usize, to: *mut T, plane: usize),
    pub places: unsafe fn(&Places<T>),
    pub results: unsafe fn(&Results<T>),
}

/// A strip of tiles side by side whose places are transformed.
pub(in super::super) struct Places<T> {
    pub from: *const T,
    /// How far a row of places is from the one before, how many rows there are, and how many places in each.
    pub row: isize,
    pub rows: usize,
    pub len: usize,
    pub tiles: usize,
    /// Where the places of each sum are, from `from`.
    pub sums: *const isize,
    pub sums_len: usize,
    /// Where they go: how far the next sum and the next product are.
    pub to: *mut T,
    pub stride: usize,
    pub plane: usize,
}

/// A strip of tiles whose products are put together.
pub(in super::super) struct Results<T> {
    pub from: *const T,
    pub plane: usize,
    pub to: *mut T,
    /// How far from there what is put together next goes.
    pub ahead: isize,
    /// How far the second row is, whether there is one, and how many results a row has.
    pub row: isize,
    pub has_second: bool,
    pub len: usize,
    pub tiles: usize,
    pub accumulate: bool,
}

/// `G` times three vectors: the first ones of the results are the factors.
#[inline(always)]
unsafe fn of_weights<V: VectorFloat<Elem: From<f32>>, const STEP: usize>(
    [a, b, c]: [V; 3],
) -> [V; MOST_FACTORS] {
    // SAFETY: the caller's promise: the machine has the vectors.
    unsafe {
        if STEP == 2 {
            return [a, b, a.add(c), b, c];
        }
        let half = V::splat(0.5.into());
        let (ends, middle) = (a.add(c).mul(half), b.mul(half));
        [a, ends.add(middle), ends.sub(middle), c, V::zero()]
    }
}

/// `Bᵀ` times the first ones of five vectors.
#[inline(always)]
unsafe fn of_places<V: VectorFloat, const STEP: usize>([a, b, c, d, e]: [V; 5]) -> [V; MOST_FACTORS] {
    // SAFETY: as above.
    unsafe {
        match STEP {
            2 => [a.sub(c), b, c, d, e.sub(c)],
            _ => [a.sub(c), b.add(c), c.sub(b), b.sub(d), e],
        }
    }
}

/// `Aᵀ` times the first ones of four vectors, terms of one product being summed up already.
#[inline(always)]
unsafe fn of_products<V: VectorFloat, const STEP: usize>([a, b, c, d]: [V; 4]) -> [V; 2] {
    // SAFETY: as above.
    unsafe {
        match STEP {
            2 => [a.add(b), b.add(c)],
            _ => [a.add(b).add(c), b.sub(c).sub(d)],
        }
    }
}

/// Rows by columns.
#[inline(always)]
fn transposed<V: Copy, const ROWS: usize, const COLUMNS: usize>(
    rows: [[V; COLUMNS]; ROWS],
) -> [[V; ROWS]; COLUMNS] {
    std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]))
}

/// Loads the first `len` lanes, of which there may be none or all.
#[inline(always)]
unsafe fn load_some<V: VectorFloat>(from: *const V::Elem, len: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        match len {
            0 => V::zero(),
            len if len >= V::LANES => V::load(from),
            len => V::load_part(from, V::mask(len)),
        }
    }
}

/// Loads the places of some tiles side by side that a row of `left` places has from there on.
#[inline(always)]
unsafe fn load_places<V: VectorFloat, const STEP: usize>(row: *const V::Elem, left: usize) -> [V; 5] {
    let mut vectors = [unsafe { V::zero() }; 8];
    // The second half of them is for the last places of the tiles, which the next tiles begin with.
    let further = if STEP == 1 { 2 } else { 1 };
    let is_whole = left >= 2 * STEP * V::LANES + further;
    // SAFETY: the caller's promise.
    unsafe {
        for (number, vector) in vectors.iter_mut().enumerate().take(4 * STEP) {
            let at = number / (2 * STEP) * further + number % (2 * STEP) * V::LANES;
            let from = row.wrapping_add(at);
            *vector = if is_whole { V::load(from) } else { load_some(from, left.saturating_sub(at)) };
        }
        let [a, b, c, d, e, f, g, h] = vectors;
        let ([first, second], [third, fourth]) = (a.unzip(b), c.unzip(d));
        if STEP == 1 {
            return [first, second, third, fourth, V::zero()];
        }
        let ([places_0, places_2], [places_1, places_3]) = (first.unzip(third), second.unzip(fourth));
        let [_, places_4] = e.unzip(f)[1].unzip(g.unzip(h)[1]);
        [places_0, places_1, places_2, places_3, places_4]
    }
}

/// Transforms the weights of some rows, see [`Transforms`].
///
/// # Safety
/// The machine must have what `V` needs, and the areas be as long as what is told of them.
#[inline(always)]
pub(in super::super) unsafe fn weights<V: VectorFloat<Elem: From<f32>>, const STEP: usize>(
    from: *const V::Elem,
    rows: usize,
    to: *mut V::Elem,
    plane: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for row in (0..rows).step_by(V::LANES) {
            let mut half_way = [[V::zero(); MOST_FACTORS]; 3];
            for (i, half_way) in half_way.iter_mut().enumerate() {
                let from = from.add(3 * i * rows + row);
                *half_way = of_weights::<V, STEP>([
                    V::load(from),
                    V::load(from.add(rows)),
                    V::load(from.add(2 * rows)),
                ]);
            }
            for (j, column) in transposed(half_way).into_iter().enumerate().take(const { factors(STEP) }) {
                let values = of_weights::<V, STEP>(column);
                for (i, value) in values.into_iter().enumerate().take(const { factors(STEP) }) {
                    value.store(to.add(const { planes(STEP) }[i][j] * plane + row));
                }
            }
        }
    }
}

/// Transforms the places of a strip for all sums. Reads no place past the end of a row, and writes whole vectors.
///
/// # Safety
/// As [`weights`].
#[inline(always)]
pub(in super::super) unsafe fn places<V: VectorFloat, const STEP: usize>(strip: &Places<V::Elem>) {
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..strip.sums_len {
            let place = *strip.sums.add(p);
            let from = strip.from.offset(place);
            let ahead = *strip.sums.add((p + SUMS_AHEAD).min(strip.sums_len - 1)) - place;
            for tile in (0..strip.tiles).step_by(V::LANES) {
                let first = 2 * STEP * tile;
                let (from, left) = (from.wrapping_add(first), strip.len - first);
                let mut half_way = [[V::zero(); MOST_FACTORS]; 5];
                for (i, half_way) in half_way.iter_mut().enumerate().take(STEP + 3) {
                    if i < strip.rows {
                        let row = from.wrapping_offset(i as isize * strip.row);
                        for vector in 0..2 * STEP {
                            V::prefetch(row.wrapping_offset(ahead).wrapping_add(vector * V::LANES));
                        }
                        *half_way = of_places::<V, STEP>(load_places::<V, STEP>(row, left));
                    }
                }
                let to = strip.to.add(p * strip.stride + tile);
                for (j, column) in transposed(half_way).into_iter().enumerate().take(const { factors(STEP) })
                {
                    let values = of_places::<V, STEP>(column);
                    for (i, value) in values.into_iter().enumerate().take(const { factors(STEP) }) {
                        value.store(to.add(const { planes(STEP) }[i][j] * strip.plane));
                    }
                }
            }
        }
    }
}

/// Puts the products of a strip together. Writes no result past the end of a row.
///
/// # Safety
/// As [`weights`].
#[inline(always)]
pub(in super::super) unsafe fn results<V: VectorFloat, const STEP: usize>(strip: &Results<V::Elem>) {
    let sums = const { terms(STEP).len() };
    // SAFETY: the caller's promise.
    unsafe {
        for tile in (0..strip.tiles).step_by(V::LANES) {
            let tiles = strip.tiles - tile;
            let is_whole = tiles >= V::LANES;
            let mut half_way = [[V::zero(); 2]; 4];
            for (i, half_way) in half_way.iter_mut().enumerate().take(sums) {
                let from = strip.from.add(tile + sums * i * strip.plane);
                let mut four = [V::zero(); 4];
                for (j, vector) in four.iter_mut().enumerate().take(sums) {
                    let from = from.wrapping_add(j * strip.plane);
                    *vector = if is_whole { V::load(from) } else { load_some(from, tiles) };
                }
                *half_way = of_products::<V, STEP>(four);
            }
            let [even, odd] = transposed(half_way);
            let (even, odd) = (of_products::<V, STEP>(even), of_products::<V, STEP>(odd));
            for i in 0..if strip.has_second { 2 } else { 1 } {
                let row = strip.to.wrapping_offset(i as isize * strip.row).wrapping_add(2 * tile);
                for (half, value) in even[i].zip(odd[i]).into_iter().enumerate() {
                    let at = row.wrapping_add(half * V::LANES);
                    V::prefetch(at.wrapping_offset(strip.ahead));
                    let len = (strip.len - 2 * tile).saturating_sub(half * V::LANES);
                    if len >= V::LANES {
                        let value = if strip.accumulate { V::load(at).add(value) } else { value };
                        value.store(at);
                    } else if len > 0 {
                        let mask = V::mask(len);
                        let value = if strip.accumulate { V::load_part(at, mask).add(value) } else { value };
                        value.store_part(at, mask);
                    }
                }
            }
        }
    }
}
