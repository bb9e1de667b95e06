"""The table that `Sequential.summary` writes."""

from collections.abc import Sequence

from fastrnn.layers import Layer

_WIDTHS = (33, 24, 15)


def table(name: str, layers: Sequence[Layer], shapes: Sequence[tuple[int | None, ...]]) -> str:
    """Draw the table of layers, shapes of their outputs, and numbers of parameters."""
    rows = [
        (f"{layer.name} ({type(layer).__name__})", str(shape), f"{layer.count_params():,}")
        for layer, shape in zip(layers, shapes, strict=True)
    ]
    widths = [max(width, *(len(row[i]) + 2 for row in rows)) for i, width in enumerate(_WIDTHS)]
    leaves = [(layer.trainable and leaf.trainable, leaf) for layer in layers for leaf in layer._leaves()]
    counts = {
        kind: sum(leaf.count_params() for trainable, leaf in leaves if trainable is kind) for kind in (True, False)
    }
    sizes = {
        kind: sum(array.nbytes for trainable, leaf in leaves if trainable is kind for array in leaf._arrays.values())
        for kind in (True, False)
    }
    lines = [
        f'Model: "{name}"',
        _rule(("┌", "┬", "┐"), widths),
        _line(("Layer (type)", "Output Shape", "Param #"), widths),
    ]
    lines += [_rule(("├", "┼", "┤"), widths), *(_line(row, widths) for row in rows), _rule(("└", "┴", "┘"), widths)]
    lines.append(f" Total params: {sum(counts.values()):,} ({_bytes(sum(sizes.values()))})")
    lines.append(f" Trainable params: {counts[True]:,} ({_bytes(sizes[True])})")
    lines.append(f" Non-trainable params: {counts[False]:,} ({_bytes(sizes[False])})")
    return "\n".join(lines)


def _rule(corners: tuple[str, str, str], widths: Sequence[int]) -> str:
    left, middle, right = corners
    return left + middle.join("─" * width for width in widths) + right


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, shape, count = (cell for cell in cells)
    return f"│ {name:<{widths[0] - 1}}│ {shape:<{widths[1] - 1}}│{count:>{widths[2] - 1}} │"


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"
