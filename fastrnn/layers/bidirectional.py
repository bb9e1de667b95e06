"""The layer that runs over time in both directions."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check
from fastrnn._check import Array, States
from fastrnn._core import empty
from fastrnn.functional._call import Keep
from fastrnn.functional._gradients import Gradients, gradients_of_parts
from fastrnn.layers.at_once import APART, both
from fastrnn.layers.composite import Composite, described, deserialize, serialize
from fastrnn.layers.over_time import OverTime
from fastrnn.layers.rnn import RNN
from fastrnn.layers.tokens import Tokens

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


class BidirectionalTape(NamedTuple):
    """What back-propagation needs of one forward call: by `Bidirectional.forward`, for `Bidirectional.backward`."""

    halves: tuple[Any, Any]
    outputs: tuple[Array, Array] | None  # if they are multiplied; both in the order of time
    shapes: list[tuple[int, ...]]  # of the halves' outputs
    size: tuple[int, int]  # B and T


@described
class Bidirectional(Composite):
    """Two recurrent layers over the same sequences, one forwards and one backwards, as in Keras 3.15.

    With return_sequences the outputs of the backward layer are turned round before merging, so that both are in the
    order of time, and those of masked steps are 0; otherwise the two last outputs are merged. Weights are those of the
    forward layer, then those of the backward layer. With more than one thread, and enough work, the two run at the same
    time.

    Parameters
    ----------
    layer : SimpleRNN, GRU, LSTM or RNN
        The forward layer is made anew with this one's arguments: weights and states are not taken over. What this one
        says of return_sequences, return_state and stateful holds for both.
    merge_mode : {"concat", "sum", "mul", "ave"} or None, default "concat"
        How the two outputs (B, H) or (B, T, H) become one; "concat" has both side by side, 2H wide. With None they stay
        two.
    weights : list of array_like, optional
        What the weights are at first, instead of what the initializers make.
    backward_layer : SimpleRNN, GRU, LSTM or RNN, optional
        The backward layer itself; it must differ from `layer` in go_backwards and agree in return_sequences,
        return_state and stateful. By default, one with the arguments of `layer`, but for go_backwards.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import LSTM, Bidirectional
    >>> layer = Bidirectional(LSTM(3, return_sequences=True, return_state=True))
    >>> output, *states = layer(np.zeros((2, 5, 4)))
    >>> output.shape, len(states)
    ((2, 5, 6), 4)
    """

    _arguments: ClassVar[tuple[str, ...]] = ("merge_mode",)
    _bounds = APART

    def __init__(
        self,
        layer: OverTime,
        merge_mode: str | None = "concat",
        weights: Sequence[ArrayLike] | None = None,
        backward_layer: OverTime | None = None,
        *,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        for argument, value in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(value, OverTime) or isinstance(value, Bidirectional):
                if argument == "backward_layer" and value is None:
                    continue
                raise TypeError(f"{argument} must be a SimpleRNN, GRU, LSTM or RNN, got {type(value).__name__}")
        super().__init__(name=name, trainable=trainable, input_shape=input_shape)
        self.merge_mode = None if merge_mode is None else _check.choice("merge_mode", merge_mode, MERGE_MODES[:-1])
        self.forward_layer = _like(layer, "forward_", layer.go_backwards)
        self.backward_layer = backward_layer or _like(layer, "backward_", True)
        if self.forward_layer.go_backwards == self.backward_layer.go_backwards:
            raise ValueError(
                f"backward_layer must differ from layer in go_backwards, got {layer.go_backwards} for both"
            )
        for flag in ("return_sequences", "return_state", "stateful"):
            if getattr(self.forward_layer, flag) != getattr(self.backward_layer, flag):
                raise ValueError(f"backward_layer must agree with layer in {flag}, got {not getattr(layer, flag)}")
        self._take_dtype(dtype)
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state or (isinstance(layer, RNN) and layer.return_all_states)
        self.stateful = layer.stateful
        units = [half.units for half in self._halves]
        if merge_mode in ("sum", "mul", "ave") and units[0] != units[1]:
            raise ValueError(
                f"backward_layer must have {units[0]} units to be merged by {merge_mode!r}, got {units[1]}"
            )
        self.units = sum(units) if merge_mode == "concat" else units[0]
        self.input_dim = self.forward_layer.input_dim
        for half in self._halves:
            half.zero_output_for_mask = self.return_sequences
        self._initial_weights = weights

    @property
    def _reads_tokens(self) -> bool:
        return all(half._reads_tokens for half in self._halves)

    @property
    def _halves(self) -> tuple[OverTime, OverTime]:
        return self.forward_layer, self.backward_layer

    def _parts(self) -> dict[str, OverTime]:
        return {"forward_layer": self.forward_layer, "backward_layer": self.backward_layer}

    @property
    def states(self) -> list[Array] | None:
        """The states of the forward layer and those of the backward layer; None before the first stateful call."""
        first, second = (half.states for half in self._halves)
        return None if first is None or second is None else first + second

    def reset_state(self) -> None:
        """Make the stored states zeros. The batch size stays as it is."""
        for half in self._halves:
            half.reset_state()

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights of both layers, and their states if they are stateful; see `SimpleRNN.build`."""
        super().build(input_shape)
        for half in self._halves:
            half.build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON, in Keras's form."""
        return {
            **super().get_config(),
            "layer": serialize(self.forward_layer),
            "backward_layer": serialize(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what `get_config` returned, or that of Keras's Bidirectional."""
        layers = {name: deserialize(config[name]) for name in ("layer", "backward_layer") if config.get(name)}
        return cls(**{**config, **layers})

    def _create(self, features: int) -> None:
        for half in self._halves:
            half.build((None, None, features))
        if self._initial_weights is not None:
            self._features = features  # there are weights to set
            try:
                self.set_weights(self._initial_weights)
            except BaseException:
                self._features = None
                raise

    def _call(
        self,
        x: ArrayLike | Tokens,
        initial_state: States | None,
        mask: ArrayLike | None,
        lengths: ArrayLike | None,
        training: bool,
        keep: Keep | None = None,
        into: Array | None = None,
    ) -> tuple[Any, Sequence[Array], Any]:
        admitted = self._admit(x)
        B, T, _ = admitted.shape
        used = None if mask is None and lengths is None else _check.mask(mask, lengths, B, T)
        begins = self._checked_states("initial_state", initial_state, B)
        merged, outputs = self._places(B, T, into) if self.return_sequences else (None, None)

        def run(i: int) -> tuple[Array, Sequence[Array], Any]:
            # The backward layer puts its outputs out in reverse order: into an array that it sees in reverse.
            place = None if outputs is None else outputs[i][:, :: -1 if i else 1]
            return self._halves[i]._call(admitted, begins[i], used, None, training, keep, place)

        (first, first_states, first_tape), (second, second_states, second_tape) = both(run, self._at_once(B, T))
        if outputs is None:
            outputs = [first, second]
        if keep is not None and not keep.checkpoint:  # the tapes share them
            for array in outputs if merged is None else [merged]:
                array.flags.writeable = False
        output = self._merge(outputs) if merged is None else merged
        tape = None
        if keep is not None:
            factors = (outputs[0], outputs[1]) if self.merge_mode == "mul" else None
            tape = BidirectionalTape((first_tape, second_tape), factors, [y.shape for y in outputs], (B, T))
        return output, [*first_states, *second_states], tape

    def _deliver(self, output: Any, states: Sequence[Array]) -> Any:
        if self.merge_mode is not None or not self._shown(states):
            return super()._deliver(output, states)
        return output + super()._deliver(None, states)[1:]

    def _keep_states(self, states: Sequence[Array]) -> None:
        first, second = self._of_halves(states)
        self.forward_layer._keep_states(first)
        self.backward_layer._keep_states(second)

    def _shown(self, states: Sequence[Array]) -> Sequence[Array]:
        first, second = self._of_halves(states)
        return [*self.forward_layer._shown(first), *self.backward_layer._shown(second)]

    def _of_halves(self, states: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
        count = len(self.forward_layer._state_units) if states else 0
        return states[:count], states[count:]

    def _places(self, B: int, T: int, into: Array | None) -> tuple[Array | None, list[Array]]:
        """Allocate the outputs of both layers, and one array that holds them side by side if that is wanted."""
        units = [half.units for half in self._halves]
        if self.merge_mode != "concat":
            return None, [empty((B, T, n), self.dtype) for n in units]
        merged = empty((B, T, sum(units)), self.dtype) if into is None else into
        return merged, [merged[..., : units[0]], merged[..., units[0] :]]

    def _merge(self, outputs: list[Array]) -> Any:
        first, second = outputs
        if self.merge_mode == "concat":
            return np.concatenate(outputs, axis=-1)
        if self.merge_mode == "mul":
            return first * second
        if self.merge_mode is None:
            return first, second
        total = first + second
        return total / 2 if self.merge_mode == "ave" else total

    def _backward(self, dy: Any, tape: Any, dstate: States | None, need_dx: bool) -> Gradients:
        if not isinstance(tape, BidirectionalTape):
            raise TypeError(f"tape must be what the forward call returned, got {type(tape).__name__}")
        B, T = tape.size
        dstates = self._checked_states("dstate", dstate, B)
        dys = [None, None] if dy is None else self._unmerge(dy, tape)

        def run(i: int) -> Gradients:
            d = dys[i]
            if d is not None and d.ndim == 3 and i:
                d = d[:, ::-1]
            return self._halves[i]._backward(d, tape.halves[i], dstates[i], need_dx)

        first, second = both(run, self._at_once(B, T))
        if first.dx is not None and second.dx is not None:
            np.add(first.dx, second.dx, out=first.dx)
        return gradients_of_parts(first.dx, [first, second])

    def _unmerge(self, dy: Any, tape: BidirectionalTape) -> list[Array | None]:
        """Turn the gradient of the merged output into those of the two outputs, in the order of time."""
        axes = ("batch", "time", "units")[:: 1 if self.return_sequences else 2]
        first, second = tape.shapes
        if self.merge_mode is None:
            if not isinstance(dy, list | tuple) or len(dy) != 2:
                raise ValueError(f"dy must be a list of 2 arrays, got {_check.described(dy)}")
            return [
                None if d is None else _check.array(f"dy[{i}]", d, self.dtype, axes, tape.shapes[i], strided=True)
                for i, d in enumerate(dy)
            ]
        shape = (*first[:-1], first[-1] + second[-1]) if self.merge_mode == "concat" else first
        dy = _check.array("dy", dy, self.dtype, axes, shape, strided=True)
        if self.merge_mode == "concat":
            return [dy[..., : first[-1]], dy[..., first[-1] :]]
        if self.merge_mode == "mul":
            assert tape.outputs is not None
            return [dy * tape.outputs[1], dy * tape.outputs[0]]
        half = dy / 2 if self.merge_mode == "ave" else dy
        return [half, half]


def _like(layer: OverTime, prefix: str, go_backwards: bool) -> OverTime:
    """Make a new layer with the arguments of another."""
    name = prefix + layer.name.removeprefix(prefix)
    return type(layer).from_config({**layer.get_config(), "go_backwards": go_backwards, "name": name})
