"""What all layers share."""

import copy
import itertools
import os
import re
import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check, _core, _random, constraints, initializers, regularizers
from fastrnn._check import Array
from fastrnn.constraints import Constraint
from fastrnn.functional._gradients import Gradients
from fastrnn.initializers import Initializer
from fastrnn.regularizers import Regularizer

WeightSpecs: TypeAlias = dict[str, tuple[tuple[int, ...], Callable[..., Array]]]  # shape and what fills it, by name

_counters: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
_weights_lock = threading.RLock()


def weights_lock() -> AbstractContextManager[Any]:
    """Return what a thread holds while it makes a layer's weights, or moves them: others wait for the same ones."""
    return _weights_lock


def _renew_lock() -> None:
    """Who held the lock when a process was forked does not exist in the child."""
    global _weights_lock
    _weights_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Weight:
    """A layer's weight by its name: reading hands out the array itself, assigning copies into it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: "Layer | None", owner: type | None = None) -> Any:
        if layer is None:
            return self
        if not layer.built:
            raise AttributeError(f"{layer.name} has no {self.name} before it is built")
        return layer._hand_out().get(self.name)

    def __set__(self, layer: "Layer", value: ArrayLike) -> None:
        layer._assign({self.name: value})


class Layer(ABC):
    """Named weights of one dtype, made when the number of input features is known, and a configuration.

    A subclass names its constructor's arguments in `_arguments`, keeps each in an attribute of that name, and says in
    `_weight_specs` what its weights are.
    """

    _arguments: ClassVar[tuple[str, ...]] = ("name", "trainable", "dtype")

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        seed: int | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        self.name = _unique_name(type(self)) if name is None else str(name)
        self.trainable = bool(trainable)
        self.dtype = _check.float_dtype(dtype)
        self.seed = _check.seed(seed)
        self._sample_shape = None if input_shape is None else _check.sizes("input_shape", input_shape)
        self._features: int | None = None
        self._own: dict[str, Array] = {}  # `_arrays` brings them up to date
        self._moved = False  # whether some of them are views of what somebody else keeps
        self._rng: np.random.Generator | None = None
        self._exposed = False  # whether a user may hold a weight and change it without our knowledge
        self._version = object()  # another one whenever we change a weight

    def _weight_specs(self, features: int) -> WeightSpecs:
        """Name the weights in Keras's order, each with its shape and what fills it; by default, none."""
        return {}

    @abstractmethod
    def __call__(self, x: ArrayLike) -> Any:
        """Compute the output."""

    @abstractmethod
    def forward(self, x: ArrayLike, *, training: bool = True) -> tuple[Any, Any]:
        """Compute the output, and a tape that keeps what `backward` needs."""

    @abstractmethod
    def backward(self, dy: ArrayLike, tape: Any, *, need_dx: bool = True) -> Gradients:
        """Turn the gradient of the output into those of the input and the weights."""

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self._features is not None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights. The first call does this by itself; a layer that is built already only compares.

        Parameters
        ----------
        input_shape : sequence of int or None
            Shape of the input, of which only the last axis, the features, must be known.

        Raises
        ------
        ValueError
            If the number of features is not known or not the one that the layer was built with.
        """
        features = input_shape[-1]
        if features is None:
            raise ValueError(f"input_shape must end in the number of features, got {tuple(input_shape)}")
        features = _check.positive_integer("input_shape[-1]", features)
        with weights_lock():
            if self._features is None:
                self._create(features)
                self._features = features
        if features != self._features:
            raise ValueError(
                f"input_shape must end in {self._features}, as {self.name} was built, got {tuple(input_shape)}"
            )

    @property
    def weights(self) -> list[Array]:
        """The weights themselves, in Keras's order: what is written into them counts from the next call on.

        Empty before the layer is built.
        """
        return list(self._hand_out().values())

    @property
    def trainable_weights(self) -> list[Array]:
        """Those of the weights that training changes: all, or none of a layer with `trainable=False`."""
        return self._weights_where(True)

    @property
    def non_trainable_weights(self) -> list[Array]:
        """Those of the weights that training leaves alone."""
        return self._weights_where(False)

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in Keras's order."""
        return [array.copy() for array in self._arrays.values()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Copy values into the weights, in Keras's order; all of them or, if one does not fit, none.

        Raises
        ------
        ValueError, TypeError
            If the layer is not built, or the number, a shape or a type is wrong.
        """
        if self._take_all(weights):
            return
        arrays = self._arrays
        if len(weights) != len(arrays):
            self._must_be_built()
            raise ValueError(f"weights must be {len(arrays)} arrays ({', '.join(arrays)}), got {len(weights)}")
        self._assign(dict(zip(arrays, weights)))  # noqa: B905  (as many)

    def count_params(self) -> int:
        """Return the number of values in all weights."""
        self._must_be_built()
        return sum(array.size for array in self._arrays.values())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON, in Keras's form."""
        classes = reversed(type(self).__mro__)
        return {name: _plain(getattr(self, name)) for cls in classes for name in cls.__dict__.get("_arguments", ())}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what `get_config` returned, or that of the Keras layer of the same name."""
        return cls(**config)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the output for an input of this shape, in which None stands for any size."""
        return tuple(input_shape)

    def compute_mask(self, x: Any, mask: Array | None = None) -> Array | None:
        """Return the mask of the output for this input and its mask: the same one, unless the layer says otherwise."""
        return mask

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have weights of their own, and prepare them anew."""
        return copy.deepcopy({name: value for name, value in self.__dict__.items() if "_prepared" not in name})

    @property
    def _arrays(self) -> Mapping[str, Array]:
        """The weights by name, in Keras's order."""
        return self._own

    @property
    def _reads_tokens(self) -> bool:
        """Whether x may be `Tokens`; dx is then the gradient of their table."""
        return False

    def _leaves(self) -> "list[Layer]":
        """Return the layers that hold the weights, in order: itself, unless it is made of others."""
        return [self]

    def _weights_where(self, trainable: bool) -> list[Array]:
        leaves = [leaf for leaf in self._leaves() if (self.trainable and leaf.trainable) is trainable]
        return [array for leaf in leaves for array in leaf._hand_out().values()]

    def _weight_shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        """Name the weights as `_arrays` does, each with its shape, without making any."""
        return {name: shape for name, (shape, _) in self._weight_specs(features).items()}

    def _create(self, features: int) -> None:
        self._rng = _random.generator(self.seed)
        self._own = {
            name: fill(shape, dtype=self.dtype, rng=self._rng)
            for name, (shape, fill) in self._weight_specs(features).items()
        }

    def _must_be_built(self) -> None:
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet: call build(input_shape) or the layer itself first")

    def _move(self, name: str, array: Array) -> None:
        """Have a weight in this array from now on, which takes its values."""
        array[...] = self._arrays[name]
        self._own[name] = array
        self._moved = True
        self._version = object()

    def _take_all(self, weights: Sequence[ArrayLike]) -> bool:
        """Take new values for all weights without a copy in `_own`, if that can be done; else change nothing."""
        return False

    def _hand_out(self) -> Mapping[str, Array]:
        self._exposed = True
        return self._arrays

    def _assign(self, values: Mapping[str, ArrayLike]) -> None:
        self._must_be_built()
        arrays = self._arrays
        for name in values:
            if name not in arrays:
                raise ValueError(f"{self.name} has no {name}")
        # The usual case, at little cost
        if not _core.assign([arrays[name] for name in values], [*values.values()], True):
            checked = {n: _check.array(n, value, self.dtype, (), arrays[n].shape) for n, value in values.items()}
            for name, array in checked.items():
                arrays[name][...] = array
        self._version = object()


def drop(rng: "np.random.Generator", rate: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw 0 with probability `rate`, else 1 / (1 - rate), so that the expected factor is 1."""
    kept = rng.random(shape) >= rate
    return np.multiply(kept, 0 if rate == 1 else 1 / (1 - rate), dtype=dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, Initializer):
        return initializers.serialize(value)
    if isinstance(value, Regularizer):
        return regularizers.serialize(value)
    if isinstance(value, Constraint):
        return constraints.serialize(value)
    return value.name if isinstance(value, np.dtype) else value


def _unique_name(cls: type) -> str:
    """Name a layer as Keras does: simple_rnn, simple_rnn_1, ..."""
    name = re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
    number = next(_counters[name])
    return f"{name}_{number}" if number else name
