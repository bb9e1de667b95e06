"""The base of callbacks, and what calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
