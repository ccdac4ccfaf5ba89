//! Distances to photographs, which tell whether second images look more like photographs than first images do. The Python tool
//! in `training/photographs` measures them, on features of two networks that know nothing of this project.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::measured::Measured;
use super::tool::{Tool, ToolError};

/// The Python tool.
const PHOTOGRAPHS: Tool = Tool { name: "photographs", option: "--photographs-python" };

/// Photographs to compare with, and what compares.
#[derive(Clone, Copy, Debug)]
pub struct PhotographsOptions<'a> {
    /// Folder of photographs of faces seen from the front. Those of one person share the name up to the first underscore.
    pub folder: &'a Path,
    /// Python interpreter with `training/photographs/requirements.txt`.
    pub python: &'a Path,
}

/// The distance of a set of pictures to the photographs, by two kernels. Both are unbiased squared maximum mean discrepancies,
/// so that sets that are alike are as often below 0 as above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Kernel inception distance: the kernel is (x·y / d + 1)³.
    pub kid: f64,
    /// 95 % interval of `kid`, by bootstrap over people.
    pub kid_interval: [f64; 2],
    /// The same with a Gaussian kernel, as wide as the median distance between photographs; 0 to 2.
    pub mmd: f64,
    /// 95 % interval of `mmd`, by bootstrap over people.
    pub mmd_interval: [f64; 2],
}

/// The distance of the second images divided by that of the first images. `None` where the first images are as near to the
/// photographs as these are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Ratio of `kid`.
    pub kid: Option<f64>,
    /// 95 % interval of `kid`, by bootstrap over people.
    pub kid_interval: Option<[f64; 2]>,
    /// Ratio of `mmd`.
    pub mmd: Option<f64>,
    /// 95 % interval of `mmd`, by bootstrap over people.
    pub mmd_interval: Option<[f64; 2]>,
}

/// The distances in one network's features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkDistances {
    /// Distance of the *first rendered images*.
    pub first: Distance,
    /// Distance of the *second rendered images*.
    pub second: Distance,
    /// Distance of the *reference images*.
    pub reference: Distance,
    /// Distance of the second images divided by that of the first.
    pub ratio: Ratio,
}

/// The distances of one model's images to the photographs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Photographs {
    /// Distances in the features of DINOv2; `None` where fewer than ten people were compared.
    pub dino: Option<NetworkDistances>,
    /// Distances in the features of EfficientNet-Lite0; `None` where fewer than ten people were compared.
    pub efficientnet: Option<NetworkDistances>,
    /// Counts of pairs and photographs.
    #[serde(flatten)]
    pub counts: Counts,
}

/// How many pairs and photographs were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of pairs that were compared.
    pub pairs: usize,
    /// Number of pairs in which no face was found.
    pub undetected: usize,
    /// Number of pairs whose face is turned aside by more than about 25°, or cut off by the picture's edge.
    pub turned_or_cut: usize,
    /// Number of photographs that were compared.
    pub photographs: usize,
    /// Number of photographs with no face, with one that is turned aside or cut off, or with one that is smaller than the pictures'.
    pub left_out: usize,
}

#[derive(Deserialize)]
struct Networks {
    dino: Option<NetworkDistances>,
    efficientnet: Option<NetworkDistances>,
}

#[derive(Deserialize)]
struct Output {
    models: BTreeMap<String, Networks>,
    #[serde(flatten)]
    counts: Counts,
}

impl Photographs {
    /// Returns both networks' distances with their names.
    pub fn networks(&self) -> [(&'static str, Option<NetworkDistances>); 2] {
        [("DINOv2", self.dino), ("EfficientNet-Lite0", self.efficientnet)]
    }
}

impl fmt::Display for Photographs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "distance to {} photographs (KID), {} pairs:", self.counts.photographs, self.counts.pairs)?;
        for (name, distances) in self.networks() {
            let Some(distances) = distances else {
                write!(f, " {name} –, too few people;")?;
                continue;
            };
            let ratio = distances.ratio.kid.map_or("–".to_string(), |ratio| format!("{ratio:.3}"));
            write!(
                f,
                " {name} first {:.4}, second {:.4}, reference {:.4}, second ÷ first {ratio};",
                distances.first.kid, distances.second.kid, distances.reference.kid
            )?;
        }
        Ok(())
    }
}

/// Measures the distances of each model's images. Without pairs it only tries the tool and the folder.
pub fn measure(
    options: &PhotographsOptions,
    models: &[String],
    measured: &[&Measured],
) -> Result<BTreeMap<String, Photographs>, ToolError> {
    // The tool runs elsewhere.
    let folder = std::path::absolute(options.folder).unwrap_or_else(|_| PathBuf::from(options.folder));
    let arguments = ["--photographs".as_ref(), folder.as_os_str()];
    let expected = if measured.is_empty() { &[] } else { models };
    PHOTOGRAPHS.measure(options.python, models, measured, &arguments, |text| read(text, expected))
}

/// Reads the tool's output.
///
/// # Errors
/// Fails with the value that was expected and the one that was found.
fn read(text: &str, models: &[String]) -> Result<BTreeMap<String, Photographs>, String> {
    let Output { models: found, counts } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if let Some(missing) = models.iter().find(|model| !found.contains_key(*model)) {
        return Err(format!("expected model {missing}, found {:?}", found.keys()));
    }
    let with_counts = |Networks { dino, efficientnet }| Photographs { dino, efficientnet, counts };
    Ok(found.into_iter().map(|(model, networks)| (model, with_counts(networks))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DISTANCE: &str = r#"{"kid": 1.5, "kid_interval": [1, 2], "mmd": 0.5, "mmd_interval": [0.25, 0.75]}"#;
    const NO_RATIO: &str = r#"{"kid": 0.75, "kid_interval": [0.5, 1], "mmd": null, "mmd_interval": null}"#;

    fn text(models: &str) -> String {
        format!(
            r#"{{"pairs": 12, "undetected": 3, "turned_or_cut": 2, "photographs": 100, "left_out": 2, "models": {models}}}"#
        )
    }

    fn network() -> String {
        format!(r#"{{"first": {DISTANCE}, "second": {DISTANCE}, "reference": {DISTANCE}, "ratio": {NO_RATIO}}}"#)
    }

    #[test]
    fn every_model_has_two_networks_and_the_counts() {
        let models = format!(r#"{{"a": {{"dino": {}, "efficientnet": null}}}}"#, network());
        let found = read(&text(&models), &["a".into()]).unwrap()["a"];
        let dino = found.dino.unwrap();
        assert_eq!((dino.second.kid, dino.reference.mmd_interval), (1.5, [0.25, 0.75]));
        assert_eq!((dino.ratio.kid, dino.ratio.mmd, found.efficientnet), (Some(0.75), None, None));
        let json = serde_json::to_value(found).unwrap();
        assert_eq!((&json["dino"]["first"]["kid"], &json["turned_or_cut"]), (&1.5.into(), &2.into()));
        let shown = found.to_string();
        assert!(shown.contains("second ÷ first 0.750") && shown.contains("EfficientNet-Lite0 –"), "{shown}");
    }

    #[test]
    fn malformed_output_says_what_was_expected_and_found() {
        for (text, part) in [
            (String::new(), "EOF"),
            ("{}".into(), "missing field `models`"),
            (text("{}"), "expected model a, found []"),
            (text(r#"{"a": {"dino": {}}}"#), "missing field `first`"),
        ] {
            let what = read(&text, &["a".into()]).unwrap_err();
            assert!(what.contains(part), "{part:?} is not in: {what}");
        }
        assert!(read(&text("{}"), &[]).unwrap().is_empty());
    }
}
