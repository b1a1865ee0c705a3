//! The transforms of weights, places and products, for vectors of any machine; see [`super`].

use crate::vector::VectorFloat;

/// The transforms of one element type on one machine.
pub(in super::super) struct Transforms<T> {
    /// Nine weights of each of some rows, weight by weight, become 16 for each row, from one plane to the next.
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
    /// How far the second row is, whether there is one, and how many results a row has.
    pub row: isize,
    pub has_second: bool,
    pub len: usize,
    pub tiles: usize,
    pub accumulate: bool,
}

/// `G` times three vectors.
#[inline(always)]
unsafe fn of_weights<V: VectorFloat<Elem: From<f32>>>([a, b, c]: [V; 3]) -> [V; 4] {
    // SAFETY: the caller's promise: the machine has the vectors.
    unsafe {
        let half = V::splat(0.5.into());
        let (ends, middle) = (a.add(c).mul(half), b.mul(half));
        [a, ends.add(middle), ends.sub(middle), c]
    }
}

/// `Bᵀ` times four vectors.
#[inline(always)]
unsafe fn of_places<V: VectorFloat>([a, b, c, d]: [V; 4]) -> [V; 4] {
    // SAFETY: as above.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// `Aᵀ` times four vectors.
#[inline(always)]
unsafe fn of_products<V: VectorFloat>([a, b, c, d]: [V; 4]) -> [V; 2] {
    // SAFETY: as above.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
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

/// Transforms the weights of some rows, see [`Transforms`].
///
/// # Safety
/// The machine must have what `V` needs, and the areas be as long as what is told of them.
#[inline(always)]
pub(in super::super) unsafe fn weights<V: VectorFloat<Elem: From<f32>>>(
    from: *const V::Elem,
    rows: usize,
    to: *mut V::Elem,
    plane: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for row in (0..rows).step_by(V::LANES) {
            let mut half_way = [[V::zero(); 4]; 3];
            for (i, half_way) in half_way.iter_mut().enumerate() {
                let from = from.add(3 * i * rows + row);
                *half_way = of_weights([V::load(from), V::load(from.add(rows)), V::load(from.add(2 * rows))]);
            }
            for (j, column) in transposed(half_way).into_iter().enumerate() {
                for (i, value) in of_weights(column).into_iter().enumerate() {
                    value.store(to.add((4 * i + j) * plane + row));
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
pub(in super::super) unsafe fn places<V: VectorFloat>(strip: &Places<V::Elem>) {
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..strip.sums_len {
            let from = strip.from.offset(*strip.sums.add(p));
            for tile in (0..strip.tiles).step_by(V::LANES) {
                let (from, left) = (from.wrapping_add(2 * tile), strip.len - 2 * tile);
                let mut half_way = [[V::zero(); 4]; 4];
                for (i, half_way) in half_way.iter_mut().enumerate() {
                    if i < strip.rows {
                        let row = from.wrapping_offset(i as isize * strip.row);
                        let mut four = [V::zero(); 4];
                        for (at, vector) in [0, V::LANES, 2, V::LANES + 2].into_iter().zip(&mut four) {
                            *vector = load_some(row.wrapping_add(at), left.saturating_sub(at));
                        }
                        let ([first, second], [third, fourth]) =
                            (four[0].unzip(four[1]), four[2].unzip(four[3]));
                        *half_way = of_places([first, second, third, fourth]);
                    }
                }
                let to = strip.to.add(p * strip.stride + tile);
                for (j, column) in transposed(half_way).into_iter().enumerate() {
                    for (i, value) in of_places(column).into_iter().enumerate() {
                        value.store(to.add((4 * i + j) * strip.plane));
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
pub(in super::super) unsafe fn results<V: VectorFloat>(strip: &Results<V::Elem>) {
    // SAFETY: the caller's promise.
    unsafe {
        for tile in (0..strip.tiles).step_by(V::LANES) {
            let mut half_way = [[V::zero(); 2]; 4];
            for (i, half_way) in half_way.iter_mut().enumerate() {
                let from = strip.from.add(tile + 4 * i * strip.plane);
                let mut four = [V::zero(); 4];
                for (j, vector) in four.iter_mut().enumerate() {
                    *vector = load_some(from.wrapping_add(j * strip.plane), strip.tiles - tile);
                }
                *half_way = of_products(four);
            }
            let [even, odd] = transposed(half_way);
            let (even, odd) = (of_products(even), of_products(odd));
            for i in 0..if strip.has_second { 2 } else { 1 } {
                let row = strip.to.wrapping_offset(i as isize * strip.row).wrapping_add(2 * tile);
                for (half, value) in even[i].zip(odd[i]).into_iter().enumerate() {
                    let at = row.wrapping_add(half * V::LANES);
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
