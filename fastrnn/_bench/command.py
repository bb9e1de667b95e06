"""`python -m fastrnn bench`: time this machine, print a table, draw it, keep it."""

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO

from fastrnn import _core
from fastrnn._bench import machine
from fastrnn._bench.cases import LAYERS, MODES, QUICK, SHAPES, Shape
from fastrnn._bench.peers import PEERS
from fastrnn._bench.threads import available_cpus, limit_threads
from fastrnn._bench.turns import Bench, Effort, Row

DESCRIPTION = """\
Time fastrnn beside whichever of its peers are installed: the same work on the same arrays, with the same number of
threads, every answer checked before it is timed. Each peer runs in a process of its own and they take turns; a time is
that of its best round. "ahead" is how many times as long the best rival takes (below 1: it is faster than fastrnn), "of
peak" fastrnn's share of the highest multiply-add rate that the run has seen. "1.9 x one thread" is how many times as
fast as with one thread it is; the same for ragged batches beside all their steps, and for float64 beside float32.
"""
MODES_HELP = """\
forward is inference that returns every output; train adds back-propagation through time for a gradient on every output;
step is one time step from given states; ragged and ragged-train are the first two for random lengths that leave half
the steps
"""


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Make a parser of comma-separated names."""
    known = list(known)

    def parse(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return text.split(",")

    return parse


def shapes(text: str) -> dict[str, Shape]:
    """Parse comma-separated shapes: parts of the known names, or four numbers as in 32x100x64x64."""
    found: dict[str, Shape] = {}
    for word in text.split(","):
        numbers = word.split("x")
        if len(numbers) == 4 and all(n.isdecimal() and int(n) > 0 for n in numbers):
            found[word] = Shape(*map(int, numbers))
            continue
        meant = {name: shape for name, shape in SHAPES.items() if word in name}
        if not meant:
            known = ", ".join(SHAPES)
            raise argparse.ArgumentTypeError(f"{word!r} is neither BxTxIxH nor part of one of {known}")
        found.update(meant)
    return found


def threads(text: str) -> int:
    """Parse a number of threads."""
    n = int(text)
    if not 1 <= n <= available_cpus():
        raise argparse.ArgumentTypeError(f"it must be from 1 to {available_cpus()}, the CPUs this process may use")
    return n


def add_arguments(parser: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    """Add the command's arguments to its parser; `positive` parses a positive number."""
    add = parser.add_argument
    add("--cell", choices=list(LAYERS), default="rnn", help="which layer (default: %(default)s)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="(default: %(default)s)")
    add("--shapes", type=shapes, metavar="SHAPES", help="some of them: parts of names, or BxTxIxH; comma-separated")
    add(
        "--modes",
        type=names(MODES),
        default="forward,train",
        metavar="MODES",
        help=f"{MODES_HELP}(default: %(default)s)",
    )
    add(
        "--peers", type=names(PEERS), default=list(PEERS), metavar="PEERS", help=f"of {', '.join(PEERS)} (default: all)"
    )
    add("--threads", type=threads, default=1, help="for every peer (default: %(default)s)")
    add(
        "--isa",
        choices=_core.isas(),
        default=_core.get_isa(),
        help="the instruction set of fastrnn's kernels (default: %(default)s)",
    )
    add("--rounds", type=positive, default=5, help="of which the best counts (default: %(default)s)")
    add("--quick", action="store_true", help="fewer shapes, shorter rounds: half a minute")
    add("--machine", metavar="NAME", help="what to call this machine (default: what the system says)")
    add("--plot", type=Path, metavar="FILE", help="draw it into this file; needs matplotlib")
    add("--json", type=Path, metavar="FILE", help="keep it in this file")


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line says."""
    if arguments.plot:
        try:
            from fastrnn._bench import picture
        except ModuleNotFoundError as missing:
            sys.exit(f"--plot needs {missing.name}, which is not installed: pip install 'fastrnn[bench]'")
    for path in filter(None, (arguments.plot, arguments.json)):
        if not path.absolute().parent.is_dir():
            sys.exit(f"there is no folder for {path}")
    chosen = arguments.shapes or ({name: SHAPES[name] for name in QUICK} if arguments.quick else SHAPES)
    _core.set_isa(arguments.isa)
    effort = Effort(arguments.rounds, seconds=0.1, most_seconds=0.5) if arguments.quick else Effort(arguments.rounds)
    about = {**machine.describe(), "threads": arguments.threads, "rounds": arguments.rounds}
    about["machine"] = arguments.machine or about["processor"]
    limit_threads(arguments.threads)
    os.environ["FASTRNN_ISA"] = arguments.isa  # for the peers' processes

    work = [(name, dims, mode) for name, dims in chosen.items() for mode in arguments.modes]
    rows: list[Row] = []
    notes: set[tuple[str, str]] = set()  # that have been printed
    with Progress(len(work)) as progress:
        progress.says("loading the libraries")
        with Bench(arguments.peers, arguments.threads, effort) as bench:
            for name, why in bench.missing.items():
                progress.prints(f"without {name}: {why}", sys.stderr)
            if not bench.names:
                sys.exit("there is nothing to time")
            about["versions"] = bench.versions
            table = Table(bench.names)
            progress.prints(f"{about['machine']}, {about['isa']}, threads: {arguments.threads}")
            progress.prints(f"{LAYERS[arguments.cell]}, {arguments.dtype}")
            progress.prints(table.head())
            for name, dims, mode in work:
                progress.says(f"{name} {mode}")
                try:
                    row = bench.row(name, dims, arguments.cell, arguments.dtype, mode)
                except ArithmeticError as wrong:
                    sys.exit(f"fastrnn is wrong: {name} {mode}: {wrong}")
                rows.append(row)
                progress.prints(table.line(row))
                for peer, why in row.notes.items() - notes:
                    progress.prints(f"without {peer}: {why}", sys.stderr)
                notes |= row.notes.items()
                progress.moves()
                if arguments.json:  # as far as it has come
                    keep(arguments.json, about, rows)
    print(summary(rows))
    if arguments.plot:
        picture.save(picture.rivals(rows), arguments.plot)


def keep(path: Path, about: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write rows and where they come from."""
    lines = ",\n".join(f"  {json.dumps(dataclasses.asdict(row))}" for row in rows)
    path.write_text(f'{{"about": {json.dumps(about)},\n "rows": [\n{lines}\n]}}\n', encoding="utf-8")


def load(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Read what `keep` wrote."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept["about"], [Row.from_json(row) for row in kept["rows"]]


def duration(seconds: float) -> str:
    """Write a time with three digits and its unit."""
    scale, unit = next(((s, u) for s, u in ((1, "s"), (1e3, "ms")) if seconds * s >= 1), (1e6, "µs"))
    value = seconds * scale
    return f"{value:.{max(0, 2 - int(math.log10(max(value, 1))))}f} {unit}"


class Table:
    """A table that grows line by line."""

    def __init__(self, peers: Sequence[str]) -> None:
        self.peers = peers
        self.width = max(9, *map(len, peers)) + 1

    def head(self) -> str:
        """Name the columns."""
        peers = "".join(f"{peer:>{self.width}}" for peer in self.peers)
        return f"{'shape':<20} {'B x T x I x H':<16} {'mode':<12}{peers}   ahead  GFLOP/s  of peak"

    def line(self, row: Row) -> str:
        """Say what came of a row."""
        times = [duration(row.seconds[p]) if p in row.seconds else "-" for p in self.peers]
        text = f"{row.shape:<20} {row.dims!s:<16} {row.mode:<12}{''.join(f'{t:>{self.width}}' for t in times)}"
        if "fastrnn" not in row.seconds:
            return text
        ahead = f"{row.ahead:.2f}" if row.ahead else "-"
        text += f"  {ahead:>6}  {row.gflops('fastrnn'):7.1f}  {row.of_peak('fastrnn'):7.0%}"
        text += "".join(f"  {s / row.seconds['fastrnn']:.2f} x {label}" for label, s in row.own.items())
        return f"{text}  {row.rival} is faster" if (row.ahead or 1) < 1 else text


def summary(rows: Sequence[Row]) -> str:
    """Say in how many rows fastrnn is ahead of all others, and by how much."""
    ahead = [row.ahead for row in rows if row.ahead]
    if not ahead:
        return "nothing to compare"
    wins = f"fastrnn is the fastest in {sum(a > 1 for a in ahead)} of {len(ahead)} rows"
    return f"{wins}; the best rival takes {mean(ahead):.2f} times as long (geometric mean)"


def mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


class Progress(AbstractContextManager["Progress"]):
    """A progress bar on standard error by tqdm, or a line there without it; neither where nobody watches."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.bar = total, 0, None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm

                self.bar = tqdm(total=total, unit="row", leave=False)
            except ModuleNotFoundError:
                pass

    def __exit__(self, *unused: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def says(self, text: str) -> None:
        """Name what is under way."""
        if self.bar is not None:
            self.bar.set_description(text)
        elif sys.stderr.isatty():
            print(f"\033[K{self.done + 1}/{self.total} {text} ...", end="\r", file=sys.stderr, flush=True)

    def prints(self, line: str, file: TextIO | None = None) -> None:
        """Print a line above the bar, to standard output by default."""
        file = file or sys.stdout
        if self.bar is not None:
            self.bar.write(line, file=file)
            return
        if sys.stderr.isatty():
            print("\033[K", end="", file=sys.stderr, flush=True)
        print(line, file=file, flush=True)

    def moves(self) -> None:
        """Count what was under way as done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
