//! Inputs that the fuzzers found worth keeping, replayed without the fuzzers.
#![allow(clippy::unwrap_used)]

mod promises;

/// Counts the inputs of a fuzz target's corpus that are accepted, and those that are refused.
fn replay(target: &str, promise: fn(&[u8]) -> bool) -> (usize, usize) {
    let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let inputs = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let (whole, refused): (Vec<_>, Vec<_>) = inputs.partition(|content| promise(content));
    (whole.len(), refused.len())
}

#[test]
fn the_corpus_of_manifests_keeps_its_promises() {
    let (whole, refused) = replay("manifest", promises::manifest);
    assert!(whole >= 4 && refused >= 3, "{whole} manifests, {refused} refused: the corpus is not what it was");
}

#[test]
fn the_corpus_of_images_keeps_its_promises() {
    let (whole, refused) = replay("images", promises::images);
    assert!(whole >= 4 && refused >= 3, "{whole} images, {refused} refused: the corpus is not what it was");
}

#[test]
fn the_corpus_of_configs_keeps_its_promises() {
    let (whole, refused) = replay("config", promises::config);
    assert!(whole >= 3 && refused >= 3, "{whole} configs, {refused} refused: the corpus is not what it was");
}
