use portrait_network::{Plane, Source, Spec};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::inference::test_networks::every_op;
use crate::inference::variant::ActivationFormat;

proptest! {
    #[test]
    fn no_tensor_of_a_random_network_is_overwritten_while_it_is_needed(
        bytes in vec(any::<u8>(), 0..160),
        (width, height) in (1_u32..200, 1_u32..200),
    ) {
        let graph = random_spec::spec(&bytes).validate().unwrap();
        for variant in [KernelVariant::EXACT, KernelVariant::CPU] {
            assert_no_live_overlap(&graph, &Plan::new(&graph, UVec2::new(width, height), variant, WeightFormat::F32));
        }
    }
}

/// Who wrote each buffer last, replayed: every step must find the tensors it expects.
fn assert_no_live_overlap(graph: &Graph, plan: &Plan) {
    let mut holds: Vec<Option<Source>> = vec![None; plan.buffer_bytes.len()];
    holds[plan.input] = Some(Source::Input);
    let mut steps = plan.steps.iter().peekable();
    for (index, (layer, node)) in graph.spec().layers.iter().zip(graph.nodes()).enumerate() {
        let span = format!("{SPAN_PREFIX}{}", layer.name);
        if matches!(layer.op, Op::OutputResidual { .. }) {
            assert_eq!(holds[plan.residual], Some(node.sources[0]), "residual");
            continue;
        }
        if index == 0 && plan.input_is_unshuffled {
            holds[plan.input] = Some(Source::Layer(0));
            continue;
        }
        let Some(epilogue) = epilogues(graph)[index] else { continue };
        let mut read = Vec::new();
        let mut target = None;
        while let Some(step) = steps.next_if(|step| step.span == span) {
            assert!(!step.sources.contains(&step.target), "{span} reads what it writes");
            let count = if step.kernel.reads_both() { 2 } else { 1 };
            read.extend(step.sources[..count].iter().map(|&buffer| holds[buffer]));
            target = Some(step.target);
        }
        let expected = node.sources.iter().copied().chain(epilogue.adds.map(Source::Layer));
        assert_eq!(read, expected.map(Some).collect::<Vec<_>>(), "{span}");
        holds[target.expect("a step")] = Some(Source::Layer(epilogue.makes));
    }
    assert!(steps.next().is_none());
}

#[test]
fn no_tensor_is_overwritten_while_it_is_needed() {
    let specs = [Spec::quality(), Spec::tiny(&[Plane::Color, Plane::Depth]), every_op()];
    for spec in specs {
        let graph = spec.validate().unwrap();
        for size in [UVec2::ONE, UVec2::new(7, 5), UVec2::new(512, 288)] {
            assert_no_live_overlap(&graph, &Plan::new(&graph, size, KernelVariant::EXACT, WeightFormat::F32));
        }
    }
}

#[test]
fn every_tensor_fits_its_buffer_at_every_smaller_size() {
    let graph = every_op().validate().unwrap();
    let plan = Plan::new(&graph, UVec2::new(70, 33), KernelVariant::EXACT, WeightFormat::F32);
    assert_eq!(plan.capacity_px, UVec2::new(72, 40));
    for size in [UVec2::ONE, UVec2::new(7, 5), UVec2::new(70, 33), UVec2::new(72, 1)] {
        assert!(plan.fits(size));
        let padded = plan.padded_px(size);
        assert!(Grid::new(7, 1).bytes(padded, ActivationFormat::F32) <= plan.buffer_bytes[plan.input]);
        for step in &plan.steps {
            assert!(
                step.target_grid.bytes(padded, ActivationFormat::F32) <= plan.buffer_bytes[step.target],
                "{step:?}"
            );
            assert!(step.workgroups(padded).iter().all(|&count| count > 0), "{step:?}");
        }
    }
    assert!(!plan.fits(UVec2::new(73, 1)));
}

#[test]
fn what_is_copied_fits_its_buffer_and_its_texture_at_every_smaller_size() {
    let capacity = UVec2::new(300, 200);
    for spec in [every_op(), Spec::quality()] {
        let graph = spec.validate().unwrap();
        let plan = Plan::new(&graph, capacity, KernelVariant::CPU, WeightFormat::F16);
        for size in [UVec2::ONE, UVec2::new(7, 5), capacity] {
            let padded = plan.padded_px(size);
            for step in &plan.steps {
                let rows = step.texture_rows(padded);
                let is_conv = matches!(step.kernel, Kernel::Conv { .. });
                assert_eq!(rows.map(|rows| rows > 0), [is_conv, is_conv && step.kernel.reads_both()], "{step:?}");
                for ((rows, most), source) in rows.into_iter().zip(plan.texture_heights).zip(step.sources) {
                    assert!(rows <= most, "{step:?}");
                    assert!(u64::from(rows * ROW_BYTES) <= plan.buffer_bytes[source], "{step:?}");
                }
                let source_bytes = step.source_grid.bytes(padded, ActivationFormat::F16);
                assert!(!is_conv || u64::from(rows[0] * ROW_BYTES) >= source_bytes, "{step:?}");
            }
        }
        let buffers: u64 = plan.buffer_bytes.iter().sum();
        assert!(plan.scratch_bytes() > buffers, "the textures count as well");
        let others = Plan::new(&graph, capacity, KernelVariant::EXACT, WeightFormat::F16);
        assert_eq!(others.texture_heights, [0; 2]);
    }
}

#[test]
fn odd_sizes_are_padded_to_the_alignment() {
    let graph = Spec::quality().validate().unwrap();
    let plan = Plan::new(&graph, UVec2::new(33, 65), KernelVariant::EXACT, WeightFormat::F32);
    let params = plan.steps[0].params(plan.padded_px(UVec2::new(33, 65)));
    assert_eq!(plan.padded_px(UVec2::new(33, 65)), UVec2::new(48, 80));
    assert_eq!((params.source_size_px, params.target_size_px), (UVec2::new(24, 40), UVec2::new(24, 40)));
}

#[test]
fn sharing_saves_most_of_the_memory() {
    // Measured at 256²; a change of the planner that costs memory shall be noticed.
    for (spec, most_bytes) in [(Spec::fast(), 2_751_936), (Spec::quality(), 4_983_552)] {
        let graph = spec.validate().unwrap();
        for (activations, most_bytes) in [(ActivationFormat::F32, most_bytes), (ActivationFormat::F16, most_bytes / 2)]
        {
            let variant = KernelVariant { activations, ..KernelVariant::EXACT };
            let plan = Plan::new(&graph, UVec2::splat(256), variant, WeightFormat::F32);
            let bytes = |step: &Step| step.target_grid.bytes(plan.capacity_px, activations);
            let each_its_own: u64 = plan.steps.iter().map(bytes).sum();
            assert!(plan.scratch_bytes() * 2 < each_its_own, "{} of {each_its_own}", plan.scratch_bytes());
            assert!(plan.scratch_bytes() <= most_bytes, "{}: {}", graph.spec().name, plan.scratch_bytes());
        }
        let large = Plan::new(&graph, UVec2::splat(512), KernelVariant::EXACT, WeightFormat::F32);
        assert!(large.scratch_bytes() <= 48_000_000, "{} at 512² in f32", large.scratch_bytes());
    }
}

#[test]
fn concatenated_sources_lie_one_behind_the_other() {
    let graph = every_op().validate().unwrap();
    let plan = Plan::new(&graph, UVec2::splat(8), KernelVariant::EXACT, WeightFormat::F32);
    let first_planes: Vec<u32> =
        plan.steps.iter().filter(|step| step.kernel == Kernel::Copy).map(|step| step.first_plane).collect();
    assert_eq!(first_planes, [0, 3, 6]);
}
