"""What became of every epoch, and its plot."""

from __future__ import annotations

import os
from typing import Any

from fastrnn.callbacks.base import Callback, Logs


class History(Callback):
    """Keeps what every epoch ended with; `fit` returns one.

    Attributes
    ----------
    history : dict of str to list of float
        For "loss" and every metric, also those of validation, a value for each epoch.
    epoch : list of int
        The epochs' numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.zeros((4, 3, 1)), np.zeros(4), epochs=2, verbose=0)
    >>> history.history["loss"]
    [0.0, 0.0]
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._when: dict[str, list[int]] = {}  # the epochs of each value: not every one has a validation

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the logs."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._when.setdefault(name, []).append(epoch)

    def plot(self, file: str | os.PathLike[str] | None = None) -> Any:
        """Draw the curves: an axes for the loss and for each metric, validation beside training.

        It needs matplotlib.

        Parameters
        ----------
        file : path, optional
            Where to save the picture.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it by itself.
        """
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        names = [name for name in self.history if not name.startswith("val_")]
        figure = Figure(figsize=(5 * max(len(names), 1), 3.6), layout="constrained")
        for axes, name in zip(figure.subplots(1, max(len(names), 1), squeeze=False)[0], names, strict=False):
            for key, label, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
                if key in self.history:
                    epochs = [epoch + 1 for epoch in self._when[key]]
                    axes.plot(epochs, self.history[key], style, linewidth=2, label=label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(title=name.replace("_", " "), xlabel="epoch")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.25)
            axes.legend(frameon=False)
        if file is not None:
            figure.savefig(file, dpi=150)
        return figure
