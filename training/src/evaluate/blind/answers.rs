//! Answers of judges, and the scores that they make together with the key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use portrait_files::{atomic, bounded};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::BlindError;
use super::key::{Key, KeyPair, Side};
use crate::evaluate::facts::Source;

/// Version of the file of answers.
const FORMAT: u32 = 1;
/// Quantile of the normal distribution for 95 % intervals.
const QUANTILE: f64 = 1.959_964;
/// Largest report that scores are added to, in bytes.
const MAX_REPORT_BYTES: u64 = 1 << 28;

/// The answers of one judge, as the page writes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    format: u32,
    set: String,
    #[serde(default)]
    judge: String,
    /// Answers by the number of the pair, from 1.
    answers: BTreeMap<usize, Answer>,
}

/// A judge's answers to a pair. Each question may be left open.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    photograph: Option<Side>,
    ship: Option<Side>,
    because: Option<String>,
}

/// The answers to one question.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    second: usize,
    all: usize,
}

/// A judge's words on a pair in which the first image was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blame {
    /// Number of the pair.
    pub pair: usize,
    /// Name of the data folder.
    pub data: String,
    /// Seed of the pair.
    pub seed: u64,
    /// Words of the judge.
    pub because: String,
}

/// The scores of one source of heads. A share or interval of no answers is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceScore {
    /// Number of pairs in the set.
    pub pairs: usize,
    /// Share of answers by which the second image looks more like a photograph.
    pub photograph: Option<f64>,
    /// 95 % interval of `photograph` (Wilson 1927).
    pub photograph_interval: Option<[f64; 2]>,
    /// Number of answers behind `photograph`.
    pub photograph_answers: usize,
    /// Share of answers by which the second image would be shipped.
    pub ship: Option<f64>,
    /// 95 % interval of `ship` (Wilson 1927).
    pub ship_interval: Option<[f64; 2]>,
    /// Number of answers behind `ship`.
    pub ship_answers: usize,
    /// Words of judges who took the first image, in either question.
    pub against: Vec<Blame>,
}

/// The scores of a set of blind pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct BlindScores {
    /// Name of the set.
    pub set: String,
    /// Name of the weights file that made the second images.
    pub weights: String,
    /// SHA-256 of the weights file, hexadecimal.
    pub sha256: String,
    /// Number of files of answers.
    pub files: usize,
    /// Judges, in the order of the files; the names that they gave.
    pub judges: Vec<String>,
    /// Scores of every source in the set.
    pub sources: BTreeMap<Source, SourceScore>,
}

/// Opens the key of a set and scores files of answers with it.
///
/// # Errors
/// Fails when key or answers cannot be read, are damaged, or belong to another set, or a file is named twice.
pub fn unseal(folder: &Path, files: &[PathBuf]) -> Result<BlindScores, BlindError> {
    let key = Key::read(folder)?;
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for path in files {
        let wrong = |what: String| BlindError::Answers { path: path.clone(), what };
        let text = bounded::read_text(path).map_err(|error| wrong(error.to_string()))?;
        all.push(read(&text, &key).map_err(wrong)?);
        if !seen.insert(text) {
            return Err(wrong("the same answers are in another file: each counts once".into()));
        }
    }
    Ok(score(&key, &all))
}

/// Reads a judge's answers to the pairs of a key.
///
/// # Errors
/// Fails with what was expected and what was found.
fn read(text: &str, key: &Key) -> Result<Answers, String> {
    let answers: Answers = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if answers.format != FORMAT {
        return Err(format!("format {}: expected {FORMAT}", answers.format));
    }
    if answers.set != key.set {
        return Err(format!("answers to the set {:?}: expected {:?}", answers.set, key.set));
    }
    let count = key.pairs.len();
    if let Some(number) = answers.answers.keys().find(|number| !(1..=count).contains(*number)) {
        return Err(format!("an answer to pair {number}: expected pairs 1 to {count}"));
    }
    if answers.answers.values().all(|answer| answer.photograph.is_none() && answer.ship.is_none()) {
        return Err("no answer: expected one at least".into());
    }
    Ok(answers)
}

fn score(key: &Key, all: &[Answers]) -> BlindScores {
    let mut sources = BTreeMap::new();
    for source in Source::ALL {
        let pairs: Vec<(usize, &KeyPair)> = (1..).zip(&key.pairs).filter(|(_, pair)| pair.source == source).collect();
        if pairs.is_empty() {
            continue;
        }
        let (mut photograph, mut ship, mut against) = (Tally::default(), Tally::default(), Vec::new());
        for (number, pair) in &pairs {
            for answer in all.iter().filter_map(|answers| answers.answers.get(number)) {
                photograph.count(answer.photograph, pair.second);
                ship.count(answer.ship, pair.second);
                let first = [answer.photograph, answer.ship].into_iter().flatten().any(|side| side != pair.second);
                if let Some(because) = answer.because.clone().filter(|_| first) {
                    against.push(Blame { pair: *number, data: pair.data.clone(), seed: pair.seed, because });
                }
            }
        }
        let score = SourceScore {
            pairs: pairs.len(),
            photograph: photograph.share(),
            photograph_interval: photograph.interval(),
            photograph_answers: photograph.all,
            ship: ship.share(),
            ship_interval: ship.interval(),
            ship_answers: ship.all,
            against,
        };
        sources.insert(source, score);
    }
    let judges = all.iter().map(|answers| answers.judge.clone()).collect();
    let (set, weights, sha256) = (key.set.clone(), key.weights.clone(), key.sha256.clone());
    BlindScores { set, weights, sha256, files: all.len(), judges, sources }
}

impl Tally {
    fn count(&mut self, answer: Option<Side>, second: Side) {
        self.all += usize::from(answer.is_some());
        self.second += usize::from(answer == Some(second));
    }

    fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.second as f64 / self.all as f64)
    }

    /// Returns the 95 % interval of the share (Wilson 1927, "Probable inference, the law of succession, and statistical inference").
    fn interval(self) -> Option<[f64; 2]> {
        let (share, count) = (self.share()?, self.all as f64);
        let squared = QUANTILE * QUANTILE / count;
        let middle = (share + squared / 2.0) / (1.0 + squared);
        let half = QUANTILE / (1.0 + squared) * (share * (1.0 - share) / count + squared / (4.0 * count)).sqrt();
        Some([(middle - half).max(0.0), (middle + half).min(1.0)])
    }
}

impl BlindScores {
    /// Returns the entry `blind` of `report.json`.
    pub fn json(&self) -> Value {
        let mut entry = json!({
            "set": self.set, "weights": self.weights, "sha256": self.sha256, "files": self.files, "judges": self.judges,
        });
        for (source, score) in &self.sources {
            entry[source.key()] = json!(score);
        }
        entry
    }

    /// Returns the scores as a table for a terminal.
    pub fn table(&self) -> String {
        let mut table = format!(
            "set {}, {}: {} file(s) of answers\nshare of answers that take the second image, with 95 % intervals\n",
            self.set, self.weights, self.files
        );
        for (source, score) in &self.sources {
            let questions = [
                ("more like a photograph", score.photograph, score.photograph_interval, score.photograph_answers),
                ("would ship", score.ship, score.ship_interval, score.ship_answers),
            ];
            for (question, share, interval, answers) in questions {
                let (Some(share), Some([low, high])) = (share, interval) else { continue };
                let _ = writeln!(
                    table,
                    "{:<12} {question:<24} {:>5.1} % ({:.0}–{:.0}) of {answers} answers to {} pairs",
                    source.name(),
                    share * 100.0,
                    low * 100.0,
                    high * 100.0,
                    score.pairs
                );
            }
            for Blame { pair, data, seed, because } in &score.against {
                let _ =
                    writeln!(table, "{:<12} against it: pair {pair} (seed {seed} of {data}): {because}", source.name());
            }
        }
        table
    }

    /// Writes the scores into the `report.json` of a folder, as its entry `blind`.
    ///
    /// # Errors
    /// Fails when there is no report, it is of other weights, it has scores already and `overwrite` is false, or it cannot be written.
    pub fn add_to_report(&self, folder: &Path, overwrite: bool) -> Result<(), BlindError> {
        let path = folder.join("report.json");
        let wrong = |what: String| BlindError::Report { path: path.clone(), what };
        let text = bounded::read(&path, MAX_REPORT_BYTES).map_err(|error| {
            wrong(format!("{error}; --out expects the folder of a report that `portrait-train evaluate` wrote"))
        })?;
        let mut report: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let measured = report["default_model"].as_str().map(|name| report["models"][name]["sha256"].clone());
        if measured != Some(json!(self.sha256)) {
            return Err(wrong(format!(
                "the report's default model has the SHA-256 {}: expected {} of {}, whose pictures were judged",
                measured.unwrap_or_default(),
                self.sha256,
                self.weights
            )));
        }
        if !overwrite && !report["blind"].is_null() {
            return Err(wrong("it has scores of blind pairs: add --overwrite to replace them".into()));
        }
        report["blind"] = self.json();
        let text = serde_json::to_string_pretty(&report).map_err(|error| wrong(error.to_string()))? + "\n";
        atomic::write(&path, text.as_bytes()).map_err(|error| BlindError::write(&path, &error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key() -> Key {
        let pair = |source, seed, second| KeyPair { source, data: "heads".into(), seed, second };
        let pairs = vec![
            pair(Source::Own, 1, Side::Left),
            pair(Source::GameHeads, 2, Side::Right),
            pair(Source::Own, 3, Side::Right),
            pair(Source::Own, 4, Side::Left),
        ];
        Key { set: "abcd".into(), weights: "a".into(), sha256: "0".into(), shuffle_seed: 0, pairs }
    }

    #[test]
    fn intervals_are_those_that_wilson_gives() {
        // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        for ((second, all), wanted) in [
            ((81, 263), [0.2553, 0.3662]),
            ((15, 148), [0.0624, 0.1605]),
            ((0, 20), [0.0, 0.1611]),
            ((1, 29), [0.0061, 0.1718]),
        ] {
            let found = Tally { second, all }.interval().unwrap();
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 5e-5), "{second} of {all}: {found:?}");
        }
        assert_eq!(Tally::default().interval(), None);
    }

    #[test]
    fn questions_judges_and_sources_are_counted_apart() {
        let answers = [
            r#"{"format":1,"set":"abcd","judge":"a","answers":{"1":{"photograph":"left"},"2":{"photograph":"right"},
                "3":{"photograph":"left","because":"blurred lids"},"4":{"photograph":"left","because":"shadows"}}}"#,
            r#"{"format":1,"set":"abcd","answers":{"1":{"ship":"right","because":"orange rim"}}}"#,
        ]
        .map(|text| read(text, &key()).unwrap());
        let scores = score(&key(), &answers);
        let (own, game) = (&scores.sources[&Source::Own], &scores.sources[&Source::GameHeads]);
        assert_eq!((own.pairs, own.photograph, own.photograph_answers), (3, Some(2.0 / 3.0), 3));
        assert_eq!((own.ship, own.ship_answers, game.photograph, game.ship), (Some(0.0), 1, Some(1.0), None));
        let words: Vec<(u64, &str)> = own.against.iter().map(|blame| (blame.seed, blame.because.as_str())).collect();
        assert_eq!(words, [(1, "orange rim"), (3, "blurred lids")]);
        assert_eq!(scores.json()["game_heads"]["photograph"], 1.0);
        assert_eq!(scores.judges, ["a", ""]);
    }

    #[test]
    fn damaged_and_foreign_answers_say_what_was_expected_and_found() {
        for (text, part) in [
            ("", "EOF"),
            (r#"{"format":1,"set":"abcd"}"#, "missing field `answers`"),
            (r#"{"format":2,"set":"abcd","answers":{}}"#, "format 2: expected 1"),
            (r#"{"format":1,"set":"ef","answers":{"1":{"ship":"left"}}}"#, r#"the set "ef": expected "abcd""#),
            (r#"{"format":1,"set":"abcd","answers":{"5":{"ship":"left"}}}"#, "pair 5: expected pairs 1 to 4"),
            (r#"{"format":1,"set":"abcd","answers":{"0":{"ship":"left"}}}"#, "pair 0: expected pairs 1 to 4"),
            (r#"{"format":1,"set":"abcd","answers":{"1":{"ship":"both"}}}"#, "unknown variant `both`"),
            (r#"{"format":1,"set":"abcd","answers":{"1":{"like":"left"}}}"#, "unknown field `like`"),
            (r#"{"format":1,"set":"abcd","answers":{"1":{"because":"hm"}}}"#, "no answer"),
        ] {
            let what = read(text, &key()).unwrap_err();
            assert!(what.contains(part), "{part:?} is not in: {what}");
        }
    }
}
