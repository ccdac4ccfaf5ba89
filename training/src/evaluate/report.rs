//! The figures of an evaluation, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portrait_files::config::HeldOut;
use portrait_files::seeds::Seeds;
use serde::Serialize;
use serde_json::{Value, json};

use super::facts::{Source, Tone};
use super::likeness::{Likeness, PairLikeness};
use super::photographs::Photographs;
use super::reason::Reason;
use super::summary::{Figures, GapClosed, Summary};
use crate::measure::warping::Temporal;

/// Size of the images that the main figures are of, where the data have it, in pixels.
pub const MAIN_PX: usize = 256;
/// Size of the images of `sharpness_512`, in pixels.
const LARGE_PX: usize = 512;

/// The figures of one pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairReport {
    /// Name of the data folder, without the folders that it is in.
    pub data: String,
    /// Seed of the pair.
    pub seed: u64,
    /// Width and height of the images, in pixels.
    pub size_px: usize,
    /// Name or number of the person.
    pub identity: String,
    /// Who made the head.
    pub source: Source,
    /// Kind of light, if `scene.json` names it.
    pub light_kind: Option<String>,
    /// Group of skin tone, if `scene.json` names the melanin.
    pub tone: Option<Tone>,
    /// Figures of the *first rendered image*, that is of doing nothing.
    pub first: Figures,
    /// Figures of the first rendered image, graded with a look-up table fitted to the training pairs.
    pub lut: Figures,
    /// Figures of the first rendered image with a tone curve and sharpening fitted to the training pairs.
    pub sharpen: Figures,
    /// Figures of the *second rendered image* of each model, rounded to 8 bits.
    pub models: BTreeMap<String, Figures>,
    /// Why the default model's second image is worse than the first, where it is.
    pub worse: Option<Reason>,
    /// Distances between face embeddings, if they were asked for and a face was found.
    pub likeness: Option<PairLikeness>,
}

/// A model, apart from what was measured on pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    /// Name of the weights file.
    pub file: String,
    /// SHA-256 of the weights file, hexadecimal.
    pub sha256: String,
    /// Multiply-accumulates for each pixel, in thousands.
    pub kilo_macs_per_px: f64,
    /// Warping error on the clips, if there are any.
    pub temporal: Option<Temporal>,
}

/// The figures of a model in one column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelColumn {
    /// Figures over the pairs of the column.
    #[serde(flatten)]
    pub summary: Summary,
    /// Distances between face embeddings, if they were asked for.
    pub likeness: Option<Likeness>,
    /// Distances to photographs, if they were asked for and the column is the first of its source.
    pub photographs: Option<Photographs>,
}

/// The figures of all methods on the pairs of one source and size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Who made the heads.
    pub source: Source,
    /// Width and height of the images, in pixels.
    pub size_px: usize,
    /// Number of pairs.
    pub pairs: usize,
    /// Number of different people among the pairs.
    pub identities: usize,
    /// Figures of the first rendered image.
    pub first: Summary,
    /// Figures of the look-up table.
    pub lut: Summary,
    /// Figures of tone curve and sharpening.
    pub sharpen: Summary,
    /// Figures of every model by name.
    pub models: BTreeMap<String, ModelColumn>,
    /// Number of pairs of the default model that are worse than the first image, by the reason.
    pub worse_because: BTreeMap<String, usize>,
}

/// The figures of an evaluation. [`Report::json`] is the content of `report.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Name of the first weights file without its ending.
    pub default_model: String,
    /// Every model by name.
    pub models: BTreeMap<String, ModelReport>,
    /// Figures by source and size: at least one column, own people before game heads, 256 pixels before other sizes.
    pub columns: Vec<Column>,
    /// Amount of sharpening that was fitted, 0 to 1.
    pub sharpen_amount: f64,
    /// Seeds that were measured.
    pub seeds: Seeds,
    /// Seeds that look-up table, tone curve and sharpening were fitted to.
    pub lut_seeds: Seeds,
    /// Says what the measured pairs do not share with the training pairs.
    pub held_out: HeldOut,
    /// Number of different people among the pairs.
    pub identities: usize,
    /// Commit of this program.
    pub commit: String,
    /// Sentences about what is probably wrong with the pairs.
    pub warnings: Vec<String>,
    /// Figures of each pair.
    pub each: Vec<PairReport>,
}

/// The shares of the gap that the cheap rivals close.
#[derive(Serialize)]
struct Rivals {
    lut: GapClosed,
    sharpen: GapClosed,
}

impl Column {
    /// Returns the column's name in words, such as `own people, 256²`.
    pub fn name(&self) -> String {
        format!("{}, {}²", self.source.name(), self.size_px)
    }

    /// Tells whether a pair belongs to the column.
    pub fn has(&self, pair: &PairReport) -> bool {
        (self.source, self.size_px) == (pair.source, pair.size_px)
    }

    fn rivals(&self) -> Rivals {
        Rivals { lut: self.lut.gap_closed, sharpen: self.sharpen.gap_closed }
    }
}

impl Report {
    /// Returns the main column: own people, or game heads where there are no own people, at 256 pixels or else the smallest size.
    pub fn main(&self) -> &Column {
        &self.columns[0]
    }

    /// Returns the default model's figures in the main column.
    pub fn default_summary(&self) -> &Summary {
        self.summary_of(self.main())
    }

    /// Returns the default model's figures in a column.
    pub fn summary_of<'a>(&self, column: &'a Column) -> &'a Summary {
        &column.models[&self.default_model].summary
    }

    /// Returns the first column of a source, if there is one.
    pub fn column(&self, source: Source) -> Option<&Column> {
        self.columns.iter().find(|column| column.source == source)
    }

    /// Returns the content of `report.json`: the default model's main figures, then everything.
    pub fn json(&self) -> Value {
        let main = self.main();
        let models: BTreeMap<&String, Value> =
            self.models.iter().map(|(name, file)| (name, self.model(name, file))).collect();
        let mut report = json!({
            "default_model": self.default_model,
            "main": { "source": main.source, "size_px": main.size_px },
            "lut_gap_closed": main.lut.gap_closed,
            "temporal": self.models[&self.default_model].temporal,
            "game_heads": self.column(Source::GameHeads).map(|column| self.figures(column)),
            "pairs": self.each.len(),
            "identities": self.identities,
            "seeds": self.seeds,
            "lut_seeds": self.lut_seeds,
            "held_out": self.held_out,
            "sharpen_amount": self.sharpen_amount,
            "commit": self.commit,
            "warnings": self.warnings,
            "first": main.first,
            "lut": main.lut,
            "sharpen": main.sharpen,
            "models": models,
            "columns": self.columns,
            "each": self.each,
        });
        merge(&mut report, self.figures(main));
        report
    }

    /// Returns the default model's main figures on the heads of a column's source.
    fn figures(&self, column: &Column) -> Value {
        let model = &column.models[&self.default_model];
        let large = self.columns.iter().find(|other| other.source == column.source && other.size_px == LARGE_PX);
        json!({
            "gap_closed": model.summary.gap_closed,
            "rivals": column.rivals(),
            "worse_fraction": model.summary.worse_fraction,
            "worse_because": column.worse_because,
            "sharpness_ratio": model.summary.sharpness_ratio,
            "sharpness_512": large.map(|large| self.summary_of(large).sharpness_ratio),
            "eyes_sharpness_ratio": model.summary.eyes_sharpness_ratio,
            "tone_groups": model.summary.tone_groups,
            "light_kinds": model.summary.light_kinds,
            "likeness": model.likeness,
            "photographs": model.photographs,
        })
    }

    /// Returns what is known of a model: its file, and its figures in the main column.
    fn model(&self, name: &str, file: &ModelReport) -> Value {
        let mut model = json!(file);
        merge(&mut model, json!(self.main().models[name]));
        model
    }

    /// Returns the means as a table for a terminal.
    pub fn table(&self) -> String {
        let mut table = format!("{} pairs, {} identities, seeds {}\n", self.each.len(), self.identities, self.seeds);
        for column in &self.columns {
            let _ = writeln!(
                table,
                "\n{}: {} pairs, {} identities\n{:<12} {:<6} {:>7} {:>8} {:>7} {:>7} {:>9}",
                column.name(),
                column.pairs,
                column.identities,
                "image",
                "where",
                "L1",
                "PSNR dB",
                "SSIM",
                "FLIP",
                "sharpness"
            );
            let rivals = [("first", &column.first), ("lut", &column.lut), ("sharpen", &column.sharpen)];
            let models = column.models.iter().map(|(name, model)| (name.as_str(), &model.summary));
            for (name, summary) in rivals.into_iter().chain(models) {
                rows(&mut table, name, summary);
                let model = column.models.get(name);
                if let Some(likeness) = model.and_then(|model| model.likeness) {
                    let _ = writeln!(table, "{:12} {likeness}", "");
                }
                if let Some(photographs) = model.and_then(|model| model.photographs) {
                    let _ = writeln!(table, "{:12} {photographs}", "");
                }
            }
            for (reason, pairs) in &column.worse_because {
                let _ = writeln!(table, "worse than the first image: {pairs} × {reason}");
            }
        }
        table
    }
}

/// Adds the rows of a method to the terminal's table.
fn rows(table: &mut String, name: &str, summary: &Summary) {
    for (place, scores) in [("whole", summary.mean.whole), ("face", summary.mean.face)] {
        let _ = writeln!(
            table,
            "{name:<12} {place:<6} {:>7.4} {:>8.2} {:>7.4} {:>7.4} {:>9.3}",
            scores.l1, scores.psnr_db, scores.ssim, scores.flip, scores.sharpness
        );
    }
    let gap = summary.gap_closed;
    let eyes = summary.eyes_sharpness_ratio.map_or("unknown".into(), |ratio| format!("{ratio:.2}"));
    let _ = writeln!(
        table,
        "{:12} in the face: gap closed L1 {:.1} %, FLIP {:.1} %; worse than the first image {:.1} %; median sharpness {:.2}, \
         of the eyes {eyes}",
        "",
        gap.l1 * 100.0,
        gap.flip * 100.0,
        summary.worse_fraction * 100.0,
        summary.sharpness_ratio
    );
}

/// Adds the entries of one JSON object to another.
fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
