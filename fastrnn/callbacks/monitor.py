"""What callbacks share that watch one of the logged values."""

from __future__ import annotations

import warnings

from fastrnn._check import choice, real
from fastrnn.callbacks.base import Callback, Logs


class Monitor(Callback):
    """A callback that watches one of the logged values."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.monitor = monitor
        self.mode = choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(real("min_delta", min_delta))
        self.best: float | None = None

    def _current(self, logs: Logs | None) -> float | None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            there = ", ".join(logs or {})
            warnings.warn(f"{type(self).__name__} monitors {self.monitor}, but there is only {there}", stacklevel=6)
        return value

    def _improves(self, current: float, best: float | None) -> bool:
        if best is None:
            return True
        goes_up = self.mode == "max" or (self.mode == "auto" and _is_better_large(self.monitor))
        return current - self.min_delta > best if goes_up else current + self.min_delta < best


def _is_better_large(name: str) -> bool:
    return any(part in name for part in ("acc", "auc", "AUC", "precision", "recall", "f1"))
