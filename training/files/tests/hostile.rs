//! Files made to do harm: each is refused by name, and none gets much more memory than its honest size explains.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use exr::image::write::WritableImage;
use exr::image::{Blocks, Encoding, Image, SpecificChannels};
use exr::math::Vec2;
use flate2::{Compress, Compression, FlushCompress};
use peak_alloc::PeakAlloc;
use portrait_files::FileError;
use portrait_files::background::Backdrop;
use portrait_files::bounded::inside;
use portrait_files::config::ConfigFile;
use portrait_files::linear_image::LinearImage;
use portrait_files::manifest::{Done, PairInfo};
use portrait_files::pixels::{self, Format, Size};
use portrait_files::scene::Scene;
use portrait_files::weights;
use serde_json::{Value, json};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Maximum memory that reading any of these files may ask for, in bytes. The largest file has 2 MB and is read into memory whole.
const CAP_BYTES: usize = 16 << 20;
/// Width and height of the images, in pixels.
const SIDE_PX: u32 = 16;
const SIZE: Size = Size::Edge { px: SIDE_PX, said_by: "pair.json" };
/// A size of which no machine has the memory, in bytes.
const TERABYTE: u64 = 1 << 40;

/// Lets one test run at a time: all share the allocator.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

/// Checks that a reader fails with an error that holds `parts`, within [`CAP_BYTES`].
#[track_caller]
fn refused<T, E: ToString>(read: impl FnOnce() -> Result<T, E>, parts: &[&str]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let error = read().err().expect("it was accepted").to_string();
    let peak = MEMORY.peak_usage() - before;
    assert!(error.len() < 2_000, "an error of {} bytes: {:.200}", error.len(), error);
    assert!(peak <= CAP_BYTES, "{peak} bytes at once for: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

/// A folder with one file in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(name: &str, content: &[u8]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::write(folder.file(name), content).unwrap();
        folder
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}

#[track_caller]
fn refused_png(content: &[u8], parts: &[&str]) {
    let folder = Folder::new("first.png", content);
    let parts = [&["first.png"], parts].concat();
    refused(|| pixels::read(&folder.file("first.png"), Format::Png, SIZE), &parts);
}

#[track_caller]
fn refused_exr(content: &[u8], parts: &[&str]) {
    let folder = Folder::new("reference.exr", content);
    let parts = [&["reference.exr"], parts].concat();
    refused(|| LinearImage::read_exr(&folder.file("reference.exr"), SIZE), &parts);
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes(), &kind[..], data, &sum.finalize().to_be_bytes()].concat()
}

/// Makes an 8-bit grey PNG of these chunks.
fn png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), png_chunk(b"IHDR", &header), chunks.concat(), png_chunk(b"IEND", b"")].concat()
}

/// A zlib stream of a kilobyte for each megabyte of zeros that it unpacks to.
fn zeros(megabytes: usize) -> Vec<u8> {
    let mut megabyte = Vec::with_capacity(1 << 16);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(&vec![0; 1 << 20], &mut megabyte, FlushCompress::Full).unwrap();
    [vec![0x78, 0xda], megabyte.repeat(megabytes), vec![3, 0]].concat()
}

fn exr() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let image = image::Rgba32FImage::from_pixel(SIDE_PX, SIDE_PX, image::Rgba([0.5; 4]));
    image.write_to(&mut file, image::ImageFormat::OpenExr).unwrap();
    file.into_inner()
}

/// Makes an OpenEXR file with an attribute of its header replaced.
fn exr_with(attribute: &str, value: &[u8]) -> Vec<u8> {
    let mut file = exr();
    // Name, type and length come before the value.
    let name = format!("{attribute}\0box2i\0");
    let at = file.windows(name.len()).position(|window| window == name.as_bytes()).expect("such an attribute");
    let value_at = at + name.len() + 4;
    file[value_at..value_at + value.len()].copy_from_slice(value);
    file
}

fn encoded_exr(encoding: Encoding) -> Vec<u8> {
    let pixels = SpecificChannels::rgba(|_| (0.5_f32, 0.5_f32, 0.5_f32, 1.0_f32));
    let mut image = Image::from_channels((SIDE_PX as usize, SIDE_PX as usize), pixels);
    image.layer_data.encoding = encoding;
    let mut file = Cursor::new(Vec::new());
    image.write().to_buffered(&mut file).unwrap();
    file.into_inner()
}

/// A window from (0, 0) to these pixels.
fn window(right: i32, bottom: i32) -> Vec<u8> {
    [0, 0, right, bottom].iter().flat_map(|at: &i32| at.to_le_bytes()).collect()
}

#[test]
fn png_headers_that_claim_huge_sizes_are_refused_with_both_sizes() {
    let _alone = alone();
    for side in [0, 17, 65_535, 0x7fff_ffff, u32::MAX] {
        let claim = png(side, side, &[png_chunk(b"IDAT", &zeros(1))]);
        refused_png(&claim, &["[16, 16] px as pair.json says", &format!("found [{side}, {side}] px")]);
    }
}

#[test]
fn pngs_that_unpack_to_gigabytes_get_no_memory_for_it() {
    let _alone = alone();
    let bomb = zeros(2048);
    assert!(bomb.len() < 4 << 20, "{} bytes", bomb.len());
    let pixels = png_chunk(b"IDAT", &zeros(1));
    // The pixels of a picture of the right size go on and on: the rest is not even unpacked.
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let endless = png(SIDE_PX, SIDE_PX, &[png_chunk(b"IDAT", &bomb)]);
    let _ = pixels::decode(&endless, Format::Png, SIZE);
    assert!(MEMORY.peak_usage() - before <= CAP_BYTES);
    // A colour profile, and a text.
    for (kind, head) in [(b"iCCP", &b"profile\0\0"[..]), (b"zTXt", b"text\0\0")] {
        let content = png(SIDE_PX, SIDE_PX, &[png_chunk(kind, &[head, &bomb].concat()), pixels.clone()]);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let _ = pixels::decode(&content, Format::Png, SIZE);
        let peak = MEMORY.peak_usage() - before;
        assert!(peak <= CAP_BYTES, "{peak} bytes for {}", String::from_utf8_lossy(kind));
    }
}

#[test]
fn other_formats_under_the_name_of_a_png_are_not_decoded() {
    let _alone = alone();
    let jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00";
    let hdr = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2147483647 +X 2147483647\n";
    for content in [&jpeg[..], hdr, &exr(), b"", b"\x89PNG"] {
        refused_png(content, &["expected an image in PNG"]);
    }
}

#[test]
fn exr_headers_that_claim_huge_sizes_are_refused_before_anything_is_decoded() {
    let _alone = alone();
    LinearImage::read_exr(&Folder::new("good.exr", &exr()).file("good.exr"), SIZE).unwrap();
    for side in [16, 65_535, 1 << 28] {
        // What is seen, and what is stored.
        refused_exr(&exr_with("displayWindow", &window(side, side)), &["expected [16, 16] px as pair.json says"]);
        refused_exr(&exr_with("dataWindow", &window(side, side)), &["a layer of", "expected at most [16, 16]"]);
    }
    refused_exr(&exr_with("dataWindow", &window(i32::MAX, i32::MAX)), &["exceeding integer maximum"]);
    refused_exr(&exr_with("dataWindow", &window(-1, -1)), &["OpenEXR"]);
}

#[test]
fn exr_tiles_that_are_larger_than_any_image_are_refused() {
    let _alone = alone();
    let tiled = encoded_exr(Encoding { blocks: Blocks::Tiles(Vec2(8, 8)), ..Encoding::UNCOMPRESSED });
    LinearImage::read_exr(&Folder::new("good.exr", &tiled).file("good.exr"), SIZE).unwrap();
    let name = b"tiles\0tiledesc\0";
    let at = tiled.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4;
    for side in [8193_u32, 1 << 30, i32::MAX as u32, u32::MAX] {
        let mut claim = tiled.clone();
        claim[at..at + 8].copy_from_slice(&[side.to_le_bytes(), side.to_le_bytes()].concat());
        refused_exr(&claim, &["OpenEXR"]);
    }
}

#[test]
fn exrs_that_unpack_to_gigabytes_get_no_memory_for_it() {
    let _alone = alone();
    let file = encoded_exr(Encoding { compression: exr::compression::Compression::ZIP16, ..Encoding::UNCOMPRESSED });
    LinearImage::read_exr(&Folder::new("good.exr", &file).file("good.exr"), SIZE).unwrap();
    // The table of offsets has one entry: the only block, with its row, its length, and its content to the end of the file.
    let block = (0..file.len() - 8).rev().find(|&at| file[at..at + 8] == (at as u64 + 8).to_le_bytes()).unwrap() + 8;
    for megabytes in [1, 3, 900] {
        let bomb = zeros(megabytes);
        let length = (bomb.len() as i32).to_le_bytes();
        refused_exr(&[&file[..block + 4], &length, &bomb].concat(), &["expected an image in OpenEXR"]);
    }
}

#[test]
fn exr_values_that_are_no_finite_numbers_are_refused_at_their_place() {
    let _alone = alone();
    for value in [f32::NAN, f32::INFINITY] {
        let mut image = image::Rgba32FImage::from_pixel(SIDE_PX, SIDE_PX, image::Rgba([0.5; 4]));
        image.put_pixel(3, 5, image::Rgba([0.5, value, 0.5, 1.0]));
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, image::ImageFormat::OpenExr).unwrap();
        refused_exr(&file.into_inner(), &["the pixel at x 3, y 5 is not finite"]);
    }
}

#[test]
fn files_that_are_huge_or_have_no_end_are_not_read() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["first.png", "scene.json", "config.toml", "done.json", "huge.safetensors"] {
        // A sparse file: it takes no disk.
        File::create(at(name)).unwrap().set_len(TERABYTE).unwrap();
    }
    let large = |name| [name, "1099511627776 bytes: expected at most"];
    let read = || pixels::read(&at("first.png"), Format::Png, SIZE);
    refused(read, &large("first.png"));
    refused(|| Scene::read(&at("scene.json")), &large("scene.json"));
    refused(|| ConfigFile::load(&at("config.toml")), &["config.toml", "1099511627776 bytes: expected at most"]);
    refused(|| Done::read(folder.path()), &large("done.json"));
    refused(|| weights::load(&at("huge.safetensors")), &large("huge.safetensors"));
    for endless in ["/dev/zero", "/dev"] {
        refused(|| Scene::read(endless.as_ref()), &["expected a file, found a folder, device or pipe"]);
        refused(|| ConfigFile::load(endless.as_ref()), &["expected a file, found a folder, device or pipe"]);
        refused(|| weights::load(endless.as_ref()), &["expected a file, found a folder, device or pipe"]);
    }
}

/// Makes the `done.json` of a scene whose files are as they should be, with a further entry of this name, size and digest.
fn done(folder: &Path, name: &str, fingerprint: Value) -> Done {
    let mut files = json!({});
    for whole in ["scene.glb", "scene.json", "reference.exr", "mask.png"] {
        std::fs::write(folder.join(whole), "").unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        files[whole] = json!({"bytes": 0, "sha256": empty});
    }
    files[name] = fingerprint;
    std::fs::write(folder.join("done.json"), json!({"format": 1, "files": files}).to_string()).unwrap();
    Done::read(folder).unwrap()
}

#[test]
fn manifests_that_name_files_outside_their_folder_are_refused() {
    let _alone = alone();
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("00000007");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(data.path().join("secret"), "").unwrap();
    std::os::unix::fs::symlink(data.path().join("secret"), folder.join("link")).unwrap();
    let empty = json!({"bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"});
    done(&folder, "mask.png", empty.clone()).check(&folder).unwrap();
    for name in ["../secret", "/etc/passwd", "a/../../secret", "link", "", "."] {
        let done = done(&folder, name, empty.clone());
        let said = format!("done.json names {name:?}");
        refused(|| done.check(&folder), &[&said, "expected a file inside", "do not use this data set"]);
    }
}

#[test]
fn manifests_that_claim_huge_files_are_compared_without_reading_them() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let huge = done(folder.path(), "scene.glb", json!({"bytes": u64::MAX, "sha256": ""}));
    refused(|| huge.check(folder.path()), &["scene.glb", "expected 18446744073709551615 bytes", "found 0 bytes"]);
    // A file that is as large as it says is digested piece by piece.
    let large = 256_u64 << 20;
    let honest = done(folder.path(), "scene.glb", json!({"bytes": large, "sha256": "00"}));
    File::create(folder.path().join("scene.glb")).unwrap().set_len(large).unwrap();
    refused(|| honest.check(folder.path()), &["scene.glb", "expected sha256 00 by done.json"]);
}

fn scene() -> Value {
    json!({
        "format": 2, "seed": 7, "identity": 3, "size_px": SIDE_PX,
        "camera": {"position": [0, 0, 1], "rotation_xyzw": [0, 0, 0, 1], "fov_y_rad": 0.5, "near_m": 0.05},
        "lights": [{"kind": "area", "name": "Key", "position": [1, 0, 0], "direction": [-1, 0, 0], "diameter_m": 0.3,
                    "power_w": 10, "color_linear": [1, 1, 1]}],
        "environment": {"file": "environments/sky.exr", "rotation_deg": 0, "strength": 1},
        "background": {"file": "behind.exr"}, "face": {"center": [0, 0, 0], "half_extents": [0.1, 0.1, 0.1]},
    })
}

fn scene_with(pointer: &str, value: Value) -> Value {
    let mut scene = scene();
    *scene.pointer_mut(pointer).unwrap() = value;
    scene
}

#[test]
fn scenes_that_name_files_outside_the_data_folder_are_refused() {
    let _alone = alone();
    let data = tempfile::tempdir().unwrap();
    for name in ["../behind.exr", "/etc/passwd", "sub/../../behind.exr"] {
        let scene = Scene::parse(&scene_with("/background/file", json!(name)).to_string(), "scene.json".as_ref());
        let scene = scene.unwrap();
        refused(|| Backdrop::read(data.path(), &scene), &["scene.json names", name, "expected a file inside"]);
    }
    let missing = Scene::parse(&scene().to_string(), "scene.json".as_ref()).unwrap();
    refused(|| Backdrop::read(data.path(), &missing), &["behind.exr: missing, though scene.json names it"]);
    // The name of a light is part of its file's name.
    let climbing = inside(data.path(), "group_x/../../../secret.exr", "scene.json");
    assert!(matches!(climbing, Err(FileError::Outside { .. })));
}

#[test]
fn scenes_with_numbers_that_cannot_be_rendered_are_refused_by_field() {
    let _alone = alone();
    for (pointer, value, parts) in [
        ("/size_px", json!(4_294_967_295_u32), &["`size_px` is 4294967295", "8 to 8192"][..]),
        ("/size_px", json!(4_294_967_312_u64), &["invalid value"]),
        ("/camera/near_m", json!(1e300), &["`camera.near_m` is inf"]),
        ("/camera/fov_y_rad", json!(-1e300), &["`camera.fov_y_rad` is -inf"]),
        ("/camera/position", json!([1e300, 0, 0]), &["`camera.position`", "finite numbers"]),
        ("/lights/0/kind", json!("laser"), &["`lights[Key].kind` is laser", "\"spot\" or \"sun\""]),
        ("/lights/0/kind", json!("spot"), &["`lights[Key].inner_angle_rad, outer_angle_rad`", "1.5 radians"]),
        ("/lights/0/power_w", json!(1e300), &["`lights[Key].diameter_m, power_w`"]),
        ("/environment/strength", json!(-1), &["`environment.strength` is -1"]),
        ("/face/half_extents", json!([0, 0, 0]), &["`face.half_extents`", "more than 0 m"]),
    ] {
        let text = scene_with(pointer, value).to_string();
        refused(|| Scene::parse(&text, "scene.json".as_ref()), &[&["scene.json"], parts].concat());
    }
    let deep = format!(r#"{{"background":{}"#, r#"{"a":"#.repeat(100_000));
    refused(|| Scene::parse(&deep, "scene.json".as_ref()), &["scene.json", "recursion limit"]);
}

#[test]
fn pairs_of_impossible_sizes_are_refused() {
    let _alone = alone();
    let info = |size_px: u64| json!({"format": 3, "seed": 7, "identity": 1, "size_px": size_px}).to_string();
    assert_eq!(PairInfo::parse(&info(8192), 7).unwrap().size_px, 8192);
    for size_px in [0, 8193, u64::from(u32::MAX)] {
        refused(|| PairInfo::parse(&info(size_px), 7), &[&format!("size {size_px}"), "a size of 1..=8192 pixels"]);
    }
    // In 32 bits this is 16.
    refused(|| PairInfo::parse(&info((1 << 32) + 16), 7), &["4294967312"]);
    let deep = format!(r#"{{"identity":{}"#, "[".repeat(100_000));
    refused(|| PairInfo::parse(&deep, 7), &["recursion limit"]);
}

#[test]
fn configs_that_are_deep_or_ask_for_too_much_are_refused() {
    let _alone = alone();
    let layer = |name: &str, from: &str| {
        format!(r#"{{ name = "{name}", from = ["{from}", "input"], op = {{ type = "add" }} }}"#)
    };
    let spec = |layers: &[String]| {
        format!("[network.spec]\nname = \"x\"\ninputs = [\"color\"]\nlayers = [{}]", layers.join(", "))
    };
    let many: Vec<String> = (0..500).map(|at| layer(&format!("l{at}"), "input")).collect();
    for (text, parts) in [
        (format!("a = {}", "[".repeat(60_000)), &["config.toml", "recursion"][..]),
        (format!("a = {}", "{ a = ".repeat(10_000)), &["config.toml", "recurs"]),
        (format!("[{}a]", "a.".repeat(30_000)), &["config.toml"]),
        (format!("{}a = 1", "a.".repeat(30_000)), &["config.toml"]),
        (spec(&[layer("a", "a")]), &["layer `a` reads `a`", "no earlier layer"]),
        (spec(&[layer("a", "b"), layer("b", "a")]), &["layer `a` reads `b`"]),
        (spec(&[layer("a", "nowhere")]), &["layer `a` reads `nowhere`"]),
        (spec(&many), &["500 layers: expected 1 to 64"]),
        ("#".repeat(65_537), &["65537 bytes: expected at most 65536"]),
        (format!("[critic]\nchannels = {:?}", [8; 64]), &["critic.channels", "1 to 6 widths"]),
        (format!("[critic]\nchannels = {:?}", [8; 5_000]), &["critic.channels", "1 to 6 widths"]),
        ("[critic]\nchannels = [9223372036854775807]".into(), &["critic.channels", "1 to 1024"]),
        ("[data]\ncrop_px = 9223372036854775807".into(), &["data.crop_px", "at most 4096"]),
        ("[data]\nbatch = 9223372036854775807".into(), &["data.batch", "1 to 1024"]),
        ("[data]\ntrain_seeds = \"0..18446744073709551615\"".into(), &["train_seeds", "1000000"]),
        ("[loss]\nl1_weight = nan".into(), &["loss.l1_weight", "NaN"]),
        ("[optimizer]\ngenerator_learning_rate = inf".into(), &["generator_learning_rate", "inf"]),
        ("[run]\nmax_minutes = nan".into(), &["run.max_minutes", "NaN"]),
    ] {
        refused(|| ConfigFile::parse(text, "config.toml".as_ref()), &[&["config"], parts].concat());
    }
}
