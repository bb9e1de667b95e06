"""The layer that joins every input to every unit: y = activation(x kernel + bias)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check, constraints, initializers, regularizers
from fastrnn._check import Array
from fastrnn.constraints import ConstraintLike
from fastrnn.functional import Gradients
from fastrnn.functional._call import ACTIVATIONS as RECURRENT_ACTIVATIONS
from fastrnn.functional._dense import dense, dense_backward
from fastrnn.initializers import InitializerLike
from fastrnn.layers.base import Layer, Weight, WeightSpecs
from fastrnn.regularizers import RegularizerLike

ACTIVATIONS = (*RECURRENT_ACTIVATIONS, "softmax")


class DenseTape(NamedTuple):
    """What back-propagation needs of one forward call: by `Dense.forward`, for `Dense.backward`.

    It holds the kernel as it was, so that a later change of it does no harm, and can be used any number of times. The
    input and the output are shared with the caller: `x` must not change before the backward call, and `y` is read-only
    for that reason.
    """

    x: Array  # (B, ..., I)
    kernel: Array  # (I, H)
    y: Array  # (B, ..., H)
    activation: str


class Dense(Layer):
    """Densely connected layer, as in Keras 3.15.

    ::

        y = activation(x kernel + bias)

    It works on the last axis, whatever the others are: behind a recurrent layer with return_sequences, on every time
    step.

    Parameters
    ----------
    units : int
        Number of outputs H.
    activation : {"linear", "relu", "tanh", "sigmoid", "softmax"} or None, default None
        None is linear. The softmax is over the units.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer, bias_initializer : str, mapping, Initializer or callable, defaults "glorot_uniform" and "zeros"
        What `fastrnn.initializers.get` accepts.
    kernel_regularizer, bias_regularizer, activity_regularizer : default None
        Whatever `fastrnn.regularizers.get` accepts. Penalties of the weights, and of the outputs of a batch divided by
        its size, join the loss in `fastrnn.Sequential`.
    kernel_constraint, bias_constraint : default None
        Whatever `fastrnn.constraints.get` accepts: what `fastrnn.Sequential` does to the weights after every step.
    dtype : {"float32", "float64"}, default "float32"
        Type of the weights, of all computation and of the output.
    name : str, optional
        A name; by default "dense" with a number.
    trainable : bool, default True
        Whether training is to change the weights.
    seed : int, optional
        Makes the initial weights repeatable. Keras has no such argument.
    input_shape : tuple of int or None, optional
        The shape of one sample: a `fastrnn.Sequential` that begins with this layer is built at once, as if
        it began with an `Input`.

    Attributes
    ----------
    kernel : ndarray of shape (I, H)
        Weights of the input, from `build` on.
    bias : ndarray of shape (H,), or None
        Added to every output.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import Dense
    >>> layer = Dense(2, activation="softmax", kernel_initializer="identity")
    >>> layer(np.log([[1.0, 3.0]]))
    array([[0.25, 0.75]], dtype=float32)
    >>> y, tape = layer.forward(np.log([[1.0, 3.0]]))
    >>> layer.backward([[1.0, 0.0]], tape).dx
    array([[ 0.1875, -0.1875]], dtype=float32)
    """

    _arguments = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )

    kernel = Weight()
    bias = Weight()

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        *,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        seed: int | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed, input_shape=input_shape)
        self.units = _check.positive_integer("units", units)
        self.activation = "linear" if activation is None else _check.choice("activation", activation, ACTIVATIONS)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.activity_regularizer = regularizers.get(activity_regularizer, "activity_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """Compute the output.

        Parameters
        ----------
        x : array_like of shape (B, ..., I)
            The input, of two axes or more.
        training : bool, default False
            Makes no difference.

        Returns
        -------
        ndarray of shape (B, ..., H)
            A new array.

        Raises
        ------
        TypeError, ValueError
            If `x` does not hold real numbers or has the wrong shape.
        """
        x = self._input(x)
        return self._output(x, self._arrays["kernel"])

    def forward(self, x: ArrayLike, training: bool = True) -> tuple[Array, DenseTape]:
        """Compute the output and keep what `backward` needs.

        Arguments and errors are those of a call of the layer. The tape refers to x itself unless it had to be
        converted, so x must not change before the backward call.

        Returns
        -------
        output : ndarray of shape (B, ..., H)
            Read-only, for the tape needs the very same numbers.
        tape : DenseTape
            For `backward`.
        """
        x = self._input(x)
        kernel = self._arrays["kernel"].copy()
        y = self._output(x, kernel)
        y.flags.writeable = False
        return y, DenseTape(x, kernel, y, self.activation)

    def backward(self, dy: ArrayLike, tape: DenseTape, *, need_dx: bool = True) -> Gradients:
        """Propagate the gradient of the output back to the input and the weights.

        Parameters
        ----------
        dy : array_like of shape (B, ..., H)
            Gradient of a loss with respect to the output.
        tape : DenseTape
            What `forward` returned.
        need_dx : bool, default True
            Whether to compute the gradient of x, which a first layer has no use for.

        Returns
        -------
        Gradients
            dx of shape (B, ..., I) or None; dinitial_state, None; weights, [dkernel (I, H), dbias (H,)]. New arrays.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not hold real numbers or has the wrong shape.
        """
        x, kernel, y, activation = tape
        dz: Array
        if type(dy) is np.ndarray and dy.dtype is y.dtype and dy.shape == y.shape and dy.flags.carray:
            dz = dy  # the usual case, at little cost
        else:
            dz = _check.array("dy", dy, y.dtype, _axes(y.ndim, "units"), y.shape)
        if activation == "softmax":
            dz = y * (dz - (dz * y).sum(axis=-1, keepdims=True))
        dx, dkernel, dbias = dense_backward(
            _rows(x), kernel, _rows(y), _rows(dz), _of_core(activation), need_dx, self.use_bias
        )
        dweights = [dkernel] if dbias is None else [dkernel, dbias]
        return Gradients(None if dx is None else dx.reshape(x.shape), None, dweights)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the output for an input of this shape, in which None stands for any size."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON, in Keras's form, and a seed if there is one."""
        config = super().get_config()
        return config if self.seed is None else {**config, "seed": self.seed}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what `get_config` returned, or that of Keras's Dense."""
        config = dict(config)
        _check.not_implemented(quantization_config=config.pop("quantization_config", None))
        return super().from_config(config)

    def _weight_specs(self, features: int) -> WeightSpecs:
        specs: WeightSpecs = {"kernel": ((features, self.units), self.kernel_initializer)}
        if self.use_bias:
            specs["bias"] = ((self.units,), self.bias_initializer)
        return specs

    def _input(self, x: ArrayLike) -> Array:
        """Return x in the layer's type; its features build the layer if nothing did before."""
        if type(x) is np.ndarray and x.dtype is self.dtype and x.flags.carray and x.shape[1:] == (self._features,):
            return x  # the usual case, at little cost
        try:
            ndim = max(np.ndim(x), 2)
        except ValueError:  # no array at all, as _check is going to say
            ndim = 2
        found = _check.array("x", x, self.dtype, _axes(ndim, "features"), (None,) * (ndim - 1) + (self._features,))
        if not self.built:
            self.build(found.shape)
        return found

    def _output(self, x: Array, kernel: Array) -> Array:
        y = dense(_rows(x), kernel, self._arrays["bias"] if self.use_bias else None, _of_core(self.activation))
        if self.activation == "softmax":
            _softmax(y)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], self.units)


def _axes(ndim: int, last: str) -> tuple[str, ...]:
    return ("batch", *["..."] * (ndim - 2), last)


def _rows(array: Array) -> Array:
    return array if array.ndim == 2 else array.reshape(-1, array.shape[-1])


def _of_core(activation: str) -> str:
    """Return what the core applies: a softmax, which is not element by element, is for NumPy."""
    return "linear" if activation == "softmax" else activation


def _softmax(z: Array) -> None:
    """Apply the softmax over the last axis in place; no exp can overflow."""
    z -= z.max(axis=-1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=-1, keepdims=True)
