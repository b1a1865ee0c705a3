use super::*;

fn axes(extents: &[(&str, usize)]) -> Vec<Axis> {
    extents.iter().map(|(name, extent)| Axis { name: (*name).into(), extent: *extent }).collect()
}

/// The digits of a slot decoded by hand, for layouts without skew: the element, or what the gap says.
fn decoded(layout: &Layout, ciphertext: usize, slot: usize) -> Held {
    let mut index = vec![0; layout.axes.len()];
    let (mut zero, mut garbage) = (false, false);
    for (pieces, mut number) in [(&layout.ciphertexts, ciphertext), (&layout.slots, slot)] {
        for piece in pieces.iter().rev() {
            let digit = number % piece.extent();
            number /= piece.extent();
            match piece {
                Piece::Digit { axis, div, .. } => index[*axis] += digit * div,
                Piece::Zero(_) => zero |= digit > 0,
                Piece::Unknown(_) => garbage |= digit > 0,
                Piece::Copy(_) => {}
                Piece::Affine { .. } => unreachable!("not in this test"),
            }
        }
    }
    if zero {
        return Held::Zero;
    }
    if garbage {
        return Held::Garbage;
    }
    if index.iter().zip(&layout.axes).any(|(index, axis)| *index >= axis.extent) {
        return if layout.unknown_rest { Held::Garbage } else { Held::Zero };
    }
    Held::Element(index.iter().zip(&layout.axes).fold(0, |flat, (index, axis)| flat * axis.extent + index))
}

#[test]
fn every_order_of_pieces_decodes_to_itself_at_64_slots() {
    let axes = axes(&[("i", 3), ("k", 5)]);
    let pieces = [
        Piece::Digit { axis: 0, div: 1, extent: 2 },
        Piece::Digit { axis: 0, div: 2, extent: 2 },
        Piece::Digit { axis: 1, div: 1, extent: 5 },
        Piece::Copy(2),
        Piece::Unknown(2),
    ];
    let mut layouts = 0;
    for order in 0..120 {
        let mut rest: Vec<usize> = (0..5).collect();
        let mut code = order;
        let mut slots: Vec<Piece> = Vec::new();
        for left in (1..=5).rev() {
            slots.push(pieces[rest.remove(code % left)].clone());
            code /= left;
        }
        for outside in 0..3 {
            let layout = Layout {
                axes: axes.clone(),
                ciphertexts: slots[..outside].to_vec(),
                slots: slots[outside..].to_vec(),
                unknown_rest: order % 2 == 1,
            };
            let Ok(contents) = layout.contents(64) else {
                assert!(layout.reach() > 64);
                continue;
            };
            layouts += 1;
            assert_eq!(Layout::parse(&layout.to_string(), &axes).unwrap(), layout);
            for ciphertext in 0..contents.ciphertexts() {
                for slot in 0..layout.reach().min(64) {
                    assert_eq!(
                        contents.at(ciphertext, slot),
                        decoded(&layout, ciphertext, slot),
                        "{layout} {slot}"
                    );
                }
            }
        }
    }
    assert!(layouts > 240, "{layouts}");
}

#[test]
fn a_remainder_order_is_injective_and_wraps_as_far_as_it_is_copied() {
    let axes = axes(&[("i", 3), ("j", 5)]);
    let layout = Layout::parse("[*5 (10i+6j):15]", &axes).unwrap();
    let contents = layout.contents(64).unwrap();
    for slot in 0..64 {
        assert_eq!(contents.at(0, slot), Held::Element(slot % 3 * 5 + slot % 5));
    }
    assert_eq!(layout.to_string(), "[*5 (10i+6j):15]");
}

#[test]
fn a_skew_sits_on_diagonals() {
    let axes = axes(&[("i", 4), ("j", 4)]);
    let layout = Layout::parse("[i:4 (j-i):4]", &axes).unwrap();
    let contents = layout.contents(16).unwrap();
    assert_eq!(contents.at(0, 4), Held::Element(5));
    assert_eq!(contents.at(0, 7), Held::Element(4));
    assert_eq!(layout.to_string(), "[i:4 (j-i):4]");
}

#[test]
fn elements_that_share_a_slot_are_told() {
    let axes = axes(&[("i", 3), ("j", 6)]);
    let layout = Layout::parse("[(i+j):18]", &axes).unwrap();
    assert_eq!(layout.contents(64), Err(LayoutError::Collision(1, 6)));
    let layout = Layout::parse("[i:2 j:8]", &axes).unwrap();
    assert_eq!(layout.contents(64), Err(LayoutError::Collision(0, 12)));
}

#[test]
fn layouts_that_do_not_fit_are_refused() {
    let one = axes(&[("i", 128)]);
    assert_eq!(Layout::parse("[i:128]", &one).unwrap().contents(64), Err(LayoutError::PastTheEnd));
    let huge = axes(&[("i", usize::MAX)]);
    let layout = Layout::row_major(&huge[..0], 64);
    assert_eq!(layout.contents(64).unwrap().at(0, 0), Held::Element(0));
    let layout = Layout { axes: huge, ..Layout::parse("[i:64]", &one).unwrap() };
    assert_eq!(layout.contents(64), Err(LayoutError::TooLarge));
    assert_eq!(layout.contents(0), Err(LayoutError::Piece));
    for text in [
        "i:3",
        "[i:0]",
        "[k:2]",
        "[(i+):2]",
        "[(2):2]",
        "[i/0:2]",
        "[i]",
        "[*x]",
        "[(9999999999999999999i):2]",
    ] {
        assert!(Layout::parse(text, &one).is_err(), "{text}");
    }
}

#[test]
fn bits_and_pieces_say_the_same() {
    let axes = axes(&[("i", 3), ("k", 16)]);
    for text in ["[k/4:4 | _2 i:4 k:4 *2]", "[i:4 ?2 k:16]", "[i:2 | k:2 i/2:2 k/2:8 *4]"] {
        let layout = Layout::parse(text, &axes).unwrap();
        let bits = layout.bits(128).unwrap();
        let (one, other) = (layout.contents(128).unwrap(), bits.layout(&axes).contents(128).unwrap());
        for ciphertext in 0..one.ciphertexts() {
            for slot in 0..128 {
                assert_eq!(one.at(ciphertext, slot), other.at(ciphertext, slot), "{text} {slot}");
            }
        }
    }
    assert_eq!(Layout::parse("[i:3 k:16]", &axes).unwrap().bits(128), None);
}
