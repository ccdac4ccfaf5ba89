"""Light sources, environment and camera of a variation, as numbers in world space (glTF axes).

Area lights are disks. A disk of power P watts shines radiance P / (pi * area) from its front, so a
small one at distance d gives the irradiance P / (pi * d^2) at normal incidence. A point light is a small ball of power P
that gives P / (4 pi d^2); a spot light is such a ball that shines in a cone alone, within its inner angle as if it were
none. A sun gives its irradiance everywhere. An even sky, `ambient`, is what engines call ambient light: the same radiance
from everywhere.

Environment convention. The file is equirectangular, row 0 on top; (u, v) in 0..1 from the top left.
With `rotation_deg` = r, texel (u, v) lights from, and is seen in, the direction

    phi = 2 pi (0.5 - u) - radians(r),   theta = pi v
    direction(u, v) = (cos(phi) sin(theta), cos(theta), -sin(phi) sin(theta))

in glTF/Bevy space (+X right, +Y up, -Z forward). Inverse, for a direction (x, y, z):

    u = 0.5 - (atan2(-z, x) + radians(r)) / (2 pi)  modulo 1,   v = acos(y) / pi

So at r = 0 the middle of the image lies towards +X, and its first quarter (u = 0.25) towards -Z.
Positive r turns the surroundings clockwise as seen from above.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

KEY_DISTANCE_M, FILL_DISTANCE_M, RIM_DISTANCE_M = 1.2, 1.6, 1.2
POINT_DIAMETER_M = 0.06
SUN_ANGLE_DEG = 0.53           # the sun seen from the earth
EVEN_SKY = "even_sky"          # the surroundings' name where every direction shines alike
SENSOR_MM = 36.0
# Normals of a face that looks along +Z, by whose brightest a game's own lamps are exposed. Where all lamps stand behind the face, none
# of them becomes stronger than this many times what a face wants.
FACE_AZIMUTHS_DEG, FACE_ELEVATIONS_DEG, STRONGEST_FROM_BEHIND = (-45, -22, 0, 22, 45), (-30, 0, 30), 4.0
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class AreaLight:
    name: str
    position_m: np.ndarray
    direction: np.ndarray      # unit, the way the light shines
    diameter_m: float
    power_w: float
    colour_linear: tuple       # luminance one

    @property
    def strength(self):
        """The number that the light's share of a picture is proportional to."""
        return self.power_w

    def irradiance(self, target_m):
        """On a surface at `target_m` that faces the lamp, W/m2."""
        return self.power_w / (math.pi * ((self.position_m - target_m) ** 2).sum())

    def as_json(self):
        return {"kind": "area", "name": self.name, "position": self.position_m.tolist(),
                "direction": self.direction.tolist(), "diameter_m": self.diameter_m, "power_w": self.power_w,
                "color_linear": [float(c) for c in self.colour_linear]}


@dataclass(frozen=True)
class PointLight:
    name: str
    position_m: np.ndarray
    diameter_m: float
    power_w: float
    colour_linear: tuple

    @property
    def strength(self):
        return self.power_w

    def irradiance(self, target_m):
        return self.power_w / (4 * math.pi * ((self.position_m - target_m) ** 2).sum())

    def as_json(self):
        return {"kind": "point", "name": self.name, "position": self.position_m.tolist(),
                "diameter_m": self.diameter_m, "power_w": self.power_w,
                "color_linear": [float(c) for c in self.colour_linear]}


@dataclass(frozen=True)
class SpotLight:
    name: str
    position_m: np.ndarray
    direction: np.ndarray      # unit, the way the light shines
    diameter_m: float
    power_w: float             # of the ball without its cone
    colour_linear: tuple
    inner_angle_rad: float     # from the direction: full light up to here
    outer_angle_rad: float     # none from here on

    @property
    def strength(self):
        return self.power_w

    def edge(self):
        """(a, b) of the falloff clip(a cos + b, 0, 1)^2, which is glTF's and Bevy's; cos is that of the angle to the direction."""
        outer = math.cos(self.outer_angle_rad)
        scale = 1 / max(math.cos(self.inner_angle_rad) - outer, 1e-4)
        return scale, -outer * scale

    def irradiance(self, target_m):
        scale, offset = self.edge()
        share = np.clip(scale * (-towards(self, target_m) @ self.direction) + offset, 0, 1) ** 2
        return float(share * self.power_w / (4 * math.pi * ((self.position_m - target_m) ** 2).sum()))

    def as_json(self):
        return {"kind": "spot", "name": self.name, "position": self.position_m.tolist(),
                "direction": self.direction.tolist(), "diameter_m": self.diameter_m, "power_w": self.power_w,
                "inner_angle_rad": self.inner_angle_rad, "outer_angle_rad": self.outer_angle_rad,
                "color_linear": [float(c) for c in self.colour_linear]}


@dataclass(frozen=True)
class Sun:
    name: str
    direction: np.ndarray      # unit, the way the light shines
    irradiance_w_m2: float
    colour_linear: tuple
    angle_deg: float = SUN_ANGLE_DEG

    @property
    def strength(self):
        return self.irradiance_w_m2

    def irradiance(self, target_m):
        return self.irradiance_w_m2

    def as_json(self):
        return {"kind": "sun", "name": self.name, "direction": self.direction.tolist(),
                "irradiance_w_m2": self.irradiance_w_m2, "angle_deg": self.angle_deg,
                "color_linear": [float(c) for c in self.colour_linear]}


def towards(light, target_m):
    """Unit vector from a point to a lamp."""
    if isinstance(light, Sun):
        return -light.direction
    offset = light.position_m - target_m
    return offset / np.linalg.norm(offset)


def brighter(light, factor):
    """The lamp, this many times as strong."""
    name = "irradiance_w_m2" if isinstance(light, Sun) else "power_w"
    return replace(light, **{name: light.strength * factor})


@dataclass(frozen=True)
class Environment:
    file: str                  # relative to the output folder
    rotation_deg: float
    strength: float
    ambient: bool = False      # the rasteriser has ambient light instead of the image, an even sky

    def as_json(self):
        return {"file": self.file, "rotation_deg": self.rotation_deg, "strength": self.strength, "ambient": self.ambient}


@dataclass(frozen=True)
class Camera:
    position_m: np.ndarray
    axes: np.ndarray           # [3, 3], columns: right, up, backward
    fov_rad: float             # the image is square
    near_m: float = 0.05

    def as_json(self):
        return {"position": self.position_m.tolist(), "rotation_xyzw": quaternion_xyzw(self.axes).tolist(),
                "fov_y_rad": self.fov_rad, "near_m": self.near_m}


def quaternion_xyzw(matrix):
    """The unit quaternion of a rotation matrix."""
    k = np.array([[matrix[0, 0] - matrix[1, 1] - matrix[2, 2], 0, 0, 0],
                  [matrix[0, 1] + matrix[1, 0], matrix[1, 1] - matrix[0, 0] - matrix[2, 2], 0, 0],
                  [matrix[0, 2] + matrix[2, 0], matrix[1, 2] + matrix[2, 1],
                   matrix[2, 2] - matrix[0, 0] - matrix[1, 1], 0],
                  [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1],
                   np.trace(matrix)]]) / 3
    values, vectors = np.linalg.eigh(k, UPLO="L")
    quaternion = vectors[:, values.argmax()]
    return quaternion * (1 if quaternion[3] >= 0 else -1)


def spherical(azimuth_deg, elevation_deg):
    """Unit vector: azimuth 0 is +Z (in front of the face), positive to the person's left."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return np.array([math.sin(azimuth) * math.cos(elevation), math.sin(elevation),
                     math.cos(azimuth) * math.cos(elevation)])


def kelvin_to_linear(temperature_k):
    """Linear colour of a black body, luminance one (Tanner Helland's fit, 1000 K to 40000 K)."""
    t = temperature_k / 100
    red = 1.0 if t <= 66 else 1.2929 * (t - 60) ** -0.1332
    green = 0.39 * math.log(t) - 0.6318 if t <= 66 else 1.1299 * (t - 60) ** -0.0755
    blue = 1.0 if t >= 66 else (0.5432 * math.log(t - 10) - 1.1962 if t > 19 else 0.0)
    linear = np.clip([red, green, blue], 0, 1) ** 2.2
    return tuple(float(c) for c in linear / (linear @ LUMINANCE))


def aim_camera(variation, target_m):
    """The camera that sees `target_m`, moved by the variation's aim, in its middle."""
    target_m = target_m + np.array([*variation.aim_offset_m, 0.0])
    backward = spherical(variation.yaw_deg, variation.pitch_deg)
    right = np.cross([0, 1.0, 0], backward)
    right /= np.linalg.norm(right)
    up = np.cross(backward, right)
    roll = math.radians(variation.roll_deg)
    rolled = np.stack([math.cos(roll) * right + math.sin(roll) * up,
                       math.cos(roll) * up - math.sin(roll) * right, backward], 1)
    distance = variation.frame_m * variation.lens_mm / SENSOR_MM
    return Camera(target_m + backward * distance, rolled, 2 * math.atan(SENSOR_MM / 2 / variation.lens_mm))


def directions(height, width, rotation_deg):
    """World direction [H, W, 3] of each texel of an environment image, and its solid angle [H, 1]."""
    phi = 2 * np.pi * (0.5 - (np.arange(width) + 0.5) / width) - math.radians(rotation_deg)
    theta = np.pi * (np.arange(height) + 0.5) / height
    sin, cos = np.sin(theta)[:, None], np.cos(theta)[:, None]
    solid_angle = sin * (np.pi / height) * (2 * np.pi / width)
    return np.stack(np.broadcast_arrays(np.cos(phi) * sin, cos, -np.sin(phi) * sin), -1), solid_angle


def seen_behind(image, environment, camera, size_px, blur_deg):
    """The surroundings [size, size, 3] as a defocused background: radiance along each pixel's ray."""
    sigma = blur_deg / 360 * image.shape[1]
    blurred = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode=("nearest", "wrap", "nearest"))
    reach = math.tan(camera.fov_rad / 2)
    at = ((np.arange(size_px) + 0.5) / size_px * 2 - 1) * reach
    x, y = np.meshgrid(at, -at)
    rays = np.stack([x, y, -np.ones_like(x)], -1) @ camera.axes.T
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    u = (0.5 - (np.arctan2(-rays[..., 2], rays[..., 0]) + math.radians(environment.rotation_deg)) / (2 * np.pi)) % 1
    v = np.arccos(np.clip(rays[..., 1], -1, 1)) / np.pi
    place = [v * image.shape[0] - 0.5, u * image.shape[1] - 0.5]
    planes = [ndimage.map_coordinates(blurred[..., c], place, order=1, mode="grid-wrap") for c in range(3)]
    return np.stack(planes, -1) * environment.strength


def environment_irradiance(image, rotation_deg, normal):
    """Irradiance [3] on a surface with this normal, lit by an environment of strength one."""
    towards, solid_angle = directions(*image.shape[:2], rotation_deg)
    return (image * (np.maximum(towards @ normal, 0) * solid_angle)[..., None]).sum((0, 1))


def _area_light(name, target, azimuth_deg, elevation_deg, distance_m, diameter_m, power_w, colour):
    towards = spherical(azimuth_deg, elevation_deg)
    return AreaLight(name, target + towards * distance_m, -towards, float(diameter_m), float(power_w), colour)


def _app_light(variation, target_m, irradiance):
    """The single lamp of a scene as Bevy's examples light it: a sun, or a point light."""
    towards = spherical(variation.key_azimuth_deg + variation.yaw_deg, variation.key_elevation_deg)
    if variation.light_kind == "sun":
        return Sun("Key", -towards, float(irradiance), variation.key_linear)
    distance_m = variation.point_distance_m
    return PointLight("Key", target_m + towards * distance_m, POINT_DIAMETER_M,
                      float(irradiance * 4 * math.pi * distance_m ** 2), variation.key_linear)


def _lit_side(lights, target_m):
    """Irradiance of the side of the face that these lamps light most, and not much less than the strongest lamp's."""
    normals = np.stack([spherical(azimuth, elevation) for azimuth in FACE_AZIMUTHS_DEG for elevation in FACE_ELEVATIONS_DEG])
    facing = [light.irradiance(target_m) for light in lights]
    lit = sum(one * np.maximum(normals @ towards(light, target_m), 0) for light, one in zip(lights, facing))
    return max(lit.max(), max(facing) / STRONGEST_FROM_BEHIND)


def light_face(variation, target_m, environment_image, environment_file, wanted_irradiance, own=()):
    """Lamps and environment that give the lit side of the face this irradiance (W/m2, luminance). A game's `own` lamps stay as they
    are but for one factor on all of them."""
    toward_camera = spherical(variation.yaw_deg, 0)
    sky = float(environment_irradiance(environment_image, variation.environment_rotation_deg, toward_camera) @ LUMINANCE)
    strength = wanted_irradiance * variation.environment_share / max(sky, 1e-3)
    environment = Environment(environment_file, variation.environment_rotation_deg, float(strength),
                              variation.environment == EVEN_SKY)
    lamps = wanted_irradiance * (1 - variation.environment_share)
    if own:
        return [brighter(light, float(lamps / _lit_side(own, target_m))) for light in own], environment
    if variation.light_kind in ("sun", "point"):
        return [_app_light(variation, target_m, lamps)], environment
    key_power = lamps * (1 - variation.fill_share) * math.pi * KEY_DISTANCE_M ** 2
    fill_power = lamps * variation.fill_share * math.pi * FILL_DISTANCE_M ** 2
    azimuth, yaw = variation.key_azimuth_deg, variation.yaw_deg
    lights = [
        _area_light("Key", target_m, azimuth + yaw, variation.key_elevation_deg, KEY_DISTANCE_M,
                    variation.key_diameter_m, key_power, variation.key_linear),
        _area_light("Fill", target_m, yaw - 1.1 * azimuth, 5, FILL_DISTANCE_M, 1.0, fill_power, variation.fill_linear),
        _area_light("Rim", target_m, yaw + 180 - math.copysign(35, azimuth), 30, RIM_DISTANCE_M, 0.4,
                    key_power * variation.rim_ratio, variation.rim_linear),
    ]
    return [light for light in lights if light.power_w > 0], environment
