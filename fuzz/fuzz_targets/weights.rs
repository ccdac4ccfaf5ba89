#![no_main]

#[path = "../../network/tests/promises/mod.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    promises::weights(content);
});
