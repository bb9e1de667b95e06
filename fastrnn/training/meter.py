"""What an epoch's batches add up to: the loss and the metrics."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrnn import metrics as metrics_module
from fastrnn._check import Array
from fastrnn.metrics import Metric, MetricLike

_BLOCK = 2**16  # values of predictions that are kept before the metrics see them


class Meter:
    """Keeps predictions and hands them to the metrics in blocks, for that costs less than batch by batch.

    Parameters
    ----------
    metrics, weighted_metrics : sequence of MetricLike
        What to compute; the weighted ones with the samples' weights.
    """

    def __init__(self, metrics: Sequence[MetricLike] = (), weighted_metrics: Sequence[MetricLike] = ()) -> None:
        self._wanted = [(metric, False) for metric in metrics] + [(metric, True) for metric in weighted_metrics]
        self._metrics: list[tuple[str, Metric, bool]] | None = None
        self.reset()

    def check(self) -> None:
        """Refuse unknown metrics."""
        for metric, _ in self._wanted:
            if not _is_accuracy(metric):
                metrics_module.get(metric)

    def reset(self) -> None:
        """Begin anew."""
        self._loss = 0.0
        self._samples = 0
        self._kept: list[tuple[Array, Array, Array | None, Array | None]] = []
        self._size = 0
        for _, metric, _ in self._metrics or ():
            metric.reset_state()

    def add(self, loss: float, y: Array | None, y_pred: Array, weight: Array | None, mask: Array | None) -> None:
        """Add a batch. The arrays must not change afterwards."""
        samples = len(y_pred)
        self._loss += loss * samples
        self._samples += samples
        if self._wanted and y is not None:
            self._kept.append((y, y_pred, weight, mask))
            self._size += y_pred.size
            if self._size > _BLOCK:
                self._flush()

    def result(self) -> dict[str, float]:
        """Return the mean loss of the samples so far, and the metrics."""
        self._flush()
        logs = {"loss": self._loss / self._samples if self._samples else 0.0}
        for name, metric, _ in self._metrics or ():
            logs[name] = metric.result()
        return logs

    def _flush(self) -> None:
        if not self._kept:
            return
        kept, self._kept, self._size = self._kept, [], 0
        if self._metrics is None:
            self._metrics = self._make(kept[0][0], kept[0][1])
        shapes = {(y.shape[1:], y_pred.shape[1:]) for y, y_pred, _, _ in kept}
        for y, y_pred, weight, mask in _joined(kept) if len(shapes) == 1 else kept:
            for _, metric, weighted in self._metrics:
                metric.update_state(y, y_pred, _merged(weight if weighted else None, mask))

    def _make(self, y: Array, y_pred: Array) -> list[tuple[str, Metric, bool]]:
        made: list[tuple[str, Metric, bool]] = []
        names: set[str] = {"loss"}
        for identifier, weighted in self._wanted:
            if isinstance(identifier, str) and _is_accuracy(identifier):
                metric = metrics_module.accuracy(identifier, y.shape, y_pred.shape)
            else:
                metric = metrics_module.get(identifier)
            metric.reset_state()
            name = f"weighted_{metric.name}" if weighted and metric.name in names else metric.name
            number = 1
            while name in names:
                name, number = f"{metric.name}_{number}", number + 1
            names.add(name)
            made.append((name, metric, weighted))
        return made


def _is_accuracy(identifier: MetricLike) -> bool:
    return isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc")


def _joined(kept: list[Any]) -> list[Any]:
    """Join batches of one shape; weights and masks are there in all of them or in none."""
    columns = zip(*kept, strict=True)
    return [tuple(None if column[0] is None else np.concatenate(column) for column in columns)]


def _merged(weight: Array | None, mask: Array | None) -> Array | None:
    """Return the weights of all values, 0 where they are masked."""
    return weight if mask is None else weighted(np.not_equal(mask, 0).astype(np.float64), weight)


def weighted(values: Array, weight: Array | None) -> Array:
    """Return the values (B, ...), each times its sample's weight."""
    if weight is not None:
        values = values * weight.reshape(*weight.shape, *(1,) * (values.ndim - weight.ndim))
    return values
