"""The simple (Elman) recurrent layer."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import DTypeLike

from fastrnn.constraints import ConstraintLike
from fastrnn.functional._call import Cell
from fastrnn.functional._simple_rnn import CELL, EQUATIONS, SOURCE
from fastrnn.initializers import InitializerLike
from fastrnn.layers.recurrent import Recurrent, described
from fastrnn.regularizers import RegularizerLike


@described.including(equations=EQUATIONS, source=SOURCE)
class SimpleRNN(Recurrent):
    """Fully connected recurrent layer whose output is fed back as its state, as in Keras 3.15.

    {equations}

    {source}

    Weights are kernel (I, H), recurrent_kernel (H, H) and bias (H,), with I input features and H units. One layer can
    be called by many threads at once, unless it is stateful.

    Parameters
    ----------
    {units}
    {activation}
    {weights}
    {rules}
    {call}
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import SimpleRNN
    >>> layer = SimpleRNN(3)
    >>> layer(np.zeros((1, 4, 4))).shape
    (1, 3)
    >>> layer.count_params()
    24
    """

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        *,
        zero_output_for_mask: bool = False,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_dim: int | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        self._configure(locals())

    recurrent_activation = "linear"  # there are no gates

    @property
    def _cell(self) -> Cell:
        return CELL
