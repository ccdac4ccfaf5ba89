"""A grey sphere under each kind of light, so that another renderer can be checked against Cycles.

For each kind: `<kind>.exr` (linear, transparent film), `<kind>.glb` (the sphere, node `Sphere`) and
`<kind>.json` (as `scene.json`). The sphere is diffuse, albedo 0.5, specular none.
"""

import numpy as np

from . import blender, library, lighting, materials, reference, storage
from .gltf import Material, Mesh, write_glb
from .subdivision import triangles_of

RADIUS_M, ALBEDO = 0.1, 0.5
SEGMENTS, RINGS = 96, 64
SIZE_PX, SAMPLES = 256, 128
CONE_RAD = (0.01, 0.15)        # angles of the spot light: its soft edge lies across the sphere
ENVIRONMENT, ENVIRONMENT_ROTATION_DEG = "sunset", 40.0


def sphere():
    """Positions [V, 3] and quads [F, 4] of a UV sphere; its poles are degenerate quads' apexes."""
    theta = np.linspace(1e-3, np.pi - 1e-3, RINGS + 1)[:, None]
    phi = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    points = np.stack(np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)), -1)
    ring, k = np.meshgrid(np.arange(RINGS), np.arange(SEGMENTS), indexing="ij")
    after = (k + 1) % SEGMENTS
    quads = np.stack([ring * SEGMENTS + k, (ring + 1) * SEGMENTS + k, (ring + 1) * SEGMENTS + after,
                      ring * SEGMENTS + after], -1).reshape(-1, 4)
    return RADIUS_M * points.reshape(-1, 3), quads


def _camera():
    return lighting.Camera(np.array([0, 0, 1.0]), np.eye(3), 2 * np.arctan(0.13))


def _lights(kind):
    """The one lamp of a kind of light that is a lamp."""
    towards, colour = lighting.spherical(35, 25), lighting.kelvin_to_linear(5000)
    place = towards * lighting.KEY_DISTANCE_M
    return {"area": lambda: [lighting.AreaLight("Key", place, -towards, 0.5, 10.0, colour)],
            "point": lambda: [lighting.PointLight("Key", place, lighting.POINT_DIAMETER_M, 40.0, colour)],
            "spot": lambda: [lighting.SpotLight("Key", place, -towards, lighting.POINT_DIAMETER_M, 80.0, colour, *CONE_RAD)],
            "sun": lambda: [lighting.Sun("Key", -towards, 3.0, colour)]}[kind]()


def _write_one(out, kind, lights, environment):
    positions, quads = sphere()
    material = Material("Grey", (ALBEDO,) * 3, 1.0)
    with storage.replacing(out / f"{kind}.glb") as path:
        write_glb(path, [Mesh("Sphere", positions, positions / RADIUS_M, triangles_of(quads), material)])
    blender.fresh_scene()
    blender.add_mesh("Sphere", positions, quads, materials.matte((ALBEDO,) * 3))
    camera = _camera()
    blender.set_camera(camera)
    reference.add_lights(lights, environment if environment.strength > 0 else None, out / environment.file)
    image = reference.render(out, f"{kind}.exr", SIZE_PX, SAMPLES, 0, denoise=False)
    inside = image[..., 3] > 0.999
    luminance = float((image[..., :3] @ lighting.LUMINANCE)[inside].mean())
    storage.write_json(out / f"{kind}.json", {
        "format": storage.FORMAT, "seed": 0, "identity": 0, "size_px": SIZE_PX, "samples": SAMPLES,
        "camera": camera.as_json(), "lights": [light.as_json() for light in lights],
        "environment": environment.as_json(),
        "background": {"bottom_linear": [0.0] * 3, "top_linear": [0.0] * 3},
        "face": {"center": [0.0] * 3, "half_extents": [RADIUS_M] * 3}, "expression": {}, "gaze_deg": [0.0, 0.0],
        "identity_parameters": {}, "cycles": reference.cycles_settings(SAMPLES, 0) | {"denoiser": None},
        "albedo_linear": ALBEDO, "mean_luminance": luminance,
    })
    print(f"{kind}: mean luminance {luminance:.5f} where alpha is one", flush=True)
    return image


def _predicted_environment(out, environment):
    """Luminance of the sphere from the documented direction formula: the convention's own check."""
    rows = (np.arange(SIZE_PX) + 0.5) / SIZE_PX * 2 - 1
    y, x = np.meshgrid(-rows, rows, indexing="ij")
    towards = np.stack([x * 0.13, y * 0.13, -np.ones_like(x)], -1)
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    middle = towards[..., 2] * -1.0
    root = middle**2 - (1 - RADIUS_M**2)
    normals = (np.array([0, 0, 1.0]) + towards * (middle - np.sqrt(np.maximum(root, 0)))[..., None]) / RADIUS_M
    image = library.environment_image(out / environment.file)
    sky, solid_angle = lighting.directions(*image.shape[:2], environment.rotation_deg)
    weights = ((image @ lighting.LUMINANCE) * solid_angle).reshape(-1)
    places = np.argwhere(root > 0.002)[::37]
    cosines = np.maximum(normals[places[:, 0], places[:, 1]] @ sky.reshape(-1, 3).T, 0)
    return places, ALBEDO / np.pi * environment.strength * (cosines @ weights)


def make_calibration(out):
    """Writes a sphere for each kind of light; 1 if the environment's render contradicts the documented convention."""
    blender.fresh_scene()
    file = library.environment_file(out, ENVIRONMENT)
    for kind in ("area", "point", "spot", "sun"):
        _write_one(out, kind, _lights(kind), lighting.Environment(file, 0.0, 0.0))
    even_sky = library.environment_file(out, lighting.EVEN_SKY)
    _write_one(out, "ambient", [], lighting.Environment(even_sky, 0.0, 1.0, True))
    environment = lighting.Environment(file, ENVIRONMENT_ROTATION_DEG, 1.0)
    image = _write_one(out, "environment", [], environment)
    places, predicted = _predicted_environment(out, environment)
    rendered = (image[..., :3] @ lighting.LUMINANCE)[places[:, 0], places[:, 1]]
    error = float(abs(rendered - predicted).mean() / predicted.mean())
    print(f"environment convention: mean deviation {100 * error:.2f} % of the mean, "
          f"correlation {np.corrcoef(rendered, predicted)[0, 1]:.4f}")
    return 0 if error < 0.04 else 1
