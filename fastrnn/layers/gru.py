"""The layer of gated recurrent units."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import DTypeLike

from fastrnn.constraints import ConstraintLike
from fastrnn.functional._call import Cell
from fastrnn.functional._gru import CELLS, EQUATIONS, SOURCE
from fastrnn.initializers import InitializerLike
from fastrnn.layers.recurrent import Recurrent, described
from fastrnn.regularizers import RegularizerLike


@described.including(equations=EQUATIONS, source=SOURCE)
class GRU(Recurrent):
    """Layer of gated recurrent units, as in Keras 3.15.

    {equations}

    {source}

    Weights are kernel (I, 3H), recurrent_kernel (H, 3H) and bias (2, 3H), or (3H,) without reset_after, with I input
    features, H units, and the gates in the order z, r, h. One layer can be called by many threads at once, unless it is
    stateful.

    Parameters
    ----------
    {units}
    {activation}
    {recurrent_activation}
    {weights}
    {rules}
    {call}
    reset_after : bool, default True
        Whether the gate r resets what comes out of the product with the recurrent kernel, or what goes into it.
    use_cudnn : "auto" or bool, default "auto"
        Accepted for Keras's sake; it changes nothing.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import GRU
    >>> layer = GRU(3, return_state=True)
    >>> output, state = layer(np.zeros((1, 4, 4)))
    >>> output.shape, state.shape
    ((1, 3), (1, 3))
    >>> layer.count_params()
    81
    """

    _arguments = ("recurrent_activation", "reset_after")
    reset_after: bool

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
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
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
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
        return CELLS[self.reset_after]
