"""A picture of a measurement: how many times as long as fastrnn each peer takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fastrnn._bench.cases import Shape
from fastrnn._bench.peers import PEERS
from fastrnn._bench.turns import Row

STYLE = {
    "fastrnn": ("#d1495b", "o"),
    "onednn": ("#1b6ca8", "o"),
    "jax": ("#e69f00", "s"),
    "torch": ("#8e5ea2", "D"),
    "onnxruntime": ("#2a9d6f", "^"),
    "keras": ("#4db6d0", "v"),
    "numpy": ("#7f7f7f", "X"),
}
INK, MUTED, FASTRNN = "#222222", "#777777", STYLE["fastrnn"][0]


def rivals(rows: Sequence[Row], title: str = "") -> Figure:
    """Draw a panel for each mode: a line for each shape, a point for each peer, fastrnn's time being 1."""
    rows = [row for row in rows if row.ahead]
    modes = list(dict.fromkeys(row.mode for row in rows))
    shapes = list(dict.fromkeys((row.shape, row.dims) for row in rows))
    peers = [peer for peer in PEERS if any(peer in row.seconds for row in rows) and peer != "fastrnn"]
    ratios = [row.seconds[peer] / row.seconds["fastrnn"] for row in rows for peer in row.seconds]
    left, right = min(0.8, 0.85 * min(ratios, default=1)), 1.2 * max(ratios, default=2)
    figure = Figure(figsize=(4.2 + 4.6 * len(modes), 1.7 + 0.34 * len(shapes)), layout="constrained")
    panels = figure.subplots(1, max(1, len(modes)), sharex=True, sharey=True, squeeze=False)[0]
    for axes, mode in zip(panels, modes, strict=False):
        found = {row.dims: row for row in rows if row.mode == mode}
        axes.axvline(1, color=FASTRNN, linewidth=2, zorder=3)
        for y, (_, dims) in enumerate(shapes):
            if dims not in found:
                continue
            row = found[dims]
            times = {peer: row.seconds[peer] / row.seconds["fastrnn"] for peer in peers if peer in row.seconds}
            axes.plot([1, max(times.values())], [y, y], color="#dddddd", linewidth=1, zorder=1)
            for peer, time in times.items():
                color, marker = STYLE[peer]
                axes.scatter(time, y, s=42, color=color, marker=marker, linewidths=0, zorder=4)
            best = row.ahead or 1.0
            axes.annotate(
                f"{best:.1f}×" if best >= 1.05 else f"{best:.2f}×",
                (1, y),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=INK if best > 1 else FASTRNN,
                fontweight="bold",
            )
        axes.annotate(
            "best\nrival",
            (1, 1),
            xycoords="axes fraction",
            xytext=(6, 4),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )
        axes.set_title(f"{mode}", fontsize=11, loc="left", color=INK)
        axes.set_xscale("log")
        axes.axvspan(left, 1, color=FASTRNN, alpha=0.07, linewidth=0, zorder=0)
        axes.set_xlim(left, right)
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if left <= t <= right]
        axes.set_xticks(ticks, [f"{t:g}×" for t in ticks])
        axes.minorticks_off()
        tidy(axes)
    name_lines(panels[0], shapes)
    figure.supxlabel("← faster          time as a multiple of fastrnn's          slower →", fontsize=9.5, color=INK)
    legend(figure, *marks(peers), title)
    return figure


def name_lines(axes: Axes, shapes: Sequence[tuple[str, Shape]]) -> None:
    """Give each shape a line, from the top down, and write its name and its sizes beside it; some names are sizes."""
    axes.set_yticks(range(len(shapes)), [name if name == str(dims) else f"{name}  ({dims})" for name, dims in shapes])
    axes.set_ylim(len(shapes) - 0.5, -0.5)


def marks(peers: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Return a legend's handles and labels; fastrnn is a line unless it is one of the peers."""
    handles = [Line2D([], [], color=STYLE[p][0], marker=STYLE[p][1], linestyle="", markersize=6.5) for p in peers]
    labels = [PEERS[p][1] for p in peers]
    if "fastrnn" in peers:
        return handles, labels
    return [Line2D([], [], color=FASTRNN, linewidth=2), *handles], ["fastrnn", *labels]


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str], title: str) -> None:
    """Put a title and below it the legend above the picture."""
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=len(labels),
        frameon=False,
        fontsize=9,
        title=title,
        title_fontproperties={"size": 12, "weight": "bold"},
        alignment="left",
        handletextpad=0.4,
        columnspacing=1.4,
    )


def tidy(axes: Any) -> None:
    """Leave away what does not inform."""
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="both", length=0, labelsize=9, colors=INK)


def save(figure: Figure, path: Path) -> None:
    """Write the picture, the same bytes for the same figure."""
    with rc_context({"svg.hashsalt": "fastrnn", "font.family": "DejaVu Sans"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
