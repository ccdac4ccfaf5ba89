"""Seed -> variation: how an identity is posed, lit, framed and rendered.

A game's choices vary here: lens, framing, light, background, tone mapping, exposure and anti-aliasing. Training,
validation and test draw from environments of their own, so that a figure on the test seeds is measured on light never
seen.
"""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import soft_boxes
from .lighting import EVEN_SKY, LUMINANCE, kelvin_to_linear
from .identity import VARIATIONS_PER_IDENTITY, floats, generator

# First seed of each split, and the surroundings that only it sees: photographed ones, and numbers of `soft_boxes.py`.
SPLITS = (
    ("training", 0, ("city", "forest", "interior", "night", "sunrise"), range(0, 48)),
    ("validation", 900_000, ("courtyard",), range(48, 56)),
    ("test", 1_000_000, ("studio", "sunset"), range(0)),
)
# Surroundings of the asset packs that only validation or test see; training has the others. Pictures of one place stay
# together: names of the npm package begin with `pmndrs_`.
KEPT_SURROUNDINGS = {
    "validation": ("leadenhall_market", "christmas_photo_studio_07", "pmndrs_lobby", "pmndrs_esplanade"),
    "test": ("brown_photostudio_01", "brown_photostudio_02", "brown_photostudio_06", "studio_small_05", "rainforest_trail",
             "thatch_chapel", "pmndrs_studio", "pmndrs_sunset", "pmndrs_venice", "pmndrs_sky"),
}
NPM_PREFIX = "pmndrs_"
SOFT_BOX_SHARE = 0.25          # of the scenes in a split that has soft boxes
# Ranges of light, background and display, which training reads as well.
LOOKS = tomllib.loads(Path(__file__).with_name("looks.toml").read_text(encoding="utf-8"))
LIGHT, BACKGROUND, DISPLAY = LOOKS["light"], LOOKS["background"], LOOKS["display"]
ANTI_ALIASING = {"msaa_4x": 0.6, "smaa": 0.1, "taa": 0.1, "fxaa": 0.1, "none": 0.1}
APP_KINDS = ("sun", "point")   # what most apps have, under ambient light or surroundings
OWN_LAMPS = "lamps:"           # of the kind of light of a game's own lamps, before their name
AMBIENT_SHARE = 0.75           # of sun, point light and own lamps: under ambient light instead of surroundings
# Of hair cards, with multisampling and without: coverage needs it.
CARD_ALPHA = {True: {"mask": 0.1, "alpha_to_coverage": 0.4, "blend": 0.5}, False: {"mask": 0.45, "blend": 0.55}}
NEAREST_M = 0.3                # from the camera to the face
CLIP_STEP_DEG = (1.5, 3.0)     # a turning head, for each frame


@dataclass(frozen=True)
class Choice:
    """What a game narrows light and display down to; empty means all that `looks.toml` has."""

    kinds: tuple = ()              # of light
    tone_mappings: tuple = ()
    surroundings: tuple = ()       # names, in training instead of all others
    lamps: tuple = ()              # kinds of light besides: sets of the game's own lamps


@dataclass(frozen=True)
class Rendering:
    """The settings of rasteriser and display. Tone mapping and exposure hold for the reference too."""

    tone_mapping: str
    exposure_ev: float
    anti_aliasing: str
    shadow_map_px: int
    shadow_filter: str
    shadows: bool = True
    ssao: bool = False             # screen-space ambient occlusion
    contact_shadows: bool = False
    sharpening: bool = False       # contrast-adaptive
    card_alpha: str = "mask"       # of hair cards: mask, alpha_to_coverage or blend


@dataclass(frozen=True)
class Variation:
    """A way to see an identity. Angles in degrees; shares are of the face's irradiance."""

    seed: int
    expression: dict           # ARKit unit -> weight
    gaze_deg: tuple            # yaw to the person's left, pitch up
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    lens_mm: float             # on a 36 mm wide square sensor
    frame_m: float             # width seen at the face
    aim_offset_m: tuple        # from the face's middle: to the person's left, up
    light_kind: str
    key_azimuth_deg: float
    key_elevation_deg: float
    key_diameter_m: float
    point_distance_m: float
    key_linear: tuple          # colour of luminance one
    fill_linear: tuple
    rim_linear: tuple
    fill_share: float
    rim_ratio: float           # rim power over key power
    environment: str
    environment_rotation_deg: float
    environment_share: float
    exposure_jitter: float
    background_kind: str       # gradient or environment
    background_blur_deg: float
    background_bottom_linear: tuple
    background_top_linear: tuple
    rendering: Rendering


def has_own_lamps(light_kind):
    """True for a kind of light that a game brings along as lamps."""
    return light_kind.startswith(OWN_LAMPS)


def split_of(seed):
    """(name, photographed surroundings, numbers of soft boxes) of a seed's split."""
    return next((name, *surroundings) for name, first, *surroundings in reversed(SPLITS) if seed >= first)


def _choose(draw, weights):
    return str(draw.choice(list(weights), p=list(weights.values())))


def _only(weights, names):
    """The shares of these names alone, together one; all of them if there are no names."""
    if not names:
        return weights
    chosen = {name: weight for name, weight in weights.items() if name in names}
    return {name: weight / sum(chosen.values()) for name, weight in chosen.items()}


def _pair(name, left, right=None):
    return {name + "Left": left, name + "Right": left if right is None else right}


def _mixture(draw):
    """Two to five units at random, both sides nearly alike."""
    both = ("browDown", "browOuterUp", "cheekSquint", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown",
            "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer")
    single = ("browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthFunnel", "mouthLeft",
              "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper")
    units = {}
    for name in draw.choice(both + single, int(draw.integers(2, 6)), replace=False):
        weight = float(draw.uniform(0.05, 0.35)) * (0.5 if name.startswith("jaw") else 1.0)
        weight *= 0.4 if name in ("mouthLeft", "mouthRight") else 1.0
        units |= _pair(name, weight, weight * float(draw.uniform(0.7, 1.0))) if name in both else {str(name): weight}
    return units


def draw_expression(draw):
    """From neutral to strong {ARKit unit: weight}."""
    w = float(draw.uniform(0.1, 0.65))
    side = float(draw.uniform(0.8, 1.0))
    kind = str(draw.choice(["neutral", "neutral", "neutral", "smile", "smile", "laugh", "brow", "frown", "surprise",
                            "squint", "press", "aa", "oh", "ee", "mixture", "mixture", "mixture"]))
    smile = _pair("mouthSmile", w, w * side) | _pair("cheekSquint", 0.5 * w) | _pair("eyeSquint", 0.3 * w)
    units = {
        "neutral": lambda: {}, "squint": lambda: _pair("eyeSquint", 0.8 * w), "smile": lambda: smile,
        "laugh": lambda: smile | {"jawOpen": 0.3 * w} | _pair("mouthUpperUp", 0.4 * w),
        "brow": lambda: {"browInnerUp": 0.8 * w} | _pair("browOuterUp", 0.5 * w, 0.3 * w),
        "frown": lambda: _pair("browDown", 0.8 * w) | _pair("mouthFrown", 0.4 * w) | _pair("noseSneer", 0.3 * w),
        "surprise": lambda: {"browInnerUp": 0.7 * w, "jawOpen": 0.25 * w} | _pair("browOuterUp", 0.7 * w)
                            | _pair("eyeWide", 0.5 * w),
        "press": lambda: _pair("mouthPress", 0.6 * w) | {"mouthRollLower": 0.3 * w, "mouthRollUpper": 0.3 * w},
        "aa": lambda: {"jawOpen": 0.45 * w} | _pair("mouthLowerDown", 0.3 * w),
        "oh": lambda: {"jawOpen": 0.25 * w, "mouthFunnel": 0.6 * w, "mouthPucker": 0.3 * w},
        "ee": lambda: {"jawOpen": 0.1 * w} | _pair("mouthStretch", 0.5 * w) | _pair("mouthUpperUp", 0.35 * w)
                      | _pair("mouthLowerDown", 0.4 * w),
        "mixture": lambda: _mixture(draw),
    }[kind]()
    blink = float(draw.uniform(0.2, 0.9)) if draw.random() < 0.08 else float(max(0.0, draw.normal(0.03, 0.06)))
    if "eyeWideLeft" not in units:
        units = units | _pair("eyeBlink", blink)
    return {name: float(value) for name, value in units.items()}


def _rendering(seed, light_kind, choice):
    draw, extra = generator(seed, "rendering"), generator(seed, "rendering of games")
    tone_mapping = _choose(draw, _only(DISPLAY["tone_mappings"], choice.tone_mappings))
    exposure = DISPLAY["exposure_ev"]
    exposure_ev = float(np.clip(draw.normal(0, exposure["deviation"]), -exposure["limit"], exposure["limit"]))
    anti_aliasing = _choose(draw, ANTI_ALIASING)
    # Bevy's screen-space effects and multisampling exclude each other.
    multisampled = anti_aliasing == "msaa_4x"
    card_alpha = _choose(extra, CARD_ALPHA[multisampled])
    return Rendering(
        tone_mapping, exposure_ev, anti_aliasing, int(draw.choice([1024, 2048, 2048, 4096])),
        _choose(draw, {"gaussian": 0.7, "hardware": 0.3}),
        shadows=bool(extra.random() > (0.3 if light_kind in APP_KINDS else 0.06)),
        ssao=bool(extra.random() < 0.4) and not multisampled,
        contact_shadows=bool(extra.random() < 0.25) and not multisampled, sharpening=bool(extra.random() < 0.08),
        card_alpha=card_alpha)


def _tint(draw, kelvin, neon):
    colour = np.array(kelvin_to_linear(kelvin))
    if neon:
        colour = colour * draw.dirichlet([0.7] * 3) + 0.05
    return floats(colour / (colour @ LUMINANCE))


def surroundings_of(split, packs=()):
    """Names of the photographed surroundings that a split sees: Blender's, and those of `packs` that are its own."""
    kept = {name for names in KEPT_SURROUNDINGS.values() for name in names}
    own = [name for name in packs if name in KEPT_SURROUNDINGS.get(split, ()) or split == "training" and name not in kept]
    return [*next(blenders for name, _, blenders, _ in SPLITS if name == split), *own]


def _environment(seed, kind, packs, own):
    """A photographed one, the name of soft boxes instead, or an even sky; in training one of a game's own, if it has any."""
    draw = generator(seed, "surroundings")
    split, _, numbers = split_of(seed)
    names = surroundings_of(split, packs)
    if own and split == "training":
        names, numbers = own, ()
    photographed = str(draw.choice(names))
    if (kind in APP_KINDS or has_own_lamps(kind)) and draw.random() < AMBIENT_SHARE:
        return EVEN_SKY
    return f"{soft_boxes.PREFIX}{draw.choice(numbers):02}" if numbers and draw.random() < SOFT_BOX_SHARE else photographed


def _shares_of_kinds(choice):
    """{kind of light: share}. A set of own lamps is as frequent as the other kinds are on average."""
    others = _only(LIGHT["kinds"], choice.kinds)
    count = len(others) + len(choice.lamps)
    return {kind: share * (len(others) / count) for kind, share in others.items()} | dict.fromkeys(choice.lamps, 1 / count)


def _light(seed, packs, choice):
    draw = generator(seed, "light")
    kind = _choose(draw, _shares_of_kinds(choice))
    diameter = {"hard": (0.04, 0.12), "soft": (0.8, 1.2)}.get(kind, (0.15, 0.9))
    share, rim_ratio = (LIGHT[name].get(kind, LIGHT[name]["other"]) for name in ("environment_share", "rim_ratio"))
    rim = draw.uniform(*rim_ratio) if kind == "rim" or draw.random() < LIGHT["rim_light_share"] else 0.0
    neon = draw.random() < LIGHT["neon_share"]
    return dict(
        light_kind=kind, key_azimuth_deg=float(draw.choice([-1, 1]) * draw.uniform(8, 70)),
        key_elevation_deg=float(draw.uniform(-40, -15) if kind == "below" else draw.uniform(5, 55)),
        key_diameter_m=float(draw.uniform(*diameter)),
        point_distance_m=float(np.exp(draw.uniform(np.log(0.5), np.log(3)))),
        fill_share=float(draw.uniform(*LIGHT["fill_share"])), rim_ratio=0.0 if kind == "environment" else float(rim),
        key_linear=_tint(draw, draw.uniform(*LIGHT["key_kelvin"]), False),
        fill_linear=_tint(draw, draw.uniform(*LIGHT["fill_kelvin"]), neon),
        rim_linear=_tint(draw, draw.uniform(*LIGHT["rim_kelvin"]), neon),
        environment=_environment(seed, kind, packs, choice.surroundings),
        environment_rotation_deg=float(draw.uniform(0, 360)),
        environment_share=float(draw.uniform(*share)), exposure_jitter=float(draw.uniform(*LIGHT["exposure_jitter"])))


def draw_variation(seed, packs=(), choice=Choice()):
    """The way in which this seed's identity is posed, lit and seen; `packs` are names of surroundings besides Blender's."""
    light = _light(seed, packs, choice)
    camera, background, gaze = (generator(seed, purpose) for purpose in ("camera", "background", "gaze"))
    yaw = float(np.clip(camera.normal(0, 22), -60, 60))
    pitch = float(np.clip(camera.normal(0, 7), -20, 20))
    follow = float(gaze.uniform(0.6, 1.0)) if gaze.random() < 0.65 else 0.0
    base = background.uniform(*BACKGROUND["level"]) * background.uniform(*BACKGROUND["tint"], 3)
    frame_m = float(np.clip(0.29 * np.exp(camera.normal(0, 0.38)), 0.1, 0.8))
    lens_mm = float(np.exp(camera.uniform(np.log(32), np.log(150))))
    # Nobody sees an even sky.
    kinds = ["gradient"] if light["environment"] == EVEN_SKY else ["gradient", "environment"]
    return Variation(
        seed=seed, expression=draw_expression(generator(seed, "expression")),
        gaze_deg=(float(follow * np.clip(yaw, -28, 28) + (1 - 0.7 * follow) * gaze.normal(0, 6)),
                  float(follow * np.clip(pitch, -12, 12) + gaze.normal(0, 2))),
        yaw_deg=yaw, pitch_deg=pitch, roll_deg=float(np.clip(camera.normal(0, 6), -15, 15)),
        lens_mm=max(lens_mm, NEAREST_M * 36 / frame_m), frame_m=frame_m,
        aim_offset_m=floats(np.clip(camera.normal(0, 0.028, 2), -0.055, 0.055)),
        background_kind=str(background.choice(kinds)),
        background_blur_deg=float(background.uniform(2, 10)),
        background_bottom_linear=floats((base * background.uniform(*BACKGROUND["lower_edge"])).clip(0, 1)),
        background_top_linear=floats(base.clip(0, 1)), rendering=_rendering(seed, light["light_kind"], choice), **light)


def even_light(variation):
    """The same lamps and surroundings, white and about equally strong: what light groups are path traced with."""
    white = (1.0, 1.0, 1.0)
    return replace(variation, key_linear=white, fill_linear=white, rim_linear=white, exposure_jitter=1.0, rim_ratio=0.8,
                   fill_share=0.3, environment_share=0.4)


def draw_clip_frame(seed, packs=()):
    """The seed as a frame of a clip: the seeds of an identity show its head turning before a still camera.

    Told as a camera that walks around a still head, with the lights and the surroundings; so the geometry is the same
    in every frame.
    """
    frame = seed % VARIATIONS_PER_IDENTITY
    first = draw_variation(seed - frame, packs)
    draw = generator(seed - frame, "clip")
    turn = frame * float(draw.choice([-1, 1]) * draw.uniform(*CLIP_STEP_DEG))
    start = float(np.clip(first.yaw_deg, -30, 30))
    return replace(first, seed=seed, yaw_deg=start + turn, background_kind="gradient", frame_m=max(first.frame_m, 0.22),
                   environment_rotation_deg=first.environment_rotation_deg - turn)
