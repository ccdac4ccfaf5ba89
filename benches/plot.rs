//! Plots of lines over frames, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// Left, top, right and bottom of the plot's field.
const FIELD: [f64; 4] = [64.0, 40.0, 540.0, 310.0];
/// Colours of the lines, safe for colour-blind readers (Okabe and Ito 2008); black is for the line that others are compared with.
const COLORS: [&str; 5] = ["#000000", "#e69f00", "#56b4e9", "#0072b2", "#009e73"];

/// Draws a line for each of at most five series; the vertical axis begins at 0.
pub fn lines(title: &str, series: &[(&str, Vec<f64>)]) -> String {
    let [left, top, right, bottom] = FIELD;
    let highest = series.iter().flat_map(|(_, values)| values).copied().fold(f64::MIN_POSITIVE, f64::max) * 1.05;
    let count = series.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let x = |at: usize| left + (right - left) * at as f64 / count.saturating_sub(1).max(1) as f64;
    let y = |value: f64| bottom - (bottom - top) * value / highest;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
<text x="{left}" y="22" font-size="15">{title}</text>
"#
    );
    // Writing to a string cannot fail.
    for step in 0..=4 {
        let value = highest * f64::from(step) / 4.0;
        let at = y(value);
        _ = writeln!(svg, r##"<path d="M{left} {at:.1}H{right}" stroke="#ddd"/>"##);
        _ = writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{value:.4}</text>"#, left - 6.0, at + 4.0);
    }
    _ = writeln!(svg, r#"<text x="{:.1}" y="{:.1}">frame 1</text>"#, left, bottom + 18.0);
    _ = writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{count}</text>"#, right, bottom + 18.0);
    for (index, ((name, values), color)) in series.iter().zip(COLORS).enumerate() {
        let points: Vec<_> =
            values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
        _ = writeln!(svg, r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2"/>"#, points.join(" "));
        let at = top + 20.0 * index as f64 + 12.0;
        let (from, to) = (right + 14.0, right + 34.0);
        _ = writeln!(svg, r#"<path d="M{from} {:.1}H{to}" stroke="{color}" stroke-width="2"/>"#, at - 4.0);
        _ = writeln!(svg, r#"<text x="{:.1}" y="{at:.1}">{name}</text>"#, to + 6.0);
    }
    svg.push_str("</svg>\n");
    svg
}
