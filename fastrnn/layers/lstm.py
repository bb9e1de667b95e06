"""The layer of long short-term memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastrnn._check import Array
from fastrnn.constraints import ConstraintLike
from fastrnn.functional._call import Cell
from fastrnn.functional._lstm import CELL, EQUATIONS, SOURCE
from fastrnn.initializers import InitializerLike
from fastrnn.layers.recurrent import Recurrent, described
from fastrnn.regularizers import RegularizerLike


@described.including(equations=EQUATIONS, source=SOURCE)
class LSTM(Recurrent):
    """Layer of long short-term memory, as in Keras 3.15.

    {equations}

    {source}

    Weights are kernel (I, 4H), recurrent_kernel (H, 4H) and bias (4H,), with I input features, H units, and the gates
    in the order i, f, c, o. One layer can be called by many threads at once, unless it is stateful.

    Parameters
    ----------
    {units}
    {activation}
    {recurrent_activation}
    {weights}
    unit_forget_bias : bool, default True
        The biases of the gate f start from 1, whatever bias_initializer says.
    {rules}
    {call}
    use_cudnn : "auto" or bool, default "auto"
        Accepted for Keras's sake; it changes nothing.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import LSTM
    >>> layer = LSTM(3, return_state=True)
    >>> output, h, c = layer(np.zeros((1, 4, 4)))
    >>> bool((output == h).all()), c.shape
    (True, (1, 3))
    >>> layer.count_params()
    96
    """

    _arguments = ("recurrent_activation", "unit_forget_bias")
    unit_forget_bias: bool

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: str | bool = "auto",
        *,
        zero_output_for_mask: bool = False,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_dim: int | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        self._configure(locals())

    @property
    def _cell(self) -> Cell:
        return CELL

    def _fill_bias(self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: "np.random.Generator") -> Array:
        bias = super()._fill_bias(shape, dtype, rng)
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1
        return bias
