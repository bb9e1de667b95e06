"""What a forward call leaves behind, and back-propagation through time from it."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check, _core
from fastrnn._check import Array, States
from fastrnn._core import empty
from fastrnn.functional._gradients import Gradients, LaterGradients, StateGradients

OUTPUTS = ("batch", "time", "units")
STATES = ("batch", "units")
StateArrays: TypeAlias = tuple[Array, ...]  # each (B, H)
LastStates: TypeAlias = tuple[Array | None, ...]  # the same, but what is None is not wanted

# Multiply-adds with the recurrent kernel, and so many more to turn it around, that take less time than to put them off.
AT_ONCE, TURNED_AS_ROWS = 2**16, 16

# Makes a named tuple in a fifth of its constructor's time, half a microsecond that a short call would notice.
new = tuple.__new__


class Projected(NamedTuple):
    """An input of which the products with the kernel are known. The weights that go with it have no inputs."""

    ids: Array  # (B, T) of intp, in their range
    rows: Array  # (V, gates·H): what x(t) kernel + bias is for every id

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, T, 0)."""
        return (*self.ids.shape, 0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the rows."""
        return self.rows.dtype

    def during(self, times: slice) -> "Projected":
        """Return some time steps."""
        return Projected(np.ascontiguousarray(self.ids[:, times]), self.rows)


class Mask(NamedTuple):
    """Which steps are used, and in which order the rows may be taken: those with most steps first."""

    used: Array  # (B, T) of bool or uint8
    order: Array | None  # (B,) of intp, the same for all segments; None where it would make no call faster

    @classmethod
    def of(cls, weights: _core.Weights, used: Array) -> "Mask":
        """Find the order."""
        return new(cls, (used, weights.order(used)))

    def during(self, times: slice) -> "Mask":
        """Return some time steps."""
        return self._replace(used=np.ascontiguousarray(self.used[:, times]))


class Options(Protocol):
    """What a cell is asked to do with its weights. A layer is its own options."""

    @property
    def activation(self) -> str: ...
    @property
    def recurrent_activation(self) -> str: ...
    @property
    def return_sequences(self) -> bool: ...
    @property
    def go_backwards(self) -> bool: ...
    @property
    def zero_output_for_mask(self) -> bool: ...
    @property
    def use_bias(self) -> bool: ...


class KeptOptions(NamedTuple):
    """Options that do not change."""

    activation: str
    recurrent_activation: str
    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool
    use_bias: bool

    @classmethod
    def of(cls, options: Options) -> Self:
        """Copy options, such as a layer."""
        return new(cls, _values(options))


_values = attrgetter(*KeptOptions._fields)


class Tape(NamedTuple):
    """What back-propagation needs of one forward call, of any cell: by `gru_forward`, for `gru_backward`, and so on.

    It holds the weights as they were, so that a later change of them does no harm, and it can be used any number of
    times. The input `x` and, with return_sequences, the output `y` are shared with the caller: `x` must not change
    before the backward call, and the output is read-only for that reason.

    Time is cut into segments, in the order of processing: one, or many for truncated or checkpointed back-propagation.
    """

    weights: _core.Weights
    x: Array | Projected  # (B, T, I), after dropout
    y: Array | None  # (B, T, H), every step's output in processing order; None: to be computed again
    gates: Array | None  # (T, B, weights.kept), what else the core wants to know of each step; None: as y, or nothing
    begins: tuple[StateArrays | None, ...]  # the states before each segment, None for zeros
    steps: int  # of a segment; the last may be shorter
    truncated: bool  # whether gradients of states stop where a segment begins
    mask: Mask | None
    input_dropout: Array | None  # (B, I), the factors of x
    recurrent_dropout: Array | None  # (B, H) or (gates, B, H), the factors of h(t-1) in the product of each gate
    options: KeptOptions

    def cut(self, i: int) -> tuple[slice, slice]:
        """Return the steps of segment i in processing order, and where they are in the input."""
        T = self.x.shape[1]
        first, end = i * self.steps, min(T, (i + 1) * self.steps)
        return slice(first, end), slice(T - end, T - first) if self.options.go_backwards else slice(first, end)

    def part(self, i: int) -> "Tape":
        """Return segment i as a tape of its own; without y and gates if there are none."""
        if self.steps >= self.x.shape[1]:
            return self
        steps, times = self.cut(i)
        return self._replace(
            x=self.x.during(times) if isinstance(self.x, Projected) else self.x[:, times],
            y=None if self.y is None else self.y[:, steps],
            gates=None if self.gates is None else self.gates[steps],
            begins=(self.begins[i],),
            mask=None if self.mask is None else self.mask.during(times),
        )

    def complete(self) -> "Tape":
        """Compute y and gates of a single segment again, if they were not kept."""
        if self.y is not None:
            return self
        y = empty((*self.x.shape[:2], self.weights.units), self.x.dtype)
        whole = self._replace(y=y, gates=gates_for(self.weights, self.x))
        whole.fill(None)
        return whole

    def fill(self, last: LastStates | None) -> None:
        """Compute a single segment: y, gates and the last states, as far as they are there."""
        compute(
            self.weights, self.options, self.x, self.y, last,
            self.begins[0], self.mask, self.recurrent_dropout, self.gates,
        )  # fmt: skip


def compute(
    weights: _core.Weights,
    options: Options,
    x: Array | Projected,
    y: Array | None,
    last: LastStates | None,
    initial: StateArrays | None,
    mask: Mask | None,
    dropout: Array | None,
    gates: Array | None,
) -> None:
    """Let the core run over time and write y, the last states and gates, as far as they are given."""
    _core.forward(
        weights, x, y, last, initial, mask, dropout, gates,
        options.activation, options.recurrent_activation, options.go_backwards,
        options.zero_output_for_mask and options.return_sequences,
    )  # fmt: skip


def record(tape: Tape, last: LastStates | None, checkpoint: bool) -> Tape:
    """Fill in a tape, of which only the first segment's begin is known, and the last states.

    A tape with checkpoints keeps only the begins; its y, if there is one, is for the caller.
    """
    B, T, _ = tape.x.shape
    while len(tape.begins) * tape.steps < T:
        between = tuple([empty((B, tape.weights.units), tape.x.dtype) for _ in range(tape.weights.states)])
        tape.part(len(tape.begins) - 1).fill(between)
        tape = tape._replace(begins=(*tape.begins, between))
    tape.part(len(tape.begins) - 1).fill(last)
    if checkpoint:
        return tape._replace(y=None)
    assert tape.y is not None
    tape.y.setflags(write=False)
    return tape


def gates_for(weights: _core.Weights, x: Array | Projected) -> Array | None:
    """Allocate what a tape keeps besides the outputs, if anything."""
    B, T, _ = x.shape
    return empty((T, B, weights.kept), x.dtype) if weights.kept else None


def backward(dy: ArrayLike | None, tape: Tape, *, dstate: States | None = None, need_dx: bool = True) -> Gradients:
    """Propagate gradients back through all time steps of one forward call, of any cell: the tape knows which.

    Parameters
    ----------
    dy : array_like of shape (B, H), or (B, T, H) with return_sequences; or None
        Gradient of a loss with respect to the output; None stands for zeros.
    tape : Tape
        What the forward call returned.
    dstate : array_like of shape (B, H), or a list of as many as there are states, optional
        Gradient with respect to the last states, whether or not the forward call returned them; zeros by default.
    need_dx : bool, default True
        Whether to compute the gradient of x, which a first layer has no use for.

    Returns
    -------
    Gradients
        The tuple (dx, dinitial_state, weights).

    Raises
    ------
    TypeError, ValueError
        If dy or dstate does not hold real numbers or has the wrong shape.
    """
    if not isinstance(tape, Tape):
        raise TypeError(f"tape must be what the forward call returned, got {type(tape).__name__}")
    weights, options, x = tape.weights, tape.options, tape.x
    (B, T, _), H, dtype = x.shape, weights.units, x.dtype

    dstates: LastStates | None = None
    if dstate is not None:
        dstates = _check.states("dstate", dstate, dtype, B, (H,) * weights.states)
    dy_all = None
    if dy is not None and options.return_sequences:
        dy_all = _check.array("dy", dy, dtype, OUTPUTS, (B, T, H), strided=True)
    elif dy is not None:  # the last output is the last state, or 0 where that was asked for
        dy_last = _check.array("dy", dy, dtype, STATES, (B, H))
        zeroed = zeroed_last(tape.mask, options)
        if zeroed is not None:
            dy_last = np.where(zeroed[:, None], dtype.type(0), dy_last)
        dh, *others = (None,) * weights.states if dstates is None else dstates
        dstates = (dy_last if dh is None else dy_last + dh, *others)

    is_later = T == 1 and _is_from_zeros(tape) and (B + TURNED_AS_ROWS) * weights.gates * H * H > AT_ONCE
    dx, dinitial, dweights = weights.new_gradients(x, need_dx, not is_later, options.use_bias)
    if is_later:
        later = _of_initial_state(tape, dy_all, dstates)
        _go_back(tape, dy_all, dstates, dx, None, dweights, False)
        gradients: Gradients = LaterGradients(dx, later, dweights)
    else:
        if len(tape.begins) == 1:
            _go_back(tape.complete(), dy_all, dstates, dx, dinitial, dweights, False)
        else:
            _go_back_in_segments(tape, dy_all, dstates, dx, dinitial, dweights)
        gradients = new(Gradients, (dx, _one_or_all(dinitial), dweights))
    if dx is not None and tape.input_dropout is not None:
        dx *= tape.input_dropout[:, None, :]
    return gradients


def _is_from_zeros(tape: Tape) -> bool:
    """Tell whether a single step is from zeros, whose gradient is all that needs the recurrent kernel."""
    return tape.begins[0] is None and tape.y is not None


def _of_initial_state(tape: Tape, dy: Array | None, dlast: LastStates | None) -> Callable[[], StateGradients]:
    """Return what goes back through a single segment once more, for nothing else."""
    dy = None if dy is None else dy.copy()  # the user's, who may change them
    dlast = None if dlast is None else tuple([None if d is None else d.copy() for d in dlast])

    def go_back() -> StateGradients:
        _, dinitial, unused = tape.weights.new_gradients(tape.x, False, True, False)
        _go_back(tape, dy, dlast, None, dinitial, unused, False)
        return _one_or_all(dinitial)

    return go_back


def _go_back(
    part: Tape,
    dy: Array | None,
    dlast: LastStates | None,
    dx: Array | None,
    dinitial: StateArrays | None,
    dweights: list[Array],
    accumulate: bool,
) -> None:
    """Let the core go back through a single segment and write the gradients, or add to those of the weights."""
    weights, x, y, gates, begins, _, _, mask, _, dropout, options = part
    activation, recurrent_activation, return_sequences, go_backwards, zero_output_for_mask, _ = options
    assert y is not None
    _core.backward(
        weights, x, y, gates, begins[0], mask, dropout,
        activation, recurrent_activation, go_backwards, zero_output_for_mask and return_sequences,
        dy, dlast, dx, dinitial, dweights, accumulate,
    )  # fmt: skip


def _go_back_in_segments(
    tape: Tape,
    dy: Array | None,
    dlast: LastStates | None,
    dx: Array | None,
    dinitial: StateArrays,
    dweights: list[Array],
) -> None:
    """Go back through the segments one by one, the last one first."""
    for i in reversed(range(len(tape.begins))):
        part = tape.part(i).complete()
        steps, times = tape.cut(i)
        dy_part = None if dy is None else dy[:, steps]
        own = dx is not None and not isinstance(part.x, Projected)  # the gradient of a table has no time
        dx_part = empty(part.x.shape, part.x.dtype) if own else dx
        _go_back(part, dy_part, dlast, dx_part, dinitial, dweights, i + 1 < len(tape.begins))
        if own and dx is not None:
            dx[:, times] = dx_part
        dlast = None if tape.truncated else dinitial


def _one_or_all(states: StateArrays) -> Array | list[Array]:
    return states[0] if len(states) == 1 else list(states)


def zeroed_last(mask: Mask | None, options: Options) -> Array | None:
    """Tell of each row whether its last output is 0, the step processed last being masked; None if that cannot be."""
    if mask is None or not options.zero_output_for_mask or mask.used.shape[1] == 0:
        return None
    zeroed: Array = mask.used[:, 0 if options.go_backwards else -1] == 0
    return zeroed
