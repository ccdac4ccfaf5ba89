#![no_main]

#[path = "../../training/files/tests/promises/mod.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    promises::images(content);
});
