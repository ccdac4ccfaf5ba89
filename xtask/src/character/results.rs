//! From tuned weights to what they are worth: figures in views, light and surroundings that were held out, and the lines that load them.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::cast::{Cast, write_whole};
use super::scenes::text;
use super::tuning::{Tuning, count, digest_of, read};
use crate::pipeline::portrait_train;
use crate::run::run;

/// Minutes that two cores take for a measured pair, roughly.
const MINUTES_PER_PAIR: f64 = 0.1;
/// The files that are copied from the report's folder to where they are looked for.
const SHOWN: [&str; 2] = ["report.html", "before_after.png"];

/// A measurement of tuned weights beside those that they started from.
pub struct Results<'a> {
    /// The weights, and what they were tuned with.
    pub tuning: &'a Tuning<'a>,
    /// Seeds of the test pairs.
    pub test: Vec<Range<u64>>,
}

impl Results<'_> {
    /// The expected minutes on two cores: none where the report is there.
    pub fn minutes(&self) -> f64 {
        let is_measured = self.state().is_ok_and(|state| self.is_measured(&state));
        if is_measured { 0.0 } else { 0.5 + MINUTES_PER_PAIR * count(&self.test) as f64 }
    }

    /// Measures, unless these weights were measured on these pairs already, and says what came of it.
    pub fn measure(&self) -> Result<()> {
        let (cast, report) = (self.cast(), self.report());
        let state = self.state()?;
        if !self.is_measured(&state) {
            run(portrait_train()
                .args(["evaluate", "--overwrite", "--weights"])
                .arg(cast.weights())
                .arg(self.tuning.from)
                .arg("--data")
                .arg(&self.tuning.data)
                .arg("--config")
                .arg(self.tuning.config_used()?)
                .args(["--seeds", &text(&self.test), "--out"])
                .arg(&report))?;
            for name in SHOWN {
                let (from, to) = (report.join(name), cast.out.join(name));
                let cannot = || format!("cannot copy {} to {}", from.display(), to.display());
                fs::copy(&from, &to).with_context(cannot)?;
            }
            write_whole(&self.stamp(), &state)?;
        }
        let figures = fs::read_to_string(report.join("report.json")).context("the evaluation left no report.json")?;
        let general = self.tuning.from.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        println!("{}", said(cast, &serde_json::from_str(&figures)?, &general));
        Ok(())
    }

    fn cast(&self) -> &Cast {
        self.tuning.cast
    }

    fn report(&self) -> PathBuf {
        self.cast().out.join("report")
    }

    /// The file that says what was measured.
    fn stamp(&self) -> PathBuf {
        self.report().join("measured.txt")
    }

    /// A digest of everything that the figures depend on.
    fn state(&self) -> Result<String> {
        let pairs = self.test.iter().cloned().flatten().map(|seed| format!("{seed:08}/pair.json"));
        let pairs = pairs.map(|name| self.tuning.data.join(name));
        let files = [self.cast().weights(), self.tuning.from.to_path_buf(), self.tuning.config_used()?];
        let contents: Vec<Vec<u8>> = files.into_iter().chain(pairs).map(|file| read(&file)).collect::<Result<_>>()?;
        Ok(digest_of(contents) + "\n")
    }

    fn is_measured(&self, state: &str) -> bool {
        let is_shown = |name: &&str| self.cast().out.join(name).is_file();
        SHOWN.iter().all(is_shown) && fs::read_to_string(self.stamp()).is_ok_and(|told| told == state)
    }
}

/// The figures of a report in a sentence for each model, and the lines that load the weights.
fn said(cast: &Cast, report: &Value, general: &str) -> String {
    let name = cast.weights_name();
    let of = |model: &str, words: &str| {
        let figures = &report["models"][model];
        let share = |figure: &str| 100.0 * figures["gap_closed"][figure].as_f64().unwrap_or(f64::NAN);
        let sharpness = figures["sharpness_ratio"].as_f64().unwrap_or(f64::NAN);
        let (l1, flip) = (share("l1"), share("flip"));
        format!(
            "{words}: {l1:.0} % of the L1 gap closed, {flip:.0} % of the ꟻLIP gap; sharpness {sharpness:.2} (1: the reference's)"
        )
    };
    let file = cast.weights();
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "\nIn views, light and surroundings that were held out:\n  {}\n  {}\n\nLook at before_after.png and report.html in {}.\nPut \
         {file} into the game's assets folder, and give it to the camera:\n\n    let model = assets.load(\"{file}\");\n    \
         commands.spawn((Camera3d::default(), PortraitRealism {{ model, ..default() }}));",
        of(&name, &name),
        of(general, &format!("{general}, before tuning")),
        cast.out.display(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::super::cast::tests::files;
    use super::*;

    #[test]
    fn figures_stand_beside_those_before_tuning_and_two_lines_load_the_weights() {
        let folder = tempfile::tempdir().unwrap();
        let cast = Cast::open(&files(folder.path(), &["hero.glb"]), Some(&folder.path().join("out"))).unwrap();
        let model = |l1: f64, flip: f64| json!({ "gap_closed": { "l1": l1, "flip": flip }, "sharpness_ratio": 0.98 });
        let report = json!({ "models": { "hero": model(0.614, 0.5), "quality": model(0.4, 0.3) } });
        let text = said(&cast, &report, "quality");
        assert!(text.contains("hero: 61 % of the L1 gap closed, 50 % of the ꟻLIP gap; sharpness 0.98"), "{text}");
        assert!(text.contains("quality, before tuning: 40 % of the L1 gap closed, 30 %"), "{text}");
        assert!(text.contains("let model = assets.load(\"hero.safetensors\");"), "{text}");
        assert!(text.contains("PortraitRealism { model, ..default() }"), "{text}");
    }
}
