//! Passes of other plugins, ordered around the effect.

use bevy::core_pipeline::schedule::{Core3d, Core3dSystems};
use bevy::core_pipeline::tonemapping::tonemapping;
use bevy::prelude::*;
use bevy::render::RenderApp;
use bevy::render::render_resource::{LoadOp, Operations, RenderPassColorAttachment, RenderPassDescriptor, StoreOp};
use bevy::render::renderer::{RenderContext, ViewQuery};
use bevy::render::view::ViewTarget;
use bevy_portrait_realism::prelude::*;

use super::twins::{ADDED, Twins, difference_at};
use crate::stage::SIZE;

/// A pass of another plugin, which paints the whole frame grey.
fn paint(view: ViewQuery<&ViewTarget>, mut ctx: RenderContext) {
    let target = view.into_inner();
    let grey = LinearRgba::from(Color::srgb(0.4, 0.4, 0.4));
    ctx.command_encoder().begin_render_pass(&RenderPassDescriptor {
        label: Some("paint"),
        color_attachments: &[Some(RenderPassColorAttachment {
            view: target.main_texture_view(),
            depth_slice: None,
            resolve_target: None,
            ops: Operations { load: LoadOp::Clear(grey.into()), store: StoreOp::Store },
        })],
        ..default()
    });
}

#[test]
fn a_pass_ordered_before_the_effect_is_enhanced_and_one_after_it_is_not() {
    for comes_before in [true, false] {
        let mut twins = Twins::new(Msaa::Off, ());
        let paint = paint.in_set(Core3dSystems::PostProcess).after(tonemapping);
        let paint = match comes_before {
            true => paint.before(PortraitRealismSystems::Enhance),
            false => paint.after(PortraitRealismSystems::Enhance),
        };
        twins.app.sub_app_mut(RenderApp).add_systems(Core3d, paint);
        let [first, second] = twins.frames();
        assert!(first.chunks(4).all(|px| px == [102, 102, 102, 255]), "all of it is painted");
        if comes_before {
            let added = difference_at(&first, &second, SIZE / 2);
            assert!((added - ADDED).abs() <= 1.0, "{added} of 255 added to the paint");
        } else {
            assert!(first == second, "painted over");
        }
    }
}
