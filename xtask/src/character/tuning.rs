//! From pairs to tuned weights: the config with this cast's seeds, a run for whatever it is made of, and the export.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::cast::{Cast, write_whole};
use super::general::General;
use super::scenes::text;
use crate::pipeline::portrait_train;
use crate::run::run;

/// Number of digits of a digest in names.
const DIGITS: usize = 16;
/// Minutes that two cores take for a step, roughly.
const MINUTES_PER_STEP: f64 = 0.01;

/// Everything that the weights are tuned with.
pub struct Tuning<'a> {
    /// The characters and their folder.
    pub cast: &'a Cast,
    /// Folder of the pairs.
    pub data: PathBuf,
    /// Seeds of the characters' training pairs.
    pub training: Vec<Range<u64>>,
    /// Seeds of the characters' validation pairs.
    pub validation: Vec<Range<u64>>,
    /// Config that says how to train.
    pub config: &'a Path,
    /// Weights to start from.
    pub from: &'a Path,
    /// Pairs of other people that are trained on as well.
    pub general: Option<&'a General>,
}

/// A config with this cast's seeds, and a digest of everything that the weights are made of.
struct Recipe {
    config: String,
    digest: String,
}

impl Tuning<'_> {
    /// The expected minutes on two cores: few where the weights are there.
    pub fn minutes(&self) -> Result<f64> {
        let steps = table(self.config)?.get("run").and_then(|run| run.get("max_steps")).and_then(Value::as_integer);
        let is_tuned = self.recipe().is_ok_and(|recipe| self.is_tuned(&recipe));
        Ok(if is_tuned { 0.1 } else { steps.unwrap_or(20_000) as f64 * MINUTES_PER_STEP })
    }

    /// Trains and exports, unless the weights are those of these pairs, this config and these starting weights already.
    pub fn tune(&self) -> Result<()> {
        if let Some(general) = self.general {
            general.link_into(&self.data, count(&self.training))?;
        }
        let recipe = self.recipe()?;
        if self.is_tuned(&recipe) {
            println!("{} is made of these pairs already", self.cast.weights().display());
            return Ok(());
        }
        let folder = self.cast.out.join("training");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = self.config_file(&recipe);
        write_whole(&config, &recipe.config)?;
        let (run_folder, begun) = run_folder(&folder.join(&recipe.digest));
        let mut train = portrait_train();
        train.arg("train").arg("--config").arg(&config).arg("--data").arg(&self.data).arg("--out").arg(&run_folder);
        if begun {
            train.arg("--resume");
        } else {
            train.arg("--init").arg(self.from);
        }
        run(&mut train)?;
        ensure!(
            !was_interrupted(&run_folder),
            "the training was interrupted and has saved a checkpoint: the same command goes on"
        );
        run(portrait_train()
            .args(["export", "--overwrite", "--dtype", "f16", "--last", "--checkpoint"])
            .arg(&run_folder)
            .arg("--out")
            .arg(self.cast.weights()))?;
        write_whole(&self.stamp(), &self.finished(&recipe)?)
    }

    /// The config that the weights were trained with.
    pub fn config_used(&self) -> Result<PathBuf> {
        Ok(self.config_file(&self.recipe()?))
    }

    fn config_file(&self, recipe: &Recipe) -> PathBuf {
        self.cast.out.join("training").join(format!("{}.toml", recipe.digest))
    }

    /// The file that says what the weights were made of.
    fn stamp(&self) -> PathBuf {
        self.cast.out.join("training/finished.txt")
    }

    fn finished(&self, recipe: &Recipe) -> Result<String> {
        Ok(format!("{} {}\n", recipe.digest, digest_of([read(&self.cast.weights())?])))
    }

    fn is_tuned(&self, recipe: &Recipe) -> bool {
        let told = std::fs::read_to_string(self.stamp()).ok();
        told.is_some() && told == self.finished(recipe).ok()
    }

    fn recipe(&self) -> Result<Recipe> {
        let own: Vec<u64> = self.training.iter().chain(&self.validation).cloned().flatten().collect();
        let more = self.general.map_or_else(Vec::new, |general| general.seeds(count(&self.training)));
        let tone_mappings = self.tone_mappings()?;
        let config = config_of(&table(self.config)?, &self.training, &self.validation, &more, &tone_mappings)?;
        let mut parts = vec![config.clone().into_bytes(), read(self.from)?];
        for seed in own.iter().chain(&more) {
            let pair = self.data.join(format!("{seed:08}/pair.json"));
            ensure!(
                pair.is_file(),
                "{} is missing: expected a pair of each seed; run the same command again",
                pair.display()
            );
            parts.push(read(&pair)?);
        }
        Ok(Recipe { config, digest: digest_of(parts) })
    }

    /// The tone mappers that the characters' TOMLs name; none where one of them takes all.
    fn tone_mappings(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for character in &self.cast.characters {
            let toml = table(&self.cast.settings(character))?;
            let named = toml.get("lights").and_then(|lights| lights.get("tone_mappings")).and_then(Value::as_array);
            let named: Vec<&str> = named.into_iter().flatten().filter_map(Value::as_str).collect();
            if named.is_empty() {
                return Ok(BTreeSet::new());
            }
            all.extend(named.into_iter().map(str::to_owned));
        }
        Ok(all)
    }
}

/// Reads a TOML file.
pub fn table(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}: expected TOML in UTF-8", path.display()))?;
    let text = text.trim_start_matches('\u{feff}');
    toml::from_str(text)
        .with_context(|| format!("{} is no TOML: mend it, and run the same command again", path.display()))
}

/// Fills seeds, and what follows from them, into a config.
fn config_of(
    template: &Table,
    training: &[Range<u64>],
    validation: &[Range<u64>],
    more: &[u64],
    tone_mappings: &BTreeSet<String>,
) -> Result<String> {
    let mut config = template.clone();
    let data = config.entry("data").or_insert_with(|| Value::Table(Table::new()));
    let data = data.as_table_mut().context("the config's `data` is a value: expected a table [data]")?;
    let single: Vec<Range<u64>> = more.iter().map(|&seed| seed..seed + 1).collect();
    data.insert("train_seeds".into(), text(&[training, &single[..]].concat()).into());
    data.insert("validation_seeds".into(), text(validation).into());
    data.insert("held_out".into(), "views".into());
    if !tone_mappings.is_empty() {
        data.insert("tone_mappings".into(), tone_mappings.iter().cloned().collect::<Vec<String>>().into());
    }
    Ok(toml::to_string(&config)?)
}

/// The folder of a run that has a checkpoint to go on from, and true; or else one that nobody has trained in, and false. A run that was
/// killed before its first checkpoint has forgotten what it started from.
fn run_folder(wanted: &Path) -> (PathBuf, bool) {
    let is_checkpoint = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("step_");
    let mut folder = wanted.to_path_buf();
    for attempt in 2.. {
        let mut checkpoints = std::fs::read_dir(folder.join("checkpoints")).into_iter().flatten().flatten();
        if checkpoints.any(is_checkpoint) {
            return (folder, true);
        }
        if std::fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none()) {
            break;
        }
        folder =
            wanted.with_file_name(format!("{}_{attempt}", wanted.file_name().unwrap_or_default().to_string_lossy()));
    }
    (folder, false)
}

/// Tells whether a run's log ends with an interruption.
fn was_interrupted(run_folder: &Path) -> bool {
    let log = std::fs::read_to_string(run_folder.join("metrics.jsonl")).unwrap_or_default();
    let last = log.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    last.is_some_and(|last| last["reason"].as_str().is_some_and(|reason| reason.starts_with("interrupted")))
}

/// The number of seeds in ranges.
pub fn count(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Reads a file whole.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The first digits of a SHA-256 over contents, each with its length, in hexadecimal.
pub fn digest_of(contents: impl IntoIterator<Item = Vec<u8>>) -> String {
    let mut digest = Sha256::new();
    for content in contents {
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(&content);
    }
    let digits: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..DIGITS].to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::cast::tests::files;
    use super::*;

    /// A cast of one with two pairs, and what its weights are tuned with.
    fn tuning<'a>(cast: &'a Cast, config: &'a Path, from: &'a Path) -> Tuning<'a> {
        for seed in [700_000, 980_000] {
            let pair = cast.out.join(format!("data/{seed:08}/pair.json"));
            std::fs::create_dir_all(pair.parent().unwrap()).unwrap();
            std::fs::write(pair, seed.to_string()).unwrap();
        }
        std::fs::write(config, "[data]\nbatch = 2\ntrain_seeds = \"0..9\"\n[run]\nmax_steps = 300\n").unwrap();
        std::fs::write(from, "weights").unwrap();
        std::fs::write(cast.out.join("hero.toml"), "[lights]\ntone_mappings = [\"agx\"]\n").unwrap();
        Tuning {
            cast,
            data: cast.out.join("data"),
            training: std::iter::once(700_000..700_001).collect(),
            validation: std::iter::once(980_000..980_001).collect(),
            config,
            from,
            general: None,
        }
    }

    fn cast(folder: &Path) -> Cast {
        Cast::open(&files(folder, &["hero.glb"]), Some(&folder.join("out"))).unwrap()
    }

    #[test]
    fn the_config_gets_the_seeds_and_keeps_everything_else() {
        let folder = tempfile::tempdir().unwrap();
        let (cast, config, from) = (cast(folder.path()), folder.path().join("c.toml"), folder.path().join("w"));
        let recipe = tuning(&cast, &config, &from).recipe().unwrap();
        let found: Table = toml::from_str(&recipe.config).unwrap();
        assert_eq!(found["data"]["train_seeds"].as_str(), Some("700000..700001"));
        assert_eq!(found["data"]["validation_seeds"].as_str(), Some("980000..980001"));
        assert_eq!(found["data"]["held_out"].as_str(), Some("views"));
        assert_eq!(found["data"]["batch"].as_integer(), Some(2));
        assert_eq!(found["data"]["tone_mappings"].as_array().map(Vec::len), Some(1));
        assert_eq!(found["run"]["max_steps"].as_integer(), Some(300));
        let more = config_of(&Table::new(), &[], std::slice::from_ref(&(1..2)), &[7, 9], &BTreeSet::new()).unwrap();
        assert!(more.contains("train_seeds = \"7..8, 9..10\"") && !more.contains("tone_mappings"), "{more}");
    }

    #[test]
    fn weights_are_tuned_anew_when_pairs_config_or_start_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let (cast, config, from) = (cast(folder.path()), folder.path().join("c.toml"), folder.path().join("w"));
        let tuning = tuning(&cast, &config, &from);
        assert_eq!(tuning.minutes().unwrap(), 3.0);
        std::fs::create_dir_all(cast.out.join("training")).unwrap();
        std::fs::write(cast.weights(), "tuned").unwrap();
        let finish = || write_whole(&tuning.stamp(), &tuning.finished(&tuning.recipe().unwrap()).unwrap()).unwrap();
        let is_tuned = || tuning.is_tuned(&tuning.recipe().unwrap());
        assert!(!is_tuned());
        let files = [
            (cast.out.join("data/00700000/pair.json"), "other"),
            (config.clone(), "[run]\nmax_steps = 5\n"),
            (from.clone(), "other weights"),
            (cast.out.join("hero.toml"), "[lights]\ntone_mappings = []\n"),
            (cast.weights(), "somebody else's"),
        ];
        for (file, content) in files {
            finish();
            assert!(is_tuned() && tuning.minutes().unwrap() < 1.0, "{}", file.display());
            std::fs::write(&file, content).unwrap();
            assert!(!is_tuned(), "{}", file.display());
        }
        finish();
        std::fs::write(cast.out.join("hero.toml"), "# A comment.\n[lights]\ntone_mappings = []\n").unwrap();
        assert!(is_tuned());
        std::fs::remove_file(cast.out.join("data/00980000/pair.json")).unwrap();
        let error = tuning.recipe().err().unwrap().to_string();
        assert!(error.contains("00980000/pair.json is missing: expected a pair of each seed"), "{error}");
    }

    #[test]
    fn a_run_goes_on_from_its_checkpoint_and_one_without_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("abc");
        assert_eq!(run_folder(&wanted), (wanted.clone(), false));
        std::fs::create_dir_all(wanted.join("checkpoints/partial_step_00000000")).unwrap();
        let second = folder.path().join("abc_2");
        assert_eq!(run_folder(&wanted), (second.clone(), false), "it has forgotten what it started from");
        std::fs::create_dir_all(second.join("checkpoints/step_00000250")).unwrap();
        assert_eq!(run_folder(&wanted), (second, true));
    }

    #[test]
    fn an_interruption_is_read_from_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = |lines: &str| std::fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
        assert!(!was_interrupted(folder.path()));
        let interrupted = "{\"event\":\"finished\",\"reason\":\"interrupted; go on with --resume\"}\n";
        log(interrupted);
        assert!(was_interrupted(folder.path()));
        log(&format!("{interrupted}{{\"event\":\"finished\",\"reason\":\"max_steps of 5 reached\"}}\n"));
        assert!(!was_interrupted(folder.path()));
    }

    #[test]
    fn a_broken_toml_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hero.toml");
        std::fs::write(&path, "[skin]\nscattering_m = = 3\n").unwrap();
        let error = format!("{:#}", table(&path).unwrap_err());
        assert!(error.contains("hero.toml is no TOML: mend it") && error.contains("line 2"), "{error}");
        std::fs::write(&path, "\u{feff}[skin]\n").unwrap();
        assert!(table(&path).unwrap().contains_key("skin"));
        assert!(format!("{:#}", table(&folder.path().join("none.toml")).unwrap_err()).contains("cannot read"));
    }
}
