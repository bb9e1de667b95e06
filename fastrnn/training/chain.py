"""The layers of a model, one behind the other: arrays and masks go forward, gradients backward."""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn.layers import Embedding, Layer, tokens
from fastrnn.layers.over_time import OverTime
from fastrnn.layers.tokens import Tokens
from fastrnn.regularizers import Regularizer


class _Link(NamedTuple):
    """A layer in its place."""

    layer: Layer
    takes_mask: bool
    is_read: bool  # an embedding whose table the next layer reads
    penalizes: Regularizer | None  # the outputs


class ForwardPass(NamedTuple):
    """What one forward pass in training gave."""

    y: Array
    mask: Array | None  # of y
    tapes: list[Any]
    outputs: list[Any]  # of every layer, if one of them penalizes its outputs, else empty
    penalty: float  # of outputs


class Chain:
    """Runs layers that are built."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        followers = [*layers[1:], None]
        self.links = [
            _Link(layer, _takes_mask(layer), _is_read(layer, follower), getattr(layer, "activity_regularizer", None))
            for layer, follower in zip(layers, followers, strict=True)
        ]
        self._penalizes = any(link.penalizes is not None for link in self.links)
        self.dtype = next((leaf.dtype for layer in layers for leaf in layer._leaves()), np.dtype(np.float32))

    def admit(self, x: ArrayLike) -> Array:
        """Return x in the one form that the first layer takes, checked once for many batches."""
        first = self.links[0].layer
        if isinstance(first, Embedding):
            return tokens.check("x", x, first.input_dim)
        if isinstance(first, OverTime):
            found = np.asarray(x)
            if first.input_dim is not None and found.ndim == 2 and found.dtype.kind in "iu":
                return tokens.check("x", found, first.input_dim)
            wanted = (None, None, first._features)
            return _check.array("x", x, first.dtype, ("batch", "time", "features"), wanted, strided=True)
        return _check.array("x", x, self.dtype, (), (None,) * np.ndim(x))

    def run(self, x: Array, mask: Array | None = None) -> tuple[Array, Array | None, float]:
        """Compute the output for admitted input, its mask, and the penalty of outputs."""
        y: Any = self._enter(x)
        penalty = 0.0
        for layer, takes_mask, is_read, penalizes in self.links:
            new_mask = layer.compute_mask(y, mask)
            if is_read:
                y = layer.look_up(y)  # type: ignore[attr-defined] # it is an Embedding
            elif takes_mask and mask is not None:
                y = layer(y, mask=mask)  # type: ignore[call-arg] # it has such an argument
            else:
                y = layer(y)
            mask = new_mask
            if penalizes is not None and len(y):
                penalty += penalizes(y) / len(y)
        return y, mask, penalty

    def forward(self, x: Array, mask: Array | None = None) -> ForwardPass:
        """Compute what `run` does, with dropout, and keep what `backward` needs."""
        y: Any = self._enter(x)
        penalty = 0.0
        tapes: list[Any] = []
        outputs: list[Any] = []
        for layer, takes_mask, is_read, penalizes in self.links:
            new_mask = layer.compute_mask(y, mask)
            tape = None
            if is_read:
                y = layer.look_up(y)  # type: ignore[attr-defined] # it is an Embedding
            elif takes_mask and mask is not None:
                y, tape = layer.forward(y, mask=mask, training=True)  # type: ignore[call-arg] # it has such an argument
            else:
                y, tape = layer.forward(y, training=True)
            mask = new_mask
            tapes.append(tape)
            if self._penalizes:
                outputs.append(y)
                if penalizes is not None and len(y):
                    penalty += penalizes(y) / len(y)
        return ForwardPass(y, mask, tapes, outputs, penalty)

    def backward(self, dy: Array, done: ForwardPass, gradients: Sequence[Sequence[Array | None]], first: int) -> None:
        """Write the gradients of every layer's weights, in order; None stands for one that is not wanted.

        No layer before `first` wants any.
        """
        for i in range(len(self.links) - 1, first - 1, -1):
            layer, _, is_read, penalizes = self.links[i]
            if penalizes is not None and len(dy):
                y = done.outputs[i]
                dy = dy + penalizes.gradient(y) / y.dtype.type(len(y))
            if is_read:
                found = [dy]
            else:
                dx, _, found = layer.backward(dy, done.tapes[i], need_dx=i > first)
                dy = dx  # type: ignore[assignment] # None only behind the last turn
            for view, gradient in zip(gradients[i], found, strict=True):
                if view is not None:
                    view[...] = gradient

    def _enter(self, x: Array) -> Array | Tokens:
        first = self.links[0].layer
        if isinstance(first, OverTime) and first.input_dim is not None and x.ndim == 2:
            return Tokens(x, None, first.input_dim)
        return x


def entry_shape(first: Layer, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return the shape that the first layer sees: token ids (batch, time) may stand for one-hot rows."""
    if isinstance(first, OverTime) and first.input_dim is not None and len(shape) == 2:
        return (*shape, first.input_dim)
    return shape


def _takes_mask(layer: Layer) -> bool:
    return "mask" in inspect.signature(layer.forward).parameters


def _is_read(layer: Layer, follower: Layer | None) -> bool:
    reads = follower is not None and follower._reads_tokens
    return isinstance(layer, Embedding) and layer.activity_regularizer is None and reads
