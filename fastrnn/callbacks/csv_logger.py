"""To write the logs into a file."""

from __future__ import annotations

import csv
import os
from typing import IO

from fastrnn.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of every epoch into a line of a file.

    Parameters
    ----------
    filename : path
        The file.
    separator : str, default ","
        Between values.
    append : bool, default False
        Whether to continue a file that is there.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> logger = fr.callbacks.CSVLogger("training.csv")
    >>> history = model.fit([[[0.0]]] * 4, [0.0] * 4, epochs=2, verbose=0, callbacks=[logger])
    >>> Path("training.csv").read_text().split()
    ['epoch,loss', '0,0.0', '1,0.0']
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: IO[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self._close()
        self._has_header = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115
        self._names: list[str] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        assert self._file is not None
        writer = csv.writer(self._file, delimiter=self.separator)
        if not self._names:
            self._names = sorted(logs or {})
            if not self._has_header:
                writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *((logs or {}).get(name, "NA") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
