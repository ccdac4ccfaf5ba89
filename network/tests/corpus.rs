//! Inputs that the fuzzers found worth keeping, replayed without the fuzzers.
#![allow(clippy::unwrap_used)]

mod promises;

/// Counts the inputs of a fuzz target's corpus that are accepted, and those that are refused.
fn replay(target: &str, promise: fn(&[u8]) -> bool) -> (usize, usize) {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let inputs = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let (whole, refused): (Vec<_>, Vec<_>) = inputs.partition(|content| promise(content));
    (whole.len(), refused.len())
}

#[test]
fn the_corpus_of_weights_files_keeps_its_promises() {
    let (whole, refused) = replay("weights", promises::weights);
    assert!(whole >= 3 && refused >= 3, "{whole} models, {refused} refused: the corpus is not what it was");
}

#[test]
fn the_corpus_of_specs_keeps_its_promises() {
    let (whole, refused) = replay("spec", promises::spec);
    assert!(whole >= 3 && refused >= 3, "{whole} graphs, {refused} refused: the corpus is not what it was");
}
