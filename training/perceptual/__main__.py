"""Command line: python -m perceptual --out FILE.safetensors

Writes the features of MobileNetV2, which the package in requirements.txt brings, as the file that `portrait-train train --perceptual` reads.
"""

import argparse
import sys

from .convert import ConvertError, convert, installed


def main():
    parser = argparse.ArgumentParser(
        prog="perceptual", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="new safetensors file to write")
    arguments = parser.parse_args()
    try:
        count = convert(installed(), arguments.out)
    except ConvertError as error:
        print(f"perceptual: {error}", file=sys.stderr)
        return 2
    print(f"{count} tensors written to {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
