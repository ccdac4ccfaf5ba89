//! Data sets made to do harm: each is refused by name, and none gets much more memory than its honest size explains.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use common::Workshop;
use peak_alloc::PeakAlloc;
use portrait_network::Plane;
use portrait_training::internals::DatasetError;
use portrait_training::internals::read::{attach_light_groups, load};
use portrait_training::toy;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Maximum memory that reading any of these data sets may ask for, in bytes.
const CAP_BYTES: usize = 4 << 20;
/// Width and height of the pair, in pixels.
const SIDE_PX: usize = 16;
/// A size of which no machine has the memory, in bytes.
const TERABYTE: u64 = 1 << 40;

/// Lets one test run at a time: all share the allocator.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

/// Writes one pair, changes it, and reads it with its light groups: the error must hold `parts`.
#[track_caller]
fn refused(change: impl Fn(&Path), parts: &[&str]) {
    let workshop = Workshop::new();
    let data = workshop.data();
    toy::write(&data, &toy::pair(7, SIDE_PX)).unwrap();
    change(&data.join("00000007"));
    let read = || -> Result<(), DatasetError> {
        let mut pairs = load(&data, &"0..10".parse().unwrap(), &[Plane::Color, Plane::Normal, Plane::Depth])?;
        attach_light_groups(&data, &mut pairs, &[])
    };
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let error = read().expect_err("it was accepted").to_string();
    let peak = MEMORY.peak_usage() - before;
    assert!(peak <= CAP_BYTES, "{peak} bytes at once for: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

/// Makes a sparse file, which takes no disk.
fn huge(path: &Path) {
    File::create(path).unwrap().set_len(TERABYTE).unwrap();
}

/// Writes the smallest table that there is, of one tone mapper.
fn write_tone_tables(path: &Path) {
    let table = TensorView::new(Dtype::U8, vec![2, 2, 2, 3], &[0; 24]).unwrap();
    let header = [("slope".to_string(), "1".to_string()), ("largest".to_string(), "1".to_string())];
    std::fs::write(path, safetensors::serialize([("none", table)], Some(header.into())).unwrap()).unwrap();
}

#[test]
fn pairs_of_sizes_that_cannot_be_are_refused() {
    let _alone = alone();
    // The last is 16 in 32 bits, as large as the images are.
    for size_px in [0, 8193, u64::from(u32::MAX), (1 << 32) + 16] {
        let text = format!(r#"{{"format":3,"seed":7,"identity":1,"size_px":{size_px}}}"#);
        let found = size_px.to_string();
        let parts = ["pair.json", &found, "render the pair again"];
        refused(|pair| std::fs::write(pair.join("pair.json"), &text).unwrap(), &parts);
    }
}

#[test]
fn images_larger_than_their_pair_are_refused_before_they_are_decoded() {
    let _alone = alone();
    for file in ["first.png", "reference.png", "mask.png", "normal.png", "depth.png"] {
        // Flat, so a few kilobytes that unpack to 16 MB.
        refused(
            |pair| image::GrayImage::new(4096, 4096).save(pair.join(file)).unwrap(),
            &[file, "(4096, 4096)", "expected 16×16"],
        );
    }
}

#[test]
fn files_that_are_huge_or_have_no_end_are_not_read() {
    let _alone = alone();
    for file in ["pair.json", "first.png", "depth.png", "light_groups.safetensors"] {
        let change = |pair: &Path| {
            write_tone_tables(&pair.with_file_name("tone_mapping.safetensors"));
            huge(&pair.join(file));
        };
        refused(change, &[file, "1099511627776 bytes: expected at most"]);
    }
    refused(|pair| huge(&pair.join("first.png")), &["render the pair again"]);
    let endless = |pair: &Path| {
        std::fs::remove_file(pair.join("first.png")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", pair.join("first.png")).unwrap();
    };
    refused(endless, &["half a pair", "first.png"]);
    refused(
        |pair| {
            std::fs::write(pair.join("light_groups.safetensors"), "").unwrap();
            huge(&pair.with_file_name("tone_mapping.safetensors"));
        },
        &["tone_mapping.safetensors", "1099511627776 bytes: expected at most"],
    );
}
