"""What happens when the loss is not a number."""

from __future__ import annotations

from fastrnn._check import choice
from fastrnn.callbacks.base import Callback


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
