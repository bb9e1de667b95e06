"""Data on its way into training: arrays, lists of unequal sequences, and iterables of batches, all as batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn._check import Array

Rows: TypeAlias = "slice | Array"
Admit: TypeAlias = Callable[[ArrayLike], Array]
Weigh: TypeAlias = Callable[[Array], Array]


class Batch(NamedTuple):
    """What one step sees."""

    x: Array  # admitted by the chain
    mask: Array | None  # (B, T), if sequences were unequal
    y: Array | None
    weight: Array | None  # of samples


class Column(Protocol):
    """One thing that is known of all samples: the input, the truth, or the weight."""

    values: Array  # of all samples

    def __len__(self) -> int: ...
    def take(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return the array of these samples, and their mask if they are unequal."""
        ...

    def part(self, start: int, stop: int) -> Column:
        """Return samples next to each other."""
        ...

    def rounded(self, dtype: np.dtype[Any]) -> Column:
        """Return the same numbers in another type."""
        ...


class Plain:
    """Samples in one array."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Rows) -> tuple[Array, None]:
        """Return the array of these samples."""
        return (self.values[rows] if isinstance(rows, slice) else self.values.take(rows, axis=0)), None

    def part(self, start: int, stop: int) -> Plain:
        """Return samples next to each other."""
        return Plain(self.values[start:stop])

    def rounded(self, dtype: np.dtype[Any]) -> Plain:
        """Return the same numbers in another type."""
        return Plain(self.values.astype(dtype, copy=False))


class Ragged:
    """Sequences of unequal lengths, one after the other in one array; a batch is padded with zeros at the end."""

    def __init__(self, values: Array, starts: Array, lengths: Array) -> None:
        self.values = values  # (sum of lengths + 1, ...), the last one zeros
        self.starts = starts
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return these sequences (B, T, ...) and their mask (B, T)."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        steps = np.arange(lengths.max(initial=0))
        mask: Array = steps < lengths[:, None]
        return self.values[np.where(mask, starts[:, None] + steps, len(self.values) - 1)], mask

    def part(self, start: int, stop: int) -> Ragged:
        """Return sequences next to each other."""
        return Ragged(self.values, self.starts[start:stop], self.lengths[start:stop])

    def rounded(self, dtype: np.dtype[Any]) -> Ragged:
        """Return the same numbers in another type."""
        return Ragged(self.values.astype(dtype, copy=False), self.starts, self.lengths)


def column(name: str, value: Any, admit: Admit | None = None) -> Column:
    """Take what a user gives for all samples: an array, or a list of sequences.

    `admit` makes the array what the model takes, given all samples at once; unequal sequences as one sample, the one
    behind the other.
    """
    if isinstance(value, list | tuple) and value and not _is_scalar(value[0]):
        parts = [np.asarray(sequence) for sequence in value]
        if len({part.shape for part in parts}) > 1:
            return _ragged(name, parts, admit)
        value = np.array(parts)
    found = np.asarray(value) if admit is None else admit(value)
    if admit is None and (found.dtype.kind not in "biuf" or found.ndim == 0):
        raise TypeError(f"{name} must hold real numbers, one or more for each sample, got {found.dtype} {found.shape}")
    if admit is None and isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, got {type(value).__name__}, whose mask would be ignored")
    return Plain(found)


class Samples(NamedTuple):
    """All that is known of the samples, each in memory as a whole."""

    x: Column
    y: Column | None
    weight: Column | None

    def part(self, start: int, stop: int) -> Samples:
        """Return samples next to each other."""
        return Samples(*(None if column is None else column.part(start, stop) for column in self))  # type: ignore[arg-type]

    def take(self, rows: Rows) -> Batch:
        """Return some samples as a batch."""
        x, mask = self.x.take(rows)
        y = None if self.y is None else self.y.take(rows)[0]
        return Batch(x, mask, y, None if self.weight is None else self.weight.take(rows)[0])

    def batches(self, size: int, order: Array | None = None) -> Iterator[Batch]:
        """Return batches of `size` samples, the last one perhaps smaller, in this order or as they are."""
        for start in range(0, len(self.x), size):
            yield self.take(slice(start, start + size) if order is None else order[start : start + size])


def samples(
    x: Any,
    y: Any,
    sample_weight: Any,
    weigh: Weigh | None,
    admit: Admit,
) -> Samples:
    """Take a user's arrays and lists, and see that they are of as many samples; `weigh` makes weights of the truth."""
    found = Samples(
        column("x", x, admit),
        None if y is None else column("y", y),
        None if sample_weight is None else column("sample_weight", sample_weight),
    )
    for name, other in (("y", found.y), ("sample_weight", found.weight)):
        if other is not None and len(other) != len(found.x):
            raise ValueError(f"{name} must be of {len(found.x)} samples, as x is, got {len(other)}")
    if weigh is None:
        return found
    if sample_weight is not None:
        raise ValueError("sample_weight and class_weight exclude each other, got both")
    if not isinstance(found.y, Plain):
        raise ValueError("class_weight needs a class of each sample in y")
    return found._replace(weight=Plain(weigh(found.y.values)))


def from_iterable(
    batches: Iterable[Any],
    admit: Admit,
    weigh: Weigh | None,
    check_truth: Callable[[Array], None] | None,
    needs_truth: bool,
) -> Iterator[Batch]:
    """Return a user's batches: x, (x, y) or (x, y, sample_weight)."""
    for batch in batches:
        x, y, weight = parts_of_batch(batch, needs_truth)
        found = samples(x, y, weight, weigh, admit).take(slice(None))
        if found.y is not None and check_truth is not None:
            check_truth(found.y)
        yield found


def parts_of_batch(batch: Any, needs_truth: bool) -> tuple[Any, Any, Any]:
    """Return x, y and sample_weight of a user's batch; a list, as PyTorch's loaders give it, is x if no y is needed."""
    parts = tuple(batch) if isinstance(batch, (tuple, list) if needs_truth else tuple) else (batch,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"a batch must be (x, y) or (x, y, sample_weight), got {len(parts)} values")
    return (*parts, None, None)[:3]


def count(n: int, size: int) -> int:
    """Return how many batches of a size n samples are."""
    return math.ceil(n / size)


def weights_of_classes(y: Array, class_weight: Mapping[int, float], axes: int) -> Array:
    """Return the weight of each class in y, 1 for those that are not mentioned.

    y holds the numbers of classes or, with as many axes as predictions have, may be one-hot.
    """
    if y.ndim == axes:
        y = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    classes = np.round(y).astype(np.intp)
    weights = np.ones(classes.shape)
    for number, weight in class_weight.items():
        weights[classes == number] = weight
    return weights


def _ragged(name: str, parts: list[Array], admit: Admit | None) -> Ragged:
    rests = {part.shape[1:] for part in parts}
    if len(rests) > 1 or any(part.ndim == 0 for part in parts):
        raise ValueError(f"{name} must be sequences that differ in length only, got shapes {_some(parts)}")
    joined = np.concatenate([*parts, np.zeros((1, *rests.pop()), parts[0].dtype)])
    values = joined if admit is None else admit(joined[None])[0]
    lengths = np.array([len(part) for part in parts], np.intp)
    return Ragged(values, np.cumsum(lengths) - lengths, lengths)


def _some(parts: list[Array]) -> str:
    shapes = list(dict.fromkeys(str(part.shape) for part in parts))
    return ", ".join(shapes[:3]) + (", ..." if len(shapes) > 3 else "")


def _is_scalar(value: Any) -> bool:
    return isinstance(value, int | float | str | bytes | np.generic) or value is None
