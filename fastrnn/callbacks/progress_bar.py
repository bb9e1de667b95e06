"""What `fit` shows."""

from __future__ import annotations

import time

import numpy as np

from fastrnn.callbacks.base import Callback, Logs


class ProgressBar(Callback):
    """Writes to the standard output how the training goes; `fit` makes one, as `verbose` says.

    Parameters
    ----------
    is_alive : bool
        Whether to show a bar that moves, or only a line when an epoch is over.
    """

    _WIDTH = 20
    _SECONDS = 0.1  # between two pictures

    def __init__(self, is_alive: bool) -> None:
        self.is_alive = is_alive
        self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's number."""
        self._begin = time.perf_counter()
        self._shown = self._begin
        epochs = self.params["epochs"]
        print(f"Epoch {epoch + 1}/{epochs}", end="\n" if self.is_alive else " ", flush=True)

    def is_due(self) -> bool:
        """Whether it is time for another picture."""
        return self.is_alive and time.perf_counter() - self._shown > self._SECONDS

    def show(self, batch: int, logs: Logs) -> None:
        """Draw the bar after a step."""
        self._shown = time.perf_counter()
        print(f"\r{self._text(batch + 1, logs)}", end="", flush=True)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's values."""
        steps = self.params["steps"] or self.model.steps_made
        print(f"\r{self._text(steps, logs or {})}" if self.is_alive else self._values(steps, logs or {}), flush=True)

    def _text(self, step: int, logs: Logs) -> str:
        steps = self.params["steps"]
        if steps is None:
            return f"{step}/unknown {self._values(step, logs)}"
        full = self._WIDTH * step // steps
        bar = "━" * full + "·" * (self._WIDTH - full)
        return f"{step:>{len(str(steps))}}/{steps} {bar} {self._values(step, logs)}"

    def _values(self, step: int, logs: Logs) -> str:
        seconds = time.perf_counter() - self._begin
        each = seconds / max(step, 1)
        pace = f"{1e3 * each:.0f}ms" if each >= 1e-3 else f"{1e6 * each:.0f}us"
        values = " - ".join(f"{name}: {_number(value)}" for name, value in logs.items())
        return f"{seconds:.1f}s {pace}/step - {values}"


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 or not np.isfinite(value) else f"{value:.4e}"
