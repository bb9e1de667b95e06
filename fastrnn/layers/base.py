"""What layers share: `Layer` is for every layer, `Recurrent` for those that run over time."""

import copy
import itertools
import re
import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check, initializers
from fastrnn._check import Array
from fastrnn.functional import ACTIVATIONS, Gradients, Output
from fastrnn.initializers import Initializer, InitializerLike

States: TypeAlias = ArrayLike | Sequence[ArrayLike]

_counters: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
_building = threading.RLock()  # two threads may call a new layer at once, and must get the same weights


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
    ) -> None:
        self.name = _unique_name(type(self)) if name is None else str(name)
        self.trainable = bool(trainable)
        self.dtype = _check.float_dtype(dtype)
        self.seed = _check.seed(seed)
        self._features: int | None = None
        self._arrays: dict[str, Array] = {}
        self._rng: np.random.Generator | None = None
        self._exposed = False  # whether a user may hold a weight and change it without our knowledge
        self._version = object()  # another one whenever we change a weight

    @abstractmethod
    def _weight_specs(self, features: int) -> dict[str, tuple[tuple[int, ...], Initializer]]:
        """Name the weights in Keras's order, each with its shape and what fills it."""

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
        with _building:
            if self._features is None:
                self._rng = np.random.default_rng(self.seed)
                self._arrays = {
                    name: fill(shape, dtype=self.dtype, rng=self._rng)
                    for name, (shape, fill) in self._weight_specs(features).items()
                }
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
        self._must_be_built()
        if len(weights) != len(self._arrays):
            names = ", ".join(self._arrays)
            raise ValueError(f"weights must be {len(self._arrays)} arrays ({names}), got {len(weights)}")
        self._assign(dict(zip(self._arrays, weights, strict=True)))

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have weights of their own, and prepare them anew."""
        return copy.deepcopy({name: value for name, value in self.__dict__.items() if name != "_prepared"})

    def _must_be_built(self) -> None:
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet: call build(input_shape) or the layer itself first")

    def _hand_out(self) -> dict[str, Array]:
        self._exposed = True
        return self._arrays

    def _assign(self, values: Mapping[str, ArrayLike]) -> None:
        self._must_be_built()
        checked = {}
        for name, value in values.items():
            if name not in self._arrays:
                raise ValueError(f"{self.name} has no {name}")
            checked[name] = _check.array(name, value, self.dtype, (), self._arrays[name].shape)
        for name, value in checked.items():
            np.copyto(self._arrays[name], value)
        self._version = object()


class Recurrent(Layer):
    """A layer that runs over time: its arguments and states, dropout, and weights prepared once for many calls.

    A subclass says which functions compute: `_pack` prepares weights, `_run`, `_step` and `_backward` use them, with
    the layer as their options.
    """

    _arguments = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "zero_output_for_mask",
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "recurrent_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "kernel_constraint",
        "recurrent_constraint",
        "bias_constraint",
        "dropout",
        "recurrent_dropout",
        "seed",
    )

    _pack: ClassVar[Callable[..., Any]]
    _run: ClassVar[Callable[..., tuple[Array, tuple[Array, ...], Any]]]
    _step: ClassVar[Callable[..., tuple[Array, list[Array]]]]
    _backward: ClassVar[Callable[..., Gradients]]
    _state_count: ClassVar[int] = 1

    kernel = Weight()
    recurrent_kernel = Weight()
    bias = Weight()
    kernel_regularizer = recurrent_regularizer = bias_regularizer = activity_regularizer = None
    kernel_constraint = recurrent_constraint = bias_constraint = None
    _prepared: tuple[object, Any] = (None, None)  # the version of the weights, and what _pack made of them

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: None = None,
        recurrent_regularizer: None = None,
        bias_regularizer: None = None,
        activity_regularizer: None = None,
        kernel_constraint: None = None,
        recurrent_constraint: None = None,
        bias_constraint: None = None,
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
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed)
        _check.not_implemented(
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
        )
        self.units = _check.positive_integer("units", units)
        self.activation = "linear" if activation is None else _check.choice("activation", activation, ACTIVATIONS)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.recurrent_initializer = initializers.get(recurrent_initializer, "recurrent_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.dropout = _check.rate("dropout", dropout)
        self.recurrent_dropout = _check.rate("recurrent_dropout", recurrent_dropout)
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self._states: list[Array] | None = None

    @property
    def states(self) -> list[Array] | None:
        """The states (B, H) that a stateful layer's next call starts from; None before the first, or if not stateful.

        What is written into them counts at the next call, which then replaces them by new ones.
        """
        return self._states

    def reset_state(self) -> None:
        """Make the stored states zeros. The batch size stays as it is."""
        if self._states is not None:
            self._states = [np.zeros_like(state) for state in self._states]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights, and the states of a stateful layer. The first call does this by itself.

        Parameters
        ----------
        input_shape : sequence of int or None
            (batch, time, features), of which only features must be known. The batch size of a stateful layer is the one
            given here, or else that of the first call.

        Raises
        ------
        ValueError
            If the shape has not three axes, or features is not known or not what the layer was built with.
        """
        if len(input_shape) != 3:
            raise ValueError(f"input_shape must be (batch, time, features), got {tuple(input_shape)}")
        super().build(input_shape)
        if self.stateful and self._states is None and input_shape[0] is not None:
            self._states = [np.zeros((input_shape[0], self.units), self.dtype) for _ in range(self._state_count)]

    def __call__(
        self,
        x: ArrayLike,
        initial_state: States | None = None,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        training: bool = False,
    ) -> Output:
        """Run the layer over a batch of sequences.

        Parameters
        ----------
        x : array_like of shape (B, T, I)
            The sequences. Real numbers of another type than the layer's are converted.
        initial_state : array_like of shape (B, H), or a list of as many as the layer has states, optional
            The states before the first step. By default the stored states of a stateful layer, else zeros.
        mask : array_like of shape (B, T), optional
            Steps to use, in any pattern: what is not zero is true.
        lengths : array_like of int and shape (B,), optional
            Instead of a mask: the number of steps to use at the beginning of each sequence, from 0 to T.
        training : bool, default False
            Whether to drop out. `forward` also keeps what back-propagation needs.

        Returns
        -------
        output : ndarray of shape (B, H), or (B, T, H) with return_sequences
        *states : ndarrays of shape (B, H)
            The last states; only with return_state, which makes the result a tuple.

        Raises
        ------
        TypeError
            If an array does not hold real numbers or is a masked array.
        ValueError
            If a shape is wrong, mask and lengths are both given, or lengths are out of range.
        """
        return self._call(x, initial_state, mask, lengths, training, False)[0]

    def forward(
        self,
        x: ArrayLike,
        initial_state: States | None = None,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        training: bool = True,
    ) -> tuple[Output, Any]:
        """Run the layer as a call does, and keep what `backward` needs.

        The arguments are those of a call.

        Returns
        -------
        output : ndarray, or a tuple with return_state
            As of a call. With return_sequences the array is read-only, for the tape needs the very same numbers.
        tape
            For `backward`. It refers to x itself unless it had to be converted: x must not change before the backward
            call. Weights and states may.
        """
        return self._call(x, initial_state, mask, lengths, training, True)

    def backward(
        self, dy: ArrayLike | None, tape: Any, dstate: States | None = None, need_dx: bool = True
    ) -> Gradients:
        """Propagate gradients back through all time steps of one `forward` call.

        Parameters
        ----------
        dy : array_like of the output's shape, or None
            Gradient of a loss with respect to the output; None stands for zeros.
        tape
            What `forward` returned; it can be used any number of times.
        dstate : array_like of shape (B, H), or a list of as many as the layer has states, optional
            Gradient with respect to the last states, whether or not they were returned; zeros by default.
        need_dx : bool, default True
            Whether to compute the gradient of x, which a first layer has no use for.

        Returns
        -------
        Gradients
            The tuple (dx, dinitial_state, weights), weights in the order of `weights`.
        """
        return self._backward(dy, tape, dstate=dstate, need_dx=need_dx)

    def step(self, x_t: ArrayLike, states: States | None = None, out: Array | None = None) -> tuple[Array, list[Array]]:
        """Compute one time step, for sequences that arrive step by step.

        The stored states of a stateful layer are neither used nor changed.

        Parameters
        ----------
        x_t : array_like of shape (B, I)
            The input of this step.
        states : list of ndarrays of shape (B, H), or one such array, optional
            What the previous step returned; zeros by default.
        out : ndarray of shape (B, H) and the layer's dtype, optional
            Where to write the output. It may be the previous state itself, but must not share memory with x_t. If it is
            contiguous, nothing is allocated for a step of up to 2**24 multiply-adds.

        Returns
        -------
        y_t : ndarray of shape (B, H)
            The output of this step; `out`, if that is given.
        states : list of ndarray
            For the next step. The first of them is y_t itself.
        """
        if self._features is None:
            x_t = _check.array("x_t", x_t, self.dtype, ("batch", "features"), (None, None), strided=True)
            self.build((None, None, x_t.shape[1]))
        if out is not None and self._exposed:
            _check.no_overlap(out, **self._arrays)
        return self._step(self._prepare(), self, x_t, states, out)

    def _call(
        self,
        x: ArrayLike,
        initial_state: States | None,
        mask: ArrayLike | None,
        lengths: ArrayLike | None,
        training: bool,
        want_tape: bool,
    ) -> tuple[Output, Any]:
        if self.stateful or self._features is None:
            x = self._admit(x)
            initial_state = self._states if initial_state is None else initial_state
        output, states, tape = self._run(
            self._prepare(),
            self,
            x,
            initial_state,
            mask,
            lengths,
            dropout=self._draw_dropout if training and (self.dropout or self.recurrent_dropout) else None,
            want_state=self.return_state or self.stateful,
            want_tape=want_tape,
        )
        if self.stateful:
            self._states = [state.copy() for state in states]
        return ((output, *states) if self.return_state else output), tape

    def _admit(self, x: ArrayLike) -> Array:
        """Build the layer from its first input, and hold a stateful layer to its batch size."""
        batch = None if self._states is None else self._states[0].shape[0]
        axes = ("batch", "time", "features")
        found = _check.array("x", x, self.dtype, axes, (batch, None, self._features), strided=True)
        self.build(found.shape)
        return found

    def _prepare(self) -> Any:
        """Return the prepared weights, never stale ones: once a user may hold the arrays, every call compares them."""
        version = self._version  # read before the weights, so that weights changed meanwhile are prepared again
        prepared_version, prepared = self._prepared
        if prepared_version is not version or (self._exposed and not prepared.matches(*self._to_pack())):
            prepared = self._pack(*self._to_pack())
            self._prepared = version, prepared
        return prepared

    def _to_pack(self) -> tuple[Array, Array, Array | None]:
        return self._arrays["kernel"], self._arrays["recurrent_kernel"], self._arrays.get("bias")

    def _draw_dropout(self, batch: int) -> tuple[Array | None, Array | None]:
        """Draw the factors of x (B, I) and of the states (B, H), the same at all time steps."""
        assert self._features is not None
        return self._drop(self.dropout, batch, self._features), self._drop(self.recurrent_dropout, batch, self.units)

    def _drop(self, rate: float, batch: int, size: int) -> Array | None:
        """Draw 0 with probability `rate`, else 1 / (1 - rate), so that the expected factor is 1; None if rate is 0."""
        if rate == 0:
            return None
        assert self._rng is not None
        kept = self._rng.random((batch, size)) >= rate
        return np.multiply(kept, 0 if rate == 1 else 1 / (1 - rate), dtype=self.dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, Initializer):
        return initializers.serialize(value)
    return value.name if isinstance(value, np.dtype) else value


def _unique_name(cls: type) -> str:
    """Name a layer as Keras does: simple_rnn, simple_rnn_1, ..."""
    name = re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
    number = next(_counters[name])
    return f"{name}_{number}" if number else name
