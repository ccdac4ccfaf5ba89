//! Promises that hold for every input, however broken: asserted on each input by the fuzz targets, and on their corpus by
//! `corpus.rs`.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by binaries that each use a part")]

use std::path::Path;

use portrait_files::bounded::inside;
use portrait_files::config::{Config, ConfigFile};
use portrait_files::manifest::{Done, Pair, PairInfo};
use portrait_files::pair_image::{self, Content};
use portrait_files::pixels::{Format, Size, decode};
use portrait_files::scene::Scene;
use portrait_files::text;

/// Maximum width and height of an image that is decoded here, in pixels.
const MAX_PX: u32 = 64;

/// Checks that a manifest – `scene.json`, `done.json`, `pair.json` – is refused in words, or holds numbers that can be rendered
/// and names that stay in their folder. Returns whether the input is one of the three.
pub fn manifest(content: &[u8]) -> bool {
    let Ok(text) = text::decode(content.to_vec()) else { return false };
    let text = text.as_str();
    let scene = match Scene::parse(text, "scene.json".as_ref()) {
        Ok(scene) => {
            assert!((8..=8192).contains(&scene.size_px));
            assert!(scene.rendering.gain() > 0.0 && scene.rendering.gain().is_finite());
            assert!(scene.camera.near_m.is_finite());
            assert!(scene.lights.iter().all(|light| light.power_w.is_finite() && light.irradiance_w_m2.is_finite()));
            stays_inside(&scene.environment.file);
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("scene.json"));
            false
        }
    };
    let done = serde_json::from_str::<Done>(text).is_ok_and(|done| {
        done.files.keys().for_each(|name| stays_inside(name));
        let json = serde_json::to_string(&done).unwrap();
        assert_eq!(serde_json::from_str::<Done>(&json).unwrap().files, done.files);
        true
    });
    let pair = serde_json::from_str::<Pair>(text).is_ok_and(|pair| {
        pair.files.keys().for_each(|name| stays_inside(name));
        let json = serde_json::to_string(&pair).unwrap();
        assert_eq!(serde_json::from_str::<Pair>(&json).unwrap().files, pair.files);
        true
    });
    let info = match PairInfo::parse(text, 7) {
        Ok(info) => {
            assert!(info.seed == 7 && (1..=8192).contains(&info.size_px));
            true
        }
        Err(what) => {
            assert!(!what.is_empty());
            false
        }
    };
    scene || done || pair || info
}

fn stays_inside(name: &str) {
    let folder = Path::new("/no such folder");
    match inside(folder, name, "a manifest") {
        Ok(path) => assert!(path.starts_with(folder) && !path.components().any(|part| part.as_os_str() == "..")),
        Err(error) => assert!(error.to_string().contains("inside /no such folder")),
    }
}

/// Checks that a PNG or OpenEXR file is refused in words, or is an image of the size that was asked for. Returns whether the
/// input is an image.
pub fn images(content: &[u8]) -> bool {
    // Neither the metadata nor the pixels of a pair's image make its checks panic, and what they accept is an image.
    let size = Size::AtMost([MAX_PX; 2]);
    for kind in [Content::Shown, Content::Mask, Content::Normal, Content::Depth] {
        match pair_image::decode(content, kind, size) {
            Ok(image) => assert_eq!(image, decode(content, Format::Png, size).unwrap()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let is_image = |format| match decode(content, format, Size::AtMost([MAX_PX; 2])) {
        Ok(image) => {
            let [width, height] = [image.width(), image.height()];
            assert!((1..=MAX_PX).contains(&width) && (1..=MAX_PX).contains(&height));
            let other = Size::Edge { px: width + height, said_by: "pair.json" };
            assert!(decode(content, format, other).is_err());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    };
    is_image(Format::Png) | is_image(Format::OpenExr)
}

/// Checks that the config of a training run is refused in words, or is in range and the same when written and read again.
/// Returns whether the input is a config.
pub fn config(content: &[u8]) -> bool {
    let Ok(text) = text::decode(content.to_vec()) else { return false };
    match ConfigFile::parse(text, "config.toml".as_ref()) {
        Ok(file) => {
            let config = file.config();
            assert!(config.graph().is_ok() && config.rate_share(1).is_finite());
            assert!(config.data.batch.is_multiple_of(config.run.workers));
            let again: Config = toml::from_str(&toml::to_string(config).unwrap()).unwrap();
            assert_eq!(again, *config);
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("config"));
            false
        }
    }
}
