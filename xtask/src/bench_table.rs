//! The documents' table of the network's times, made of what the benchmark has written.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The rows of the table: a resolution, its name and its side in pixels.
const TIERS: [(&str, u32); 3] = [("Low", 128), ("Medium", 256), ("High", 512)];
/// The row of a device's multiply-add peak.
const PEAK: &str = "multiply-adds alone (peak)";

/// The file that the benchmark has written, as far as the table needs it.
#[derive(Deserialize)]
struct Report {
    device: String,
    clock: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    work: Work,
    seconds: Vec<f64>,
}

#[derive(Deserialize)]
struct Work {
    multiply_adds: f64,
}

impl Row {
    fn median_s(&self) -> Result<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().with_context(|| format!("{:?} was not measured", self.name))
    }

    fn rate(&self) -> Result<f64> {
        Ok(self.work.multiply_adds / self.median_s()?)
    }
}

impl Report {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not what the benchmark writes", path.display()))
    }

    fn row(&self, name: &str) -> Result<&Row> {
        let names = || self.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
        self.rows.iter().find(|row| row.name == name).with_context(|| format!("no row {name:?}, but {}", names()))
    }

    /// Returns the lines of the table, with the times of further kernels of the default network.
    fn lines(&self, kernels: &[&str]) -> Result<Vec<String>> {
        let peak = self.row(PEAK)?.rate()?;
        let tiers = TIERS.iter().map(|(tier, side)| {
            let quality = self.row(&format!("quality {side}²"))?;
            let mut cells = vec![
                format!("`{tier}`, {side}²"),
                milliseconds(quality.median_s()?),
                format!("{:.0} %", 100.0 * quality.rate()? / peak),
            ];
            for kernels in kernels {
                cells.push(milliseconds(self.row(&format!("quality {side}², {kernels}"))?.median_s()?));
            }
            cells.push(milliseconds(self.row(&format!("fast {side}²"))?.median_s()?));
            Ok(format!("| {} |", cells.join(" | ")))
        });
        tiers.collect()
    }

    /// Returns the names of the kernels that the default network was measured with beside the device's own.
    fn kernels(&self) -> Vec<&str> {
        let prefix = format!("quality {}², ", TIERS[0].1);
        self.rows.iter().filter_map(|row| row.name.strip_prefix(&prefix)).collect()
    }
}

/// Writes a time with two digits or, from ten milliseconds on, in whole ones.
fn milliseconds(seconds: f64) -> String {
    let ms = seconds * 1e3;
    let digits = if ms < 1.0 { 2 } else { usize::from(ms < 9.95) };
    format!("{ms:.digits$} ms")
}

/// Prints the table of a file.
pub fn print(file: &Path) -> Result<()> {
    let report = Report::read(file)?;
    ensure!(!report.rows.is_empty(), "{} has no rows", file.display());
    let kernels = report.kernels();
    let titles = kernels.iter().map(|kernels| match *kernels {
        "f32" => "the same, kernels in exact f32 | ".into(),
        kernels => format!("the same, `{kernels}` | "),
    });
    println!("{}; {}, medians\n", report.device, report.clock);
    println!(
        "| network's image | `QUALITY` | share of the device's multiply-add peak | {}`FAST` |",
        titles.collect::<String>()
    );
    println!("|{}", "---|".repeat(4 + kernels.len()));
    report.lines(&kernels)?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::workspace_root;

    #[test]
    fn the_documents_have_the_table_of_the_measured_file() {
        let report = Report::read(&workspace_root().join("benches/results/lavapipe.json")).unwrap();
        for (document, kernels) in [("README.md", &[][..]), ("docs/performance.md", &["f32"])] {
            let text = std::fs::read_to_string(workspace_root().join(document)).unwrap();
            for line in report.lines(kernels).unwrap() {
                assert!(text.contains(&line), "{document} lacks the line\n{line}");
            }
        }
    }

    #[test]
    fn a_row_that_was_not_measured_is_named() {
        let report: Report = serde_json::from_str(r#"{"device": "d", "clock": "c", "rows": []}"#).unwrap();
        let error = report.lines(&[]).unwrap_err().to_string();
        assert!(error.contains("multiply-adds alone (peak)"), "{error}");
    }
}
