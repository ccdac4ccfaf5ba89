//! A still: the status says when the effect runs, and a screenshot that is asked for then has the effect.

use bevy::camera::CameraMainTextureUsages;
use bevy::prelude::*;
use bevy::render::render_resource::TextureUsages;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy_portrait_realism::prelude::*;

use crate::common::{frame, headless, settle, spawn_camera, spawn_face, target, update_until};
use crate::stage::{LDR, SIZE};

/// The picture that was taken.
#[derive(Resource, Default)]
struct Taken(Option<Vec<u8>>);

/// Switches the effect on, takes a screenshot as soon as the status says that the effect runs as it was asked to, and returns the picture.
pub fn first_screenshot(app: &mut App, camera: Entity, target: &Handle<Image>, settings: PortraitRealism) -> Vec<u8> {
    app.init_resource::<Taken>();
    app.world_mut().entity_mut(camera).insert(settings);
    update_until(app, "the effect", |app| {
        let status = app.world().get::<PortraitStatus>(camera);
        status.is_some_and(|status| status.tier == Some(ResolutionTier::High))
    });
    app.world_mut()
        .spawn(Screenshot::image(target.clone()))
        .observe(|taken: On<ScreenshotCaptured>, mut picture: ResMut<Taken>| picture.0 = taken.image.data.clone());
    update_until(app, "the screenshot", |app| app.world().resource::<Taken>().0.is_some());
    app.world_mut().resource_mut::<Taken>().0.take().expect("a picture")
}

#[test]
fn the_first_screenshot_after_the_status_shows_the_effect() {
    // The weights that need prepasses, from the app's first frame on.
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Sample4);
    let shot = first_screenshot(&mut app, camera, &target, PortraitRealism::default());
    settle(&mut app);
    assert!(shot == frame(&mut app, &target), "it is the frame as it stays");
    app.world_mut().entity_mut(camera).insert(PortraitRealism { enabled: false, ..default() });
    settle(&mut app);
    assert!(shot != frame(&mut app, &target), "it has the effect");
}

#[test]
fn the_status_never_claims_an_effect_that_is_not_drawn() {
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    // The effect cannot copy its region out of this camera's main texture.
    let usages = CameraMainTextureUsages(TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING);
    app.world_mut().entity_mut(camera).insert((usages, PortraitRealism::default()));
    settle(&mut app);
    assert_eq!(app.world().get::<PortraitStatus>(camera), Some(&PortraitStatus::default()));

    // From one frame to the next, the status of a frame is that of the picture before it.
    let usages = CameraMainTextureUsages::default();
    // Weights that read no prepass: nothing but the effect changes the picture.
    let settings = PortraitRealism { model: PortraitModel::FAST, ..default() };
    app.world_mut().entity_mut(camera).insert((usages, PortraitRealism { enabled: false, ..settings.clone() }));
    settle(&mut app);
    let first = frame(&mut app, &target);
    app.world_mut().entity_mut(camera).insert(settings);
    let mut was_enhanced = false;
    for step in 0..200 {
        app.update();
        let claims = app.world().get::<PortraitStatus>(camera).is_some_and(|status| status.tier.is_some());
        assert_eq!(claims, was_enhanced, "frame {step}");
        was_enhanced = frame(&mut app, &target) != first;
        if claims {
            return;
        }
    }
    panic!("the effect never ran");
}
