"""Which parts of the asset packs an identity is made of, and its make-up. Without packs every part is head_studio's own."""

from dataclasses import dataclass, field

from .identity import floats, generator, identity_of, VARIATIONS_PER_IDENTITY
from .variation import split_of

# Skins that only validation or test see; training has the others.
KEPT_SKINS = {"validation": ("young_lightskinned_male", "middleage_lightskinned_female2"),
              "test": ("old_darkskinned_male", "young_lightskinned_female2", "middleage_lightskinned_male")}
# Hair cards by the style that they take the place of.
HAIR_CARDS = {"short": ("short01", "short02", "short04"), "side": ("short02", "short03", "short04"), "bob": ("bob02",),
              "long": ("long01", "braid01"), "tied": ("ponytail01",)}
# Nobody takes a path-traced card for hair: most hair is strands, from which the rasteriser's cards are cut as well.
HAIR_CARD_SHARE, LASH_CARD_SHARE, BEARD_SHARE = 0.1, 0.5, 0.3
BROW_STYLES = ("painted", "strands", "cards")
# Irises by eye colour; the packs' names.
IRISES = {"brown": ("brown", "brownlight"), "dark_brown": ("brown",), "blue": ("blue", "deepblue", "lightblue"),
          "green": ("green", "bluegreen"), "grey": ("grey", "ice"), "hazel": ("brownlight", "green")}
DARK_MELANIN = 0.75            # from here on the broad colours are a dark skin's


@dataclass(frozen=True)
class Look:
    """Files are paths; `used` lists `(pack, name)` of each."""

    skins: tuple = ()              # two files: detail and broad colours, broad colours
    skin_share: float = 0.5        # of the first one's broad colours
    detail_gain: float = 1.0
    hair_cards: object = None      # .mhclo file
    brow_cards: object = None
    lash_cards: object = None
    brow_style: str = "painted"    # in the first image: painted, strands or cards
    beard: str = ""                # "", full, goatee or moustache
    iris: object = None            # .png file
    make_up: dict = field(default_factory=dict)    # place -> (amount 0..1, linear colour)
    used: tuple = ()

    def as_json(self):
        return {"skin_share": self.skin_share, "detail_gain": self.detail_gain, "make_up": self.make_up,
                "brow_style": self.brow_style, "beard": self.beard,
                "files": [f"{pack}/{name}" for pack, name in self.used]}


def _skins_of(split, names):
    kept = {name for names in KEPT_SKINS.values() for name in names}
    if split == "training":
        return [name for name in names if name not in kept]
    return [name for name in names if name in KEPT_SKINS[split]] or list(names)


def _distance(name, identity, years):
    """A distance, 0 or more, between an identity and a photographed skin, by its name."""
    female, dark = "female" in name, "dark" in name
    age = 66 if name.startswith("old") else 46 if name.startswith("middleage") else 24
    return (1.5 * (female != (identity.male < 0.5)) + 0.7 * (dark != (identity.melanin > DARK_MELANIN))
            + abs(age - years) / 20)


def _choose_skins(identity, split, assets, draw):
    """Names of the detail's skin and of the other one, as [(pack, name)]."""
    large = [("skins", name) for name in _skins_of(split, assets.names("skins"))]
    small = [("small skins", name) for name in assets.names("small skins")] if split == "training" else []
    years = identity.years()
    near = lambda entries, spread: min(entries, key=lambda entry: _distance(entry[1], identity, years) + draw.uniform(0, spread))
    detail = near(large, 1.4)
    return [detail, near([entry for entry in large + small if entry != detail] or [detail], 1.4)]


def _draw_make_up(identity, draw):
    if identity.male > 0.5 or draw.random() < 0.45:
        return {}
    red = (0.35 + 0.25 * draw.random(), 0.05 + 0.12 * draw.random(), 0.07 + 0.12 * draw.random())
    shadow = floats(0.25 * draw.dirichlet([2.0] * 3) + 0.03)
    chosen = {"lips": (float(draw.uniform(0.15, 0.75)), floats(red)), "eyes": (float(draw.uniform(0.1, 0.5)), shadow),
              "cheeks": (float(draw.uniform(0.05, 0.25)), (0.55, 0.25, 0.22))}
    return {place: value for place, value in chosen.items() if draw.random() < 0.6}


def draw_look(identity, assets):
    """The look of an identity, the same for all its variations."""
    split = split_of(identity.number * VARIATIONS_PER_IDENTITY)[0]
    draw = generator(identity.number, "look")
    used, skins = [], ()
    if assets.names("skins"):
        chosen = _choose_skins(identity, split, assets, draw)
        used += chosen
        skins = tuple(assets.path(*entry) for entry in chosen)
    def choose(pack, names, chance, purpose):
        """One of the pack's files whose names are wanted, or None."""
        one = generator(identity.number, "look " + purpose)
        there = [name for name in assets.names(pack) if names is None or name in names]
        if not there or one.random() >= chance:
            return None
        used.append((pack, str(one.choice(there))))
        return assets.path(*used[-1])

    share, gain = float(draw.uniform(0.35, 0.8)), float(draw.uniform(0.75, 1.15))
    brow_style = str(draw.choice(BROW_STYLES))
    brows = choose("brow cards", None, float(brow_style == "cards"), "brows")
    if brow_style == "cards" and brows is None:
        brow_style = "painted"
    beards = generator(identity.number, "beard")
    bearded = identity.male > 0.5 and beards.random() < BEARD_SHARE
    return Look(
        skins, share, gain,
        choose("hair cards", HAIR_CARDS.get(identity.hair_style, ()), HAIR_CARD_SHARE, "hair"), brows,
        choose("lash cards", None, LASH_CARD_SHARE, "lashes"), brow_style,
        str(beards.choice(["full", "full", "goatee", "moustache"])) if bearded else "",
        choose("irises", [name + "_eye" for name in IRISES[identity.eye_colour]], 0.8, "iris"),
        _draw_make_up(identity, generator(identity.number, "make-up")), tuple(used))
