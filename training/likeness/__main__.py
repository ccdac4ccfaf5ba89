"""Command line: python -m likeness MANIFEST.json --out DISTANCES.json

MANIFEST.json: {"cases": [{"name", "person", "first", "reference", "seconds": {model: picture}}]}, with
paths relative to the file.
DISTANCES.json: {"cases": {name: {"first_reference", "seconds": {model: {"first_second", "second_reference"}}}}}, with
null for a case without a face.
"""

import argparse
import json
import sys
from pathlib import Path

from . import manifest
from .manifest import UsageError


def main():
    parser = argparse.ArgumentParser(
        prog="likeness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="the cases")
    parser.add_argument("--out", required=True, help="file for the distances, replaced if it exists")
    arguments = parser.parse_args()
    try:
        cases = manifest.read(arguments.manifest)
        from .distances import measure
        from .faces import Faces

        faces = Faces()
        measured = {case.name: measure(case, faces) for case in cases}
        Path(arguments.out).write_text(json.dumps({"cases": measured}, indent=1, allow_nan=False) + "\n", "utf-8")
    except UsageError as error:
        print(f"likeness: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"likeness: --out {arguments.out}: {error.strerror}", file=sys.stderr)
        return 2
    undetected = [name for name, distances in measured.items() if distances is None]
    print(f"{len(measured)} cases, {len(undetected)} without a face{': ' if undetected else ''}{', '.join(undetected)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
