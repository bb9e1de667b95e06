"""What happens between the epochs and steps of `Sequential.fit`, with Keras's names and defaults.

A callback is an object whose methods `fit` calls::

    >>> import numpy as np
    >>> import fastrnn as fr
    >>> class Shout(fr.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch}: {sorted(logs)}")
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.zeros((4, 3, 1)), np.zeros(4), verbose=0, callbacks=[Shout()])
    epoch 0: ['loss']
"""

from __future__ import annotations

import csv
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from fastrnn._check import Array, choice

if TYPE_CHECKING:
    from fastrnn.sequential import Sequential

Logs = dict[str, float]


class Callback:
    """Base of all callbacks: methods that do nothing, for a subclass to say what it does.

    Attributes
    ----------
    model : Sequential
        The model that is trained.
    params : dict
        "epochs", "steps" of an epoch (None if unknown) and "verbose".
    """

    model: Sequential
    params: Mapping[str, Any]

    def set_model(self, model: Sequential) -> None:
        """Remember the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Remember what is known of the training."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before everything."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After everything, with the logs of the last epoch; not if an error ends the training."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch, with its loss and metrics, also those of validation: "val_loss", ..."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step, with the means of the epoch so far."""


class CallbackList:
    """Calls a method of many callbacks, and knows whether one of them looks at single steps."""

    def __init__(self, callbacks: Sequence[Callback], model: Sequential, params: Mapping[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must hold Callback objects, got {type(callback).__name__}")
            callback.set_model(model)
            callback.set_params(params)
        self.before_steps = [c for c in self.callbacks if _overrides(c, "on_train_batch_begin")]
        self.after_steps = [c for c in self.callbacks if _overrides(c, "on_train_batch_end")]

    def call(self, method: str, *arguments: Any) -> None:
        """Call the method of all."""
        for callback in self.callbacks:
            getattr(callback, method)(*arguments)


def _overrides(callback: Callback, method: str) -> bool:
    return getattr(getattr(callback, method), "__qualname__", "") != f"Callback.{method}"


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


class TerminateOnNaN(Callback):
    """Stops the training where a loss is not a finite number, before that step changes the weights.

    `fit` does so by itself, with an error. This callback says what to do.

    Parameters
    ----------
    action : {"error", "stop"}, default "error"
        Raise FloatingPointError, or end the training as `stop_training` does.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> stop = fr.callbacks.TerminateOnNaN("stop")
    >>> history = model.fit([[[0.0]]] * 4, [float("inf")] * 4, epochs=9, verbose=0, callbacks=[stop])
    >>> history.epoch
    [0]
    """

    def __init__(self, action: str = "error") -> None:
        self.action = choice("action", action, ("error", "stop"))


class LambdaCallback(Callback):
    """Calls functions: each argument is one for the method of its name, with that method's arguments.

    Examples
    --------
    >>> from fastrnn.callbacks import LambdaCallback
    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> callback.on_epoch_end(3, {"loss": 0.5})
    3 0.5
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        self.__dict__.update({name: function for name, function in functions.items() if function is not None})


class _Monitor(Callback):
    """A callback that watches one of the logged values."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        self.monitor = monitor
        self.mode = choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def _current(self, logs: Logs | None) -> float | None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            there = ", ".join(logs or {})
            warnings.warn(f"{type(self).__name__} monitors {self.monitor}, but there is only {there}", stacklevel=4)
        return value

    def _improves(self, current: float, best: float | None) -> bool:
        if best is None:
            return True
        goes_up = self.mode == "max" or (self.mode == "auto" and _is_better_large(self.monitor))
        return current > best + self.min_delta if goes_up else current < best - self.min_delta


def _is_better_large(name: str) -> bool:
    return any(part in name for part in ("acc", "auc", "AUC", "precision", "recall", "f1"))


class EarlyStopping(_Monitor):
    """Ends the training when a value has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Which of the logged values.
    min_delta : float, default 0
        What is less is no improvement.
    patience : int, default 0
        Epochs without improvement after which to stop.
    verbose : int, default 0
        Whether to say so.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better: "auto" knows by the name.
    baseline : float, optional
        A value that must be reached as well.
    restore_best_weights : bool, default False
        Whether the model gets back the weights of the best epoch.
    start_from_epoch : int, default 0
        Epochs before it do not count.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> stopping = fr.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    >>> history = model.fit([[[0.0]]] * 4, [0.0] * 4, epochs=9, verbose=0, callbacks=[stopping])
    >>> history.epoch
    [0, 1, 2]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier trainings."""
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See whether it is better, and stop if it has not been for long."""
        current = self._current(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._improves(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Give the best weights back."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate by `factor` when a value has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Which of the logged values.
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        Epochs without improvement.
    verbose : int, default 0
        Whether to say so.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better: "auto" knows by the name.
    min_delta : float, default 1e-4
        What is less is no improvement.
    cooldown : int, default 0
        Epochs to wait after a reduction before counting again.
    min_lr : float, default 0
        The learning rate does not get below it.

    Raises
    ------
    ValueError
        If factor is 1 or more.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile(fr.optimizers.SGD(0.1), "mse")
    >>> plateau = fr.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)
    >>> history = model.fit([[[0.0]]] * 4, [0.0] * 4, epochs=4, verbose=0, callbacks=[plateau])
    >>> history.history["learning_rate"]
    [0.1, 0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not factor < 1.0:
            raise ValueError(f"factor must be below 1, got {factor!r}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier trainings."""
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the learning rate, and reduce it if nothing has improved for long."""
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        current = self._current(logs)
        if current is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current, self.best):
            self.best, self.wait = current, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate reduced to {optimizer.learning_rate}")


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch to schedule(epoch, learning_rate).

    Parameters
    ----------
    schedule : callable
        Gets the epoch's number and the current rate, and returns the new one.
    verbose : int, default 0
        Whether to say so.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile(fr.optimizers.SGD(0.1), "mse")
    >>> halve = fr.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    >>> history = model.fit([[[0.0]]] * 4, [0.0] * 4, epochs=3, verbose=0, callbacks=[halve])
    >>> history.history["learning_rate"]
    [0.1, 0.05, 0.025]
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        optimizer.learning_rate = float(self.schedule(epoch, optimizer.learning_rate))
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {optimizer.learning_rate}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the rate."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ModelCheckpoint(_Monitor):
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
