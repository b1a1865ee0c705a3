//! The programs of `examples/language` parse, whatever the ends of their lines.

use super::items;
use std::path::{Path, PathBuf};

/// Every `.ein` file under `examples/language`, with its text, by name.
pub fn programs() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/language");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "ein"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn all_parse() {
    let programs = programs();
    assert!(programs.len() >= 26);
    for (path, text) in programs {
        println!("{}", path.display());
        let count = items(&text).len();
        assert!(count >= 3);
        assert_eq!(items(&text.replace('\n', "\r\n")).len(), count);
        assert_eq!(items(&format!("\u{feff}{text}")).len(), count);
    }
}
