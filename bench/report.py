"""Make a table and a picture of a run of the benches.

    pytest bench --benchmark-json=run.json
    python -m bench.report run.json --plot run.png

A cell is the time of the peer's fastest round. The picture shows billions of operations per second, those of the matrix
products alone.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from .shapes import SHAPES

Runs = dict[tuple[str, str], dict[str, dict[str, Any]]]  # (shape, mode) -> peer -> one benchmark


def read(path: Path) -> Runs:
    runs: Runs = {}
    for row in json.loads(path.read_text())["benchmarks"]:
        info = row["extra_info"]
        runs.setdefault((info["shape"], info["mode"]), {})[info["peer"]] = row
    return runs


def peers_of(runs: Runs) -> list[str]:
    return list(dict.fromkeys(peer for rows in runs.values() for peer in rows))


def seconds(value: float) -> str:
    unit, scale = next((u for u in (("s", 1), ("ms", 1e3)) if value * u[1] >= 1), ("µs", 1e6))
    return f"{value * scale:.3g} {unit}"


def table(runs: Runs) -> str:
    """Return a Markdown table: a row for each shape and mode, a column for each peer, the fastest in bold."""
    peers = peers_of(runs)
    lines = [f"| shape | B, T, I, H | mode | {' | '.join(peers)} |", "|---|---|---|" + "---:|" * len(peers)]
    for (shape, mode), rows in runs.items():
        times = {p: rows[p]["stats"]["min"] for p in rows}
        best = min(times.values())
        cells = [
            "" if p not in times else f"**{seconds(times[p])}**" if times[p] == best else seconds(times[p])
            for p in peers
        ]
        lines.append(f"| {shape} | {', '.join(map(str, SHAPES[shape]))} | {mode} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(runs: Runs, path: Path) -> None:
    """Draw bars of GFLOP/s on a logarithmic scale, a panel for each mode."""
    import matplotlib.pyplot as plt

    peers, modes = peers_of(runs), list(dict.fromkeys(mode for _, mode in runs))
    figure, panels = plt.subplots(len(modes), squeeze=False, figsize=(11, 3.6 * len(modes)), layout="constrained")
    for axes, mode in zip(panels[:, 0], modes, strict=True):
        shapes = [shape for shape, m in runs if m == mode]
        width = 0.84 / len(peers)
        for k, peer in enumerate(peers):
            heights = [runs[s, mode][peer]["extra_info"]["gflops"] if peer in runs[s, mode] else 0.0 for s in shapes]
            left = [i + (k - (len(peers) - 1) / 2) * width for i in range(len(shapes))]
            axes.bar(left, heights, width, label=peer)
        axes.set_xticks(range(len(shapes)), shapes, rotation=20, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yscale("log")
        axes.set_ylabel(f"{mode}, GFLOP/s")
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(frameon=False, ncols=len(peers))
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, help="what pytest wrote with --benchmark-json")
    parser.add_argument("--plot", type=Path, help="also draw a picture into this file")
    arguments = parser.parse_args()
    runs = read(arguments.json)
    print(table(runs))
    if arguments.plot:
        plot(runs, arguments.plot)


if __name__ == "__main__":
    main()
