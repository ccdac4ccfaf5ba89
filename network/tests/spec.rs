//! The promises of a spec: validation names what is wrong, and the computed figures hold for the real forward pass.
#![allow(clippy::unwrap_used)]

use portrait_network::reference::{self, Tensor};
use portrait_network::{Activation, Layer, MAX_LAYERS, Model, Op, Plane, Spec, SpecError, Upsampling};

fn error(change: impl FnOnce(&mut Spec)) -> String {
    let mut spec = Spec::tiny(&[Plane::Color]);
    change(&mut spec);
    spec.validate().unwrap_err().to_string()
}

fn layer<'a>(spec: &'a mut Spec, name: &str) -> &'a mut Layer {
    spec.layers.iter_mut().find(|layer| layer.name == name).unwrap()
}

#[test]
fn shipped_networks_keep_their_budgets() {
    for (spec, budget_macs, parameters) in [(Spec::quality(), 12_000.0, 700_000), (Spec::fast(), 4_000.0, 200_000)] {
        let graph = spec.validate().unwrap();
        assert!(graph.macs_per_px() <= budget_macs, "{}: {}", graph.spec().name, graph.macs_per_px());
        assert!(graph.macs_per_px() > 0.8 * budget_macs, "{}: {}", graph.spec().name, graph.macs_per_px());
        assert!(graph.parameter_count() <= parameters, "{}: {}", graph.spec().name, graph.parameter_count());
        assert_eq!(graph.alignment_px(), 16);
    }
}

#[test]
fn spec_survives_json() {
    let spec = Spec::quality();
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    assert!(serde_json::from_str::<Spec>(&json.replace("\"stride\"", "\"strides\"")).is_err());
}

#[test]
fn wrong_specs_are_refused_by_name() {
    assert!(error(|spec| spec.inputs = vec![Plane::Normal]).contains("`color` first"));
    assert!(error(|spec| spec.inputs.push(Plane::Color)).contains("each plane once"));
    assert!(error(|spec| spec.layers.clear()).contains("0 layers"));
    let many = vec![Layer::new("x", Op::Add); MAX_LAYERS + 1];
    assert!(error(|spec| spec.layers = many).contains("65 layers"));
    assert!(error(|spec| layer(spec, "enc0").name = "input".into()).contains("named \"input\""));
    assert!(error(|spec| layer(spec, "enc0").name = "down1".into()).contains("unique name"));
    assert!(error(|spec| layer(spec, "enc0").name = "Enc 0".into()).contains("a-z"));
    // A layer that reads itself or a later one: a cycle or a dangling skip.
    assert!(error(|spec| layer(spec, "skip1").from[0] = "skip1".into()).contains("no earlier layer"));
    assert!(error(|spec| layer(spec, "skip1").from[1] = "nowhere".into()).contains("`nowhere`"));
    assert!(
        error(|spec| layer(spec, "skip1").from[1] = "enc0".into())
            .contains("grid of a source: expected 1/4, found 1/2")
    );
    assert!(error(|spec| layer(spec, "skip1").from.truncate(1)).contains("sources: expected 2 to 8, found 1"));
    assert!(error(|spec| layer(spec, "lift1").op = Op::Add).contains("layer `lift1`"));
    assert!(
        error(|spec| layer(spec, "unshuffle").op = Op::SpaceToDepth { factor: 3 })
            .contains("factor: expected 2 or 4, found 3")
    );
    let conv = |out_channels, kernel, stride, slope| Op::Conv {
        out_channels,
        kernel,
        stride,
        activation: Activation::LeakyRelu { slope },
    };
    assert!(error(|spec| layer(spec, "enc0").op = conv(8, 5, 1, 0.2)).contains("kernel: expected 1 or 3, found 5"));
    assert!(error(|spec| layer(spec, "enc0").op = conv(8, 3, 3, 0.2)).contains("stride"));
    assert!(error(|spec| layer(spec, "enc0").op = conv(8, 3, 1, f32::NAN)).contains("slope"));
    assert!(error(|spec| layer(spec, "enc0").op = conv(0, 3, 1, 0.2)).contains("channels: expected 1 to 512, found 0"));
    assert!(error(|spec| layer(spec, "enc0").op = conv(1 << 40, 3, 1, 0.2)).contains("channels"));
    assert!(error(|spec| layer(spec, "lift1").op = conv(10, 1, 1, 0.2)).contains("multiple of 4"));
    assert!(
        error(|spec| layer(spec, "head").op = conv(16, 3, 1, 0.2))
            .contains("channels of the source: expected 3, found 4")
    );
    assert!(error(|spec| layer(spec, "output").op = Op::OutputResidual { scale: 0.0 }).contains("scale"));
    assert!(error(|spec| spec.layers.truncate(5)).contains("output_residual"));
    assert!(error(|spec| layer(spec, "enc0").op = Op::OutputResidual { scale: 1.0 }).contains("only there"));
    assert!(matches!(
        Spec {
            layers: vec![Layer::new("up", Op::Upsample { mode: Upsampling::Nearest })],
            ..Spec::tiny(&[Plane::Color])
        }
        .validate(),
        Err(SpecError::Layer { .. })
    ));
}

/// Changes one input pixel and looks how far the output changes.
#[test]
fn receptive_field_bounds_the_influence_of_a_pixel() {
    let mut spec = Spec::tiny(&[Plane::Color]);
    spec.layers.truncate(4);
    spec.layers.extend([
        Layer::new("near1", Op::Upsample { mode: Upsampling::Nearest }),
        Layer::new("join1", Op::Concat).from(&["near1", "enc0"]),
        Layer::conv3x3("head", 12, 1, Activation::None),
        Layer::new("shuffle", Op::Upsample { mode: Upsampling::PixelShuffle }),
        Layer::new("output", Op::OutputResidual { scale: 1.0 }),
    ]);
    let graph = spec.validate().unwrap();
    let field = graph.receptive_field_px() as i64;
    let model = Model::random(graph, 3);
    let size = 96;
    let image = Tensor::from_fn(3, size, size, |c, y, x| ((c * 7 + y * 3 + x * 5) % 17) as f32 / 17.0);
    let before = reference::forward(&model, &image).unwrap();
    let mut widest = 0;
    for at in 44..52 {
        let mut changed = image.clone();
        changed.data[at * size + at] += 0.5;
        let after = reference::forward(&model, &changed).unwrap();
        let touched: Vec<i64> = (0..size)
            .filter(|&x| (0..3).any(|c| (0..size).any(|y| before.at(c, y, x) != after.at(c, y, x))))
            .map(|x| (x as i64 - at as i64).abs())
            .collect();
        widest = widest.max(*touched.iter().max().unwrap());
    }
    assert!((1..field).contains(&widest), "reaches {widest} px, receptive field {field} px");
    assert!(widest * 2 + 1 >= field / 2, "the bound {field} px is far too wide for a reach of {widest} px");
}
