"""To change the learning rate from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable

from fastrnn._check import count, function, number
from fastrnn.callbacks.base import Callback, Logs
from fastrnn.callbacks.monitor import Monitor


class ReduceLROnPlateau(Monitor):
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
        If factor is 1 or more, or another number is negative.

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
        self.factor = number("factor", factor, below=1.0)
        self.patience = count("patience", patience)
        self.verbose = verbose
        self.cooldown = count("cooldown", cooldown)
        self.min_lr = number("min_lr", min_lr)
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
        self.schedule = function("schedule", schedule)
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
