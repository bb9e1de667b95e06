"""What the cells have in common: a call's arguments, checked and handed to the core, and what it gives back.

A cell's own file has its equation and its weights. The layers in `fastrnn.layers` stand on `run` and `step`, with
weights prepared once.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check, _core
from fastrnn._check import Array, States
from fastrnn._core import empty
from fastrnn._docs import Parts
from fastrnn.functional._memory import UNINTERRUPTED, deliver, target
from fastrnn.functional._tape import (
    OUTPUTS,
    STATES,
    KeptOptions,
    LastStates,
    Mask,
    Options,
    Projected,
    StateArrays,
    Tape,
    compute,
    gates_for,
    new,
    record,
    zeroed_last,
)

ACTIVATIONS = ("tanh", "relu", "sigmoid", "linear")
SEQUENCES = ("batch", "time", "features")
Output: TypeAlias = Array | tuple[Array, ...]
Dropout: TypeAlias = Callable[[int], tuple[Array | None, Array | None]]

documented = Parts(
    {
        "x": """
            x : array_like of shape (B, T, I)
                The sequences.
            """,
        "call": """
            initial_state : array_like of shape (B, H), or a list of as many as the cell has states, optional
                The states before the first step, zeros by default.
            mask : array_like of shape (B, T), optional
                Steps to use, in any pattern: what is not zero is true. At a masked step the states stay as they are,
                and the output repeats the previous one (the initial state, before the first used step).
            lengths : array_like of int and shape (B,), optional
                Instead of a mask: the number of steps to use at the beginning of each sequence, from 0 to T.
            return_sequences : bool, default False
                Return the output of every step instead of the last one.
            return_state : bool, default False
                Return the last states too.
            go_backwards : bool, default False
                Process time from T-1 to 0. Outputs are in processing order: the first belongs to x[:, T-1].
            zero_output_for_mask : bool, default False
                The outputs of masked steps are 0. This includes the last output, if the step processed last is masked,
                but never the states.
            """,
        "activation": """
            activation : {"tanh", "relu", "sigmoid", "linear"} or None, default "tanh"
                None is linear.
            """,
        "recurrent_activation": """
            recurrent_activation : default "sigmoid"
                Activation of the gates, one of the same.
            """,
        "out": """
            out : ndarray of the output's shape and dtype, optional
                Where to write the output, of any strides. It must not share memory with any other argument.
            """,
        "results": """
            Returns
            -------
            output : ndarray of shape (B, H), or (B, T, H) with return_sequences
                `out`, if that is given. Without time steps, the last output is the initial state.
            *states : ndarrays of shape (B, H)
                The states after the last step; only with return_state, which makes the result a tuple.

            Raises
            ------
            TypeError
                If an array does not hold real numbers or is a masked array, or out is not an array of the result's
                dtype.
            ValueError
                If a shape is wrong, mask and lengths are both given, lengths are out of range, an activation is
                unknown, or out is read-only or shares memory with another argument.
            """,
        "notes": """
            Everything is computed in float64 if the kernel is float64, else in float32; other real types are converted.
            An x of that type is read where it is if its last axis is dense, whatever its other strides. Without
            return_sequences the memory needed does not grow with T. When a call ends by KeyboardInterrupt, `out` is as
            before.
            """,
        "recording": """
            Parameters
            ----------
            tbptt : int, optional
                Truncate back-propagation through time: the states are carried on, but after every so many steps
                (counted in processing order) no gradient of theirs is carried back.
            checkpoint : bool, default False
                Keep the states of about the square root of T steps only, and let the backward call compute the others
                again. The gradients are the same, to the last bit.

            Returns
            -------
            output : ndarray, or a tuple with return_state
                As without a tape. With return_sequences the array is read-only unless there are checkpoints, for the
                tape needs the very same numbers.
            tape : Tape
                For the backward call. It refers to x itself unless that had to be converted, so x must not change
                before the backward call; every other argument is free to change.
            """,
    }
)


class Flags(TypedDict, total=False):
    """What any cell can be told about its outputs."""

    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool


class _Call(Flags, total=False):
    initial_state: States | None
    mask: ArrayLike | None
    lengths: ArrayLike | None
    return_state: bool


class Inference(_Call, total=False):
    """Keyword arguments that all cells share, of a call without a tape."""

    out: Array | None


class Recording(_Call, total=False):
    """Keyword arguments that all cells share, of a call with a tape."""

    tbptt: int | None
    checkpoint: bool


class Cell(NamedTuple):
    """The weights and states of a kind of layer."""

    pack: Callable[[Array, Array, Array | None], _core.Weights]  # prepares kernel, recurrent_kernel and bias
    gates: int  # matrices side by side in each kernel
    biases: int = 1  # rows of the bias
    states: int = 1  # arrays (B, H) that pass from step to step


class Keep(NamedTuple):
    """How much of a call its tape keeps."""

    tbptt: int | None = None
    checkpoint: bool = False


EVERYTHING = Keep()


class Arrays(NamedTuple):
    """A call's arrays as they came."""

    x: ArrayLike
    kernel: ArrayLike
    recurrent_kernel: ArrayLike
    bias: ArrayLike | None


class Activations(NamedTuple):
    """A cell's activations; None is linear."""

    activation: str | None
    recurrent_activation: str | None = "sigmoid"


def infer(
    cell: Cell,
    arrays: Arrays,
    activations: Activations,
    *,
    initial_state: States | None = None,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    return_state: bool = False,
    out: Array | None = None,
    **flags: Unpack[Flags],
) -> Output:
    """Compute a cell's outputs."""
    if out is not None:
        _check.no_overlap(out, **arrays._asdict(), initial_state=initial_state, mask=mask, lengths=lengths)
    weights, options = _prepare(cell, arrays, activations, **flags)
    output, states, _ = run(weights, options, arrays.x, initial_state, mask, lengths, want_state=return_state, out=out)
    return (output, *states) if return_state else output


def infer_and_keep(
    cell: Cell,
    arrays: Arrays,
    activations: Activations,
    *,
    initial_state: States | None = None,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    return_state: bool = False,
    tbptt: int | None = None,
    checkpoint: bool = False,
    **flags: Unpack[Flags],
) -> tuple[Output, Tape]:
    """Compute a cell's outputs and keep a tape."""
    weights, options = _prepare(cell, arrays, activations, **flags)
    keep = Keep(tbptt, bool(checkpoint))
    output, states, tape = run(
        weights, options, arrays.x, initial_state, mask, lengths, want_state=return_state, keep=keep
    )
    assert tape is not None
    return ((output, *states) if return_state else output), tape


def plain(
    weights: _core.Weights, options: Options, x: Any, mask: Mask | None = None, gates: Array | None = None
) -> Array | None:
    """Return the output without states, at little cost; None, for an x not of the one form, is for `run`."""
    return _core.infer(
        weights, x, mask, gates, options.activation, options.recurrent_activation, options.go_backwards,
        mask is not None and options.zero_output_for_mask, options.return_sequences,
    )  # fmt: skip


def plain_with_tape(
    weights: _core.Weights, options: Options, x: ArrayLike, mask: Mask | None = None
) -> tuple[Array, Tape] | None:
    """Return the same with a tape, if all outputs are wanted. The tape takes the mask over."""
    if not options.return_sequences or not isinstance(x, np.ndarray) or x.ndim != 3:
        return None
    gates = gates_for(weights, x)
    y = plain(weights, options, x, mask, gates)
    if y is None:
        return None
    y.setflags(write=False)
    kept = KeptOptions.of(options)
    return y, new(Tape, (weights, x, y, gates, (None,), x.shape[1], False, mask, None, None, kept))


def plain_mask(
    weights: _core.Weights, x: Any, mask: ArrayLike | None, lengths: ArrayLike | None, copy: bool
) -> Mask | None:
    """Return a mask for these, from one of both; None, if that or x is not of the one form."""
    if lengths is None:
        if type(mask) is not np.ndarray or mask.dtype.char != "?" or mask.ndim != 2 or not mask.flags.c_contiguous:
            return None
        return Mask.of(weights, mask.astype(np.uint8) if copy else mask)
    shape: tuple[int, ...] = getattr(x, "shape", ())
    used = None if mask is not None or len(shape) != 3 else _core.mask_of_lengths(lengths, shape[1])
    return None if used is None else Mask.of(weights, used)


def run(
    weights: _core.Weights,
    options: Options,
    x: ArrayLike | Projected,
    initial_state: States | None = None,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    dropout: Dropout | None = None,
    want_state: bool = False,
    keep: Keep | None = None,
    out: Array | None = None,
    into: Array | None = None,
) -> tuple[Array, StateArrays, Tape | None]:
    """Check the arguments of a call, make it, and return its output, its last states and its tape, as far as wanted.

    `dropout` is asked for the factors of x (B, I) and of the states in the product of each gate, (B, H) or (gates, B,
    H), when everything else has been found right. The output goes to `out`, which is the user's, or `into` memory of
    ours.
    """
    dtype = _check.FLOATS[weights.dtype]
    if not isinstance(x, Projected):
        x = _check.array("x", x, dtype, SEQUENCES, (None, None, weights.inputs), strided=True)
    (B, T, I), H, count = x.shape, weights.units, weights.states
    initial = None if initial_state is None else _check.states("initial_state", initial_state, dtype, B, (H,) * count)
    used = None if mask is None and lengths is None else Mask.of(weights, _check.mask(mask, lengths, B, T))
    steps = T if keep is None else _segment_steps(keep, weights, B, T)

    y: Array | None = None
    last: LastStates | None = None
    work = B * T * H * (I + H) * weights.gates
    if options.return_sequences:
        result = y = target(out, dtype, OUTPUTS, (B, T, H), work) if into is None else into
        if want_state:
            last = _more_states(count, (B, H), dtype)
    else:
        result = target(out, dtype, STATES, (B, H), work)
        last = (result,) if count == 1 else (result, *_more_states(count - 1, (B, H), dtype if want_state else None))

    input_dropout, recurrent_dropout = (None, None) if dropout is None else dropout(B)
    if input_dropout is not None and not isinstance(x, Projected):
        x = x * input_dropout[:, None, :]
    tape = None
    if keep is None:
        compute(weights, options, x, y, last, initial, used, recurrent_dropout, None)
    else:
        if y is None and not keep.checkpoint:
            y = empty((B, T, H), dtype)
        tape = Tape(
            weights, x, y, None if keep.checkpoint else gates_for(weights, x),
            (None if initial is None else tuple([state.copy() for state in initial]),), steps, keep.tbptt is not None,
            used, input_dropout, recurrent_dropout, KeptOptions.of(options),
        )  # fmt: skip
        tape = record(tape, last, keep.checkpoint)

    states: Any = last if want_state else ()
    if not options.return_sequences:
        if want_state:
            states = (result.copy(), *states[1:])
        zeroed = None if used is None else zeroed_last(used, options)
        if zeroed is not None:
            result[zeroed] = 0
    return deliver(result, out if into is None else into), states, tape


def _more_states(count: int, shape: tuple[int, int], dtype: np.dtype[Any] | None) -> LastStates:
    """Allocate states; without a type they are not wanted."""
    return tuple([None if dtype is None else empty(shape, dtype) for _ in range(count)])


def activation_name(name: str, value: str | None) -> str:
    """Return the name of an activation that the core knows."""
    return "linear" if value is None else _check.choice(name, value, ACTIVATIONS)


def step(
    weights: _core.Weights, options: Options, x: ArrayLike, states: States | None, out: Array | Sequence[Array] | None
) -> tuple[Array, list[Array]]:
    """Compute the output (B, H) of one time step x (B, I), the first of the next states; out may be the ones before."""
    after = _core.step(weights, x, states, out, options.activation, options.recurrent_activation, UNINTERRUPTED)
    if after is None:  # which is not the usual case of streaming
        after = _checked_step(weights, options, x, states, out)
    return after[0], after


def _checked_step(
    weights: _core.Weights, options: Options, x: ArrayLike, states: States | None, out: Array | Sequence[Array] | None
) -> list[Array]:
    """Compute the next states from arguments of any form, or say what is wrong with them."""
    dtype = _check.FLOATS[weights.dtype]
    x = _check.array("x_t", x, dtype, ("batch", "features"), (None, weights.inputs), strided=True)
    (B, I), H = x.shape, weights.units
    initial = None if states is None else _check.states("states", states, dtype, B, (H,) * weights.states)
    wanted: tuple[Array | None, ...] = (None,) * weights.states if out is None else _check.outs(out, weights.states)
    for i, one in enumerate(wanted):
        if one is not None:
            _check.no_overlap(one, x_t=x, **{f"out[{j}]": other for j, other in enumerate(wanted[:i])})
    results = tuple([target(one, dtype, STATES, (B, H), B * H * (I + H) * weights.gates) for one in wanted])
    if initial is not None:  # where they meet, a state would be overwritten before it is read
        initial = tuple([h.copy() if any([np.may_share_memory(h, r) for r in results]) else h for h in initial])
    compute(weights, options, x[:, None], None, results, initial, None, None, None)
    return [deliver(result, one) for result, one in zip(results, wanted, strict=True)]


def _prepare(
    cell: Cell,
    arrays: Arrays,
    activations: Activations,
    return_sequences: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[_core.Weights, KeptOptions]:
    _, kernel, recurrent_kernel, bias = arrays
    options = KeptOptions(
        activation_name("activation", activations.activation),
        activation_name("recurrent_activation", activations.recurrent_activation),
        bool(return_sequences),
        bool(go_backwards),
        bool(zero_output_for_mask),
        use_bias=bias is not None,
    )
    return cell.pack(*_check.weights(kernel, recurrent_kernel, bias, cell.gates, cell.biases)), options


def _segment_steps(keep: Keep, weights: _core.Weights, batch: int, time: int) -> int:
    """Return the number of steps that back-propagation takes at once."""
    if keep.tbptt is not None:
        return _check.positive_integer("tbptt", keep.tbptt)
    if not keep.checkpoint:
        return time
    piece = _core.backward_steps(weights, batch)  # of the sums over time, so that cutting there changes no bit
    return piece * math.ceil(max(1, math.isqrt(time)) / piece)
