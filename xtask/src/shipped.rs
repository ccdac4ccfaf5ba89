//! The recipe of `cargo xtask reproduce`: the data that the shipped configs name, the weights of each, and their figures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::head_studio::{Heads, Request};
use crate::pipeline::{self, Recipe, Training};
use crate::run::workspace_root;

/// The trainings of the weights that ship, the default model's first: each a long run, and a second one that steadies its weights.
const TRAININGS: [Training; 4] = [
    Training { config: "quality", minutes: 400.0, init: None },
    Training { config: "quality_steady", minutes: 60.0, init: Some("quality") },
    Training { config: "fast", minutes: 200.0, init: None },
    Training { config: "fast_steady", minutes: 20.0, init: Some("fast") },
];
/// Seeds of test data: own people, and eight scenes of each game head.
const TEST: &str = "1012000..1012192, 1500000..1500064";
/// Those that the figures are of. The first four scenes of each game head were looked at before, with other weights.
const MEASURED: &str = "1012000..1012192, 1500032..1500064";
/// Seeds of the turning heads whose flicker is measured.
const CLIPS: &str = "1008000..1008064";

/// The part of a training config that says which data it needs.
#[derive(Deserialize)]
struct Config {
    data: ConfigData,
}

#[derive(Deserialize)]
struct ConfigData {
    train_seeds: String,
    validation_seeds: String,
}

/// The game heads of a split, as `game_heads.toml` lists them.
#[derive(Deserialize)]
struct Cast {
    first_seed: u64,
    heads: Vec<String>,
}

/// Returns the recipe of the weights that ship, with everything in `folder`.
///
/// # Errors
/// Fails where a config names game heads that are in none of the folders of asset packs.
pub fn shipped(folder: &Path, assets: &[PathBuf]) -> Result<Recipe<'static>> {
    let like = |stride, samples| Request {
        stride,
        samples,
        assets: assets.to_vec(),
        ..Request::new("", &folder.join("data"))
    };
    let casts = casts()?;
    let mut sets = Vec::new();
    for Training { config, .. } in TRAININGS {
        let Config { data } = read(&pipeline::config(config))?;
        add(&mut sets, &data.train_seeds, &Request { light_groups: true, ..like(4, 16) }, &casts)?;
        add(&mut sets, &data.validation_seeds, &like(8, 16), &casts)?;
    }
    add(&mut sets, TEST, &like(8, 24), &casts)?;
    // The warping error looks at first images alone.
    sets.push(Request { seeds: CLIPS.into(), clip: true, ..like(1, 2) });
    Ok(Recipe {
        sets,
        trainings: &TRAININGS,
        evaluation_minutes: 30.0,
        photographs: None,
        evaluate: &["--seeds", MEASURED, "--clips", CLIPS],
    })
}

/// Reads the game heads of every split.
fn casts() -> Result<BTreeMap<String, Cast>> {
    read(&workspace_root().join("training/dataset/head_studio/imported/game_heads.toml"))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
}

/// Adds the data sets of some ranges of seeds, made like `like`, unless they are made already: scenes of a split's game heads where a range
/// begins with the first seed of these, and of our own heads otherwise.
fn add(sets: &mut Vec<Request>, ranges: &str, like: &Request, casts: &BTreeMap<String, Cast>) -> Result<()> {
    // Configs may write `900_000 .. 900_160`.
    for seeds in ranges.replace(['_', ' '], "").split(',') {
        let mut set = Request { seeds: seeds.into(), ..like.clone() };
        let range = set.range()?;
        if let Some((split, cast)) = casts.iter().find(|(_, cast)| cast.first_seed == range.start) {
            let (count, heads) = (range.end - range.start, cast.heads.len() as u64);
            ensure!(
                count.is_multiple_of(heads),
                "seeds {seeds}: expected as many scenes of each of the {heads} game heads of the {split} split, found {count} scenes"
            );
            let folder = heads_folder(&set, cast)?;
            set.heads = Heads::Cast { folder, split: split.clone(), scenes: count / heads };
            set.stride = 1;
        }
        let makes_all = |other: &Request| {
            let alike = (other.stride, other.light_groups) == (set.stride, set.light_groups);
            alike
                && other.range().is_ok_and(|other| {
                    let in_step = range.start.saturating_sub(other.start).is_multiple_of(set.stride);
                    other.start <= range.start && range.end <= other.end && in_step
                })
        };
        if !sets.iter().any(makes_all) {
            sets.push(set);
        }
    }
    Ok(())
}

/// Finds the folder of game heads among the asset packs.
fn heads_folder(set: &Request, cast: &Cast) -> Result<PathBuf> {
    let mut folders = set.assets.iter().map(|folder| folder.join("heads"));
    let folder = folders.find(|folder| folder.is_dir()).with_context(|| {
        format!(
            "seeds {} are scenes of game heads, and no folder of asset packs has a folder `heads`: give the packs with --assets DIR \
             (training/dataset/README.md, Asset packs)",
            set.seeds
        )
    })?;
    for name in &cast.heads {
        let file = folder.join(format!("{name}.glb"));
        ensure!(
            file.is_file(),
            "seeds {} are scenes of {} game heads, and {} is missing: training/dataset/README.md says under Asset packs where to get it",
            set.seeds,
            cast.heads.len(),
            file.display()
        );
    }
    Ok(folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Makes a folder of asset packs with a file for every game head.
    fn packs() -> tempfile::TempDir {
        let packs = tempfile::tempdir().unwrap();
        std::fs::create_dir(packs.path().join("heads")).unwrap();
        for name in casts().unwrap().values().flat_map(|cast| &cast.heads) {
            std::fs::write(packs.path().join(format!("heads/{name}.glb")), "").unwrap();
        }
        packs
    }

    fn added(ranges: &[&str], assets: &[PathBuf]) -> Result<Vec<Request>> {
        let like = Request { stride: 4, assets: assets.to_vec(), ..Request::new("", Path::new("data")) };
        let (casts, mut sets) = (casts()?, Vec::new());
        for seeds in ranges {
            add(&mut sets, seeds, &like, &casts)?;
        }
        Ok(sets)
    }

    #[test]
    fn all_seeds_that_the_shipped_configs_name_are_made_and_training_has_light_groups() {
        let packs = packs();
        let recipe = shipped(Path::new("out"), &[packs.path().to_path_buf()]).unwrap();
        for Training { config, .. } in TRAININGS {
            let Config { data } = read(&pipeline::config(config)).unwrap();
            for (ranges, light_groups) in [(data.train_seeds, true), (data.validation_seeds, false)] {
                for seeds in ranges.split(',') {
                    let wanted = Request::new(seeds.trim(), Path::new("")).range().unwrap();
                    let made = recipe.sets.iter().any(|set| {
                        let range = set.range().unwrap();
                        range.start <= wanted.start && wanted.end <= range.end && set.light_groups == light_groups
                    });
                    assert!(made, "{config}: {seeds}");
                }
            }
        }
        assert!(recipe.sets.iter().all(|set| set.assets == [packs.path()] && set.out == Path::new("out/data")));
    }

    #[test]
    fn a_range_that_begins_with_the_first_seed_of_a_cast_is_its_game_heads_and_others_are_own_heads() {
        let packs = packs();
        let sets = added(&["0..1200, 500_000..500_180"], &[packs.path().to_path_buf()]).unwrap();
        assert_eq!(sets.len(), 2);
        assert_eq!((&sets[0].heads, sets[0].stride), (&Heads::Own, 4));
        let folder = packs.path().join("heads");
        assert_eq!(sets[1].heads, Heads::Cast { folder, split: "training".into(), scenes: 10 });
        assert_eq!((sets[1].range().unwrap(), sets[1].stride), (500_000..500_180, 1));
    }

    #[test]
    fn seeds_of_a_range_that_is_made_already_are_not_made_again() {
        let seeds = |ranges: &[&str]| added(ranges, &[]).unwrap().into_iter().map(|set| set.seeds).collect::<Vec<_>>();
        assert_eq!(seeds(&["0..1200", "0..1000", "400..800"]), ["0..1200"]);
        // Every fourth seed of the first range is none of the second one's.
        assert_eq!(seeds(&["0..1200", "2..1000"]), ["0..1200", "2..1000"]);
        assert_eq!(seeds(&["0..1000", "0..1200"]), ["0..1000", "0..1200"]);
    }

    #[test]
    fn game_heads_that_are_not_there_are_named_with_what_is_needed() {
        let error = |assets: &[PathBuf]| added(&["500000..500180"], assets).err().unwrap().to_string();
        let none = error(&[]);
        assert!(
            none.contains("500000..500180") && none.contains("--assets DIR") && none.contains("README.md"),
            "{none}"
        );
        let packs = packs();
        std::fs::remove_file(packs.path().join("heads/MENA_M_3.glb")).unwrap();
        let one = error(&[packs.path().to_path_buf()]);
        assert!(one.contains("MENA_M_3.glb is missing") && one.contains("18 game heads"), "{one}");
        let uneven = added(&["500000..500179"], &[]).err().unwrap().to_string();
        assert!(uneven.contains("each of the 18 game heads") && uneven.contains("found 179"), "{uneven}");
    }
}
