"""The demo head: glTF with morph targets, its scene, and a larger reference of the same expression."""

from dataclasses import replace

from . import blender, export, library, lighting, pairs, reference, storage
from .gltf import write_glb
from .identity import draw_identity, identity_of
from .lighting import EVEN_SKY, kelvin_to_linear
from .look import draw_look
from .scene import build_figure
from .variation import Rendering, draw_variation

MORPHS = ("mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "jawOpen")
EXPRESSION = {"mouthSmileLeft": 0.35, "mouthSmileRight": 0.32, "browInnerUp": 0.1}
# Whatever the seed draws, the demo is lit as most Bevy scenes are: a sun, and ambient light.
STAGING = dict(yaw_deg=-14.0, pitch_deg=2.0, roll_deg=0.0, lens_mm=100.0, frame_m=0.3, aim_offset_m=(0.0, 0.0),
               light_kind="sun", key_azimuth_deg=48.0, key_elevation_deg=35.0, environment=EVEN_SKY, environment_share=0.25,
               key_linear=kelvin_to_linear(5000), background_bottom_linear=(0.07, 0.08, 0.09),
               background_top_linear=(0.17, 0.19, 0.21),
               rendering=Rendering("tony_mc_mapface", 0.4, "msaa_4x", 2048, "gaussian"))
SIZE_PX, SAMPLES, TEXTURE_PX = 512, 64, 1024
TRIANGLE_SHARE = 0.65          # of the cards and ribbons a training scene has
BYTE_LIMIT = 9_000_000


def make_demo(out, seed, assets):
    """Writes `demo.glb`, `demo.json` and `demo_reference.exr` for the identity of a seed."""
    identity = draw_identity(identity_of(seed))
    look = draw_look(identity, assets)
    variation = replace(draw_variation(seed), expression=EXPRESSION, gaze_deg=(0.0, 0.0), **STAGING)
    blender.fresh_scene()
    textures = library.identity_textures(out, identity, look, TEXTURE_PX)
    environment_file = library.environment_file(out, variation.environment, assets)
    albedo, gaze_deg = pairs.iris_albedo(identity, look), variation.gaze_deg
    neutral = build_figure(identity, look, {}, gaze_deg)
    moved = {name: build_figure(identity, look, {name: 1.0}, gaze_deg) for name in MORPHS}
    meshes = export.figure_meshes(neutral, export.skin_material(textures, neutral), albedo, moved, TRIANGLE_SHARE,
                                  coarse_head=True)
    with storage.replacing(out / "demo.glb") as path:
        write_glb(path, meshes)
    size_bytes = (out / "demo.glb").stat().st_size
    figure = build_figure(identity, look, EXPRESSION, gaze_deg)
    target = neutral.gaze_point()
    camera = lighting.aim_camera(variation, target)
    lights, environment = lighting.light_face(
        variation, target, library.environment_image(out / environment_file), environment_file,
        pairs.wanted_irradiance(pairs.skin_luminance(textures)))
    storage.write_json(out / "demo.json", pairs.scene_json(
        identity, figure, variation, camera, lights, environment, pairs.gradient(variation), SIZE_PX, SAMPLES))
    reference.add_figure(figure, textures, albedo)
    reference.add_lights(lights, environment, out / environment_file)
    blender.set_camera(camera)
    reference.render(out, "demo_reference.exr", SIZE_PX, SAMPLES, seed)
    print(f"demo.glb: {size_bytes / 1e6:.2f} MB")
    if size_bytes > BYTE_LIMIT:
        print(f"demo.glb is larger than the limit of {BYTE_LIMIT / 1e6:.0f} MB")
        return 1
    return 0
