"""What a layer's weights hold before training: Keras's initializers, by Keras's names, formulas and defaults.

An initializer is called with a shape and gives an array::

    >>> from fastrnn import initializers
    >>> initializers.get("identity")((2, 2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)

Random initializers draw from the same distributions as Keras, not the same bits. They draw in float64 and round once,
so that a seed gives the same numbers in every dtype.

A weight of shape (..., fan_in, fan_out), such as a layer's kernel (inputs, units), has `fan_in` inputs and `fan_out`
outputs; a vector of n has both equal to n, and leading axes multiply both.
"""

from __future__ import annotations  # np.random is imported when something is drawn, not before

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastrnn import _check, _random
from fastrnn._check import Array
from fastrnn._registry import Configurable, Registry

Shape: TypeAlias = tuple[int, ...]
InitializerLike: TypeAlias = "str | Mapping[str, Any] | Initializer | type | Callable[..., ArrayLike]"

# The standard deviation of a standard normal cut off at two standard deviations, as Keras writes it.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Configurable):
    """Base of all initializers. A subclass fills an array in `_values` and says in `_arguments` how it was made."""

    def __call__(
        self, shape: Sequence[int], dtype: DTypeLike = "float32", rng: np.random.Generator | None = None
    ) -> Array:
        """Make a new C-contiguous array.

        Parameters
        ----------
        shape : sequence of int
            Shape of the array.
        dtype : {"float32", "float64"}, default "float32"
            Type of the array.
        rng : numpy.random.Generator, optional
            Where an initializer without a seed of its own draws from. By default, from fresh entropy of the operating
            system, or as `fastrnn.utils.set_random_seed` says. An initializer with a seed ignores it and gives the same
            numbers at every call.

        Raises
        ------
        ValueError
            If `dtype` is another type, or the initializer cannot fill this shape.
        """
        dtype = _check.float_dtype(dtype)
        return np.asarray(self._values(tuple(shape), rng), dtype, order="C")

    def _values(self, shape: Shape, rng: np.random.Generator | None) -> NDArray[np.float64]:
        raise NotImplementedError


class Constant(Initializer):
    """Every value is `value` (default 0).

    Examples
    --------
    >>> from fastrnn.initializers import Constant
    >>> Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    _arguments = ("value",)

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def _values(self, shape: Shape, rng: np.random.Generator | None) -> NDArray[np.float64]:
        return np.full(shape, self.value, np.float64)


class Zeros(Initializer):
    """Every value is 0.

    Examples
    --------
    >>> from fastrnn.initializers import Zeros
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def _values(self, shape: Shape, rng: np.random.Generator | None) -> NDArray[np.float64]:
        return np.zeros(shape)


class Ones(Initializer):
    """Every value is 1.

    Examples
    --------
    >>> from fastrnn.initializers import Ones
    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def _values(self, shape: Shape, rng: np.random.Generator | None) -> NDArray[np.float64]:
        return np.ones(shape)


class Identity(Initializer):
    """`gain` (default 1) on the diagonal of a matrix (rows, columns), 0 elsewhere.

    Examples
    --------
    >>> from fastrnn.initializers import Identity
    >>> Identity(gain=2.0)((2, 2))
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    _arguments = ("gain",)

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def _values(self, shape: Shape, rng: np.random.Generator | None) -> NDArray[np.float64]:
        if len(shape) != 2:
            raise ValueError(f"shape must be (rows, columns) for an identity matrix, got {shape}")
        return self.gain * np.eye(*shape)


class _Random(Initializer):
    """An initializer that draws: from its own seed, the caller's generator or the system's entropy, in this order."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = _check.seed(seed)

    def _values(self, shape: Shape, rng: np.random.Generator | None) -> NDArray[np.float64]:
        if rng is None or self.seed is not None:
            rng = _random.generator(self.seed)
        return self._draw(shape, rng)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        raise NotImplementedError


def _truncated_normal(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw from a standard normal, drawing again whatever is more than 2 away from 0."""
    values = rng.standard_normal(math.prod(shape))
    (outside,) = np.nonzero(np.abs(values) > 2.0)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size)
        outside = outside[np.abs(values[outside]) > 2.0]
    return values.reshape(shape)


class RandomNormal(_Random):
    """Normal with mean `mean` (default 0) and standard deviation `stddev` (default 0.05).

    Examples
    --------
    >>> from fastrnn.initializers import RandomNormal
    >>> round(float(RandomNormal(seed=0)((100, 100)).std()), 3)
    0.05
    """

    _arguments = ("mean", "stddev", "seed")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return self.mean + self.stddev * rng.standard_normal(shape)


class TruncatedNormal(RandomNormal):
    """As `RandomNormal`, but a value more than two `stddev` away from the mean is drawn again.

    Examples
    --------
    >>> from fastrnn.initializers import TruncatedNormal
    >>> bool(abs(TruncatedNormal(stddev=1.0)((1000,))).max() <= 2)
    True
    """

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return self.mean + self.stddev * _truncated_normal(shape, rng)


class RandomUniform(_Random):
    """Uniform between `minval` (default -0.05) and `maxval` (default 0.05).

    Examples
    --------
    >>> from fastrnn.initializers import RandomUniform
    >>> bool(abs(RandomUniform()((1000,))).max() <= 0.05)
    True
    """

    _arguments = ("minval", "maxval", "seed")

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.uniform(self.minval, self.maxval, shape)


class VarianceScaling(_Random):
    """Mean 0 and variance scale / n, where n counts inputs or outputs: signals keep their size from layer to layer.

    Parameters
    ----------
    scale : float, default 1.0
        The variance times n, above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        What n is: the number of inputs, of outputs, or their mean; at least 1.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}, default "truncated_normal"
        The truncated normal ends at two standard deviations and is widened so that its variance is right; the uniform
        ends at ±sqrt(3 · scale / n). "normal" means "truncated_normal".
    seed : int, optional
        Makes every call give the same numbers.
    input_axes, output_axes : sequence of int, optional
        The axes whose lengths multiply to fan_in and fan_out, when given together.

    Raises
    ------
    ValueError
        If `scale` is not above 0, or `mode` or `distribution` is unknown.

    Examples
    --------
    >>> from fastrnn.initializers import VarianceScaling
    >>> kernel = VarianceScaling(scale=2.0, mode="fan_out", seed=0)((30, 200))
    >>> round(float(kernel.std()), 2)  # sqrt(2 / 200)
    0.1
    """

    MODES: ClassVar = ("fan_in", "fan_out", "fan_avg")
    DISTRIBUTIONS: ClassVar = ("truncated_normal", "untruncated_normal", "uniform")

    _arguments: ClassVar[tuple[str, ...]] = ("scale", "mode", "distribution", "seed", "input_axes", "output_axes")

    scale: float
    mode: str
    distribution: str

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0.0:
            raise ValueError(f"scale must be above 0, got {scale!r}")
        self.scale = scale
        self.mode = _check.choice("mode", mode, self.MODES)
        distribution = "truncated_normal" if distribution == "normal" else distribution
        self.distribution = _check.choice("distribution", distribution, self.DISTRIBUTIONS)
        self.input_axes = input_axes
        self.output_axes = output_axes

    def _fans(self, shape: Shape) -> tuple[int, int]:
        if self.input_axes is not None and self.output_axes is not None:
            inputs = math.prod(shape[axis] for axis in self.input_axes)
            return inputs, math.prod(shape[axis] for axis in self.output_axes)
        if len(shape) < 2:
            return math.prod(shape), math.prod(shape)
        receptive_field = math.prod(shape[:-2])
        return shape[-2] * receptive_field, shape[-1] * receptive_field

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        fan_in, fan_out = self._fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return math.sqrt(variance) * rng.standard_normal(shape)
        return math.sqrt(variance) / _TRUNCATED_STDDEV * _truncated_normal(shape, rng)


class _NamedVarianceScaling(VarianceScaling):
    """A variance scaling known by its inventor: the class sets scale, mode and distribution."""

    _arguments = ("seed", "input_axes", "output_axes")

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(self.scale, self.mode, self.distribution, seed, input_axes, output_axes)


class GlorotUniform(_NamedVarianceScaling):
    """Uniform within ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16). Also called Xavier.

    Examples
    --------
    >>> from fastrnn.initializers import GlorotUniform
    >>> bool(abs(GlorotUniform()((24, 30))).max() <= (6 / (24 + 30)) ** 0.5)
    True
    """

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


class GlorotNormal(_NamedVarianceScaling):
    """Truncated normal with standard deviation sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 12).

    Examples
    --------
    >>> from fastrnn.initializers import GlorotNormal
    >>> round(float(GlorotNormal(seed=0)((100, 100)).std()), 2)
    0.1
    """

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_NamedVarianceScaling):
    """Uniform within ±sqrt(6 / fan_in) (He et al. 2015, section 2.2), meant for relu.

    Examples
    --------
    >>> from fastrnn.initializers import HeUniform
    >>> bool(abs(HeUniform()((24, 30))).max() <= (6 / 24) ** 0.5)
    True
    """

    scale, mode, distribution = 2.0, "fan_in", "uniform"


class HeNormal(_NamedVarianceScaling):
    """Truncated normal with standard deviation sqrt(2 / fan_in) (He et al. 2015, equation 10), meant for relu.

    Examples
    --------
    >>> from fastrnn.initializers import HeNormal
    >>> round(float(HeNormal(seed=0)((50, 100)).std()), 2)
    0.2
    """

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_NamedVarianceScaling):
    """Uniform within ±sqrt(3 / fan_in) (LeCun et al. 1998, section 4.6).

    Examples
    --------
    >>> from fastrnn.initializers import LecunUniform
    >>> bool(abs(LecunUniform()((12, 30))).max() <= (3 / 12) ** 0.5)
    True
    """

    scale, mode, distribution = 1.0, "fan_in", "uniform"


class LecunNormal(_NamedVarianceScaling):
    """Truncated normal with standard deviation sqrt(1 / fan_in) (LeCun et al. 1998, section 4.6).

    Examples
    --------
    >>> from fastrnn.initializers import LecunNormal
    >>> round(float(LecunNormal(seed=0)((100, 100)).std()), 2)
    0.1
    """

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


class Orthogonal(_Random):
    """`gain` (default 1) times a random matrix with orthonormal columns, or rows if it has more columns (Saxe et al.
    2014).

    As a recurrent kernel it neither shrinks nor stretches the state. More than two axes are taken as a matrix,
    (product of all but the last, last).

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.initializers import Orthogonal
    >>> u = Orthogonal(seed=0)((4, 4))
    >>> bool(np.allclose(u.T @ u, np.eye(4), atol=1e-6))
    True
    """

    _arguments = ("gain", "seed")

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        if len(shape) < 2:
            raise ValueError(f"shape must have at least two axes for an orthogonal matrix, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        # QR leaves the sign of each column open. With R's diagonal positive, Q is uniform over the orthogonal matrices.
        q *= self.gain * np.copysign(1.0, np.diagonal(r))
        return (q.T if rows < columns else q).reshape(shape)


class _Function(Initializer):
    """A user's `function(shape, dtype=...)`."""

    def __init__(self, function: Callable[..., ArrayLike]) -> None:
        self.function = function

    def __call__(
        self, shape: Sequence[int], dtype: DTypeLike = "float32", rng: np.random.Generator | None = None
    ) -> Array:
        dtype = _check.float_dtype(dtype)
        values = np.array(self.function(tuple(shape), dtype=dtype.name), dtype=dtype, order="C")
        if values.shape != tuple(shape):
            raise ValueError(f"initializer {self.function!r} must return shape {tuple(shape)}, got {values.shape}")
        return values


_REGISTRY: Registry[Initializer] = Registry(
    Initializer,
    "initializer",
    {
        "constant": Constant,
        "zeros": Zeros,
        "ones": Ones,
        "identity": Identity,
        "random_normal": RandomNormal,
        "random_uniform": RandomUniform,
        "truncated_normal": TruncatedNormal,
        "variance_scaling": VarianceScaling,
        "glorot_normal": GlorotNormal,
        "glorot_uniform": GlorotUniform,
        "he_normal": HeNormal,
        "he_uniform": HeUniform,
        "lecun_normal": LecunNormal,
        "lecun_uniform": LecunUniform,
        "orthogonal": Orthogonal,
    },
    {
        "normal": RandomNormal,
        "one": Ones,
        "uniform": RandomUniform,
        "zero": Zeros,
        "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
    },
    lambda function: _Function(function() if isinstance(function, type) else function),
)


def get(identifier: InitializerLike, argument: str = "initializer") -> Initializer:
    """Find or make the initializer that `identifier` stands for.

    Parameters
    ----------
    identifier : str, mapping, Initializer, Initializer class or callable
        A name in snake case or as the class is called ("glorot_uniform", "GlorotUniform"); a mapping with "class_name"
        and "config", as `serialize` and Keras write it; an initializer, returned as it is; a class, called without
        arguments; or a function `f(shape, dtype=...)` that returns an array of that shape.
    argument : str, default "initializer"
        What errors call it: the name of the argument that it came from.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `identifier` is something else, or the mapping's "config" has an argument that the initializer does not take.

    Examples
    --------
    >>> get({"class_name": "Constant", "config": {"value": 0.5}})((2,))
    array([0.5, 0.5], dtype=float32)
    """
    return _REGISTRY.get(identifier, argument)


def serialize(initializer: Initializer) -> dict[str, Any] | Callable[..., ArrayLike]:
    """Describe an initializer in Keras's form, which `get` and `keras.initializers.deserialize` accept.

    A user's function is returned as it is, since no description could bring it back.

    Raises
    ------
    ValueError
        If the initializer is of a class that is not this module's.

    Examples
    --------
    >>> serialize(Constant(0.5))["config"]
    {'value': 0.5}
    """
    if isinstance(initializer, _Function):
        return initializer.function
    return _REGISTRY.serialize(initializer, "keras.initializers")
