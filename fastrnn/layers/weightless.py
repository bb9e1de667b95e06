"""Layers without weights: Masking and Dropout."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check
from fastrnn._check import Array
from fastrnn.functional import Gradients
from fastrnn.layers.base import Layer, drop


class FactorTape(NamedTuple):
    """What back-propagation needs of a layer whose output is its input times a factor; None stands for 1."""

    factor: Array | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Weightless(Layer):
    """Base of layers whose output is their input times a factor that a subclass computes in `_factor`.

    Arrays of float32 and float64 keep their type; whatever else comes is converted to the layer's.
    """

    def __init__(
        self,
        *,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        seed: int | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed, input_shape=input_shape)

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make ready; there are no weights, and the shape of the input does not matter."""
        super().build((1,))

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """Compute the output.

        Parameters
        ----------
        x : array_like of shape (B, ..., features)
            The input.
        training : bool, default False
            Whether this is training, in which alone dropout drops.

        Returns
        -------
        ndarray of the same shape
            x itself, if it has the layer's type and there is nothing to do.
        """
        return self.forward(x, training)[0]

    def forward(self, x: ArrayLike, training: bool = True) -> tuple[Array, FactorTape]:
        """Compute the output and keep what `backward` needs; as a call of the layer otherwise."""
        self.build()
        given = getattr(x, "dtype", None)
        dtype = _check.FLOATS["float64"] if given == np.float64 else self.dtype  # another layer may have asked for it
        found = _check.array("x", x, dtype, (), (None,) * np.ndim(x))
        factor = self._factor(found, training)
        return found if factor is None else found * factor, FactorTape(factor, found.shape, found.dtype)

    def backward(self, dy: ArrayLike, tape: FactorTape, *, need_dx: bool = True) -> Gradients:
        """Propagate the gradient of the output, shaped as it, back to the input."""
        factor, shape, dtype = tape
        dy = _check.array("dy", dy, dtype, (), shape)
        return Gradients(dy if factor is None else dy * factor, None, [])

    def _factor(self, x: Array, training: bool) -> Array | None:
        raise NotImplementedError


class Masking(Weightless):
    """Masks time steps at which every feature is `mask_value`: layers that follow skip them, as in Keras 3.15.

    The outputs of these steps are 0.

    Parameters
    ----------
    mask_value : float, default 0.0
        What padding is made of.
    dtype, name, trainable, input_shape
        As for the other layers.

    Examples
    --------
    >>> from fastrnn import Masking
    >>> Masking().compute_mask([[[1.0, 0.0], [0.0, 0.0]]])
    array([[ True, False]])
    """

    _arguments = ("mask_value",)

    def __init__(
        self,
        mask_value: float = 0.0,
        *,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name, trainable=trainable, input_shape=input_shape)
        self.mask_value = _check.real("mask_value", mask_value)

    def compute_mask(self, x: Any, mask: Array | None = None) -> Array | None:
        """Return which steps have a feature that is not `mask_value`, and are not masked already."""
        used: Array = np.any(np.not_equal(x, self.mask_value), axis=-1)
        return used if mask is None else used & (np.asarray(mask) != 0)

    def _factor(self, x: Array, training: bool) -> Array | None:
        used: Array = np.any(x != self.mask_value, axis=-1, keepdims=True).astype(x.dtype)
        return used


class Dropout(Weightless):
    """Drops out a share of the inputs in training and multiplies the others by 1 / (1 - rate), as in Keras 3.15.

    Otherwise the output is the input.

    Parameters
    ----------
    rate : float
        The share, from 0 to 1.
    noise_shape : sequence of int or None, optional
        Shape of the random choice, which is broadcast over the input: (None, 1, None) makes the same choice at all time
        steps. None stands for the input's size.
    seed : int, optional
        Makes the choices repeatable.
    dtype, name, trainable, input_shape
        As for the other layers.

    Examples
    --------
    >>> from fastrnn import Dropout
    >>> Dropout(0.5, seed=0)([[1.0, 1.0, 1.0, 1.0]], training=True)
    array([[2., 0., 0., 0.]], dtype=float32)
    """

    _arguments = ("rate", "seed", "noise_shape")

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name, trainable=trainable, seed=seed, input_shape=input_shape)
        self.rate = _check.rate("rate", rate)
        self.noise_shape = None if noise_shape is None else _check.sizes("noise_shape", noise_shape)

    def _factor(self, x: Array, training: bool) -> Array | None:
        if not training or self.rate == 0:
            return None
        assert self._rng is not None
        shape = x.shape
        if self.noise_shape is not None:
            if len(self.noise_shape) != x.ndim:
                raise ValueError(f"x must have {len(self.noise_shape)} axes, as noise_shape has, got {x.shape}")
            shape = tuple(n if size is None else size for n, size in zip(x.shape, self.noise_shape, strict=True))
        return drop(self._rng, self.rate, shape, x.dtype)
