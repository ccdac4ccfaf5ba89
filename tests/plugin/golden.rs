//! Pictures that are committed, and compared with.

use std::path::Path;

use bevy::prelude::*;
use image::RgbaImage;

/// Largest difference allowed of each channel, of 255: drivers round differently.
const TOLERANCE: u8 = 2;
/// Pixels that may differ by more, per mille: at an edge, drivers may decide differently whose a pixel is.
const STRAY_PER_MILLE: usize = 5;

/// Compares a frame with `tests/golden/NAME.png`. With `PORTRAIT_GOLDEN=write` in the environment it is written instead: look at it before
/// it is committed.
pub fn assert_golden(name: &str, frame: &[u8], size: UVec2) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.png"));
    let found = RgbaImage::from_raw(size.x, size.y, frame.to_vec()).expect("four bytes a pixel");
    if std::env::var_os("PORTRAIT_GOLDEN").is_some_and(|value| value == "write") {
        found.save(&path).expect("the folder of golden pictures");
    }
    let golden = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgba8();
    assert_eq!(golden.dimensions(), found.dimensions(), "{name}");
    let differs =
        |(a, b): (&image::Rgba<u8>, &image::Rgba<u8>)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > TOLERANCE);
    let strays = golden.pixels().zip(found.pixels()).filter(|&pair| differs(pair)).count();
    let most = (size.element_product() as usize * STRAY_PER_MILLE).div_ceil(1000);
    assert!(strays <= most, "{name}: {strays} pixels differ from the golden picture by more than {TOLERANCE} of 255");
}
