//! Few and small programs at every stage, for the reader: `golden/name.ein` and `golden/name.2-graph.snap`.

use crate::assert_snapshot_in;
use crate::support::{invocations, open, programs, stages, stem};
use einc::pipeline::Phase;

#[test]
fn every_stage_of_a_few_programs() {
    for path in programs("tests/golden") {
        let text = std::fs::read_to_string(&path).expect("a file that was just listed");
        let opened = open(&stem(&path), Some(&path), &text);
        let [invocation] = &invocations(&text)[..] else {
            panic!("{}: one line `# einc run ..` says its sizes", path.display());
        };
        let (program, _) =
            opened.program(invocation).unwrap_or_else(|diagnostics| panic!("{}", opened.text(&diagnostics)));
        for (phase, text) in stages(&program) {
            let number = Phase::ALL.iter().position(|other| *other == phase).expect("a known stage");
            assert_snapshot_in!("golden", format!("{}.{number}-{phase}", stem(&path)), text);
        }
    }
}
