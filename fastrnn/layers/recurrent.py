"""What the layers of a single cell share."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check, _core, constraints, initializers, regularizers
from fastrnn._check import Array, States
from fastrnn._docs import Parts
from fastrnn.constraints import Constraint
from fastrnn.functional._call import (
    EVERYTHING,
    Cell,
    Dropout,
    Keep,
    activation_name,
    plain,
    plain_mask,
    plain_with_tape,
    run,
    step,
)
from fastrnn.functional._gradients import Gradients
from fastrnn.functional._tape import backward
from fastrnn.initializers import Initializer
from fastrnn.layers import tokens
from fastrnn.layers.base import Weight, WeightSpecs, drop, weights_lock
from fastrnn.layers.over_time import OverTime
from fastrnn.layers.tokens import Tokens, TokenTape
from fastrnn.regularizers import Regularizer

described = Parts(
    {
        "units": """
            units : int
                Number of outputs, H.
            """,
        "activation": """
            activation : {"tanh", "relu", "sigmoid", "linear"} or None, default "tanh"
                None is linear.
            """,
        "recurrent_activation": """
            recurrent_activation : default "sigmoid"
                Activation of the gates, one of the same.
            """,
        "weights": """
            use_bias : bool, default True
                Whether there is a bias.
            kernel_initializer : default "glorot_uniform"
                Whatever `fastrnn.initializers.get` accepts.
            recurrent_initializer : default "orthogonal"
                The same for the recurrent kernel.
            bias_initializer : default "zeros"
                The same for the bias.
            """,
        "rules": """
            kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer : default None
                Whatever `fastrnn.regularizers.get` accepts. Penalties of the weights, and of the outputs of a batch
                divided by its size, join the loss in `fastrnn.Sequential`.
            kernel_constraint, recurrent_constraint, bias_constraint : default None
                Whatever `fastrnn.constraints.get` accepts: what `fastrnn.Sequential` does to the weights after every
                step.
            """,
        "call": """
            dropout : float, default 0
                Share of the input features to drop in training: one choice per call and sequence, the same at all time
                steps. The others are multiplied by 1 / (1 - dropout).
            recurrent_dropout : float, default 0
                The same for the state, on its way into the product with the recurrent kernel, with a choice of its own
                for every gate.
            return_sequences : bool, default False
                Return the output of every step (B, T, H) instead of the last one (B, H).
            return_state : bool, default False
                Return (output, *states) instead of the output.
            go_backwards : bool, default False
                Process time from T-1 to 0. Outputs are in processing order: the first belongs to x[:, T-1].
            stateful : bool, default False
                Start each call from the states in which the previous one ended, row by row. This fixes the batch size.
            unroll : bool, default False
                Accepted for Keras's sake; it changes nothing.
            """,
        "common": """
            seed : int, optional
                Makes dropout and the initializers that have no seed of their own repeatable: layers of one seed draw
                the same.
            zero_output_for_mask : bool, default False
                The outputs of masked steps are 0 instead of the previous output.
            dtype : {"float32", "float64"}, default "float32"
                Type of weights and results, in which everything is computed.
            name : str, optional
                By default the class's name and a number.
            trainable : bool, default True
                Whether training is to change the weights.
            input_dim : int, optional
                The number of input features, I. Then x may also hold ids of tokens, integers (B, T) from 0 to I-1,
                which stand for one-hot rows; they are looked up in the kernel.
            input_shape : tuple of int or None, optional
                The shape of one sample, (time, features): a `fastrnn.Sequential` that begins with this layer is built
                at once, as if it began with an `Input`.

            Raises
            ------
            TypeError, ValueError
                If an argument is not one of the above.
            """,
    }
)


class Recurrent(OverTime):
    """A layer that runs over time: its arguments and states, dropout, and weights prepared once for many calls.

    A subclass has a constructor with Keras's arguments in Keras's order, and says in `_cell` what computes. The layer
    itself is the options of a call.
    """

    _arguments: ClassVar[tuple[str, ...]] = (
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

    kernel = Weight()
    recurrent_kernel = Weight()
    bias = Weight()
    units: int
    activation: str
    recurrent_activation: str
    use_bias: bool
    kernel_initializer: Initializer
    recurrent_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: Regularizer | None
    recurrent_regularizer: Regularizer | None
    bias_regularizer: Regularizer | None
    activity_regularizer: Regularizer | None
    kernel_constraint: Constraint | None
    recurrent_constraint: Constraint | None
    bias_constraint: Constraint | None
    dropout: float
    recurrent_dropout: float
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    unroll: bool
    zero_output_for_mask: bool
    _prepared: tuple[object, Any] = (None, None)  # the version of the weights, and what was made of them
    _prepared_only: Any = None  # what `_own` has yet to be unpacked from
    _prepared_for_products: tuple[object, Any] = (None, None)  # the same for inputs that `tokens` has projected

    @property
    def _reads_tokens(self) -> bool:
        return True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON, in Keras's form, and input_dim if it is set."""
        config = super().get_config()
        return config if self.input_dim is None else {**config, "input_dim": self.input_dim}

    def _configure(self, arguments: dict[str, Any]) -> None:
        """Check a constructor's arguments, its locals, and keep each in an attribute of its name."""
        given = {name: value for name, value in arguments.items() if name != "self"}
        super().__init__(**{name: given.pop(name) for name in _OF_ALL_LAYERS})
        for name, value in given.items():
            check: Callable[[str, Any], Any] = _CHECKS.get(name, _flag)
            setattr(self, name, check(name, value))

    @property
    @abstractmethod
    def _cell(self) -> Cell:
        """The kind of weights, and what prepares them."""

    def step(
        self, x_t: ArrayLike, states: States | None = None, out: Array | Sequence[Array] | None = None
    ) -> tuple[Array, list[Array]]:
        """Compute one time step, for sequences that arrive step by step.

        The stored states of a stateful layer are neither used nor changed.

        Parameters
        ----------
        x_t : array_like of shape (B, I)
            The input of this step.
        states : list of ndarrays of shape (B, H), or one such array, optional
            What the previous step returned; zeros by default.
        out : list of ndarrays of shape (B, H) and the layer's dtype, or one such array, optional
            Where to write the next states, of which the first is the output. They may be the previous states
            themselves, but must not share memory with x_t. If they are contiguous, nothing is allocated for a step of
            up to 2**24 multiply-adds.

        Returns
        -------
        y_t : ndarray of shape (B, H)
            The output of this step.
        states : list of ndarray
            For the next step. The first of them is y_t itself.
        """
        if self._features is None:
            x_t = _check.array("x_t", x_t, self.dtype, ("batch", "features"), (None, None), strided=True)
            self.build((None, None, x_t.shape[1]))
        if out is not None and self._exposed:
            _check.no_overlap(out, **self._arrays)
        return step(self._prepare(), self, x_t, states, out)

    def _weight_specs(self, features: int) -> WeightSpecs:
        cell, units = self._cell, self.units
        columns = cell.gates * units
        specs: WeightSpecs = {
            "kernel": ((features, columns), self.kernel_initializer),
            "recurrent_kernel": ((units, columns), self.recurrent_initializer),
        }
        if self.use_bias:
            specs["bias"] = (columns,) if cell.biases == 1 else (cell.biases, columns), self._fill_bias
        return specs

    def _fill_bias(self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: "np.random.Generator") -> Array:
        return self.bias_initializer(shape, dtype=dtype, rng=rng)

    @property
    def _state_units(self) -> list[int]:
        return [self.units] * self._cell.states

    def _call(
        self,
        x: ArrayLike | Tokens,
        initial_state: States | None,
        mask: ArrayLike | None,
        lengths: ArrayLike | None,
        training: bool,
        keep: Keep | None = None,
        into: Array | None = None,
    ) -> tuple[Array, Sequence[Array], Any]:
        if self.input_dim is not None:
            x = self._one_hot(x)
        if self.stateful or self._features is None:
            x = self._admit(x)
            initial_state = self._states if initial_state is None else initial_state
        rows = tokens.gather(self, x, training) if isinstance(x, Tokens) else None
        weights = self._prepare() if rows is None else rows.weights
        values: Any = x if rows is None else rows.x
        dropout = self._dropout_for(training) if rows is None else rows.dropout
        want_state = self.return_state or self.stateful
        is_plain = initial_state is None and dropout is None and into is None and not want_state
        has_mask = mask is not None or lengths is not None
        used = plain_mask(weights, values, mask, lengths, keep is not None) if has_mask and is_plain else None
        if is_plain and (not has_mask or used is not None):
            if keep is None:
                output = plain(weights, self, values, used)
                if output is not None:
                    return output, (), None
            elif keep is EVERYTHING and rows is None:
                both = plain_with_tape(weights, self, values, used)
                if both is not None:
                    return both[0], (), both[1]
        output, states, tape = run(
            weights, self, values, initial_state, mask, lengths, dropout, want_state, keep, None, into
        )
        return output, states, tape if rows is None or keep is None else TokenTape.of(x, rows, tape)

    def _backward(self, dy: Any, tape: Any, dstate: States | None, need_dx: bool) -> Gradients:
        if isinstance(tape, TokenTape):
            return tokens.backward(dy, tape, dstate, need_dx)
        return backward(dy, tape, dstate=dstate, need_dx=need_dx)

    def _prepare(self) -> Any:
        """Return the prepared weights, never stale ones: once a user may hold the arrays, every call compares them."""
        version = self._version  # read before the weights, so that weights changed meanwhile are prepared again
        prepared_version, prepared = self._prepared
        if prepared_version is not version or (self._exposed and not prepared.matches(*self._to_pack())):
            prepared = self._cell.pack(*self._to_pack())
            self._prepared = version, prepared
        return prepared

    def _take_all(self, weights: Sequence[ArrayLike]) -> bool:
        """Pack new values at once, if nobody else holds the arrays: these get them when somebody reads them."""
        own = [*self._own.values()]
        if self._exposed or self._moved or not _core.assign(own, [*weights], False):
            return False
        version, packed = object(), self._cell.pack(*_matrices(dict(zip(self._own, weights, strict=True))))
        with weights_lock():
            self._version, self._prepared, self._prepared_only = version, (version, packed), packed
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have weights of their own, and prepare them anew."""
        self._catch_up()
        return super().__getstate__()

    def _catch_up(self) -> None:
        """Give `_own` the values that were packed without a copy."""
        if self._prepared_only is not None:
            with weights_lock():
                if self._prepared_only is not None:
                    self._prepared_only.unpack(*_matrices(self._own))
                    self._prepared_only = None

    @property
    def _arrays(self) -> Mapping[str, Array]:
        self._catch_up()
        return self._own

    def _to_pack(self) -> tuple[Array, Array, Array | None]:
        return _matrices(self._arrays)

    def _dropout_for(self, training: bool) -> Dropout | None:
        return self._draw_dropout if training and (self.dropout or self.recurrent_dropout) else None

    def _draw_dropout(self, batch: int) -> tuple[Array | None, Array | None]:
        """Draw the factors of x (B, I) and of the states in each gate's product, the same at all time steps.

        What is not dropped has None.
        """
        assert self._features is not None
        gates = self._cell.gates
        states = (batch, self.units) if gates == 1 else (gates, batch, self.units)
        return self._drop(self.dropout, (batch, self._features)), self._drop(self.recurrent_dropout, states)

    def _drop(self, rate: float, shape: tuple[int, ...]) -> Array | None:
        """Draw factors of an input; None if rate is 0."""
        if rate == 0:
            return None
        assert self._rng is not None
        return drop(self._rng, rate, shape, self.dtype)


def _matrices(arrays: Mapping[str, Any]) -> tuple[Array, Array, Array | None]:
    return arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias")


def _flag(name: str, value: Any) -> bool:
    return bool(value)


def _initializer(name: str, value: Any) -> Initializer:
    return initializers.get(value, name)


_OF_ALL_LAYERS = ("name", "trainable", "dtype", "seed", "input_shape")

# What becomes of a recurrent layer's arguments; of those that are not named here, bool.
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "units": _check.positive_integer,
    "activation": activation_name,
    "recurrent_activation": activation_name,
    **dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), _initializer),
    **dict.fromkeys(("dropout", "recurrent_dropout"), _check.rate),
    "input_dim": lambda name, value: None if value is None else _check.positive_integer(name, value),
    **dict.fromkeys(
        ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer"),
        lambda name, value: regularizers.get(value, name),
    ),
    **dict.fromkeys(
        ("kernel_constraint", "recurrent_constraint", "bias_constraint"),
        lambda name, value: constraints.get(value, name),
    ),
}
