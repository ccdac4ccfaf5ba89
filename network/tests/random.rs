//! Properties of every network and of every file.
#![allow(clippy::unwrap_used)]

mod random_spec;

use portrait_network::reference::{Tensor, forward};
use portrait_network::{Dtype, Model, Spec};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_random_spec_is_a_network_that_runs(bytes in vec(any::<u8>(), 0..120), seed: u64, width in 1_usize..20, height in 1_usize..20) {
        let spec = random_spec::spec(&bytes);
        let graph = spec.validate().unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
        let model = Model::random(graph, seed);
        let planes = Tensor::from_fn(model.graph().spec().input_channels(), height, width, |c, y, x| ((c + 3 * y + 5 * x) % 7) as f32 / 7.0);
        let second = forward(&model, &planes).unwrap();
        prop_assert_eq!((second.channels, second.height, second.width), (3, height, width));
        let file = model.to_bytes(Dtype::F32).unwrap();
        prop_assert_eq!(Model::from_bytes(&file).unwrap(), model);
    }

    #[test]
    fn damaged_files_are_refused_or_hold_a_network(
        seed: u64,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = Model::random(random_spec::spec(&seed.to_le_bytes()).validate().unwrap(), seed).to_bytes(Dtype::F16).unwrap();
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        match Model::from_bytes(&file) {
            Ok(model) => prop_assert!(model.convs().iter().all(|conv| conv.weight.iter().all(|value| value.is_finite()))),
            // What is wrong is said in words.
            Err(error) => prop_assert!(error.to_string().len() > 10),
        }
    }
}
