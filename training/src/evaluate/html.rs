//! `report.html`: one file with its pictures and plots inside, for people.

use std::fmt::Write as _;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::likeness::SAME_PERSON;
use super::measured::{BLIND_PAIRS, Measured, spread};
use super::photographs::Distance;
use super::report::Report;
use super::summary::Summary;
use crate::measure::Scores;
use crate::picture::side_by_side;

/// Number of pairs that lose most, or gain least.
const WORST: usize = 10;
/// Width and height of a plot, in pixels.
const PLOT_PX: f64 = 320.0;
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}\
    td:first-child,th:first-child{text-align:left}img{max-width:100%;display:block;margin:.3em 0 1.2em}\
    svg{margin-right:2em}text{font:12px system-ui,sans-serif}";

/// Returns the page.
pub fn page(report: &Report, measured: &[Measured]) -> String {
    let name = escape(&report.default_model);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}: evaluation</title><style>{STYLE}</style>\
         <h1>{name}: evaluation</h1><p>{} pairs of {} identities, seeds {}. Look-up table fitted to seeds {}. All \
         distances are to the path-traced reference image; figures hold for the face, unless the table says the whole \
         image.</p>",
        report.each.len(),
        report.identities,
        escape(&report.seeds.to_string()),
        escape(&report.lut_seeds.to_string()),
    );
    for what in &report.warnings {
        let _ = write!(page, "<p><strong>Warning:</strong> {}.</p>", escape(what));
    }
    methods(&mut page, report);
    if let Some(still) = report.models[&report.default_model].temporal {
        let _ = write!(
            page,
            "<p>Warping error on {} frames of clips: first image {:.5}, second image {:.5}, ratio {:.3}.</p>",
            still.frames, still.first, still.second, still.ratio
        );
    }
    likeness(&mut page, report);
    photographs(&mut page, report);
    tones(&mut page, report);
    page += "<h2>Pair by pair</h2><p>Each dot is a pair. Below the line, the second image is nearer to the reference than \
             the first.</p>";
    scatter(&mut page, "ꟻLIP", report, |scores| scores.flip);
    scatter(&mut page, "L1", report, |scores| scores.l1);
    let _ = write!(page, "<h2>The {WORST} worst</h2><p>First, second, reference, |second − reference| × 4.</p>");
    // The pairs that lose most first.
    let mut order: Vec<usize> = (0..measured.len()).collect();
    let gain = |at: &usize| {
        let pair = &report.each[*at];
        pair.models[&report.default_model].comparison.face.flip - pair.first.comparison.face.flip
    };
    order.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    for at in order.into_iter().take(WORST) {
        let (m, pair) = (&measured[at], &report.each[at]);
        let flip = pair.models[&report.default_model].comparison.face.flip;
        let _ = write!(page, "<p>Seed {}: ꟻLIP {:.3} → {flip:.3}</p>", pair.seed, pair.first.comparison.face.flip);
        let second = &m.seconds[0];
        let error: Vec<u8> =
            second.iter().zip(&m.pair.reference).map(|(a, b)| a.abs_diff(*b).saturating_mul(4)).collect();
        picture(&mut page, &[&m.pair.first, second, &m.pair.reference, &error]);
    }
    page += "<h2>Side by side</h2><p>First and second image, evenly spread over the seeds, chosen before looking.</p>";
    for m in spread(measured, BLIND_PAIRS) {
        let _ = write!(page, "<p>Seed {}</p>", m.pair.seed);
        picture(&mut page, &[&m.pair.first, &m.seconds[0]]);
    }
    page + "</html>\n"
}

/// Adds the table of methods.
fn methods(page: &mut String, report: &Report) {
    *page += "<h2>Methods</h2><table><tr><th>image<th>kMAC/px<th>L1<th>ꟻLIP<th>SSIM<th>PSNR dB<th>L1 whole<th>ꟻLIP whole\
              <th>L1 gap closed<th>ꟻLIP gap closed<th>worse than first<th>sharpness";
    let mut row = |name: &str, cost: String, summary: &Summary| {
        let (face, whole, gap) = (summary.mean.face, summary.mean.whole, summary.gap_closed);
        let share = |share: f64, interval: [f64; 2]| {
            format!("{:.1} % ({:.0}–{:.0})", share * 100.0, interval[0] * 100.0, interval[1] * 100.0)
        };
        let _ = write!(
            page,
            "<tr><td>{}<td>{cost}<td>{:.4}<td>{:.4}<td>{:.4}<td>{:.2}<td>{:.4}<td>{:.4}<td>{}<td>{}<td>{:.1} %<td>{:.3}",
            escape(name),
            face.l1,
            face.flip,
            face.ssim,
            face.psnr_db,
            whole.l1,
            whole.flip,
            share(gap.l1, gap.l1_interval),
            share(gap.flip, gap.flip_interval),
            summary.worse_fraction * 100.0,
            summary.sharpness_ratio,
        );
    };
    row("first image", "0".into(), &report.first);
    row("3D look-up table", "0".into(), &report.lut);
    for (name, model) in &report.models {
        row(name, format!("{:.2}", model.kilo_macs_per_px), &model.summary);
    }
    *page += "</table><p>In brackets, 95 % intervals by bootstrap over pairs.</p>";
}

/// Adds the distances between face embeddings, if they were measured.
fn likeness(page: &mut String, report: &Report) {
    let Some(main) = report.models[&report.default_model].likeness else { return };
    let _ = write!(
        page,
        "<h2>Likeness</h2><p>Median distances between face embeddings over {} pairs. dlib's ResNet, which makes them, takes \
         two pictures for one person below {SAME_PERSON}.",
        main.pairs
    );
    if main.undetected > 0 {
        let seeds = report.each.iter().filter(|pair| pair.likeness.is_none()).map(|pair| pair.seed.to_string());
        let _ =
            write!(page, " No face was found in {}: seeds {}.", main.undetected, seeds.collect::<Vec<_>>().join(", "));
    }
    *page += "</p><table><tr><th>model<th>first – second<th>second – reference<th>first – reference";
    for (name, model) in &report.models {
        let Some(likeness) = model.likeness else { continue };
        let medians = [likeness.first_second_median, likeness.second_reference_median, likeness.first_reference_median];
        let _ = write!(page, "<tr><td>{}", escape(name));
        for median in medians {
            *page += &median.map_or("<td>–".into(), |median| format!("<td>{median:.3}"));
        }
    }
    *page += "</table>";
}

/// Adds the distances to photographs, if they were measured.
fn photographs(page: &mut String, report: &Report) {
    let Some(main) = report.models[&report.default_model].photographs else { return };
    let counts = main.counts;
    let _ = write!(
        page,
        "<h2>Photographs</h2><p>Distance (KID) of {} faces to {} photographs of other people, in the features of two networks. \
         0 is as far as photographs are from each other. Not compared: {} faces that were not found, {} that are turned \
         aside or cut off, and {} photographs.</p><table><tr><th>model<th>features<th>first<th>second<th>reference<th>second ÷ first",
        counts.pairs, counts.photographs, counts.undetected, counts.turned_or_cut, counts.left_out
    );
    let interval = |value: f64, [low, high]: [f64; 2]| format!("<td>{value:.3} ({low:.3}–{high:.3})");
    let kid = |distance: Distance| interval(distance.kid, distance.kid_interval);
    for (name, model) in &report.models {
        for (features, distances) in model.photographs.iter().flat_map(|photographs| photographs.networks()) {
            let _ = write!(page, "<tr><td>{}<td>{features}", escape(name));
            let Some(found) = distances else {
                *page += "<td>–<td>–<td>–<td>–";
                continue;
            };
            *page += &[found.first, found.second, found.reference].map(kid).concat();
            *page += &found
                .ratio
                .kid
                .zip(found.ratio.kid_interval)
                .map_or("<td>–".into(), |(kid, ends)| interval(kid, ends));
        }
    }
    *page += "</table><p>In brackets, 95 % intervals by bootstrap over people.</p>";
}

/// Adds the table of skin tones, if tones are known.
fn tones(page: &mut String, report: &Report) {
    let groups = &report.default_summary().tone_groups;
    if groups.is_empty() {
        return;
    }
    *page += "<h2>Skin tones</h2><table><tr><th>group<th>pairs<th>skin ΔE2000 first<th>skin ΔE2000 second<th>L1 gap \
              closed<th>ꟻLIP gap closed<th>";
    for (tone, group) in groups {
        let name = serde_json::to_value(tone).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{:.1} %<td>{:.1} %<td><svg width=\"204\" height=\"14\"><rect \
             width=\"{:.0}\" height=\"14\" fill=\"#47a\"/></svg>",
            name.as_str().unwrap_or_default().replace('_', " "),
            group.pairs,
            group.first_skin_delta_e,
            group.skin_delta_e,
            group.gap_closed.l1 * 100.0,
            group.gap_closed.flip * 100.0,
            (group.gap_closed.flip * 200.0).clamp(0.0, 200.0),
        );
    }
    *page += "</table>";
}

/// Adds a plot with a dot for each pair: the first image to the right, the second image up.
fn scatter(page: &mut String, title: &str, report: &Report, pick: fn(&Scores) -> f64) {
    let points: Vec<(f64, f64)> = report
        .each
        .iter()
        .map(|pair| {
            let second = &pair.models[&report.default_model].comparison.face;
            (pick(&pair.first.comparison.face), pick(second))
        })
        .collect();
    let largest = points.iter().map(|(x, y)| x.max(*y)).fold(1e-6, f64::max);
    let _ = write!(
        page,
        "<svg width=\"{0}\" height=\"{0}\"><rect width=\"{0}\" height=\"{0}\" fill=\"#f4f4f4\"/><line x1=\"0\" y1=\"{0}\" \
         x2=\"{0}\" y2=\"0\" stroke=\"#999\"/><text x=\"6\" y=\"16\">{title} of the second image, 0 to {largest:.3}</text>\
         <text x=\"{1}\" y=\"{2}\" text-anchor=\"end\">{title} of the first image</text>",
        PLOT_PX,
        PLOT_PX - 6.0,
        PLOT_PX - 6.0,
    );
    for (x, y) in points {
        let (x, y) = (x / largest * PLOT_PX, PLOT_PX - y / largest * PLOT_PX);
        let _ = write!(page, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#47a\" fill-opacity=\".6\"/>");
    }
    *page += "</svg>";
}

/// Adds square images in a row.
fn picture(page: &mut String, images: &[&[u8]]) {
    let mut png = Cursor::new(Vec::new());
    if side_by_side(images, 1).write_to(&mut png, image::ImageFormat::Png).is_ok() {
        let _ = write!(page, "<img alt=\"\" src=\"data:image/png;base64,{}\">", STANDARD.encode(png.into_inner()));
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
