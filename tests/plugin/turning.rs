//! The demo's turning head, enhanced by the weights that ship.

use bevy_portrait_realism::prelude::*;

use crate::turning_head::Turning;

#[test]
fn turning_head_flickers_no_more_than_without_the_effect() {
    let mut turning = Turning::new(192).expect("the demo");
    let mut mean = |settings| {
        let errors = turning.errors(settings, 8).expect("frames");
        errors.iter().sum::<f64>() / errors.len() as f64
    };
    let first = mean(None);
    println!("warping error of the first image {first:.4}");
    assert!(first > 0.001, "the head turns: {first}");
    for model in [PortraitModel::QUALITY, PortraitModel::FAST] {
        let mut ratio = |history| {
            let model = model.clone();
            mean(Some(PortraitRealism { history, model, ..Default::default() })) / first
        };
        let (without, with) = (ratio(0.0), ratio(0.8));
        println!("{model:?}: enhanced × {without:.3}, with history × {with:.3}");
        assert!(without <= 1.05 && with <= 1.05, "{model:?}: {without}, {with}");
        assert!(with < without, "history steadies {model:?}: {without}, {with}");
    }
}
