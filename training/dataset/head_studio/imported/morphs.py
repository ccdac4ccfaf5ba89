"""Matches a file's morph targets with ARKit's units."""

from ..storage import UsageError

SIDED = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthSmile", "mouthFrown",
         "mouthDimple", "mouthStretch", "mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown", "browOuterUp",
         "cheekSquint", "noseSneer")
SINGLE = ("jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
          "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "browInnerUp", "cheekPuff", "tongueOut")
UNITS = (*SINGLE, *(name + side for name in SIDED for side in ("Left", "Right")))
# Names of other conventions, in plain letters; two units are both sides at once.
BOTH_EYES = ("eyeBlinkLeft", "eyeBlinkRight")
OTHER_NAMES = {"mouthopen": ("jawOpen",), "blink": BOTH_EYES, "eyesclosed": BOTH_EYES, "blinkleft": BOTH_EYES[:1],
               "blinkright": BOTH_EYES[1:], "blinkl": BOTH_EYES[:1], "blinkr": BOTH_EYES[1:],
               "smile": ("mouthSmileLeft", "mouthSmileRight")}


def _plain(name):
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _known():
    table = {}
    for name in UNITS:
        table[_plain(name)] = (name,)
    for name in SIDED:
        table[_plain(name)] = (name + "Left", name + "Right")
        table[_plain(name) + "l"], table[_plain(name) + "r"] = (name + "Left",), (name + "Right",)
    return table | OTHER_NAMES


def units_of_targets(toml, parts, overrides):
    """{morph target: ARKit units} of the targets that are understood; `overrides` {target: unit} come first."""
    targets = {name for part in parts for name in part.morphs}
    for name, unit in overrides.items():
        if name not in targets:
            raise UsageError(f"[morphs] of {toml}: no morph target is called {name!r}; found: "
                             f"{', '.join(sorted(targets)) or 'none'}")
        if unit not in UNITS:
            raise UsageError(f"[morphs] of {toml}: {name!r} is {unit!r}; expected one of ARKit's names: {', '.join(UNITS)}")
    known, found = _known(), {}
    for name in sorted(targets):
        plain = _plain(name)
        # Exporters put the mesh's name in front: Head_eyeBlinkLeft.
        fitting = [known[word] for word in known if plain == word or (len(word) > 8 and plain.endswith(word))]
        if name in overrides:
            found[name] = (overrides[name],)
        elif fitting:
            found[name] = max(fitting, key=lambda units: len(units[0]))
    return found


def target_weights(units, expression):
    """{target: weight 0..1}: a target of several units takes the mean of theirs."""
    weights = {name: sum(expression.get(unit, 0.0) for unit in made) / len(made) for name, made in units.items()}
    return {name: weight for name, weight in weights.items() if weight > 0}
