"""A layer applied to every time step by itself."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn.functional import Gradients
from fastrnn.layers.base import Layer
from fastrnn.layers.composite import serialize


class TimeDistributedTape(NamedTuple):
    """What back-propagation needs of one forward call."""

    shape: tuple[int, ...]  # of the input
    inner: Any  # the layer's own tape


class TimeDistributed(Layer):
    """Applies a layer to every time step of its input, as in Keras 3.15.

    The input (B, T, ...) goes through the layer as one batch (B·T, ...). A mask travels on, unused by the layer.

    Parameters
    ----------
    layer : Layer
        What to apply: it takes an input (B, ...) and returns one array.
    name : str, optional
        A name; by default "time_distributed" with a number.
    trainable : bool, default True
        Whether training is to change the layer's weights.
    input_shape : tuple of int or None, optional
        The shape of one sample: a `fastrnn.Sequential` that begins with this layer is built at once, as if
        it began with an `Input`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import Dense, TimeDistributed
    >>> TimeDistributed(Dense(2))(np.zeros((5, 4, 3))).shape
    (5, 4, 2)
    """

    _arguments = ("layer",)

    def __init__(
        self,
        layer: Layer,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be a layer, got {type(layer).__name__}")
        super().__init__(name=name, trainable=trainable, dtype=layer.dtype, input_shape=input_shape)
        self.layer = layer

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self.layer.built

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the layer's weights from the shape (B, T, ...) of the input."""
        self.layer.build(self._step_shape(input_shape))

    @property
    def _arrays(self) -> Mapping[str, Array]:
        return self.layer._arrays

    def _hand_out(self) -> Mapping[str, Array]:
        return self.layer._hand_out()

    def _assign(self, values: Mapping[str, ArrayLike]) -> None:
        self.layer._assign(values)

    def _weight_shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        return self.layer._weight_shapes(features)

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """Apply the layer to every step of x (B, T, ...) and return (B, T, ...)."""
        rows, shape = self._rows(x)
        return self._steps(self.layer(rows, **self._mode(training)), shape)

    def forward(self, x: ArrayLike, training: bool = True) -> tuple[Array, TimeDistributedTape]:
        """Apply the layer and keep what `backward` needs; as a call otherwise."""
        rows, shape = self._rows(x)
        y, tape = self.layer.forward(rows, training=training)
        return self._steps(y, shape), TimeDistributedTape(shape, tape)

    def backward(self, dy: ArrayLike, tape: TimeDistributedTape, *, need_dx: bool = True) -> Gradients:
        """Propagate the gradient dy of the output back to the input and the layer's weights."""
        shape, inner = tape
        dy = np.asarray(dy)
        gradients = self.layer.backward(dy.reshape(-1, *dy.shape[2:]), inner, need_dx=need_dx)
        dx = gradients.dx
        return Gradients(None if dx is None else dx.reshape(shape), None, gradients.weights)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape (B, T, ...) of the output."""
        rest = self.layer.compute_output_shape(self._step_shape(input_shape))[1:]
        return (*input_shape[:2], *rest)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON, in Keras's form."""
        config = {name: value for name, value in super().get_config().items() if name != "layer"}
        return {**config, "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TimeDistributed":
        """Make a layer from what `get_config` returned, or that of Keras's TimeDistributed."""
        from fastrnn import layers

        return cls(**{**config, "layer": layers.deserialize(config["layer"])})

    def _leaves(self) -> list[Layer]:
        return self.layer._leaves()

    def _step_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        if len(input_shape) < 3:
            raise ValueError(f"input_shape must be (batch, time, ..., features), got {tuple(input_shape)}")
        return (None, *input_shape[2:])

    def _rows(self, x: ArrayLike) -> tuple[Array, tuple[int, ...]]:
        ndim = max(np.ndim(x), 3)
        found = _check.array("x", x, self.dtype, ("batch", "time", *["..."] * (ndim - 3), "features"), (None,) * ndim)
        self.build(found.shape)
        return found.reshape(-1, *found.shape[2:]), found.shape

    def _steps(self, y: Array, shape: tuple[int, ...]) -> Array:
        return y.reshape(*shape[:2], *y.shape[1:])

    def _mode(self, training: bool) -> dict[str, bool]:
        return {"training": True} if training else {}
