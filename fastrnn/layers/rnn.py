"""The stack of recurrent layers."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check
from fastrnn._check import Array, States
from fastrnn._core import empty
from fastrnn.functional._call import Keep, run
from fastrnn.functional._gradients import Gradients, gradients_of_parts
from fastrnn.functional._tape import KeptOptions, Tape, backward
from fastrnn.layers.at_once import OVERLAPPING, overlap
from fastrnn.layers.composite import Composite, described, deserialize, serialize
from fastrnn.layers.over_time import OverTime
from fastrnn.layers.recurrent import Recurrent
from fastrnn.layers.tokens import Tokens


class RNNTape(NamedTuple):
    """What back-propagation needs of one forward call: by `RNN.forward`, for `RNN.backward`."""

    layers: list[Tape]


@described
class RNN(Composite):
    """Stack of recurrent layers, each running over the outputs of the one below, as Keras's RNN over a list of cells.

    The layers say what is computed (weights, activations, dropout), the stack says of all of them together in which
    direction, from which states, and what is returned. Every mask holds for all layers. Initial and stored states are
    those of the first layer, then those of the second, and so on, in one list.

    With two threads and a single long sequence, a call without training has one layer run some steps behind the other,
    if that is faster.

    Parameters
    ----------
    cell : SimpleRNN, GRU or LSTM, or a list of them
        The layers, the first one nearest to the input. They must leave return_sequences, return_state, go_backwards,
        stateful and zero_output_for_mask as they are by default.
    return_sequences : bool, default False
        Return the last layer's output of every step (B, T, H) instead of the last one (B, H).
    return_state : bool, default False
        Return (output, *states) with the last states of the last layer.
    go_backwards : bool, default False
        Process time from T-1 to 0. Outputs are in processing order: the first belongs to x[:, T-1].
    stateful : bool, default False
        Start each call from the states in which the previous one ended, row by row. This fixes the batch size.
    unroll : bool, default False
        Accepted for Keras's sake; it changes nothing.
    zero_output_for_mask : bool, default False
        The outputs of masked steps are 0 instead of the previous output.
    return_all_states : bool, default False
        Return (output, *states) with the last states of all layers. It is what return_state does in Keras.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import GRU, LSTM, RNN
    >>> stack = RNN([GRU(3), LSTM(5)], return_all_states=True)
    >>> output, *states = stack(np.zeros((2, 7, 4)))
    >>> output.shape, [state.shape for state in states]
    ((2, 5), [(2, 3), (2, 5), (2, 5)])
    """

    _arguments: ClassVar[tuple[str, ...]] = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "zero_output_for_mask",
        "return_all_states",
    )
    _bounds = OVERLAPPING

    def __init__(
        self,
        cell: Recurrent | Sequence[Recurrent],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        *,
        return_all_states: bool = False,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, input_shape=input_shape)
        if not isinstance(cell, Recurrent | list | tuple):
            raise TypeError(f"cell must be a SimpleRNN, GRU or LSTM or a list of them, got {type(cell).__name__}")
        self.layers: list[Recurrent] = [cell] if isinstance(cell, Recurrent) else list(cell)
        if not self.layers:
            raise ValueError("cell must have at least one layer, got an empty list")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Recurrent):
                raise TypeError(f"cell[{i}] must be a SimpleRNN, GRU or LSTM, got {type(layer).__name__}")
            for flag in ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask"):
                if getattr(layer, flag):
                    raise ValueError(f"cell[{i}] must leave {flag} to the stack, got {flag}=True")
            if any(layer is other for other in self.layers[:i]):
                raise ValueError(f"cell[{i}] must be another layer than those before, got {layer.name} twice")
        self._take_dtype(dtype)
        self.units = self.layers[-1].units
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.return_all_states = bool(return_all_states)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON; the list of layers in Keras's form."""
        return {**super().get_config(), "cell": [serialize(layer) for layer in self.layers]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what `get_config` returned, or that of Keras's RNN over cells of its own."""
        arguments, cell = dict(config), config["cell"]
        if isinstance(cell, Mapping):  # Keras, whose return_state is of all layers
            arguments["return_all_states"] = arguments.pop("return_state", False)
            cell = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
        return cls(**{**arguments, "cell": [deserialize(one) for one in cell]})

    def step(
        self, x_t: ArrayLike, states: States | None = None, out: Array | Sequence[Array] | None = None
    ) -> tuple[Array, list[Array]]:
        """Compute one time step, for sequences that arrive step by step; see `SimpleRNN.step`.

        The lists `states` and `out` are of all layers' states.
        """
        before, targets = self._share("states", states), self._share("out", out)
        after: list[Array] = []
        for layer, state, target in zip(self.layers, before, targets, strict=True):
            x_t, new = layer.step(x_t, state, out=target)
            after += new
        return after[-len(new)], after

    def _parts(self) -> dict[str, OverTime]:
        return {f"layers[{i}]": layer for i, layer in enumerate(self.layers)}

    def _part_features(self, features: int) -> list[int]:
        return [features, *(layer.units for layer in self.layers[:-1])]

    def _create(self, features: int) -> None:
        for layer, n in zip(self.layers, self._part_features(features), strict=True):
            layer.build((None, None, n))

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
        y = self._admit(x)
        B, T, _ = y.shape
        used = None if mask is None and lengths is None else _check.mask(mask, lengths, B, T)
        start = self._states if initial_state is None else initial_state
        last: list[Array] = []
        tapes: list[Tape] = []
        initial = self._checked_states("initial_state", start, B)
        is_plain = keep is None and used is None and not training and not isinstance(y, Tokens)
        if is_plain and len(self.layers) > 1 and self._at_once(B, T):
            return *self._overlapped(y, initial, into), None
        for i, (layer, before) in enumerate(zip(self.layers, initial, strict=True)):
            y, states, tape = run(
                layer._prepare(),
                self._options(i),
                y,
                before,
                used,
                None,
                layer._draw_dropout if training else None,
                self.stateful or self.return_all_states or self.return_state,
                keep,
                None,
                into if i + 1 == len(self.layers) else None,
            )
            last += states
            if tape is not None:
                tapes.append(tape)
            if i == 0 and self.go_backwards and used is not None:
                used = used[:, ::-1]  # the outputs are in processing order
        return y, last, None if keep is None else RNNTape(tapes)

    def _overlapped(
        self, x: Array, initial: Sequence[list[Array] | None], into: Array | None
    ) -> tuple[Array, list[Array]]:
        """Compute the output and all last states, a layer running behind the one below it in another thread."""
        (B, T, _), count = x.shape, len(self.layers)
        between = [x, *(empty((B, T, layer.units), self.dtype) for layer in self.layers[:-1])]
        top = into if into is not None or not self.return_sequences else empty((B, T, self.units), self.dtype)
        weights, options = [layer._prepare() for layer in self.layers], [self._options(i) for i in range(count)]
        states: list[Any] = list(initial)
        outputs: list[Array] = []

        def piece(i: int, first: int, end: int) -> None:
            times = slice(T - end, T - first) if options[i].go_backwards else slice(first, end)
            to = between[i + 1] if i + 1 < count else top
            place = None if to is None else to[:, first:end]
            y, states[i], _ = run(weights[i], options[i], between[i][:, times], states[i], want_state=True, into=place)
            if i + 1 == count:
                outputs[:] = [y]

        overlap(piece, count, T)
        return outputs[0] if top is None else top, [state for own in states for state in own]

    def _shown(self, states: Sequence[Array]) -> Sequence[Array]:
        return states if self.return_all_states else super()._shown(states[-len(self.layers[-1]._state_units) :])

    def _options(self, i: int) -> KeptOptions:
        """Return what layer i is asked to do."""
        top = i + 1 == len(self.layers)
        return KeptOptions.of(self.layers[i])._replace(
            return_sequences=self.return_sequences or not top,
            go_backwards=self.go_backwards and i == 0,
            zero_output_for_mask=self.zero_output_for_mask and top,
        )

    def _backward(self, dy: Any, tape: Any, dstate: States | None, need_dx: bool) -> Gradients:
        if not isinstance(tape, RNNTape):
            raise TypeError(f"tape must be what the forward call returned, got {type(tape).__name__}")
        dstates = self._checked_states("dstate", dstate, len(tape.layers[0].x))
        found: list[Gradients] = []
        for i in reversed(range(len(self.layers))):
            found.insert(0, backward(dy, tape.layers[i], dstate=dstates[i], need_dx=need_dx or i > 0))
            dy = found[0].dx
        return gradients_of_parts(dy, found)
