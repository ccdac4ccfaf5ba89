//! Distances between face embeddings, which tell whether it is still the same person. The Python tool in `training/likeness`
//! measures them.
//!
//! dlib's ResNet turns a face into 128 numbers; pictures of one person lie nearer than [`SAME_PERSON`] to each other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::measured::Measured;
use super::summary::median;
use super::tool::{Tool, ToolError, name};

/// The Python tool.
const LIKENESS: Tool = Tool { name: "likeness", option: "--likeness" };

/// Euclidean distance below which dlib's model takes two pictures for one person.
pub const SAME_PERSON: f64 = 0.6;

/// The distances of one second image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondLikeness {
    /// Distance between the *first* and the *second rendered image*.
    pub first_second: f64,
    /// Distance between the second rendered image and the *reference image*.
    pub second_reference: f64,
}

/// The distances of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairLikeness {
    /// Distance between the first rendered image and the reference image.
    pub first_reference: f64,
    /// Distances of the second rendered image of each model.
    pub seconds: BTreeMap<String, SecondLikeness>,
}

/// The distances of a model over all pairs. A median of no pairs is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Likeness {
    /// Median distance between first and second image.
    pub first_second_median: Option<f64>,
    /// Median distance between second image and reference.
    pub second_reference_median: Option<f64>,
    /// Median distance between first image and reference.
    pub first_reference_median: Option<f64>,
    /// Number of pairs with a face, over which the medians are taken.
    pub pairs: usize,
    /// Number of pairs in which no face was found.
    pub undetected: usize,
}

#[derive(Deserialize)]
struct Output {
    cases: BTreeMap<String, Option<PairLikeness>>,
}

impl Likeness {
    /// Sums the distances of one model up; `None` is a pair without a face.
    pub fn of(pairs: &[Option<PairLikeness>], model: &str) -> Self {
        let seconds = || pairs.iter().flatten().filter_map(|pair| pair.seconds.get(model));
        let found = pairs.iter().flatten().count();
        Self {
            first_second_median: median(seconds().map(|second| second.first_second)),
            second_reference_median: median(seconds().map(|second| second.second_reference)),
            first_reference_median: median(pairs.iter().flatten().map(|pair| pair.first_reference)),
            pairs: found,
            undetected: pairs.len() - found,
        }
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = |median: Option<f64>| median.map_or("–".to_string(), |median| format!("{median:.3}"));
        write!(
            f,
            "face distance: first–second {}, second–reference {}, first–reference {} (one person: below {SAME_PERSON}); \
             {} pairs, no face found in {}",
            text(self.first_second_median),
            text(self.second_reference_median),
            text(self.first_reference_median),
            self.pairs,
            self.undetected
        )
    }
}

/// Measures the distances of each pair, in the same order; `None` where no face was found. Without pairs it only tries the tool.
pub fn measure(
    python: &Path,
    models: &[String],
    measured: &[Measured],
) -> Result<Vec<Option<PairLikeness>>, ToolError> {
    let names: Vec<String> = measured.iter().enumerate().map(|(at, m)| name(at, m.pair.seed)).collect();
    let measured: Vec<&Measured> = measured.iter().collect();
    LIKENESS.measure(python, models, &measured, &[], |text| read(text, &names, models))
}

/// Reads the tool's output, in the order of `names`.
///
/// # Errors
/// Fails with the value that was expected and the one that was found.
fn read(text: &str, names: &[String], models: &[String]) -> Result<Vec<Option<PairLikeness>>, String> {
    let mut output: Output = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut pair = |name: &String| {
        let found = output.cases.remove(name).ok_or_else(|| format!("case {name}: expected one, found none"))?;
        let Some(pair) = &found else { return Ok(None) };
        match models.iter().find(|model| !pair.seconds.contains_key(*model)) {
            Some(missing) => Err(format!("case {name}: expected model {missing}, found {:?}", pair.seconds.keys())),
            None => Ok(found),
        }
    };
    names.iter().map(&mut pair).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pair(first_second: f64, second_reference: f64, first_reference: f64) -> Option<PairLikeness> {
        let seconds = [("a".into(), SecondLikeness { first_second, second_reference })].into();
        Some(PairLikeness { first_reference, seconds })
    }

    #[test]
    fn medians_leave_out_pairs_without_a_face() {
        let pairs = [pair(0.1, 0.2, 0.3), None, pair(0.3, 0.4, 0.9), pair(0.2, 0.9, 0.1)];
        let likeness = Likeness::of(&pairs, "a");
        assert_eq!(likeness.first_second_median, Some(0.2));
        assert_eq!((likeness.second_reference_median, likeness.first_reference_median), (Some(0.4), Some(0.3)));
        assert_eq!((likeness.pairs, likeness.undetected), (3, 1));
        assert_eq!(Likeness::of(&pairs[..3], "a").first_second_median, Some(0.2), "the mean of the two in the middle");
    }

    #[test]
    fn no_face_at_all_has_no_medians() {
        let likeness = Likeness::of(&[None, None], "a");
        assert_eq!((likeness.first_second_median, likeness.first_reference_median), (None, None));
        assert_eq!((likeness.pairs, likeness.undetected), (0, 2));
        assert!(likeness.to_string().contains("first–second –,"), "{likeness}");
    }

    #[test]
    fn distances_are_read_by_name_and_null_is_a_pair_without_a_face() {
        let text = r#"{"cases": {"0001_00000009": null,
            "0000_00000007": {"first_reference": 0.3, "seconds": {"a": {"first_second": 0.1, "second_reference": 0.2}}}}}"#;
        assert_eq!(read(text, &[name(0, 7), name(1, 9)], &["a".into()]).unwrap(), [pair(0.1, 0.2, 0.3), None]);
        assert_eq!(read(r#"{"cases": {}}"#, &[], &[]).unwrap(), []);
    }

    #[test]
    fn malformed_output_says_what_was_expected_and_found() {
        let models = ["a".to_string(), "b".to_string()];
        for (text, part) in [
            ("", "EOF"),
            ("{}", "missing field `cases`"),
            (r#"{"cases": {}}"#, "case 0000_00000007: expected one, found none"),
            (r#"{"cases": {"0000_00000007": {"seconds": {}}}}"#, "missing field `first_reference`"),
            (r#"{"cases": {"0000_00000007": {"first_reference": "far", "seconds": {}}}}"#, "expected f64"),
            (
                r#"{"cases": {"0000_00000007": {"first_reference": 1, "seconds": {"a": {"first_second": 0, "second_reference": 0}}}}}"#,
                r#"case 0000_00000007: expected model b, found ["a"]"#,
            ),
        ] {
            let what = read(text, &[name(0, 7)], &models).unwrap_err();
            assert!(what.contains(part), "{part:?} is not in: {what}");
        }
    }
}
