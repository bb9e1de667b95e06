"""The gated recurrent unit."""

from typing import Unpack

from numpy.typing import ArrayLike

from fastrnn import _core
from fastrnn._check import Array
from fastrnn.functional._call import (
    Activations,
    Arrays,
    Cell,
    Inference,
    Output,
    Recording,
    documented,
    infer,
    infer_and_keep,
)
from fastrnn.functional._tape import Tape

EQUATIONS = """
With each gate's columns of the kernel as W, of the recurrent kernel as U, and its bias b of the input and b' of the
state::

    z(t) = recurrent_activation(x(t) Wz + bz + h(t-1) Uz + b'z)
    r(t) = recurrent_activation(x(t) Wr + br + h(t-1) Ur + b'r)
    c(t) = activation(x(t) Wh + bh + r(t) (h(t-1) Uh + b'h))     with reset_after
    c(t) = activation(x(t) Wh + bh + (r(t) h(t-1)) Uh)           without; there is no b'
    h(t) = z(t) h(t-1) + (1 - z(t)) c(t)
"""
SOURCE = """
The equations are those of K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
machine translation", arXiv:1406.1078; reset_after is its first version, and that of cuDNN.
"""


def _reset_before(kernel: Array, recurrent_kernel: Array, bias: Array | None) -> _core.GRUWeights:
    return _core.GRUWeights(kernel, recurrent_kernel, bias, False)


CELLS = {
    True: Cell(_core.GRUWeights, gates=3, biases=2),
    False: Cell(_reset_before, gates=3),
}


@documented.including(equations=EQUATIONS, source=SOURCE)
def gru(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    reset_after: bool = True,
    **call: Unpack[Inference],
) -> Output:
    """Run a layer of gated recurrent units over a batch of sequences, as Keras's GRU does.

    {equations}

    Parameters
    ----------
    {x}
    kernel : array_like of shape (I, 3H)
        Weights of the input, for the gates z, r and h side by side.
    recurrent_kernel : array_like of shape (H, 3H)
        Weights of the previous state.
    bias : array_like of shape (2, 3H), or (3H,) without reset_after, optional
        Added at every step: the first row to what comes from the input, the second to what comes from the state.
    {activation}
    {recurrent_activation}
    reset_after : bool, default True
        Whether the gate r resets what comes out of the product with the recurrent kernel, or what goes into it.
    {call}
    {out}

    {results}

    Notes
    -----
    {source}

    {notes}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.functional import gru
    >>> gru(np.ones((1, 2, 1)), [[0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]], activation="linear", return_sequences=True)
    array([[[0.5 ],
            [0.75]]])
    """
    cell = CELLS[bool(reset_after)]
    return infer(cell, Arrays(x, kernel, recurrent_kernel, bias), Activations(activation, recurrent_activation), **call)


@documented
def gru_forward(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    reset_after: bool = True,
    **call: Unpack[Recording],
) -> tuple[Output, Tape]:
    """Do what `gru` does and keep what `gru_backward` needs.

    The arguments are those of `gru` but for `out`, and two more.

    {recording}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.functional import gru_backward, gru_forward
    >>> y, tape = gru_forward(np.ones((1, 2, 1)), np.zeros((1, 3)), np.zeros((1, 3)), activation="linear")
    >>> gru_backward(np.ones_like(y), tape).weights[0]
    array([[0.  , 0.  , 0.75]])
    """
    cell = CELLS[bool(reset_after)]
    activations = Activations(activation, recurrent_activation)
    return infer_and_keep(cell, Arrays(x, kernel, recurrent_kernel, bias), activations, **call)
