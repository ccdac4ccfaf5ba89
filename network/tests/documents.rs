//! The description of the weights file says what the code does.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

fn text(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Variants of `WeightsError`, from its source: the lines of the enum that are indented once and begin with a capital.
fn variants() -> BTreeSet<String> {
    let source = text("src/weights.rs");
    let (_, after) = source.split_once("pub enum WeightsError {\n").unwrap();
    let (body, _) = after.split_once("\n}\n").unwrap();
    let names =
        body.lines().filter_map(|line| line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase)));
    names.map(|rest| rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap().to_string()).collect()
}

/// Names in backquotes in the first column of the table under the heading "Errors".
fn documented() -> BTreeSet<String> {
    let document = text("../docs/weights_format.md");
    let (_, section) = document.split_once("\n## Errors\n").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let first = rows.map(|row| row.split('|').nth(1).unwrap());
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_string).collect()
}

#[test]
fn every_error_of_the_weights_file_is_in_its_documents_table_and_no_other() {
    let variants = variants();
    assert!(variants.len() > 10 && variants.contains("Container"), "the source is not read as it is: {variants:?}");
    assert_eq!(documented(), variants);
}
