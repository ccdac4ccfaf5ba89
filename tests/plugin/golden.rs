//! Golden pictures: the right look of each set-up, in `tests/golden`. Somebody has looked at every picture.

use std::env;
use std::path::Path;

use bevy::prelude::*;
use bevy::render::renderer::RenderAdapter;
use image::RgbaImage;
use wgpu::DeviceType;

use crate::common::render_world;

/// Maximum difference of a channel that counts as no difference, of 255.
const TOLERANCE: u8 = 2;
/// Number of pixels of which one may differ by more on a GPU, since every GPU draws outlines a little differently. On lavapipe none may.
const PIXELS_PER_OUTLIER: usize = 40;

/// Asserts that a frame is the picture of this name. After an intended change, `PORTRAIT_RENEW_GOLDEN=1 cargo test` on lavapipe writes the
/// pictures anew; look at the pictures before you commit them.
pub fn assert_golden(app: &App, name: &str, size: UVec2, frame: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.png"));
    let is_cpu = render_world(app).resource::<RenderAdapter>().get_info().device_type == DeviceType::Cpu;
    let picture = RgbaImage::from_raw(size.x, size.y, frame.to_vec()).expect("a frame of this size");
    if env::var_os("PORTRAIT_RENEW_GOLDEN").is_some() {
        assert!(is_cpu, "the pictures are lavapipe's");
        picture.save(&path).expect("writing");
        return;
    }
    let golden = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgba8();
    assert_eq!(golden.dimensions(), picture.dimensions(), "{name}");
    let differs = |(a, b): &(&u8, &u8)| a.abs_diff(**b) > TOLERANCE;
    let outliers = golden.chunks(4).zip(frame.chunks(4)).filter(|(a, b)| a.iter().zip(*b).any(|pair| differs(&pair)));
    let (outliers, allowed) = (outliers.count(), if is_cpu { 0 } else { frame.len() / 4 / PIXELS_PER_OUTLIER });
    assert!(outliers <= allowed, "{name}: {outliers} pixels differ by more than {TOLERANCE} of 255");
}
