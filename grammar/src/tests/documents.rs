//! The blocks of `docs/language.md` parse, but for those that show a syntax error, which have the code they say.

use super::errors;

#[test]
fn blocks_of_the_reference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut blocks = 0;
    let mut rest = text.as_str();
    while let Some(start) = rest.find("```ein") {
        let block = &rest[start + "```".len()..];
        let (kind, block) = block.split_once('\n').unwrap();
        let (block, after) = block.split_once("\n```").unwrap();
        rest = after;
        blocks += 1;
        let found = errors(block);
        match kind.strip_prefix("ein error=EIN0").and_then(|code| code.parse::<u16>().ok()) {
            Some(code @ 101..=126) => {
                assert!(
                    found.iter().all(|error| error.code == code) && !found.is_empty(),
                    "{block}\n{found:#?}"
                );
            }
            _ => assert_eq!(found, [], "{block}"),
        }
    }
    assert!(blocks > 60, "{blocks}");
}
