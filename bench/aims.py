"""What fastrnn aims at, held against what `python -m bench.measure` has kept. RESULTS.md shows it."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import Polynomial

from fastrnn._bench.cases import LAYERS
from fastrnn._bench.command import duration
from fastrnn._bench.turns import Row

Runs: TypeAlias = dict[str, tuple[dict[str, Any], list[Any]]]
Held: TypeAlias = Iterator[tuple[str, bool]]  # of each measurement: what it is and says, and whether the aim holds

AHEAD, SHARES = 1.2, {"forward": 0.88, "train": 0.85}
LARGE, GAIN = 10e6, 0.925  # multiply-adds; times the number of threads
BENT = 0.1
RAGGED, FULL = 0.6, {"ragged": "forward", "ragged-train": "train"}
POINTS = 0.05
AVX2_SHARE, LARGE_ROWS, LARGE_UNITS = 0.8, 16, 256
CALLS = {"forward": 2.5e-6, "step": 1.5e-6}


def of_cells(runs: Runs) -> Iterator[tuple[Row, int]]:
    """Go through the rows that compare a cell with its rivals, with their number of threads."""
    for name, (about, rows) in runs.items():
        if name.partition("-")[0] in LAYERS:
            yield from ((row, about["threads"]) for row in rows)


def rows_of(runs: Runs, name: str) -> list[Row]:
    return runs[name][1] if name in runs else []


def name_of(row: Row, threads: int = 1) -> str:
    return f"{LAYERS[row.cell]} {row.shape} {row.mode}{f', {threads} threads' if threads > 1 else ''}"


def against_rivals(runs: Runs) -> Held:
    for row, threads in of_cells(runs):
        share = row.of_peak("fastrnn")
        if row.ahead is not None:
            holds = row.ahead >= AHEAD or share >= SHARES[row.mode]
            yield f"{name_of(row, threads)} ({row.ahead:.2f}, {share:.1%})", holds


def with_threads(runs: Runs) -> Held:
    alone = {(row.cell, row.shape, row.mode): row for row, threads in of_cells(runs) if threads == 1}
    for row, threads in of_cells(runs):
        one = row.compared("one thread", "fastrnn", alone.get((row.cell, row.shape, row.mode)))
        if threads > 1 and row.flops > 2 * LARGE and one:
            gain = one / row.seconds["fastrnn"]
            yield f"{name_of(row, threads)} ({gain:.2f})", gain >= GAIN * threads


def growth(runs: Runs) -> Held:
    """Hold times over T and over B against the straight line a + b n that comes nearest to all of them, as shares."""
    rows = rows_of(runs, "growth")
    for mode in dict.fromkeys(row.mode for row in rows):
        for axis, along in (("T", [r for r in rows if r.dims.B == 1]), ("B", [r for r in rows if r.dims.B > 1])):
            found = [row for row in along if row.mode == mode]
            if not found:
                continue
            seconds = np.array([row.seconds["fastrnn"] for row in found])
            sizes = np.array([getattr(row.dims, axis) for row in found])
            line = Polynomial.fit(sizes, seconds, 1, w=1 / seconds)
            for row, off in zip(found, seconds / line(sizes) - 1, strict=True):
                yield f"{name_of(row)} ({off:+.0%} off a line over {axis})", abs(off) <= BENT


def ragged(runs: Runs) -> Held:
    full = {(row.shape, row.mode): row for row in rows_of(runs, "rnn")}
    for row in rows_of(runs, "modes"):
        if row.mode in FULL:
            whole = row.compared("all steps", "fastrnn", full.get((row.shape, FULL[row.mode])))
            if whole:
                share = row.seconds["fastrnn"] / whole
                yield f"{name_of(row)} ({share:.2f})", share <= RAGGED


def float64(runs: Runs) -> Held:
    """Hold shares of peak against those of float32, whose peak is twice as high: it has as many more lanes."""
    single = {(row.shape, row.mode): row for row in rows_of(runs, "rnn")}
    for row in rows_of(runs, "float64"):
        other, share = single.get((row.shape, row.mode)), row.of_peak("fastrnn")
        if "float32" in row.own:
            share_32 = share * row.seconds["fastrnn"] / row.own["float32"] / 2
        elif other is not None:
            share_32 = other.of_peak("fastrnn")
        else:
            continue
        yield f"{name_of(row)} ({share:.1%}, float32 {share_32:.1%})", share >= share_32 - POINTS


def with_avx2(runs: Runs) -> Held:
    for name in ("rnn", "avx2"):  # the first, where it is the best instruction set
        about, rows = runs.get(name, ({}, []))
        for row in rows if about.get("isa") == "avx2" else ():
            share = row.of_peak("fastrnn")
            if row.dims.B >= LARGE_ROWS and row.dims.H >= LARGE_UNITS:
                yield f"{name_of(row)} ({share:.1%})", share >= AVX2_SHARE


def in_plain_c(runs: Runs) -> Held:
    for row in rows_of(runs, "generic"):
        gain = row.seconds["numpy"] / row.seconds["fastrnn"]
        yield f"{name_of(row)} ({gain:.2f})", gain >= 1


def calls(runs: Runs) -> Held:
    for row in rows_of(runs, "calls"):
        seconds = row.seconds["fastrnn"]
        yield f"{row.mode} ({duration(seconds)})", seconds <= CALLS[row.mode]


AIMS: dict[str, Callable[[Runs], Held]] = {
    f"The best rival takes at least {AHEAD} times as long, or fastrnn runs at {SHARES['forward']:.0%} of the "
    f"multiply-add peak forward, {SHARES['train']:.0%} in training": against_rivals,
    f"n threads are at least {GAIN} n times as fast as one, with {LARGE / 1e6:.0f} million multiply-adds": with_threads,
    f"Time grows in a straight line, within {BENT:.0%}": growth,
    f"Half the tokens take at most {RAGGED} of the time of all": ragged,
    f"float64 has the same share of its own peak, or up to {100 * POINTS:.0f} points less": float64,
    f"AVX2 reaches {AVX2_SHARE:.0%} of its peak with {LARGE_UNITS} units and {LARGE_ROWS} rows or more": with_avx2,
    "Plain C is no slower than a loop in NumPy on small shapes": in_plain_c,
    f"A call from Python for one step of 32 inputs and 32 units takes at most {CALLS['forward'] * 1e6:.1f} µs, and "
    f"`step` into given arrays {CALLS['step'] * 1e6:.1f} µs": calls,
}


def lines(runs: Runs) -> Iterator[str]:
    """Go through the aims that something was measured for: the aim, how often it holds, and where it does not."""
    for aim, held_of in AIMS.items():
        held = list(held_of(runs))
        missed = "; ".join(what for what, holds in held if not holds)
        if held:
            count = sum(holds for _, holds in held)
            yield f"- {aim}: **{count} of {len(held)}.**{f' Missed: {missed}.' if missed else ''}\n"
