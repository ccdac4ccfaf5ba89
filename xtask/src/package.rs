//! `cargo xtask package`: packs the crates that are published and tries them in an app outside the workspace that is made of
//! the README's own lines.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages;
use crate::run::{cargo, cargo_in, run, target_folder, workspace_root};

/// Largest packed crate; the registry takes 10 MB.
const MOST_BYTES: u64 = 8_000_000;
/// The documents that the plugin's package holds.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// The demo's head, which the README has copied to the same place of a game.
const HEAD: &str = "assets/heads/demo.glb";
/// Runs the README's program in the scratch app.
const PICTURE: &str = include_str!("../scratch_app/picture.rs");

/// Packs, looks at what was packed, and runs the README's program with it. Bevy has the features of the workspace, where it is compiled
/// already, or with `as_readme` those that the README asks for.
pub fn package(as_readme: bool) -> Result<()> {
    if as_readme {
        ensure_libraries()?;
    }
    let crates = ["portrait_network", "bevy_portrait_realism"];
    // The scratch app is what verifies. A registry is not needed for a crate that lies beside another one.
    let options = ["--quiet", "--no-verify", "--allow-dirty", "--package", crates[0], "--package", crates[1]];
    cargo("package", &options)?;

    let scratch = target_folder().join("scratch");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot clear {}", scratch.display()))?;
    }
    unpack(crates[0], &scratch.join("portrait_network"))?;
    // Where the README's path leads to.
    let plugin = scratch.join("portrait-realism");
    unpack(crates[1], &plugin)?;
    check_contents(&plugin)?;

    let app = scratch.join("app");
    write_app(&app, &plugin, as_readme)?;
    // Bevy's default features are compiled into a folder of their own, so that nothing else is compiled anew.
    let target = if as_readme { target_folder().join("scratch_readme") } else { target_folder() };
    cargo_in(&app, &target, "test", &["--test", "picture", "--", "--nocapture"])?;
    println!("the packed crate enhances the README's face: {}", app.join("after.png").display());
    Ok(())
}

/// Installs the libraries that Bevy's default features are linked with.
fn ensure_libraries() -> Result<()> {
    let libraries = ["alsa", "libudev", "wayland-client"];
    let found = Command::new("pkg-config").arg("--exists").args(libraries).status().is_ok_and(|it| it.success());
    if !cfg!(target_os = "linux") || found {
        return Ok(());
    }
    packages::install(
        "Bevy's default features need ALSA, udev and Wayland",
        &["pkg-config", "libasound2-dev", "libudev-dev", "libwayland-dev"],
        "their development packages and pkg-config",
    )
}

/// Unpacks a crate that cargo has packed.
fn unpack(name: &str, folder: &Path) -> Result<()> {
    let packed = target_folder().join("package").join(format!("{name}-{}.crate", env!("CARGO_PKG_VERSION")));
    let bytes = fs::metadata(&packed).with_context(|| format!("cannot find {}", packed.display()))?.len();
    println!("{name}: {bytes} bytes packed");
    ensure!(
        bytes <= MOST_BYTES,
        "{} has {bytes} bytes, more than {MOST_BYTES}: see `include` in its Cargo.toml",
        packed.display()
    );
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // With the time of now: cargo compiles again what is newer, and packed files are all of the same old day.
    run(Command::new("tar").args(["-x", "-m", "--strip-components=1", "-f"]).arg(packed).arg("-C").arg(folder))
}

/// Fails unless every shader and every weights file is packed as it is in the workspace, and embedded by the sources.
fn check_contents(plugin: &Path) -> Result<()> {
    let mut embedded = files(Path::new("shaders"))?;
    embedded.extend(files(Path::new("assets/weights"))?.into_iter().filter(|file| file.ends_with(".safetensors")));
    let mut sources = String::new();
    for file in files(Path::new("plugin"))? {
        sources += &read(&plugin.join(file))?;
    }
    for file in &embedded {
        ensure!(sources.contains(&format!("{file}\"")), "{file} would be packed, but no source embeds it");
    }
    for file in embedded.iter().map(String::as_str).chain(DOCUMENTS) {
        let packed = fs::read(plugin.join(file)).with_context(|| format!("{file} is not packed"))?;
        ensure!(packed == fs::read(workspace_root().join(file))?, "the packed {file} is another one");
    }
    println!("bevy_portrait_realism: {} shaders and weights packed", embedded.len());
    Ok(())
}

/// Lists the files below a folder of the workspace, with their paths from the workspace's root on.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace_root().join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(found)
}

/// Writes the game that the README describes, and a test that takes pictures of it.
fn write_app(app: &Path, plugin: &Path, as_readme: bool) -> Result<()> {
    let readme = read(&plugin.join("README.md"))?;
    let dependencies = block(&readme, "toml")?;
    ensure!(
        dependencies.contains("path = \"../portrait-realism\""),
        "the README takes the plugin from somewhere else now: let `cargo xtask package` put the packed crate there"
    );
    let mut manifest = format!(
        "[package]\nname = \"scratch_app\"\nedition = \"2024\"\n\n{dependencies}\n\n[workspace]\n\n\
         # The registry does not have it yet.\n[patch.crates-io]\nportrait_network = {{ path = \"../portrait_network\" }}\n\n"
    );
    for folder in ["src", "tests", "assets/heads"] {
        fs::create_dir_all(app.join(folder))?;
    }
    if as_readme {
        // Several gigabytes less, of the same code.
        manifest += "[profile.dev]\ndebug = false\n";
    } else {
        manifest = as_compiled(&manifest, &read(&plugin.join("Cargo.toml"))?)?;
        fs::copy(workspace_root().join("Cargo.lock"), app.join("Cargo.lock"))?;
    }
    fs::write(app.join("Cargo.toml"), manifest)?;
    fs::write(app.join("src/main.rs"), block(&readme, "rust")?)?;
    fs::write(app.join("tests/picture.rs"), PICTURE)?;
    fs::copy(workspace_root().join(HEAD), app.join(HEAD))?;
    Ok(())
}

/// Gives the app the workspace's choice of Bevy's features, of everything that has a say in other crates' features, and of
/// optimisation: what is compiled already serves.
fn as_compiled(manifest: &str, plugin: &str) -> Result<String> {
    let (before, after) =
        manifest.split_once("bevy = { ").context("the README's dependency on Bevy has another form")?;
    let kept = ["[dev-dependencies.", "[profile.dev]", "[profile.dev.package.\"*\"]"];
    let sections = plugin.split("\n\n").filter(|section| kept.iter().any(|header| section.starts_with(header)));
    Ok(format!("{before}bevy = {{ default-features = false, {after}{}\n", sections.collect::<Vec<_>>().join("\n\n")))
}

/// Returns the first block of the README in a language.
pub fn block<'a>(readme: &'a str, language: &str) -> Result<&'a str> {
    let (_, rest) = readme.split_once(&format!("```{language}\n")).context(format!("the README has no {language}"))?;
    Ok(rest.split_once("\n```").context("the README has a block without an end")?.0)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
