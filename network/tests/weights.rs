//! The weights file: exact round trips, and an error that names the thing for whatever is wrong with it.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use portrait_network::{ConvWeights, Dtype, Model, Plane, Provenance, Recommended, Spec, WeightsError};

fn model() -> Model {
    let mut model = Model::random(Spec::tiny(&[Plane::Color, Plane::Normal, Plane::Depth]).validate().unwrap(), 7);
    model.provenance = Provenance {
        config_sha256: "ab".into(),
        commit: "cd".into(),
        data_seeds: "0..160".into(),
        steps: 12,
        metrics: [("l1".to_string(), 0.25)].into(),
    };
    model.recommended = Recommended { base: 1.25, detail: 0.5 };
    model
}

/// Makes a good file with one change to its header and tensors.
fn rewritten(change: impl FnOnce(&mut HashMap<String, String>, &mut Vec<(String, Vec<usize>, Vec<u8>)>)) -> Vec<u8> {
    use safetensors::SafeTensors;
    use safetensors::tensor::TensorView;
    let bytes = model().to_bytes(Dtype::F32).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut header = header.metadata().clone().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> =
        file.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec())).collect();
    change(&mut header, &mut tensors);
    let views = tensors.iter().map(|(name, shape, data)| {
        let dtype = if data.len() == shape.iter().product::<usize>() * 4 {
            safetensors::Dtype::F32
        } else {
            safetensors::Dtype::F64
        };
        (name, TensorView::new(dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views.collect::<Vec<_>>(), Some(header)).unwrap()
}

fn error(bytes: &[u8]) -> String {
    Model::from_bytes(bytes).unwrap_err().to_string()
}

#[test]
fn f32_round_trip_is_exact_and_f16_rounds() {
    let model = model();
    assert_eq!(Model::from_bytes(&model.to_bytes(Dtype::F32).unwrap()).unwrap(), model);
    let rounded = Model::from_bytes(&model.to_bytes(Dtype::F16).unwrap()).unwrap();
    for (a, b) in model.convs().iter().zip(rounded.convs()) {
        for (a, b) in a.weight.iter().chain(&a.bias).zip(b.weight.iter().chain(&b.bias)) {
            assert!((a - b).abs() <= a.abs() / 1024.0 + 1e-7, "{a} became {b}");
        }
    }
}

#[test]
fn weights_too_large_for_f16_are_refused_there_and_exact_in_f32() {
    let mut convs = model().convs().to_vec();
    convs[1].bias[2] = -65520.0;
    let model = Model::new(model().graph().clone(), convs, Provenance::default()).unwrap();
    assert_eq!(model.recommended, Recommended::default());
    assert_eq!(Model::from_bytes(&model.to_bytes(Dtype::F32).unwrap()).unwrap(), model);
    let error = model.to_bytes(Dtype::F16).unwrap_err().to_string();
    let name = model.graph().convs().nth(1).unwrap().name;
    assert!(error.contains(&format!("{name}.bias")) && error.contains("-65520 at 2"), "{error}");
}

#[test]
fn truncated_and_foreign_files_are_refused() {
    let bytes = model().to_bytes(Dtype::F32).unwrap();
    for length in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(error(&bytes[..length]).contains("not a whole safetensors file"), "at {length} bytes");
    }
    assert!(error(b"this is a text file, and no network at all").contains("not a whole safetensors file"));
}

#[test]
fn wrong_headers_are_refused_by_name() {
    assert!(error(&rewritten(|header, _| header.clear())).contains("portrait_network.format"));
    let format = rewritten(|header, _| drop(header.insert("portrait_network.format".into(), "9".into())));
    assert!(error(&format).contains("format \"9\""));
    let json = rewritten(|header, _| drop(header.insert("portrait_network.spec".into(), "{".into())));
    assert!(error(&json).contains("portrait_network.spec"));
    let spec = rewritten(|header, _| {
        let spec = header["portrait_network.spec"].replace("\"kernel\":3", "\"kernel\":7");
        header.insert("portrait_network.spec".into(), spec);
    });
    assert!(error(&spec).contains("kernel: expected 1 or 3, found 7"));
}

#[test]
fn recommended_settings_are_optional_and_bounded_in_reading_and_writing() {
    let with =
        |text: &str| rewritten(|header, _| drop(header.insert("portrait_network.recommended".into(), text.into())));
    let without = rewritten(|header, _| drop(header.remove("portrait_network.recommended").unwrap()));
    let read = |bytes: &[u8]| Model::from_bytes(bytes).unwrap().recommended;
    assert_eq!(read(&without), Recommended { base: 1.0, detail: 1.0 });
    assert_eq!(read(&with("{}")), Recommended { base: 1.0, detail: 1.0 });
    assert_eq!(read(&with(r#"{"detail":0}"#)), Recommended { base: 1.0, detail: 0.0 });
    assert_eq!(read(&with(r#"{"base":2}"#)), Recommended { base: 2.0, detail: 1.0 });
    for (name, value, found) in [("base", "2.001", "2.001"), ("detail", "-0.1", "-0.1"), ("detail", "1e60", "inf")] {
        let found = format!("recommended `{name}` is {found}: expected 0 to 2");
        let error = error(&with(&format!(r#"{{"{name}":{value}}}"#)));
        assert!(error.contains(&found), "{error}");
    }
    for text in [r#"{"details":1}"#, r#"{"detail":null}"#, r#"{"detail":"1"}"#, "[0.5,0.5,0.5]", "0.5", ""] {
        assert!(error(&with(text)).contains("`portrait_network.recommended` is not valid"), "{text}");
    }
    for value in [f32::NAN, f32::INFINITY, -1.0] {
        let mut model = model();
        model.recommended.base = value;
        let error = model.to_bytes(Dtype::F16).unwrap_err();
        assert!(matches!(error, WeightsError::Recommended { name: "base", .. }), "{error}");
    }
}

#[test]
fn wrong_tensors_are_refused_by_name() {
    let at = |tensors: &[(String, Vec<usize>, Vec<u8>)], name: &str| {
        tensors.iter().position(|tensor| tensor.0 == name).unwrap()
    };
    let missing = rewritten(|_, tensors| drop(tensors.remove(at(tensors, "mid0.weight"))));
    assert!(error(&missing).contains("`mid0.weight` is missing: expected shape [12, 12, 3, 3]"));
    let extra = rewritten(|_, tensors| tensors.push(("extra".into(), vec![1], vec![0; 4])));
    assert!(error(&extra).contains("`extra` belongs to no layer"));
    let reshaped = rewritten(|_, tensors| {
        let index = at(tensors, "mid0.weight");
        tensors[index].1 = vec![12, 3, 3, 12];
    });
    assert!(error(&reshaped).contains("expected shape [12, 12, 3, 3], found [12, 3, 3, 12]"));
    let double = rewritten(|_, tensors| {
        let index = at(tensors, "head.bias");
        tensors[index].2 = vec![0; 12 * 8];
    });
    assert!(error(&double).contains("expected F32 or F16, found F64"));
    let nan = rewritten(|_, tensors| {
        let index = at(tensors, "enc0.weight");
        tensors[index].2[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(error(&nan).contains("`enc0.weight` holds NaN at 2"));
}

#[test]
fn a_model_cannot_be_built_from_weights_that_do_not_fit() {
    let good = model();
    let build = |convs: Vec<ConvWeights>| Model::new(good.graph().clone(), convs, Provenance::default()).unwrap_err();
    assert!(matches!(build(Vec::new()), WeightsError::Missing { .. }));
    let mut short = good.convs().to_vec();
    short[2].weight.pop();
    assert!(matches!(build(short), WeightsError::Shape { .. }));
    let mut infinite = good.convs().to_vec();
    infinite[1].bias[0] = f32::INFINITY;
    assert!(matches!(build(infinite), WeightsError::NonFinite { .. }));
    let mut long = good.convs().to_vec();
    long.push(long[0].clone());
    assert!(matches!(build(long), WeightsError::Unexpected { .. }));
}
