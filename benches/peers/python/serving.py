"""The counterpart of `benches/peers/src/lib.rs` for peers in Python: the same arguments, checks and answers."""

import argparse
import json
import os
import sys
import time

import numpy as np


def task(*extra_arguments):
    """Parses the command line; each extra argument is a name and the keyword arguments of `add_argument`."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("model", help="the ONNX file")
    parser.add_argument("--input", required=True, help="planes [C, H, W], little-endian f32")
    parser.add_argument("--expected", required=True, help="the second image [3, H, W], little-endian f32")
    parser.add_argument("--size", required=True, type=int, help="H and W, px")
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--clock", required=True, choices=["cpu", "wall"])
    for name, options in extra_arguments:
        parser.add_argument(name, **options)
    return parser.parse_args()


def planes(arguments):
    """Reads the input planes, [1, C, H, W]."""
    return np.fromfile(arguments.input, "<f4").reshape(1, -1, arguments.size, arguments.size)


def answers():
    """Returns the stream for answers. From then on everything else that a runtime prints goes to the standard error."""
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return stream


def serve(arguments, stream, device, run):
    """Checks one run's output, prints that the peer is ready, and measures runs until the standard input ends."""
    expected = np.fromfile(arguments.expected, "<f4")
    output = np.asarray(run(), np.float32).ravel()
    if output.shape != expected.shape:
        sys.exit(f"{output.size} values come out: expected {expected.size}")
    max_error = float(np.abs(output - expected).max())
    print(json.dumps({"device": device, "threads": arguments.threads, "max_error": max_error}), file=stream)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    share = arguments.threads if arguments.clock == "cpu" else 1
    for line in sys.stdin:
        word, count = line.split()
        if word != "go":
            sys.exit(f"asked {line!r}: expected `go N`")
        run()
        start = clock()
        for _ in range(int(count)):
            run()
        print((clock() - start) / share / int(count), file=stream)
