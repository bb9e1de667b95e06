"""Measure all that RESULTS.md shows, on the machine at hand: an hour.

    python -m bench.measure && python -m bench.report

Every part is one run of `python -m fastrnn bench`, or of bench.models, kept in bench/results. What is there already is
not measured again: after an interruption, the same command goes on. The machine should have nothing else to do.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from fastrnn import _core
from fastrnn._bench.cases import LAYERS, SHAPES
from fastrnn._bench.threads import available_cpus

RESULTS = Path(__file__).parent / "results"

SOME = "sentence,reviews,b1_h256,b32_h128,b64_h512"
GATED = f"{SOME},reviews_onehot,b64_h256"
# What a list of round shapes hides: a single step, one or seven inputs, sizes that fill no vector, no tile, no cache.
UNEVEN = (
    "1x1x256x256,64x1x128x128,1x5000x1x32,32x200x7x50,33x65x129x127,20x50x300x100,64x40x100x100,"
    "1x50x2000x16,4x100x128x128,3x40x700x700,1x30x1760x1760,128x32x128x128"
)
SMALL = "tiny,sentence,64x100x16x8,b1_h64"
LARGE = "b64_h256,b64_h512,b64_h1024,deepbench"
PEAK = [f"{B}x25x{H}x{H}" for B in (1, 8, 32, 128) for H in (16, 32, 64, 128, 256, 512, 1024, 2048)]
GROWTH = [
    *(f"1x{T}x64x64" for T in (10, 100, 1000, 10_000, 100_000)),
    *(f"{B}x10x64x64" for B in (32, 128, 512, 2048, 4096)),
]

# The arguments of each run, by the name of its file.
RUNS = {
    "rnn": ["--shapes", f"{','.join(SHAPES)},{UNEVEN}"],
    "modes": ["--modes", "step,ragged,ragged-train", "--shapes", SOME],
    "peak": ["--peers", "fastrnn", "--shapes", ",".join(PEAK)],
    "float64": ["--dtype", "float64", "--peers", "fastrnn,jax,torch,numpy", "--shapes", SOME],
    "growth": ["--peers", "fastrnn", "--shapes", ",".join(GROWTH)],
    # Whatever else runs on the machine is longer than such calls: more rounds find it doing nothing.
    "calls": [
        *("--peers", "fastrnn,onednn,numpy", "--modes", "forward,step", "--shapes", "1x1x32x32"),
        *("--rounds", "50"),
    ],
    "generic": ["--isa", "generic", "--peers", "fastrnn,numpy", "--shapes", SMALL],
    **{cell: ["--cell", cell, "--shapes", f"{GATED},{UNEVEN}"] for cell in LAYERS if cell != "rnn"},
}
if "avx2" in _core.isas()[:-1]:
    RUNS["avx2"] = ["--isa", "avx2", "--peers", "fastrnn", "--shapes", LARGE]
for _n in range(2, available_cpus() + 1):
    if _n & (_n - 1) == 0 or _n == available_cpus():  # powers of two, and all
        RUNS |= {f"{cell}-{_n}-threads": [*RUNS[cell], "--threads", str(_n)] for cell in LAYERS}
COMMANDS = {name: ["fastrnn", "bench", *run] for name, run in RUNS.items()} | {"models": ["bench.models"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=COMMANDS, action="append", metavar="RUN", help=f"one of {', '.join(COMMANDS)}"
    )
    parser.add_argument("--again", action="store_true", help="also measure what is there already")
    for option in ("--rounds", "--machine"):
        parser.add_argument(option, help="as for python -m fastrnn bench")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder to write to (default: bench/results)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    more = [f"--{name}={value}" for name in ("rounds", "machine") if (value := getattr(arguments, name))]
    for name in arguments.only or COMMANDS:
        file = arguments.out / f"{name}.json"
        if file.exists() and not arguments.again:
            print(f"{file} is there already")
            continue
        begin, unfinished = time.monotonic(), file.with_suffix(".unfinished")
        command = [sys.executable, "-m", *COMMANDS[name], *more, "--json", str(unfinished)]
        print(f"\n{name}: {' '.join(command[2:-2])}", flush=True)
        subprocess.run(command, check=True)
        unfinished.replace(file)
        print(f"{name}: {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
