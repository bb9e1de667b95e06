"""To end the training when a value no longer improves."""

from __future__ import annotations

from fastrnn._check import Array, count, real
from fastrnn.callbacks.base import Logs
from fastrnn.callbacks.monitor import Monitor


class EarlyStopping(Monitor):
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
        self.patience = count("patience", patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else real("baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = count("start_from_epoch", start_from_epoch)
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
