//! What the crate promises, checked from outside its modules.

mod documents;
mod forms;
mod layout;
mod mistakes;
mod mutations;
mod programs;
mod shape;

use crate::tree::Item;
use crate::{SyntaxError, parse};

/// The items of a text without errors.
fn items(text: &str) -> Vec<Item> {
    let (file, errors) = parse(text, 0);
    assert!(errors.is_empty(), "{text}\n{errors:#?}");
    file.items
}

/// The errors of a text.
fn errors(text: &str) -> Vec<SyntaxError> {
    parse(text, 0).1
}
