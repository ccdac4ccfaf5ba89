"""Number -> identity: who it is. `variation.py` says how it is seen.

Every purpose draws from a generator of its own, seeded by (number, purpose), so that a new draw in
one place changes nothing elsewhere.
"""

import zlib
from dataclasses import asdict, dataclass

import numpy as np

VARIATIONS_PER_IDENTITY = 8
EYE_COLOURS = ("brown", "dark_brown", "blue", "green", "grey", "hazel")
SOFT_OUTLINES = ("oval", "round", "diamond", "invertedtriangular")
# How often each style is worn; no one is more than about a sixth of a sex.
HAIR_STYLES = {"male": {"bald": 10, "buzz": 14, "short": 15, "side": 14, "back": 13, "curls": 7, "bob": 5, "long": 3, "tied": 2},
               "female": {"buzz": 2, "short": 13, "side": 12, "back": 10, "tied": 14, "bob": 15, "long": 15, "curls": 5}}
CURLS_OF_AFRICANS = 5.0
DARK_HAIR, BLACK_HAIR = (0.02, 0.14), (0.004, 0.035)     # one minus melanin
HEAD_OUTLINES = ("oval", "round", "square", "rectangular", "diamond", "triangular", "invertedtriangular")


def generator(number, purpose):
    """A random generator for one purpose of one identity or seed."""
    return np.random.default_rng(np.random.SeedSequence([number, zlib.crc32(purpose.encode())]))


def identity_of(seed):
    """The identity number of a seed."""
    return seed // VARIATIONS_PER_IDENTITY


@dataclass(frozen=True)
class Identity:
    """Who it is. Fractions are 0..1 unless noted; colours are linear Rec.709."""

    number: int
    male: float
    age: float                 # 0.5 = 25 years, 1 = 90 years
    ancestry: dict             # african, asian, caucasian; sums to one
    weight: float
    muscle: float
    slider_spread: float       # standard deviation of the face sliders
    outline: str
    outline_weight: float
    melanin: float             # 0.02 very fair .. 2.2 very dark
    hemoglobin: float
    freckles: float
    roughness: float
    lip_strength: float
    hair_melanin: float
    hair_redness: float
    grey: float
    hair_style: str            # bald, or one of `hair.STYLES`
    hair_wave: float           # 0 straight .. 1 wavy; of long hair
    parting: float             # -1..1, where the hair parts
    stubble: float
    brow_density: float
    eye_colour: str
    pupil: float               # pupil radius over iris radius
    cloth_linear: tuple

    def years(self):
        return 25 + (self.age - 0.5) * 130


def floats(values):
    """Plain floats, for JSON."""
    return tuple(float(v) for v in values)


def draw_identity(number):
    """The identity with this number."""
    body = generator(number, "body")
    male = float(body.uniform(0.72, 1.0) if body.random() < 0.5 else body.uniform(0.0, 0.28))
    age = float(0.5 + 0.45 * body.beta(1.0, 1.9))
    ancestry = dict(zip(("african", "asian", "caucasian"), floats(body.dirichlet([0.35] * 3))))
    weight, muscle = float(np.clip(body.normal(0.5, 0.2), 0.05, 0.95)), float(body.uniform(0.15, 0.85))
    shape = generator(number, "shape")
    outline = str(shape.choice(HEAD_OUTLINES if male > 0.5 else SOFT_OUTLINES))
    skin = generator(number, "skin")
    ranges = {"african": (0.8, 2.2), "asian": (0.15, 0.6), "caucasian": (0.02, 0.3)}
    melanin = float(sum(ancestry[k] * skin.uniform(*ranges[k]) for k in ranges))
    hair = generator(number, "hair")
    fair = melanin < 0.4 and ancestry["caucasian"] > 0.5
    black = ancestry["african"] + ancestry["asian"] > 0.6
    light = np.log(BLACK_HAIR if black else DARK_HAIR)
    hair_melanin = float(hair.uniform(0.25, 0.95) if fair else 1 - np.exp(hair.uniform(*light)))
    redhead = fair and hair.random() < 0.1
    styles = dict(HAIR_STYLES["male" if male > 0.5 else "female"])
    styles["curls"] *= 1 + CURLS_OF_AFRICANS * ancestry["african"] ** 2
    clothes = generator(number, "clothes")
    eyes = generator(number, "eyes")
    return Identity(
        number=number, male=male, age=age, ancestry=ancestry, weight=weight, muscle=muscle,
        slider_spread=float(shape.uniform(0.10, 0.17)), outline=outline,
        outline_weight=float(shape.uniform(0.0, 0.5)),
        melanin=melanin, hemoglobin=float(skin.uniform(0.3, 0.62)),
        freckles=float(max(0.0, skin.normal(0.0, 0.5))) if melanin < 0.4 else 0.0,
        roughness=float(skin.uniform(0.42, 0.56)),
        lip_strength=float(skin.uniform(0.35, 0.75) * (1.0 if male > 0.5 else 1.25)),
        hair_melanin=0.62 if redhead else hair_melanin,
        hair_redness=0.9 if redhead else float(np.clip(0.66 - 0.6 * hair_melanin + hair.normal(0, 0.06), 0.05, 0.8)),
        grey=float(np.clip((age - 0.64) * 3.5 + hair.normal(0, 0.1), 0, 0.95)) * (1.0 if male > 0.5 else 0.35),
        hair_style=str(hair.choice(list(styles), p=np.array(list(styles.values())) / sum(styles.values()))),
        hair_wave=max(0.0, float(generator(number, "hair wave").uniform(-0.5, 1.0))),
        parting=float(hair.choice([-1, 1]) * hair.uniform(0.15, 0.5)),
        stubble=float(hair.choice([0.0, 0.0, 0.3, 0.6, 1.0])) if male > 0.5 else 0.0,
        brow_density=float(hair.uniform(0.55, 1.1) * (1.15 if male > 0.5 else 0.75)),
        eye_colour=str(eyes.choice(EYE_COLOURS if fair else EYE_COLOURS[:2])), pupil=float(eyes.uniform(0.28, 0.4)),
        cloth_linear=floats(clothes.uniform(0.02, 0.55) * clothes.uniform(0.6, 1.2, 3).clip(0, 1)),
    )


def slider_weights(identity, slider_names):
    """Face sliders {name: -1..1}; left and right share a draw and differ slightly."""
    weights = {}
    for name in slider_names:
        folder, _, local = name.partition("/")
        sided = local[:2] in ("l-", "r-")
        if local in ("head-age", "head-trans") or local.startswith("measure-neck"):
            continue
        spread = identity.slider_spread * (0.4 if folder == "neck" else 1.0)
        shared = generator(identity.number, "slider " + folder + (local[2:] if sided else local)).normal(0, spread)
        limit = 0.85
        if local.endswith("eye-scale"):
            shared, limit = 0.45 * shared - 0.2, 0.45
        if folder == "eyebrows" or "eye-height" in local:
            shared = 0.7 * shared
        if folder == "chin" and identity.male < 0.5:
            shared = 0.6 * shared - 0.08
        side = generator(identity.number, "side " + name).normal(0, 0.025) if sided else 0.0
        weights[name] = float(np.clip(shared + side, -limit, limit))
    return weights


def asymmetry_weights(identity, names):
    """One-sided asymmetry targets {file name: weight}."""
    return {name: float(max(0.0, generator(identity.number, "asymmetry " + name).normal(0, 0.035)))
            for name in names if name.startswith("asym-")}


def as_json(parameters):
    """Plain values of a parameter dataclass."""
    return asdict(parameters)
