"""The demo head: glTF with morph targets, its scene, and a larger reference of the same expression."""

from . import blender, export, library, lighting, pairs, reference, storage
from .eyes import eye_albedo
from .gltf import write_glb
from .identity import draw_identity, draw_variation, identity_of
from .scene import build_figure

MORPHS = ("mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "jawOpen")
EXPRESSION = {"mouthSmileLeft": 0.35, "mouthSmileRight": 0.32, "browInnerUp": 0.1}
SIZE_PX, SAMPLES, TEXTURE_PX = 512, 64, 1024
TRIANGLE_SHARE = 0.65          # of the ribbons a training scene has
BYTE_LIMIT = 9_000_000


def make_demo(out, seed):
    """Writes `demo.glb`, `demo.json` and `demo_reference.exr` for the identity of a seed."""
    identity, variation = draw_identity(identity_of(seed)), draw_variation(seed)
    blender.fresh_scene()
    textures = library.identity_textures(out, identity, TEXTURE_PX)
    environment_file = library.environment_file(out, variation.environment)
    albedo, gaze_deg = eye_albedo(identity), (0.0, 0.0)
    neutral = build_figure(identity, {}, gaze_deg)
    moved = {name: build_figure(identity, {name: 1.0}, gaze_deg) for name in MORPHS}
    meshes = export.figure_meshes(neutral, export.skin_material(textures), albedo, moved, TRIANGLE_SHARE, coarse_head=True)
    with storage.replacing(out / "demo.glb") as path:
        write_glb(path, meshes)
    size_bytes = (out / "demo.glb").stat().st_size
    figure = build_figure(identity, EXPRESSION, gaze_deg)
    target = neutral.gaze_point()
    camera = lighting.aim_camera(variation, target)
    lights, environment = lighting.light_face(
        variation, target, library.environment_image(out / environment_file), environment_file,
        pairs.wanted_irradiance(pairs.skin_luminance(textures)))
    background = (variation.background_bottom_linear, variation.background_top_linear)
    storage.write_json(out / "demo.json", pairs.scene_json(
        seed, identity, figure, camera, lights, environment, background, SIZE_PX, SAMPLES, EXPRESSION, gaze_deg))
    reference.add_figure(figure, textures, albedo)
    reference.add_lights(lights, environment, out / environment_file)
    blender.set_camera(camera)
    reference.render(out, "demo_reference.exr", SIZE_PX, SAMPLES, seed)
    print(f"demo.glb: {size_bytes / 1e6:.2f} MB")
    if size_bytes > BYTE_LIMIT:
        print(f"demo.glb is larger than the limit of {BYTE_LIMIT / 1e6:.0f} MB")
        return 1
    return 0
