"""What happens when the loss is not a number."""

from __future__ import annotations

from fastrnn.callbacks.base import Callback


class TerminateOnNaN(Callback):
    """Stops the training where a loss is not a finite number, before that step changes the weights.

    Without this callback, `fit` raises a FloatingPointError then.

    Parameters
    ----------
    raise_error : bool, default False
        Whether to raise that error, instead of ending the training as `stop_training` does.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> stop = fr.callbacks.TerminateOnNaN()
    >>> history = model.fit([[[0.0]]] * 4, [float("inf")] * 4, epochs=9, verbose=0, callbacks=[stop])
    >>> history.epoch
    [0]
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = bool(raise_error)
