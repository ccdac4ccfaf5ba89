"""Command line: python -m photographs MANIFEST.json --photographs DIR --out DISTANCES.json

MANIFEST.json is that of `likeness`. DIR holds photographs of faces seen from the front (.jpg, .jpeg, .png); those of one
person share the name up to the first underscore. DISTANCES.json is what `photographs.measure` describes.
"""

import argparse
import json
import sys
from pathlib import Path

from likeness import manifest
from likeness.manifest import UsageError


def main():
    parser = argparse.ArgumentParser(
        prog="photographs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="the cases")
    parser.add_argument("--photographs", required=True, type=Path, metavar="DIR", help="folder of photographs")
    parser.add_argument("--out", required=True, help="file for the distances, replaced if it exists")
    arguments = parser.parse_args()
    try:
        cases = manifest.read(arguments.manifest)
        from likeness.faces import Finder

        from .measure import measure
        from .networks import networks

        measured = measure(cases, arguments.photographs, Finder(), networks())
        Path(arguments.out).write_text(json.dumps(measured, indent=1, allow_nan=False) + "\n", "utf-8")
    except UsageError as error:
        print(f"photographs: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"photographs: --out {arguments.out}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{measured['pairs']} cases and {measured['photographs']} photographs compared")
    return 0


if __name__ == "__main__":
    sys.exit(main())
