"""To save the model on the way."""

from __future__ import annotations

import os

from fastrnn.callbacks.base import Logs
from fastrnn.callbacks.monitor import Monitor


class ModelCheckpoint(Monitor):
    """Saves the model after epochs, or only when it has become better.

    Parameters
    ----------
    filepath : path
        Where to; it may hold the epoch and logged values: "{epoch:02d}-{val_loss:.2f}.safetensors".
    monitor : str, default "val_loss"
        Which of the logged values tells what is better.
    verbose : int, default 0
        Whether to say so.
    save_best_only : bool, default False
        Whether to save only what is better than everything before.
    save_weights_only : bool, default False
        Whether to save the weights without the state of the optimizer.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better: "auto" knows by the name.
    save_freq : "epoch" or int, default "epoch"
        After every epoch, or after so many steps.
    initial_value_threshold : float, optional
        What is not better than that is not saved either, with save_best_only.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> best = fr.callbacks.ModelCheckpoint("best.safetensors", monitor="loss", save_best_only=True)
    >>> history = model.fit([[[1.0]]] * 4, [1.0] * 4, epochs=3, verbose=0, callbacks=[best])
    >>> fr.Sequential.load("best.safetensors").count_params()
    11
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq <= 0):
            raise ValueError(f"save_freq must be 'epoch' or a number of steps, got {save_freq!r}")
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._steps = 0
        self._epoch = 0
        if save_freq != "epoch":
            self.__dict__["on_train_batch_end"] = self._after_step

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if that is after epochs."""
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _after_step(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        if self._steps >= int(self.save_freq):
            self._steps = 0
            self._save({**(logs or {}), "batch": batch + 1})

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            current = self._current(logs)
            if current is not None:
                if not self._improves(current, self.best):
                    return
                self.best = current
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except KeyError as missing:
            raise KeyError(f"filepath {self.filepath!r} names {missing}, but there is only {', '.join(logs)}") from None
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        self.model.save(path, include_optimizer=not self.save_weights_only)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved model to {path}")
