//! Blender's lamps as Bevy's, in the same radiance units: disk area lights as spot lights, point lights, spot lights and suns as such.
//!
//! Every unit here is radiometric, as in Cycles, and the camera's exposure is one: what Bevy calls lumens and candela
//! are watts and watts per steradian, and a pixel's value is radiance.

use bevy::camera::Exposure;
use bevy::color::{Color, LinearRgba};
use bevy::ecs::entity::Entity;
use bevy::ecs::hierarchy::ChildOf;
use bevy::ecs::world::World;
use bevy::light::{CascadeShadowConfigBuilder, DirectionalLight, PointLight, SpotLight};
use bevy::math::Vec3;
use bevy::transform::components::Transform;

use crate::rendering::Rendering;
use crate::scene::{Light, Scene};

/// Minimum range of a light, in metres: far beyond any studio, so that Bevy's range window does not darken it.
const RANGE_M: f32 = 50.0;
/// Range of a light over its distance to the face, where that is more: a game's own lamps may stand far away.
const RANGE_OVER_DISTANCE: f32 = 10.0;
/// Maximum angle of a light's cone, in radians: a shadow map's frustum must stay below a right angle.
const WIDEST_CONE: f32 = 1.2;
/// Factor by which the cone is wider than the scene.
const CONE_MARGIN: f32 = 1.1;
/// Shadow bias towards the light, in metres, to which a share of a shadow map's texel is added. Bevy's default of 0.02 m is as large as a
/// nose is high, and light leaks around it; with much less than a texel, surfaces shade themselves in stripes.
const SHADOW_DEPTH_BIAS_M: f32 = 0.0005;
/// Share of a shadow map's texel that is added to the shadow bias towards the light.
const SHADOW_DEPTH_BIAS_TEXELS: f32 = 0.7;
/// Shadow bias along the normal, in texels of the shadow map.
const SHADOW_NORMAL_BIAS_TEXELS: f32 = 1.0;
/// Minimum distance behind the face that a sun's shadows reach, in metres: to the shoulders, or to a room.
const SUN_SHADOW_M: f32 = 0.7;
/// Share of Bevy's ambient light that a white surface reflects: its approximation of reflection at roughness 1 (`F_AB` in
/// `pbr_lighting.wgsl`) is 0.468 − 1.04 · 0.015 from every side, where a matte surface reflects all.
const AMBIENT_REFLECTION: f32 = 0.4524;

/// A sphere around everything that is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Centre, in metres.
    pub center: Vec3,
    /// Radius, in metres.
    pub radius_m: f32,
}

/// Returns the exposure at which Bevy multiplies radiance by 1: `exp2(-ev100) / 1.2 = 1`.
pub fn unit_exposure() -> Exposure {
    Exposure { ev100: -1.2_f32.log2() }
}

/// Spawns a lamp of a scene, `gain` times as bright, with the shadows that the scene's rendering asks for.
pub fn spawn(world: &mut World, stage: Entity, light: &Light, scene: &Scene, bounds: &Bounds, gain: f32) -> Entity {
    let rendering = &scene.rendering;
    let face = Vec3::from(scene.face.center);
    match light.kind.as_str() {
        "sun" => {
            let distance_m = face.distance(Vec3::from(scene.camera.position)) + SUN_SHADOW_M.max(bounds.radius_m);
            let cascades = CascadeShadowConfigBuilder {
                num_cascades: 1,
                minimum_distance: scene.camera.near_m,
                maximum_distance: distance_m,
                ..Default::default()
            };
            let seen_m = 2.0 * distance_m * (scene.camera.fov_y_rad / 2.0).tan();
            let bias_m = depth_bias_m(seen_m.max(distance_m - scene.camera.near_m), rendering);
            world.spawn((sun(light, rendering, gain, bias_m), cascades.build(), ChildOf(stage))).id()
        }
        "point" => {
            let distance_m = face.distance(Vec3::from(light.position));
            world.spawn((point_light(light, rendering, gain, distance_m), ChildOf(stage))).id()
        }
        "spot" => {
            let (mut lamp, transform) = cone_light(light, face);
            let width_m = 2.0 * face.distance(Vec3::from(light.position)) * lamp.outer_angle.tan();
            lamp.shadow_depth_bias = depth_bias_m(width_m, rendering);
            lamp.intensity *= gain;
            lamp.shadow_maps_enabled = rendering.shadows;
            lamp.contact_shadows_enabled = rendering.contact_shadows;
            world.spawn((lamp, transform, ChildOf(stage))).id()
        }
        _ => {
            let mut lamp = spot_light(light, face, bounds);
            let width_m = 2.0 * face.distance(Vec3::from(light.position)) * lamp.0.outer_angle.tan();
            lamp.0.shadow_depth_bias = depth_bias_m(width_m, rendering);
            lamp.0.intensity *= gain;
            lamp.0.shadow_maps_enabled = rendering.shadows;
            lamp.0.contact_shadows_enabled = rendering.contact_shadows;
            world.spawn((lamp, ChildOf(stage))).id()
        }
    }
}

/// The depth bias for a shadow map that is as wide as this at the face.
fn depth_bias_m(width_m: f32, rendering: &Rendering) -> f32 {
    SHADOW_DEPTH_BIAS_M + SHADOW_DEPTH_BIAS_TEXELS * width_m / rendering.shadow_map_px as f32
}

/// The range at which Bevy's window takes less than 0.1 % of the light from a face at this distance.
fn range_m(distance_m: f32) -> f32 {
    RANGE_M.max(RANGE_OVER_DISTANCE * distance_m)
}

fn color(light: &Light) -> Color {
    let [r, g, b] = light.color_linear;
    Color::LinearRgba(LinearRgba::rgb(r, g, b))
}

/// Makes the directional light of a sun. Bevy's lux are W/m² here.
fn sun(light: &Light, rendering: &Rendering, gain: f32, bias_m: f32) -> (DirectionalLight, Transform) {
    let direction = Vec3::from(light.direction).normalize();
    let sun = DirectionalLight {
        color: color(light),
        illuminance: light.irradiance_w_m2 * gain,
        shadow_maps_enabled: rendering.shadows,
        contact_shadows_enabled: rendering.contact_shadows,
        shadow_depth_bias: bias_m,
        shadow_normal_bias: SHADOW_NORMAL_BIAS_TEXELS,
        ..Default::default()
    };
    (sun, Transform::default().looking_to(direction, direction.any_orthonormal_vector()))
}

/// Makes the point light of a small ball at this distance from the face. A ball of flux Φ has the radiant intensity Φ / 4π, which is
/// what Bevy makes of lumens.
fn point_light(light: &Light, rendering: &Rendering, gain: f32, distance_m: f32) -> (PointLight, Transform) {
    let lamp = PointLight {
        color: color(light),
        intensity: light.power_w * gain,
        range: range_m(distance_m),
        shadow_maps_enabled: rendering.shadows,
        contact_shadows_enabled: rendering.contact_shadows,
        // A face of the cube is seen at a right angle.
        shadow_depth_bias: depth_bias_m(2.0 * distance_m, rendering),
        shadow_normal_bias: SHADOW_NORMAL_BIAS_TEXELS,
        ..Default::default()
    };
    (lamp, Transform::from_translation(light.position.into()))
}

/// Makes the spot light of a small ball that shines in a cone alone, onto a face. Inside the cone it is a point light, whose lumens Bevy
/// does not gather; towards the cone's edge both engines fall off alike, as glTF asks for.
fn cone_light(light: &Light, face: Vec3) -> (SpotLight, Transform) {
    let (position, direction) = (Vec3::from(light.position), Vec3::from(light.direction).normalize());
    let lamp = SpotLight {
        color: color(light),
        intensity: light.power_w,
        range: range_m(face.distance(position)),
        shadow_maps_enabled: true,
        shadow_depth_bias: SHADOW_DEPTH_BIAS_M,
        shadow_normal_bias: SHADOW_NORMAL_BIAS_TEXELS,
        inner_angle: light.inner_angle_rad,
        outer_angle: light.outer_angle_rad,
        ..Default::default()
    };
    (lamp, Transform::from_translation(position).looking_to(direction, direction.any_orthonormal_vector()))
}

/// Returns the brightness of ambient light under which a matte surface is as bright as under an even sky of radiance `sky`.
pub fn ambient_brightness(sky: f32) -> f32 {
    sky / AMBIENT_REFLECTION
}

/// Makes the spot light that gives `target` the irradiance of the disk.
///
/// A disk of flux Φ and radius R shines the radiance Φ / (π · πR²); on its axis, at the distance d, that makes the
/// irradiance Φ / (π (d² + R²)). Bevy's spot light makes lumens / (4π d²). Hence lumens = 4 Φ d² / (d² + R²). The cone
/// covers the scene with full intensity; the cosine of a disk across a head is within 1 %. Its radius stays 0, as most games
/// leave it: with a disk's, Bevy's normalisation (Karis 2013) takes half of the highlight on skin away.
fn spot_light(area: &Light, target: Vec3, bounds: &Bounds) -> (SpotLight, Transform) {
    let position = Vec3::from(area.position);
    let direction = Vec3::from(area.direction).normalize();
    let radius_m = area.diameter_m / 2.0;
    let distance_squared = position.distance_squared(target);
    let intensity = 4.0 * area.power_w * distance_squared / (distance_squared + radius_m * radius_m).max(1e-9);
    let towards = bounds.center - position;
    let off_axis = direction.angle_between(towards);
    let covered = (bounds.radius_m / towards.length().max(1e-6)).min(1.0).asin();
    let inner_angle = ((off_axis + covered) * CONE_MARGIN).min(WIDEST_CONE);
    let light = SpotLight {
        color: color(area),
        intensity,
        range: RANGE_M,
        shadow_maps_enabled: true,
        shadow_depth_bias: SHADOW_DEPTH_BIAS_M,
        shadow_normal_bias: SHADOW_NORMAL_BIAS_TEXELS,
        inner_angle,
        outer_angle: inner_angle * 1.05,
        ..Default::default()
    };
    (light, Transform::from_translation(position).looking_to(direction, direction.any_orthonormal_vector()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(diameter_m: f32) -> Light {
        Light {
            kind: "area".into(),
            name: "Key".into(),
            position: [0.0, 0.0, 2.0],
            direction: [0.0, 0.0, -1.0],
            diameter_m,
            power_w: 10.0,
            color_linear: [1.0; 3],
            ..Default::default()
        }
    }

    #[test]
    fn irradiance_at_the_target_is_the_disks() {
        let bounds = Bounds { center: Vec3::ZERO, radius_m: 0.3 };
        for diameter_m in [0.0, 0.5, 1.5_f32] {
            let (light, _) = spot_light(&disk(diameter_m), Vec3::ZERO, &bounds);
            let found = light.intensity / (4.0 * std::f32::consts::PI * 4.0);
            // Integrate the disk: radiance times cosines over the squared distance.
            let (rings, radius_m) = (1000, f64::from(diameter_m) / 2.0);
            let radiance_times_pi = 10.0 / (std::f64::consts::PI * radius_m * radius_m);
            let ring = |k: i32| {
                let r = (f64::from(k) + 0.5) / f64::from(rings) * radius_m;
                2.0 * std::f64::consts::PI * r * radius_m / f64::from(rings) * 4.0 / (4.0 + r * r).powi(2)
            };
            let wanted = match diameter_m {
                0.0 => 10.0 / (std::f64::consts::PI * 4.0),
                _ => radiance_times_pi / std::f64::consts::PI * (0..rings).map(ring).sum::<f64>(),
            };
            assert!((f64::from(found) / wanted - 1.0).abs() < 1e-3, "{diameter_m} m: {found}, wanted {wanted}");
        }
    }

    #[test]
    fn a_spot_light_keeps_its_cone_and_no_range_darkens_a_far_one() {
        let light = Light {
            kind: "spot".into(),
            position: [0.0, 0.0, 20.0],
            direction: [0.0, 0.0, -1.0],
            power_w: 10.0,
            inner_angle_rad: 0.1,
            outer_angle_rad: 0.4,
            color_linear: [1.0; 3],
            ..Default::default()
        };
        let (lamp, transform) = cone_light(&light, Vec3::ZERO);
        assert_eq!((lamp.intensity, lamp.inner_angle, lamp.outer_angle), (10.0, 0.1, 0.4));
        assert!((transform.forward().as_vec3() - Vec3::NEG_Z).length() < 1e-5);
        // Bevy's window is (1 − (d / range)⁴)².
        assert!((1.0 - (20.0 / lamp.range).powi(4)).powi(2) > 0.999);
        assert_eq!(range_m(3.0), RANGE_M);
    }

    #[test]
    fn the_cone_covers_the_scene() {
        let bounds = Bounds { center: Vec3::new(0.2, 0.0, 0.0), radius_m: 0.3 };
        let (light, transform) = spot_light(&disk(0.5), Vec3::ZERO, &bounds);
        assert!((transform.forward().as_vec3() - Vec3::NEG_Z).length() < 1e-5);
        let needed = (0.2_f32 / 2.0).atan() + (0.3 / (4.0_f32 + 0.04).sqrt()).asin();
        assert!(light.inner_angle >= needed && light.inner_angle < needed * 1.2);
        assert!((unit_exposure().exposure() - 1.0).abs() < 1e-6);
    }
}
