//! The figures of an evaluation, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portrait_files::seeds::Seeds;
use serde::Serialize;
use serde_json::{Value, json};

use super::likeness::{Likeness, PairLikeness};
use super::photographs::Photographs;
use super::summary::{Figures, Summary, Tone};
use crate::measure::warping::Temporal;

/// The figures of one pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairReport {
    /// Seed of the pair.
    pub seed: u64,
    /// Name or number of the person.
    pub identity: String,
    /// Group of skin tone, if `scene.json` names the melanin.
    pub tone: Option<Tone>,
    /// Figures of the *first rendered image*, that is of doing nothing.
    pub first: Figures,
    /// Figures of the first rendered image, graded with a look-up table fitted to the training pairs.
    pub lut: Figures,
    /// Figures of the *second rendered image* of each model, rounded to 8 bits.
    pub models: BTreeMap<String, Figures>,
    /// Distances between face embeddings, if they were asked for and a face was found.
    pub likeness: Option<PairLikeness>,
}

/// A model and its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    /// Name of the weights file.
    pub file: String,
    /// SHA-256 of the weights file, hexadecimal.
    pub sha256: String,
    /// Multiply-accumulates for each pixel, in thousands.
    pub kilo_macs_per_px: f64,
    /// Figures over all pairs.
    #[serde(flatten)]
    pub summary: Summary,
    /// Warping error on the clips, if there are any.
    pub temporal: Option<Temporal>,
    /// Distances between face embeddings, if they were asked for.
    pub likeness: Option<Likeness>,
    /// Distances to photographs, if they were asked for.
    pub photographs: Option<Photographs>,
}

/// The figures of an evaluation. [`Report::json`] is the content of `report.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Name of the first weights file without its ending.
    pub default_model: String,
    /// Every model by name.
    pub models: BTreeMap<String, ModelReport>,
    /// Figures of the first rendered image over all pairs.
    pub first: Summary,
    /// Figures of the look-up table over all pairs.
    pub lut: Summary,
    /// Seeds that were measured.
    pub seeds: Seeds,
    /// Seeds that the look-up table was fitted to.
    pub lut_seeds: Seeds,
    /// Number of different people among the pairs.
    pub identities: usize,
    /// Commit of this program.
    pub commit: String,
    /// Sentences about what is probably wrong with the pairs.
    pub warnings: Vec<String>,
    /// Figures of each pair.
    pub each: Vec<PairReport>,
}

impl Report {
    /// Returns the default model's figures.
    pub fn default_summary(&self) -> &Summary {
        &self.models[&self.default_model].summary
    }

    /// Returns the content of `report.json`: the default model's main figures, then everything.
    pub fn json(&self) -> Value {
        let main = self.default_summary();
        json!({
            "default_model": self.default_model,
            "gap_closed": main.gap_closed,
            "lut_gap_closed": self.lut.gap_closed,
            "worse_fraction": main.worse_fraction,
            "sharpness_ratio": main.sharpness_ratio,
            "tone_groups": main.tone_groups,
            "temporal": self.models[&self.default_model].temporal,
            "likeness": self.models[&self.default_model].likeness,
            "photographs": self.models[&self.default_model].photographs,
            "pairs": self.each.len(),
            "identities": self.identities,
            "seeds": self.seeds,
            "lut_seeds": self.lut_seeds,
            "commit": self.commit,
            "warnings": self.warnings,
            "first": self.first,
            "lut": self.lut,
            "models": self.models,
            "each": self.each,
        })
    }

    /// Returns the means as a table for a terminal.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{} pairs, {} identities, seeds {}\n{:<12} {:<6} {:>7} {:>8} {:>7} {:>7} {:>9}\n",
            self.each.len(),
            self.identities,
            self.seeds,
            "image",
            "where",
            "L1",
            "PSNR dB",
            "SSIM",
            "FLIP",
            "sharpness"
        );
        let models = self.models.iter().map(|(name, model)| (name.as_str(), &model.summary));
        for (name, summary) in [("first", &self.first), ("lut", &self.lut)].into_iter().chain(models) {
            for (place, scores) in [("whole", summary.mean.whole), ("face", summary.mean.face)] {
                let _ = writeln!(
                    table,
                    "{name:<12} {place:<6} {:>7.4} {:>8.2} {:>7.4} {:>7.4} {:>9.3}",
                    scores.l1, scores.psnr_db, scores.ssim, scores.flip, scores.sharpness
                );
            }
            let gap = summary.gap_closed;
            let _ = writeln!(
                table,
                "{:12} gap closed in the face: L1 {:.1} %, FLIP {:.1} %; worse than the first image: {:.1} %",
                "",
                gap.l1 * 100.0,
                gap.flip * 100.0,
                summary.worse_fraction * 100.0
            );
            if let Some(likeness) = self.models.get(name).and_then(|model| model.likeness) {
                let _ = writeln!(table, "{:12} {likeness}", "");
            }
            if let Some(photographs) = self.models.get(name).and_then(|model| model.photographs) {
                let _ = writeln!(table, "{:12} {photographs}", "");
            }
        }
        table
    }
}
