"""The simple (Elman) recurrent layer."""

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
::

    h(t) = activation(x(t) kernel + bias + h(t-1) recurrent_kernel)
"""
SOURCE = 'The equation is that of J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).'
CELL = Cell(_core.SimpleRNNWeights, gates=1)


@documented.including(equations=EQUATIONS, source=SOURCE)
def simple_rnn(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = "tanh",
    **call: Unpack[Inference],
) -> Output:
    """Run a simple (Elman) recurrent layer over a batch of sequences, as Keras's SimpleRNN does.

    {equations}

    Parameters
    ----------
    {x}
    kernel : array_like of shape (I, H)
        Weights of the input.
    recurrent_kernel : array_like of shape (H, H)
        Weights of the previous state.
    bias : array_like of shape (H,), optional
        Added at every step.
    {activation}
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
    >>> from fastrnn.functional import simple_rnn
    >>> simple_rnn(np.ones((1, 2, 1)), [[1.0]], [[-1.0]], activation="linear", return_sequences=True)
    array([[[1.],
            [0.]]])
    """
    return infer(CELL, Arrays(x, kernel, recurrent_kernel, bias), Activations(activation), **call)


@documented
def simple_rnn_forward(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = "tanh",
    **call: Unpack[Recording],
) -> tuple[Output, Tape]:
    """Do what `simple_rnn` does and keep what `simple_rnn_backward` needs.

    The arguments are those of `simple_rnn` but for `out`, and two more.

    {recording}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.functional import simple_rnn_backward, simple_rnn_forward
    >>> y, tape = simple_rnn_forward(np.ones((1, 2, 1)), [[1.0]], [[0.5]], activation="linear")
    >>> simple_rnn_backward(np.ones_like(y), tape).weights[1]
    array([[1.]])
    """
    return infer_and_keep(CELL, Arrays(x, kernel, recurrent_kernel, bias), Activations(activation), **call)
