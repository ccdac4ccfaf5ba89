//! Finds the parts of a glTF file that Bevy cannot read, and names the way out; and by which convention a file looks along -z.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::Value;

/// Largest description of a scene that is looked at, bytes.
const MAX_JSON: u64 = 64 << 20;
/// The tool that turns files into what Bevy reads.
const TOOL: &str = "npx @gltf-transform/cli";

/// Something that Bevy 0.19 cannot read.
struct Obstacle {
    /// Its name.
    name: &'static str,
    /// Extensions that bring it.
    extensions: &'static [&'static str],
    /// Kind of the images that it is, after `image/`, and the end of their files; none for geometry.
    image: Option<&'static str>,
    /// Command of the tool that takes it out, and options. Every command unpacks geometry.
    command: [&'static str; 2],
}

const OBSTACLES: [Obstacle; 5] = [
    Obstacle {
        name: "meshopt compression",
        extensions: &["EXT_meshopt_compression", "KHR_meshopt_compression"],
        image: None,
        command: ["cp", ""],
    },
    Obstacle {
        name: "Draco compression",
        extensions: &["KHR_draco_mesh_compression"],
        image: None,
        command: ["cp", ""],
    },
    Obstacle {
        name: "quantised meshes",
        extensions: &["KHR_mesh_quantization"],
        image: None,
        command: ["dequantize", ""],
    },
    Obstacle {
        name: "WebP textures",
        extensions: &["EXT_texture_webp"],
        image: Some("webp"),
        command: ["png", " --formats webp"],
    },
    Obstacle {
        name: "KTX2 textures",
        extensions: &["KHR_texture_basisu"],
        image: Some("ktx2"),
        command: ["ktxdecompress", ""],
    },
];

/// Returns one line about what Bevy cannot read in the file and what to do; `None` where nothing is known against the file.
pub fn obstacles(file: &Path) -> Option<String> {
    let gltf = description(file)?;
    let found: Vec<&Obstacle> = OBSTACLES.iter().filter(|obstacle| obstacle.is_in(&gltf)).collect();
    let names: Vec<&str> = found.iter().map(|obstacle| obstacle.name).collect();
    let mut commands: Vec<[&str; 2]> = found.iter().map(|obstacle| obstacle.command).collect();
    commands.dedup();
    if commands.len() > 1 {
        commands.retain(|[command, _]| *command != "cp");
    }
    let (last, mut from) = (commands.len().checked_sub(1)?, file.display().to_string());
    let mut steps = Vec::new();
    for (at, [command, options]) in commands.iter().enumerate() {
        let to = if at == last { "readable.glb".into() } else { format!("step{}.glb", at + 1) };
        steps.push(format!("{TOOL} {command} {from} {to}{options}"));
        from = to;
    }
    let what = names.join(" and ");
    Some(format!(
        "{} has {what}, which Bevy cannot read: run `{}` and open readable.glb",
        file.display(),
        steps.join(" && ")
    ))
}

impl Obstacle {
    fn is_in(&self, gltf: &Value) -> bool {
        let list = |key: &str| gltf[key].as_array().into_iter().flatten();
        let is_own = |extension: &Value| extension.as_str().is_some_and(|it| self.extensions.contains(&it));
        if list("extensionsRequired").any(is_own) {
            return true;
        }
        // Textures may name such an image and nothing in its place, or pass it off as an ordinary one.
        let Some(kind) = self.image else { return false };
        let images: Vec<&Value> = list("images").collect();
        list("textures").any(|texture| match texture["source"].as_u64().and_then(|at| images.get(at as usize)) {
            Some(image) => {
                let mime = image["mimeType"].as_str().and_then(|mime| mime.strip_prefix("image/"));
                let end = image["uri"].as_str().and_then(|uri| Path::new(uri).extension()?.to_str());
                [mime, end].into_iter().flatten().any(|it| it.eq_ignore_ascii_case(kind))
            }
            None => self.extensions.iter().any(|it| !texture["extensions"][*it].is_null()),
        })
    }
}

/// Returns whether a file is of VRM 0, in which characters look along -z. In VRM 1, as in glTF, they look along +z.
pub fn is_vrm_0(file: &Path) -> bool {
    let is_own = |gltf: Value| gltf["extensionsUsed"].as_array().is_some_and(|used| used.iter().any(|it| it == "VRM"));
    description(file).is_some_and(is_own)
}

/// Reads the file's JSON, which in a .glb file is the first chunk after a header of 12 bytes.
fn description(file: &Path) -> Option<Value> {
    let mut reader = BufReader::new(File::open(file).ok()?).take(MAX_JSON);
    let mut text = vec![0; 4];
    reader.read_exact(&mut text).ok()?;
    if text == *b"glTF" {
        // Version and length of the file, then length and kind of the chunk.
        let mut header = [[0; 4]; 4];
        reader.read_exact(header.as_flattened_mut()).ok()?;
        let length = u32::from_le_bytes(header[2]);
        return serde_json::from_reader(reader.take(length.into())).ok();
    }
    reader.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Returns an error in one line: some list every field of the file that they dislike.
pub fn in_one_line(error: &impl ToString) -> String {
    const MAX_CHARS: usize = 300;
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
