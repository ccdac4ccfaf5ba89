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
    let history = |history| Some(PortraitRealism { history, ..Default::default() });
    let (without, with) = (mean(history(0.0)) / first, mean(history(0.8)) / first);
    println!("warping error {first:.4}; enhanced × {without:.3}, with history × {with:.3}");
    assert!(first > 0.001, "the head turns: {first}");
    assert!(without <= 1.05 && with <= 1.05, "{without}, {with}");
    assert!(with < without, "history steadies: {without}, {with}");
}
