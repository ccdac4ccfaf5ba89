//! `report.html`: one file with its pictures and plots inside, for people.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portrait_files::config::HeldOut;

use super::facts::Source;
use super::likeness::SAME_PERSON;
use super::measured::Measured;
use super::photographs::Distance;
use super::report::{Column, PairReport, Report};
use super::summary::{GapClosed, GroupReport, Summary};
use crate::measure::Scores;
use crate::picture::side_by_side;

/// Number of pairs of a column that lose most, or gain least.
const WORST: usize = 10;
/// Width and height of a plot, in pixels.
const PLOT_PX: f64 = 320.0;
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}\
    td:first-child,th:first-child{text-align:left}img{max-width:100%;display:block;margin:.3em 0 1.2em}\
    svg{margin-right:2em}text{font:12px system-ui,sans-serif}";

/// Returns the page. `looked_at` are the pairs of each source that are shown side by side.
pub fn page(report: &Report, measured: &[Measured], looked_at: &[(Source, Vec<&Measured>)]) -> String {
    let name = escape(&report.default_model);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}: evaluation</title><style>{STYLE}</style>\
         <h1>{name}: evaluation</h1><p>{} pairs of {} identities, seeds {}. Look-up table, tone curve and sharpening fitted \
         to seeds {}. All distances are to the path-traced reference image; figures hold for the face, unless the table says \
         the whole image.</p>",
        report.each.len(),
        report.identities,
        escape(&report.seeds.to_string()),
        escape(&report.lut_seeds.to_string()),
    );
    if report.held_out == HeldOut::Views {
        page += "<p>These people were trained on: views, light, surroundings and expressions were held out.</p>";
    }
    for what in &report.warnings {
        let _ = write!(page, "<p><strong>Warning:</strong> {}.</p>", escape(what));
    }
    glance(&mut page, report);
    if let Some(still) = report.models[&report.default_model].temporal {
        let _ = write!(
            page,
            "<p>Warping error on {} frames of clips: first image {:.5}, second image {:.5}, ratio {:.3}.</p>",
            still.frames, still.first, still.second, still.ratio
        );
    }
    for column in &report.columns {
        let _ = write!(page, "<h2>{}</h2>", capital(&column.name()));
        methods(&mut page, report, column);
        worse(&mut page, report, column);
        groups(&mut page, "kind of light", &report.summary_of(column).light_kinds);
        groups(&mut page, "skin tone", &report.summary_of(column).tone_groups);
        likeness(&mut page, report, column);
        photographs(&mut page, report, column);
        page +=
            "<p>Each dot is a pair. Below the line, the second image is nearer to the reference than the first.</p>";
        scatter(&mut page, "ꟻLIP", report, column, |scores| scores.flip);
        scatter(&mut page, "L1", report, column, |scores| scores.l1);
        worst(&mut page, report, column, measured);
    }
    page += "<h2>Side by side</h2><p>First and second image, evenly spread over the seeds, chosen before looking.</p>";
    for (source, pairs) in looked_at {
        let _ = write!(page, "<h3>{}</h3>", capital(source.name()));
        for m in pairs {
            let _ = write!(page, "<p>Seed {}</p>", m.pair.seed);
            picture(&mut page, &[&m.pair.first, &m.seconds[0]]);
        }
    }
    page + "</html>\n"
}

/// Adds the table that answers first questions: a column for each source and size.
fn glance(page: &mut String, report: &Report) {
    *page += "<h2>At a glance</h2><table><tr><th>";
    for column in &report.columns {
        let _ = write!(page, "<th>{}", column.name());
    }
    // Each row picks from the default model's summary, and from the column.
    let mut row = |name: &str, value: &dyn Fn(&Summary, &Column) -> String| {
        let _ = write!(page, "<tr><td>{name}");
        for column in &report.columns {
            let _ = write!(page, "<td>{}", value(report.summary_of(column), column));
        }
    };
    let both = |gap: GapClosed| format!("{}, {}", share(gap.l1, None), share(gap.flip, None));
    row("pairs", &|_, column| column.pairs.to_string());
    row("L1 gap closed", &|second, _| share(second.gap_closed.l1, Some(second.gap_closed.l1_interval)));
    row("ꟻLIP gap closed", &|second, _| share(second.gap_closed.flip, Some(second.gap_closed.flip_interval)));
    row("L1, ꟻLIP gap closed by a 3D look-up table", &|_, column| both(column.lut.gap_closed));
    row("L1, ꟻLIP gap closed by a tone curve and sharpening", &|_, column| both(column.sharpen.gap_closed));
    row("worse than the first image", &|second, _| share(second.worse_fraction, None));
    row("sharpness, median (first image)", &|second, column| {
        format!("{:.2} ({:.2})", second.sharpness_ratio, column.first.sharpness_ratio)
    });
    row("sharpness of the eyes, median (first image)", &|second, column| {
        let [second, first] = [second, &column.first].map(|summary| decimal(summary.eyes_sharpness_ratio, 2));
        format!("{second} ({first})")
    });
    row("face distance, first – second, median", &|_, column| {
        decimal(column.models[&report.default_model].likeness.and_then(|likeness| likeness.first_second_median), 3)
    });
    let _ = write!(
        page,
        "</table><p>In brackets, 95 % intervals by bootstrap over pairs. Sharpness is the mean squared gradient of the grey \
         image inside the face mask over the reference's: 1 is as sharp as the reference. Of {} pairs, {} show eyes. The \
         fitted amount of sharpening is {:.0} % of the most that there is.</p>",
        report.each.len(),
        report.each.iter().filter(|pair| pair.first.eyes_sharpness.is_some()).count(),
        report.sharpen_amount * 100.0
    );
}

/// Adds the table of methods.
fn methods(page: &mut String, report: &Report, column: &Column) {
    *page += "<table><tr><th>image<th>kMAC/px<th>L1<th>ꟻLIP<th>SSIM<th>PSNR dB<th>L1 whole<th>ꟻLIP whole<th>L1 gap \
              closed<th>ꟻLIP gap closed<th>worse than first<th>sharpness<th>of the eyes";
    let mut row = |name: &str, cost: String, summary: &Summary| {
        let (face, whole, gap) = (summary.mean.face, summary.mean.whole, summary.gap_closed);
        let _ = write!(
            page,
            "<tr><td>{}<td>{cost}<td>{:.4}<td>{:.4}<td>{:.4}<td>{:.2}<td>{:.4}<td>{:.4}<td>{}<td>{}<td>{:.1} %<td>{:.3}<td>{}",
            escape(name),
            face.l1,
            face.flip,
            face.ssim,
            face.psnr_db,
            whole.l1,
            whole.flip,
            share(gap.l1, Some(gap.l1_interval)),
            share(gap.flip, Some(gap.flip_interval)),
            summary.worse_fraction * 100.0,
            summary.sharpness_ratio,
            decimal(summary.eyes_sharpness_ratio, 3),
        );
    };
    row("first image", "0".into(), &column.first);
    row("3D look-up table", "0".into(), &column.lut);
    row("tone curve and sharpening", "0".into(), &column.sharpen);
    for (name, model) in &column.models {
        row(name, format!("{:.2}", report.models[name].kilo_macs_per_px), &model.summary);
    }
    *page += "</table>";
}

/// Adds what gets worse, and why.
fn worse(page: &mut String, report: &Report, column: &Column) {
    let count: usize = report.each.iter().filter(|pair| column.has(pair) && pair.worse.is_some()).count();
    let _ = write!(
        page,
        "<p>{count} of {} second images are farther from the reference than the first image",
        column.pairs
    );
    let reasons: Vec<String> = column.worse_because.iter().map(|(why, pairs)| format!("{pairs} × {why}")).collect();
    let because = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    let _ = write!(page, "{because}.</p>");
}

/// Adds a table of groups of pairs, if there are any.
fn groups<K: Display>(page: &mut String, title: &str, groups: &BTreeMap<K, GroupReport>) {
    if groups.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<table><tr><th>{title}<th>pairs<th>skin ΔE2000 first<th>skin ΔE2000 second<th>L1 gap closed<th>ꟻLIP gap closed<th>\
         worse than first<th>sharpness<th>"
    );
    for (name, group) in groups {
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{}<td>{}<td>{}<td>{:.2}<td><svg width=\"204\" height=\"14\"><rect \
             width=\"{:.0}\" height=\"14\" fill=\"#47a\"/></svg>",
            escape(&name.to_string()),
            group.pairs,
            group.first_skin_delta_e,
            group.skin_delta_e,
            share(group.gap_closed.l1, None),
            share(group.gap_closed.flip, None),
            share(group.worse_fraction, None),
            group.sharpness_ratio,
            (group.gap_closed.flip * 200.0).clamp(0.0, 200.0),
        );
    }
    *page += "</table>";
}

/// Adds the distances between face embeddings, if they were measured.
fn likeness(page: &mut String, report: &Report, column: &Column) {
    let Some(main) = column.models[&report.default_model].likeness else { return };
    let _ = write!(
        page,
        "<p>Median distances between face embeddings over {} pairs. dlib's ResNet, which makes them, takes two pictures for \
         one person below {SAME_PERSON}.",
        main.pairs
    );
    if main.undetected > 0 {
        let undetected = report.each.iter().filter(|pair| column.has(pair) && pair.likeness.is_none());
        let seeds: Vec<String> = undetected.map(|pair| pair.seed.to_string()).collect();
        let _ = write!(page, " No face was found in {}: seeds {}.", main.undetected, seeds.join(", "));
    }
    *page += "</p><table><tr><th>model<th>first – second<th>second – reference<th>first – reference";
    for (name, model) in &column.models {
        let Some(likeness) = model.likeness else { continue };
        let medians = [likeness.first_second_median, likeness.second_reference_median, likeness.first_reference_median];
        let _ = write!(page, "<tr><td>{}", escape(name));
        for median in medians {
            let _ = write!(page, "<td>{}", decimal(median, 3));
        }
    }
    *page += "</table>";
}

/// Adds the distances to photographs, if they were measured.
fn photographs(page: &mut String, report: &Report, column: &Column) {
    let Some(main) = column.models[&report.default_model].photographs else { return };
    let counts = main.counts;
    let _ = write!(
        page,
        "<p>Distance (KID) of {} faces to {} photographs of other people, in the features of two networks. 0 is as far as \
         photographs are from each other. Not compared: {} faces that were not found, {} that are turned aside or cut off, \
         and {} photographs.</p><table><tr><th>model<th>features<th>first<th>second<th>reference<th>second ÷ first",
        counts.pairs, counts.photographs, counts.undetected, counts.turned_or_cut, counts.left_out
    );
    let interval = |value: f64, [low, high]: [f64; 2]| format!("<td>{value:.3} ({low:.3}–{high:.3})");
    let kid = |distance: Distance| interval(distance.kid, distance.kid_interval);
    for (name, model) in &column.models {
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

/// Adds the pairs of a column that lose most, or gain least, with their pictures.
fn worst(page: &mut String, report: &Report, column: &Column, measured: &[Measured]) {
    let _ = write!(
        page,
        "<h3>The {WORST} worst</h3><p>By ꟻLIP, the pairs that lose most first. First, second, reference, |second − reference| \
         × 4.</p>"
    );
    let flip = |pair: &PairReport| {
        [pair.first, pair.models[&report.default_model]].map(|figures| figures.comparison.face.flip)
    };
    let loss = |pair: &PairReport| flip(pair)[1] - flip(pair)[0];
    let mut pairs: Vec<(&Measured, &PairReport)> =
        measured.iter().zip(&report.each).filter(|(_, pair)| column.has(pair)).collect();
    pairs.sort_by(|(_, a), (_, b)| loss(b).total_cmp(&loss(a)));
    for (m, pair) in pairs.into_iter().take(WORST) {
        let [before, after] = flip(pair);
        let light = pair.light_kind.as_deref().unwrap_or("unknown");
        let _ = write!(
            page,
            "<p>Seed {} of {}, person {}, light {}: ꟻLIP {before:.3} → {after:.3}, sharpness {:.2}; ",
            pair.seed,
            escape(&pair.data),
            escape(&pair.identity),
            escape(light),
            pair.models[&report.default_model].comparison.face.sharpness
        );
        let _ = match pair.worse {
            Some(why) => write!(page, "worse than the first image ({why}).</p>"),
            None => write!(page, "better than the first image.</p>"),
        };
        let second = &m.seconds[0];
        let error: Vec<u8> =
            second.iter().zip(&m.pair.reference).map(|(a, b)| a.abs_diff(*b).saturating_mul(4)).collect();
        picture(page, &[&m.pair.first, second, &m.pair.reference, &error]);
    }
}

/// Adds a plot with a dot for each pair of a column: the first image to the right, the second image up.
fn scatter(page: &mut String, title: &str, report: &Report, column: &Column, pick: fn(&Scores) -> f64) {
    let points = report.each.iter().filter(|pair| column.has(pair)).map(|pair| {
        let second = &pair.models[&report.default_model].comparison.face;
        (pick(&pair.first.comparison.face), pick(second))
    });
    let points: Vec<(f64, f64)> = points.collect();
    let largest = points.iter().map(|(x, y)| x.max(*y)).fold(1e-6, f64::max);
    let _ = write!(
        page,
        "<svg width=\"{0}\" height=\"{0}\"><rect width=\"{0}\" height=\"{0}\" fill=\"#f4f4f4\"/><line x1=\"0\" y1=\"{0}\" \
         x2=\"{0}\" y2=\"0\" stroke=\"#999\"/><text x=\"6\" y=\"16\">{title} of the second image, 0 to {largest:.3}</text>\
         <text x=\"{1}\" y=\"{1}\" text-anchor=\"end\">{title} of the first image</text>",
        PLOT_PX,
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

fn share(share: f64, interval: Option<[f64; 2]>) -> String {
    let interval = interval.map(|[low, high]| format!(" ({:.0}–{:.0})", low * 100.0, high * 100.0));
    format!("{:.1} %{}", share * 100.0, interval.unwrap_or_default())
}

fn decimal(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{value:.digits$}"))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
