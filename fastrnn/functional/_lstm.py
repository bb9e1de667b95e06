"""Long short-term memory."""

from typing import Unpack

from numpy.typing import ArrayLike

from fastrnn import _core
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
With each gate's columns of the kernel as W, of the recurrent kernel as U, and its bias b::

    i(t) = recurrent_activation(x(t) Wi + h(t-1) Ui + bi)
    f(t) = recurrent_activation(x(t) Wf + h(t-1) Uf + bf)
    o(t) = recurrent_activation(x(t) Wo + h(t-1) Uo + bo)
    c(t) = f(t) c(t-1) + i(t) activation(x(t) Wc + h(t-1) Uc + bc)
    h(t) = o(t) activation(c(t))

The output is h. There are two states, h and c, in this order.
"""
SOURCE = """
The equations are those of F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to forget: continual prediction with
LSTM", Neural Computation 12 (2000).
"""
CELL = Cell(_core.LSTMWeights, gates=4, states=2)


@documented.including(equations=EQUATIONS, source=SOURCE)
def lstm(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    **call: Unpack[Inference],
) -> Output:
    """Run a layer of long short-term memory over a batch of sequences, as Keras's LSTM does.

    {equations}

    Parameters
    ----------
    {x}
    kernel : array_like of shape (I, 4H)
        Weights of the input, for the gates i, f, c and o side by side.
    recurrent_kernel : array_like of shape (H, 4H)
        Weights of the previous h.
    bias : array_like of shape (4H,), optional
        Added at every step.
    {activation}
    {recurrent_activation}
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
    >>> from fastrnn.functional import lstm
    >>> h, _, c = lstm(np.ones((1, 2, 1)), [[0.0, 0.0, 2.0, 0.0]], np.zeros((1, 4)), activation=None, return_state=True)
    >>> h, c
    (array([[0.75]]), array([[1.5]]))
    """
    activations = Activations(activation, recurrent_activation)
    return infer(CELL, Arrays(x, kernel, recurrent_kernel, bias), activations, **call)


@documented
def lstm_forward(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    **call: Unpack[Recording],
) -> tuple[Output, Tape]:
    """Do what `lstm` does and keep what `lstm_backward` needs.

    The arguments are those of `lstm` but for `out`, and two more.

    {recording}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.functional import lstm_backward, lstm_forward
    >>> y, tape = lstm_forward(np.ones((1, 2, 1)), np.zeros((1, 4)), np.zeros((1, 4)), activation="linear")
    >>> lstm_backward(np.ones_like(y), tape).weights[0]
    array([[0.   , 0.   , 0.375, 0.   ]])
    """
    activations = Activations(activation, recurrent_activation)
    return infer_and_keep(CELL, Arrays(x, kernel, recurrent_kernel, bias), activations, **call)
