"""From pictures and photographs to distances."""

from likeness.manifest import UsageError
from likeness.pictures import read_case, read_picture

from .align import crop, distance, eyes_of, faces_ahead, shrink
from .discrepancy import Sample, distances

ENDINGS = (".jpg", ".jpeg", ".png")
# Photographs are large: the detector tries them as they are before it enlarges them.
PHOTOGRAPH_UPSAMPLINGS = (0, 1)


class Features:
    """Features of crops by network, with the person of each."""

    def __init__(self, networks):
        self._networks = networks
        self.people = []
        self._features = {name: [] for name in networks}

    def add(self, face, person):
        self.people.append(person)
        for name, network in self._networks.items():
            self._features[name].append(network.features(face))

    def sample(self, name):
        return Sample(self._features[name], self.people)


def measure(cases, folder, finder, networks):
    """The report's entry of photographs:

    {"pairs": number of cases that were compared,
     "undetected", "turned_or_cut": numbers of those that show no face, and one that is turned aside or cut off,
     "photographs", "left_out": numbers of photographs that were compared, and that were not,
     "models": {model: {network: distances}}} with the distances of `first`, `second` and `reference`, or None.
    """
    paths = photographs_in(folder)
    models = list(cases[0].seconds) if cases else []
    kinds = {kind: Features(networks) for kind in ("first", "reference", *map(_second, models))}
    scales, undetected, turned_or_cut = [], 0, 0
    for case in cases:
        first, reference, seconds = read_case(case)
        landmarks = finder.find([reference, first])
        if landmarks is None:
            undetected += 1
            continue
        eyes, off_middle = eyes_of(landmarks)
        if not faces_ahead(first, eyes, off_middle):
            turned_or_cut += 1
            continue
        scales.append(distance(eyes))
        pictures = {"first": first, "reference": reference, **{_second(model): seconds[model] for model in models}}
        for kind, picture in pictures.items():
            kinds[kind].add(crop(picture, eyes), case.person)
    photographs = _photographs(paths, scales, finder, networks)
    if scales and not photographs.people:
        raise UsageError(f"{folder}: expected photographs of faces seen from the front, with eyes at least as far apart as in "
                         f"the pictures ({min(scales):.0f} to {max(scales):.0f} pixels), found none among {len(paths)}")

    def compare(model, network):
        compared = {"first": "first", "second": _second(model), "reference": "reference"}
        return distances(photographs.sample(network),
                         {name: kinds[kind].sample(network) for name, kind in compared.items()})

    return {
        "pairs": len(scales), "undetected": undetected, "turned_or_cut": turned_or_cut,
        "photographs": len(photographs.people), "left_out": len(paths) - len(photographs.people),
        "models": {model: {network: compare(model, network) if scales else None for network in networks}
                   for model in models},
    }


def _second(model):
    return f"second of {model}"


def photographs_in(folder):
    """Paths of a folder's photographs, by name. The first one is read, so that a folder of none is refused at once."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}; expected a folder of photographs") from error
    if not paths:
        raise UsageError(f"{folder}: expected photographs ({', '.join(ENDINGS)}), found none")
    read_picture(paths[0])
    return paths


def _photographs(paths, scales, finder, networks):
    """Features of photographs, each first brought down to the pixels that one of the cases has between the eyes."""
    features = Features(networks)
    for at, path in enumerate(paths if scales else ()):
        photograph = read_picture(path)
        landmarks = finder.find([photograph], PHOTOGRAPH_UPSAMPLINGS)
        if landmarks is None:
            continue
        eyes, off_middle = eyes_of(landmarks)
        # The cases' scales, evenly spread over the photographs.
        scale = scales[at * len(scales) // len(paths)]
        if faces_ahead(photograph, eyes, off_middle) and distance(eyes) >= scale:
            features.add(crop(*shrink(photograph, eyes, scale)), path.stem.split("_")[0])
    return features
