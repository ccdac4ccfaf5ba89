//! Files made to do harm: each is refused by name, and none gets more memory than a few times its own size.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Mutex, MutexGuard};

use peak_alloc::PeakAlloc;
use portrait_network::{Activation, Dtype, Layer, Model, Op, Plane, Spec};
use serde_json::{Value, json};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Maximum memory that reading any of these files may ask for, in bytes. The largest file has 300 kB.
const CAP_BYTES: usize = 4 << 20;

/// Lets one test run at a time: all share the allocator.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

/// Checks that a reader fails with an error that holds `parts`, within [`CAP_BYTES`].
#[track_caller]
fn refused<T, E: ToString>(read: impl FnOnce() -> Result<T, E>, parts: &[&str]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let error = read().err().expect("it was accepted").to_string();
    let peak = MEMORY.peak_usage() - before;
    assert!(peak <= CAP_BYTES, "{peak} bytes at once for: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

/// Makes a safetensors file with this header and so many bytes of data, all of them 0.
fn file(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data_bytes, 0);
    file
}

/// Makes the smallest network that there is: `a.weight` `[3, 3, 1, 1]` and `a.bias` `[3]`.
fn smallest() -> Spec {
    let layers = vec![Layer::conv1x1("a", 3, Activation::None), Layer::new("out", Op::OutputResidual { scale: 0.2 })];
    Spec { name: "smallest".into(), inputs: vec![Plane::Color], layers }
}

/// Makes the header of the smallest network's file, F32.
fn header() -> Value {
    json!({
        "__metadata__": {
            "portrait_network.format": "1",
            "portrait_network.spec": serde_json::to_string(&smallest()).unwrap(),
            "portrait_network.provenance": "{}",
            "portrait_network.recommended": "{}",
        },
        "a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "a.weight": {"dtype": "F32", "shape": [3, 3, 1, 1], "data_offsets": [12, 48]},
    })
}

/// Makes the header of the smallest network's file with one value replaced.
fn with(pointer: &str, value: Value) -> String {
    let mut header = header();
    *header.pointer_mut(pointer).unwrap() = value;
    header.to_string()
}

#[test]
fn the_header_that_the_others_are_made_of_is_good() {
    let _alone = alone();
    assert_eq!(Model::from_bytes(&file(&header().to_string(), 48)).unwrap().graph().spec(), &smallest());
}

#[test]
fn headers_that_claim_huge_sizes_are_refused() {
    let _alone = alone();
    let container = "not a whole safetensors file";
    for length in [u64::MAX, 1 << 63, 1 << 40, 99_000_000] {
        let mut claim = file(&header().to_string(), 48);
        claim[..8].copy_from_slice(&length.to_le_bytes());
        refused(|| Model::from_bytes(&claim), &[container, "copy or export it again"]);
    }
    let huge = u64::MAX / 2;
    for (pointer, value) in [
        ("/a.weight/data_offsets", json!([12, huge])),
        ("/a.weight/data_offsets", json!([huge, huge + 36])),
        ("/a.weight/shape", json!([huge, huge, 1, 1])),
        ("/a.weight/shape", json!([1_u64 << 40, 3, 1, 1])),
        ("/a.weight/shape", json!([-3, -3, 1, 1])),
    ] {
        let claim = file(&with(pointer, value), 48);
        refused(|| Model::from_bytes(&claim), &[container]);
    }
    let shapes = json!(vec![1; 100_000]);
    refused(|| Model::from_bytes(&file(&with("/a.weight/shape", shapes), 48)), &[container]);
}

#[test]
fn tensors_that_overlap_or_leave_gaps_are_refused() {
    let _alone = alone();
    // One tensor inside the other, one in the other's place, one before its own end, a gap, and bytes of nobody.
    for (pointer, offsets) in [
        ("/a.bias/data_offsets", [12, 24]),
        ("/a.weight/data_offsets", [0, 36]),
        ("/a.weight/data_offsets", [8, 44]),
        ("/a.weight/data_offsets", [48, 12]),
        ("/a.weight/data_offsets", [16, 52]),
    ] {
        let overlapping = file(&with(pointer, json!(offsets)), 60);
        refused(|| Model::from_bytes(&overlapping), &["not a whole safetensors file"]);
    }
    let loose = file(&header().to_string(), 60);
    refused(|| Model::from_bytes(&loose), &["not a whole safetensors file"]);
}

#[test]
fn weights_that_are_no_finite_numbers_are_refused_at_their_place() {
    let _alone = alone();
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut single = file(&header().to_string(), 48);
        let at = single.len() - 8;
        single[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let parts = [&format!("`a.weight` holds {word} at 7"), "expected finite numbers", "diverged"];
        refused(|| Model::from_bytes(&single), &parts.map(|part| part as &str));
        let mut half = Model::random(smallest().validate().unwrap(), 1).to_bytes(Dtype::F16).unwrap();
        let at = half.len() - 2;
        half[at..].copy_from_slice(&half_of(value));
        refused(|| Model::from_bytes(&half), &[&format!("holds {word} at 8")]);
    }
    let mut model = Model::random(smallest().validate().unwrap(), 1);
    model.provenance.metrics.insert("l1".into(), f64::NAN);
    refused(|| model.to_bytes(Dtype::F32), &["`l1` is NaN", "expected a finite number"]);
}

/// Rounds to half precision by sign, exponent and uppermost bits of the fraction: enough for what is not finite.
fn half_of(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    (((bits >> 16 & 0x8000) | 0x7c00 | (bits >> 13 & 0x3ff)) as u16).to_le_bytes()
}

#[test]
fn json_that_is_deep_or_long_is_refused() {
    let _alone = alone();
    let deep = "[".repeat(100_000);
    refused(|| Model::from_bytes(&file(&deep, 0)), &["not a whole safetensors file"]);
    for key in ["portrait_network.spec", "portrait_network.provenance", "portrait_network.recommended"] {
        for text in [deep.clone(), format!(r#"{{"layers":{deep}"#), r#"{"op":"#.repeat(50_000)] {
            let nested = file(&with(&format!("/__metadata__/{key}"), json!(text)), 48);
            refused(|| Model::from_bytes(&nested), &[key, "not valid"]);
        }
    }
    let layers = vec![Layer::new("x", Op::Add); 5_000];
    let long = serde_json::to_string(&Spec { layers, ..smallest() }).unwrap();
    let long = file(&with("/__metadata__/portrait_network.spec", json!(long)), 48);
    refused(|| Model::from_bytes(&long), &["5000 layers: expected 1 to 64"]);
}

#[test]
fn specs_that_ask_for_too_much_or_read_what_is_not_there_are_refused_by_layer() {
    let _alone = alone();
    let spec = |change: &dyn Fn(&mut Vec<Layer>)| {
        let mut spec = Spec::tiny(&[Plane::Color]);
        change(&mut spec.layers);
        move || spec.validate()
    };
    let index = |layers: &[Layer], name: &str| layers.iter().position(|layer| layer.name == name).unwrap();
    let reads = |name: &'static str, sources: &'static [&'static str]| {
        move |layers: &mut Vec<Layer>| {
            let at = index(layers, name);
            layers[at] = layers[at].clone().from(sources);
        }
    };
    // Itself, a later layer that reads it (a cycle), one that does not exist, and the input by another name.
    for (name, from) in [("skip1", "skip1"), ("down1", "skip1"), ("skip0", "nowhere"), ("enc0", "Input")] {
        let sources: &'static [&'static str] = Box::leak(Box::new([from]));
        let parts =
            [&format!("layer `{name}` reads `{from}`"), "no earlier layer", "list layers in the order they run"];
        refused(spec(&reads(name, sources)), &parts.map(|part| part as &str));
    }
    for out_channels in [0, 513, 1 << 40, usize::MAX] {
        let wide = spec(&|layers| layers.insert(0, Layer::conv3x3("wide", out_channels, 1, Activation::None)));
        let found = format!("layer `wide`: channels: expected 1 to 512, found {out_channels}");
        refused(wide, &[&found]);
    }
    for factor in [0, 3, 1 << 20, usize::MAX] {
        let deep = spec(&|layers| layers[0].op = Op::SpaceToDepth { factor });
        refused(deep, &["layer `unshuffle`: factor: expected 2 or 4"]);
    }
    let many: &'static [&'static str] = Box::leak(vec!["enc0"; 10_000].into_boxed_slice());
    refused(spec(&reads("skip0", many)), &["layer `skip0`: sources: expected 2 to 8, found 10000"]);
    let wider = spec(&|layers| {
        layers.truncate(1);
        layers.extend((0..5).map(|at| Layer::new(&format!("down{at}"), Op::SpaceToDepth { factor: 4 })));
    });
    refused(wider, &["layer `down1`: channels: expected 1 to 512, found 3072"]);
}

#[test]
fn numbers_that_are_none_of_a_spec_are_refused() {
    let _alone = alone();
    let good = serde_json::to_string(&smallest()).unwrap();
    for (from, to) in [
        (r#""out_channels":3"#, r#""out_channels":1e30"#),
        (r#""out_channels":3"#, r#""out_channels":-3"#),
        (r#""out_channels":3"#, r#""out_channels":18446744073709551616"#),
        (r#""scale":0.2"#, r#""scale":1e999"#),
        (r#""scale":0.2"#, r#""scale":1e300"#),
        (r#""scale":0.2"#, r#""scale":-1.0"#),
        (r#""scale":0.2"#, r#""scale":null"#),
    ] {
        assert!(good.contains(from), "{from} is not in {good}");
        let changed = file(&with("/__metadata__/portrait_network.spec", json!(good.replace(from, to))), 48);
        refused(|| Model::from_bytes(&changed), &["header"]);
    }
}
