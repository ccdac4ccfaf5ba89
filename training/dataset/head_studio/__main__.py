"""Command line: python -m head_studio render|import|settings|sheet|cameras|take|calibration|demo. See `--help` of each."""

import argparse
import sys
import time
import traceback
from pathlib import Path

from . import storage
from .storage import UsageError


def _parser():
    parser = argparse.ArgumentParser(prog="head_studio", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    render = verbs.add_parser("render", help="make training pairs; finished seeds are skipped")
    render.add_argument("--seeds", required=True, metavar="A..B", help="half-open range, such as 0..180")
    render.add_argument("--stride", type=int, default=1, help="take every N-th seed (8 = one for each identity)")
    render.add_argument("--identity-textures", type=int, default=1024, help="skin texture size in pixels, 64..8192")
    render.add_argument("--clip", action="store_true", help="the eight seeds of an identity are frames of a turning head")
    _add_rendering(render)
    game = verbs.add_parser("import", help="make training pairs of game heads; finished seeds are skipped")
    game.add_argument("file", nargs="?", help="GLB of a character; a TOML of the same name beside it may say more")
    game.add_argument("--seeds", metavar="A..B", help="half-open range of the file's seeds, such as 500000..500010")
    game.add_argument("--heads", metavar="DIR", help="instead of a file: the folder with the heads of --cast")
    game.add_argument("--cast", metavar="TOML", help="which heads belong to which split, and their seeds; default: the 28 "
                                                     "heads of the asset packs")
    game.add_argument("--split", choices=("training", "validation", "test"), default="training", help="part of the cast")
    game.add_argument("--scenes", type=int, default=10, help="scenes of each head of the cast, 1 or more")
    game.add_argument("--settings", metavar="TOML", help="settings of the file instead of those beside it")
    game.add_argument("--anew", action="store_true", help="also make finished seeds again whose file, settings or options have changed")
    _add_rendering(game)
    settings = verbs.add_parser("settings", help="check a GLB, and write its TOML with all settings where there is none yet")
    settings.add_argument("file", help="GLB of a character")
    settings.add_argument("--out", required=True, metavar="TOML", help="an existing file is left alone, and read")
    sheet = verbs.add_parser("sheet", help="one picture of the references of a data folder")
    sheet.add_argument("--data", required=True, metavar="DIR")
    sheet.add_argument("--out", required=True, metavar="PICTURE", help=".png or .jpg; replaced where it exists")
    cameras = verbs.add_parser("cameras", help="write cameras and posed heads of finished scenes, to render references elsewhere")
    take = verbs.add_parser("take", help="make a data folder of scenes whose references were rendered elsewhere")
    take.add_argument("images", help="folder with <seed>.exr of every scene")
    for verb in (cameras, take):
        verb.add_argument("--data", required=True, metavar="DIR", help="data folder of the scenes")
        verb.add_argument("--out", required=True, metavar="DIR", help="folder to write into")
    calibration = verbs.add_parser("calibration", help="a grey sphere for each kind of light")
    calibration.add_argument("--out", required=True)
    demo = verbs.add_parser("demo", help="one head with morph targets")
    demo.add_argument("--seed", type=int, required=True)
    demo.add_argument("--out", required=True)
    demo.add_argument("--assets", action="append", default=[], metavar="DIR", help="as for render")
    return parser


def _add_rendering(verb):
    verb.add_argument("--out", required=True, help="folder; existing files of other seeds are left alone")
    verb.add_argument("--size", type=int, default=256, help="image width and height in pixels, 32..4096")
    verb.add_argument("--samples", type=int, default=24, help="path-tracer samples for each pixel, 1 or more")
    verb.add_argument("--light-groups", action="store_true",
                      help="also what each light alone makes of the scene, so that training can light it anew")
    verb.add_argument("--device", choices=("cpu", "cuda", "optix"), default="cpu", help="what Cycles renders on")
    verb.add_argument("--assets", action="append", default=[], metavar="DIR",
                      help="folder of asset packs, as the README describes; may be given several times")


def _within(option, value, low, high):
    if not low <= value <= high:
        raise UsageError(f"{option}: expected {low}..{high}, found {value}")


def _render(arguments):
    seeds = storage.parse_seed_range(arguments.seeds, arguments.stride)
    _within("--size", arguments.size, 32, 4096)
    _within("--samples", arguments.samples, 1, 65536)
    _within("--identity-textures", arguments.identity_textures, 64, 8192)
    out = storage.output_folder(arguments.out)
    assets = _open_assets(arguments)
    with storage.claim(out, seeds):
        from .pairs import is_made, make_pair

        return _make_seeds(
            arguments, seeds,
            lambda seed: is_made(out, seed, arguments.size, arguments.samples, arguments.light_groups),
            lambda seed: make_pair(out, seed, arguments.size, arguments.samples, arguments.identity_textures, arguments.clip,
                                   arguments.light_groups, assets))


def _open_assets(arguments):
    from .assets import open_assets

    assets = open_assets(arguments.assets)
    for sentence in assets.missing() if arguments.assets else ():
        print(f"--assets: {sentence}", flush=True)
    return assets


def _import(arguments):
    from .imported import cast

    _within("--size", arguments.size, 32, 4096)
    _within("--samples", arguments.samples, 1, 65536)
    _within("--scenes", arguments.scenes, 1, 10**6)
    if (arguments.file is None) == (arguments.heads is None) or (arguments.file is None) != (arguments.seeds is None):
        raise UsageError("import: expected either FILE.glb --seeds A..B, or --heads DIR")
    if arguments.settings is not None and (arguments.file is None or not Path(arguments.settings).is_file()):
        raise UsageError(f"--settings: {arguments.settings} is no file, or there is no FILE.glb that it could be of")
    if arguments.file is not None:
        seeds = storage.parse_seed_range(arguments.seeds)
        files = {seed: arguments.file for seed in seeds}
    else:
        whole = cast.read_cast(arguments.cast or cast.GAME_HEADS)
        pairs, seeds = cast.seeds_of_cast(whole, arguments.split, arguments.heads, arguments.scenes)
        files = dict(pairs)
    out, assets = storage.output_folder(arguments.out), _open_assets(arguments)
    with storage.claim(out, seeds):
        from .imported import scenes
        from .imported.figure import import_head
        from .imported.settings import read_settings, toml_of

        def prepare():
            """What is wrong with the file or its settings is said once, before any seed."""
            if arguments.file is not None:
                chosen = import_head(arguments.file, arguments.settings).settings
                scenes.write_own_surroundings(out, chosen.lights.surroundings)

        rendering = (arguments.size, arguments.samples, arguments.light_groups)
        if arguments.anew:
            made_of = {file: scenes.made_of(storage.fingerprint(Path(file))["sha256"],
                                            read_settings(arguments.settings or toml_of(file))) for file in set(files.values())}
            is_made = lambda seed: scenes.is_current(out, seed, files[seed], made_of[files[seed]], *rendering)
        else:
            is_made = lambda seed: scenes.is_made(out, seed, files[seed], *rendering)
        make = lambda seed: scenes.make_scene(out, seed, import_head(files[seed], arguments.settings), *rendering, assets)
        return _make_seeds(arguments, files, is_made, make, prepare)


def _settings(arguments):
    from .imported.figure import import_head
    from .imported.template import write_unless_there

    if write_unless_there(arguments.file, arguments.out):
        print(f"{arguments.out} written: the look of the references, with every default", flush=True)
    found = import_head(arguments.file, arguments.out)
    roles = sorted({part.role for part in found.head.parts})
    print(f"{arguments.file}: {', '.join(roles)}; eyes {'found' if found.head.found_eyes else 'painted on or flat'}; "
          f"{len(found.units)} morph targets understood", flush=True)
    return 0


def _sheet(arguments):
    from .sheet import write_sheet

    write_sheet(Path(arguments.data), Path(arguments.out))
    print(f"{arguments.out} written", flush=True)
    return 0


def _elsewhere(arguments):
    from .imported import elsewhere

    data, out = Path(arguments.data), storage.output_folder(arguments.out)
    if arguments.verb == "cameras":
        count = elsewhere.export_cameras(data, out)
        print(f"{count} cameras written to {out / elsewhere.CAMERAS}", flush=True)
        return 0
    with storage.claim(out, storage.ALL_SEEDS):
        count = elsewhere.take(Path(arguments.images), data, out)
    print(f"{count} references taken into {out}", flush=True)
    return 0


def _make_seeds(arguments, seeds, is_made, make, prepare=lambda: None):
    """Makes the seeds that are not made yet, in their order, and says how long each takes; `prepare` comes first if there are
    any."""
    from .reference import use_device

    pending = [seed for seed in seeds if not is_made(seed)]
    print(f"{len(seeds)} seeds, {len(seeds) - len(pending)} already finished", flush=True)
    use_device(arguments.device)
    if pending:
        prepare()
    failed, start, cpu = [], time.time(), time.process_time()
    for count, seed in enumerate(pending, 1):
        try:
            make(seed)
        except Exception as error:
            failed.append(seed)
            traceback.print_exc()
            print(f"seed {seed} failed: {error}", file=sys.stderr, flush=True)
            if getattr(error, "errno", None) in storage.NO_ROOM:
                break
        mean_s, mean_cpu_s = (time.time() - start) / count, (time.process_time() - cpu) / count
        print(f"[{count}/{len(pending)}] seed {seed}: {mean_s:.1f} s and {mean_cpu_s:.1f} CPU-s a seed, "
              f"{mean_s * (len(pending) - count) / 60:.1f} min left", flush=True)
    if failed:
        print(f"{len(failed)} seeds failed: {', '.join(map(str, failed))}", file=sys.stderr)
    return 1 if failed else 0


def main():
    arguments = _parser().parse_args()
    try:
        if arguments.verb == "render":
            return _render(arguments)
        verbs = {"import": _import, "settings": _settings, "sheet": _sheet, "cameras": _elsewhere, "take": _elsewhere}
        if arguments.verb in verbs:
            return verbs[arguments.verb](arguments)
        out = storage.output_folder(arguments.out)
        with storage.claim(out, storage.ALL_SEEDS):
            if arguments.verb == "calibration":
                from .calibration import make_calibration

                return make_calibration(out)
            from .demo import make_demo

            _within("--seed", arguments.seed, 0, 10**8 - 1)
            return make_demo(out, arguments.seed, _open_assets(arguments))
    except UsageError as error:
        print(f"head_studio: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
