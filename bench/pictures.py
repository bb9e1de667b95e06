"""The pictures of RESULTS.md that more than one run is needed for, or more than one size."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from fastrnn._bench.peers import PEERS
from fastrnn._bench.picture import FASTRNN, INK, MUTED, STYLE, legend, marks, name_lines, tidy
from fastrnn._bench.turns import Row

REDS = ["#f2b5a7", "#e07a6b", "#b83a4b", "#6d1231"]  # light to dark, few rows to many


def share_of_peak(rows: Sequence[Row]) -> Figure:
    """Draw fastrnn's share of the multiply-add peak over the number of units, a line for each batch size."""
    modes = list(dict.fromkeys(row.mode for row in rows))
    batches = sorted({row.dims.B for row in rows})
    units = sorted({row.dims.H for row in rows})
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    panels = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for axes, mode in zip(panels, modes, strict=True):
        for B, color in zip(batches, REDS, strict=False):
            line = sorted(
                (row.dims.H, 100 * row.of_peak("fastrnn")) for row in rows if (row.mode, row.dims.B) == (mode, B)
            )
            axes.plot(*zip(*line, strict=True), color=color, linewidth=2.2, marker="o", markersize=5, label=f"B = {B}")
        axes.axhline(100, color=MUTED, linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_xticks(units, [str(H) for H in units])
        axes.minorticks_off()
        axes.set_ylim(0, 106)
        axes.set_yticks(range(0, 101, 20), [f"{p} %" for p in range(0, 101, 20)])
        axes.set_title(mode, fontsize=11, loc="left", color=INK)
        axes.set_xlabel("units (and inputs)", fontsize=9.5, color=INK)
        tidy(axes)
        axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
        axes.grid(axis="x", visible=False)
    panels[0].annotate("the peak", (units[0], 100), xytext=(0, 3), textcoords="offset points", fontsize=8, color=MUTED)
    handles, labels = panels[0].get_legend_handles_labels()
    legend(figure, handles[::-1], labels[::-1], "Share of the processor's multiply-add peak")
    return figure


def speedup(one: Sequence[Row], many: Sequence[Row], threads: int) -> Figure:
    """Draw how many times as fast each peer gets with more threads: a line for each shape, a panel for each mode."""
    alone = {(row.shape, row.mode): row for row in one}
    pairs = [(alone[row.shape, row.mode], row) for row in many if (row.shape, row.mode) in alone]
    modes = list(dict.fromkeys(row.mode for _, row in pairs))
    shapes = list(dict.fromkeys((row.shape, row.dims) for _, row in pairs))
    places = {shape: y for y, (shape, _) in enumerate(shapes)}
    peers = [peer for peer in PEERS if peer != "numpy" and any(peer in row.seconds for _, row in pairs)]
    figure = Figure(figsize=(4.2 + 3.6 * len(modes), 1.7 + 0.3 * len(shapes)), layout="constrained")
    panels = figure.subplots(1, len(modes), sharex=True, sharey=True, squeeze=False)[0]
    for axes, mode in zip(panels, modes, strict=True):
        for x, style in ((1, "-"), (threads, (0, (4, 3)))):
            axes.axvline(x, color=MUTED, linewidth=1.2, linestyle=style, zorder=1)
        for before, after in pairs:
            if after.mode != mode:
                continue
            for peer in peers:
                one = after.compared("one thread", peer, before)
                if one and peer in after.seconds:
                    color, marker = STYLE[peer]
                    ours = peer == "fastrnn"
                    axes.scatter(
                        one / after.seconds[peer], places[after.shape], s=70 if ours else 30,
                        color=color, marker=marker, alpha=1 if ours else 0.75, linewidths=0, zorder=4 if ours else 3,
                    )  # fmt: skip
        axes.set_title(mode, fontsize=11, loc="left", color=INK)
        axes.set_xlim(0, max(threads * 1.15, axes.get_xlim()[1]))
        tidy(axes)
    name_lines(panels[0], shapes)
    figure.supxlabel(f"times as fast as with one thread; {threads} would be perfect", fontsize=9.5, color=INK)
    legend(figure, *marks(peers), f"What {threads} threads gain")
    return figure


def growth(rows: Sequence[Row]) -> Figure:
    """Draw fastrnn's time per step and sequence over T and over B: flat is linear growth."""
    figure = Figure(figsize=(10.4, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, axis, fixed in zip(panels, ("T", "B"), ("B = 1", "T = 10"), strict=True):
        for mode, style in (("forward", "-"), ("train", (0, (4, 2)))):
            line = sorted(
                (getattr(row.dims, axis), row.seconds["fastrnn"] / row.dims.B / row.dims.T * 1e9)
                for row in rows
                if row.mode == mode and (row.dims.B == 1) == (axis == "T")
            )
            axes.plot(*zip(*line, strict=True), color=FASTRNN, linestyle=style, linewidth=2.2, marker="o", label=mode)
        axes.set_xscale("log")
        axes.set_xticks([x for x, _ in line], [f"{x:,}" for x, _ in line])
        axes.minorticks_off()
        axes.set_ylim(0, None)
        axes.set_xlabel({"T": "time steps, T", "B": "sequences, B"}[axis], fontsize=9.5, color=INK)
        axes.set_title(f"{fixed}, 64 inputs, 64 units", fontsize=11, loc="left", color=INK)
        tidy(axes)
        axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
    panels[0].set_ylabel("nanoseconds", fontsize=9.5, color=INK)
    legend(figure, *panels[0].get_legend_handles_labels(), "Time per step of a sequence")
    return figure
