"""Recurrent layers without objects: arrays in, arrays out, nothing kept between calls.

`simple_rnn` computes, `simple_rnn_forward` computes and keeps a tape, and `simple_rnn_backward` turns the tape and the
gradient of the output into the gradients of everything that went in (back-propagation through time). The layers in
`fastrnn.layers` stand on `run`, `step` and `simple_rnn_backward`, with weights prepared once.

Shapes are written with B (batch), T (time), I (features) and H (units).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check, _core
from fastrnn._check import Array

__all__ = ["Gradients", "SimpleRNNTape", "simple_rnn", "simple_rnn_backward", "simple_rnn_forward"]

ACTIVATIONS = ("tanh", "relu", "sigmoid", "linear")
Output: TypeAlias = Array | tuple[Array, ...]
Dropout: TypeAlias = Callable[[int], tuple[Array | None, Array | None]]

# Multiply-adds that are over before anybody wants to interrupt them. A longer call may end by KeyboardInterrupt, so it
# does not work in the caller's array, which must not be left half-written.
_UNINTERRUPTED = 2**24
_CACHE_LINE = 64
_WORTH_ALIGNING = 2**15  # bytes
_SEQUENCES = ("batch", "time", "features")
_OUTPUTS = ("batch", "time", "units")
_STATES = ("batch", "units")


class Options(Protocol):
    """What a SimpleRNN is asked to do, `simple_rnn` explains it. A layer is its own options."""

    @property
    def activation(self) -> str: ...
    @property
    def return_sequences(self) -> bool: ...
    @property
    def go_backwards(self) -> bool: ...
    @property
    def zero_output_for_mask(self) -> bool: ...
    @property
    def use_bias(self) -> bool: ...


class _Options(NamedTuple):
    activation: str
    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool
    use_bias: bool


class Gradients(NamedTuple):
    """Gradients of a loss with respect to what went into a forward call; new arrays of the weights' dtype.

    Attributes
    ----------
    dx : ndarray of shape (B, T, I) or None
        Of the input; None if it was not wanted.
    dinitial_state : ndarray of shape (B, H) or None
        Of the initial state, whether one was given or it was zeros; None from a layer that has no state.
    weights : list of ndarray
        Of the weights, in Keras's order: kernel (I, H), recurrent_kernel (H, H) and, if there is one, bias (H,).
    """

    dx: Array | None
    dinitial_state: Array | None
    weights: list[Array]


class SimpleRNNTape(NamedTuple):
    """What back-propagation needs of one forward call: by `simple_rnn_forward`, for `simple_rnn_backward`.

    It holds the weights as they were, so that a later change of them does no harm, and it can be used any number of
    times. The input `x` and, with return_sequences, the output `y` are shared with the caller: `x` must not change
    before the backward call, and the output is read-only for that reason.
    """

    weights: _core.SimpleRNNWeights
    x: Array  # (B, T, I), after dropout
    y: Array  # (B, T, H), every step's output in processing order
    initial_state: Array | None  # (B, H)
    mask: Array | None  # (B, T) of uint8
    input_dropout: Array | None  # (B, I), the factors of x
    recurrent_dropout: Array | None  # (B, H), the factors of h(t-1) in the product
    options: _Options


def simple_rnn(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    initial_state: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    activation: str | None = "tanh",
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    out: Array | None = None,
) -> Output:
    """Run a simple (Elman) recurrent layer over a batch of sequences, as Keras's SimpleRNN does.

    ::

        h(t) = activation(x(t) kernel + bias + h(t-1) recurrent_kernel)

    Everything is computed in float64 if the kernel is float64, else in float32; other real types are converted. An x of
    that type is read where it is if its last axis is dense, whatever its other strides.

    Parameters
    ----------
    x : array_like of shape (B, T, I)
        The sequences.
    kernel : array_like of shape (I, H)
        Weights of the input.
    recurrent_kernel : array_like of shape (H, H)
        Weights of the previous state.
    bias : array_like of shape (H,), optional
        Added at every step.
    initial_state : array_like of shape (B, H), or a list of one, optional
        The state before the first step, zeros by default.
    mask : array_like of shape (B, T), optional
        Steps to use, in any pattern: what is not zero is true. At a masked step the state stays as it is, and the
        output repeats the previous one (the initial state, before the first used step).
    lengths : array_like of int and shape (B,), optional
        Instead of a mask: the number of steps to use at the beginning of each sequence, from 0 to T.
    activation : {"tanh", "relu", "sigmoid", "linear"} or None, default "tanh"
        None is linear.
    return_sequences : bool, default False
        Return the output of every step instead of the last one.
    return_state : bool, default False
        Return the last state too.
    go_backwards : bool, default False
        Process time from T-1 to 0. Outputs are in processing order: the first belongs to x[:, T-1].
    zero_output_for_mask : bool, default False
        The outputs of masked steps are 0. This includes the last output, if the step processed last is masked, but
        never the state.
    out : ndarray of the output's shape and dtype, optional
        Where to write the output, of any strides. It must not share memory with any other argument.

    Returns
    -------
    output : ndarray of shape (B, H), or (B, T, H) with return_sequences
        `out`, if that is given. Without time steps, the last output is the initial state.
    state : ndarray of shape (B, H)
        The state after the last step; only with return_state, which makes the result a tuple.

    Raises
    ------
    TypeError
        If an array does not hold real numbers or is a masked array, or out is not an array of the result's dtype.
    ValueError
        If a shape is wrong, mask and lengths are both given, lengths are out of range, the activation is unknown,
        or out is read-only or shares memory with another argument.

    Notes
    -----
    The equation is that of J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), with the masks of
    Keras 3.15. Without return_sequences the memory needed does not grow with T. When a call ends by KeyboardInterrupt,
    `out` is as before.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.functional import simple_rnn
    >>> simple_rnn(np.ones((1, 2, 1)), [[1.0]], [[-1.0]], activation="linear", return_sequences=True)
    array([[[1.],
            [0.]]])
    """
    if out is not None:
        inputs = (x, kernel, recurrent_kernel, bias, initial_state, mask, lengths)
        names = ("x", "kernel", "recurrent_kernel", "bias", "initial_state", "mask", "lengths")
        _check.no_overlap(out, **dict(zip(names, inputs, strict=True)))
    options = _options(activation, return_sequences, go_backwards, zero_output_for_mask, bias is not None)
    weights = _core.SimpleRNNWeights(*_check.weights(kernel, recurrent_kernel, bias))
    output, states, _ = run(weights, options, x, initial_state, mask, lengths, out=out, want_state=return_state)
    return (output, *states) if return_state else output


def simple_rnn_forward(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    initial_state: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    activation: str | None = "tanh",
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Output, SimpleRNNTape]:
    """Do what `simple_rnn` does and keep what `simple_rnn_backward` needs.

    The arguments are those of `simple_rnn`. The tape refers to x itself unless it had to be converted, so x must not
    change before the backward call; every other argument is free to change.

    Returns
    -------
    output : ndarray, or a tuple of two with return_state
        As of `simple_rnn`. With return_sequences the array is read-only, for the tape needs the very same numbers.
    tape : SimpleRNNTape
        For `simple_rnn_backward`. It takes as much memory as x and an array of shape (B, T, H).
    """
    options = _options(activation, return_sequences, go_backwards, zero_output_for_mask, bias is not None)
    weights = _core.SimpleRNNWeights(*_check.weights(kernel, recurrent_kernel, bias))
    output, states, tape = run(
        weights, options, x, initial_state, mask, lengths, want_state=return_state, want_tape=True
    )
    assert tape is not None
    return ((output, *states) if return_state else output), tape


def simple_rnn_backward(
    dy: ArrayLike | None, tape: SimpleRNNTape, *, dstate: ArrayLike | None = None, need_dx: bool = True
) -> Gradients:
    """Propagate gradients back through all time steps of one `simple_rnn_forward` call.

    Parameters
    ----------
    dy : array_like of shape (B, H), or (B, T, H) with return_sequences; or None
        Gradient of a loss with respect to the output; None stands for zeros.
    tape : SimpleRNNTape
        What the forward call returned.
    dstate : array_like of shape (B, H), or a list of one, optional
        Gradient with respect to the last state, whether or not the forward call returned it; zeros by default.
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
    if not isinstance(tape, SimpleRNNTape):
        raise TypeError(f"tape must be what simple_rnn_forward returned, got {type(tape).__name__}")
    weights, x, y, initial_state, mask, input_dropout, recurrent_dropout, options = tape
    (B, T, I), H, dtype = x.shape, weights.units, x.dtype

    dh_last = None if dstate is None else _check.state("dstate", dstate, dtype, B, H)
    dy_all = None
    if dy is not None and options.return_sequences:
        dy_all = _check.array("dy", dy, dtype, _OUTPUTS, (B, T, H), strided=True)
    elif dy is not None:  # the last output is the last state, or 0 where that was asked for
        dy_last = _check.array("dy", dy, dtype, _STATES, (B, H))
        zeroed = _zeroed_last(mask, options)
        if zeroed is not None:
            dy_last = np.where(zeroed[:, None], dtype.type(0), dy_last)
        dh_last = dy_last if dh_last is None else dy_last + dh_last

    dx = _empty((B, T, I), dtype) if need_dx else None
    dinitial_state = _empty((B, H), dtype)
    dweights: list[Array] = [_empty((I, H), dtype), _empty((H, H), dtype)]
    if options.use_bias:
        dweights.append(np.empty(H, dtype))
    _core.simple_rnn_backward(
        weights, x, y, initial_state, mask, recurrent_dropout,
        options.activation, options.go_backwards, options.zero_output_for_mask and options.return_sequences,
        dy_all, dh_last,
        dx, dinitial_state, dweights[0], dweights[1], dweights[2] if options.use_bias else None,
    )  # fmt: skip
    if dx is not None and input_dropout is not None:
        dx *= input_dropout[:, None, :]
    return Gradients(dx, dinitial_state, dweights)


def run(
    weights: _core.SimpleRNNWeights,
    options: Options,
    x: ArrayLike,
    initial_state: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    *,
    dropout: Dropout | None = None,
    out: Array | None = None,
    want_state: bool = False,
    want_tape: bool = False,
) -> tuple[Array, tuple[Array, ...], SimpleRNNTape | None]:
    """Check the arguments of a call, make it, and return its output, its last state if wanted, and its tape if wanted.

    `dropout` is asked for the factors of x (B, I) and of the states (B, H) when everything else has been found right.
    """
    dtype = _check.FLOATS[weights.dtype]
    x = _check.array("x", x, dtype, _SEQUENCES, (None, None, weights.inputs), strided=True)
    (B, T, I), H = x.shape, weights.units
    h0 = None if initial_state is None else _check.state("initial_state", initial_state, dtype, B, H)
    used = None if mask is None and lengths is None else _check.mask(mask, lengths, B, T)

    y = h_last = None
    if options.return_sequences:
        result = y = _target(out, dtype, _OUTPUTS, (B, T, H), B * T * H * (I + H))
        if want_state:
            h_last = _empty((B, H), dtype)
    else:
        result = h_last = _target(out, dtype, _STATES, (B, H), B * T * H * (I + H))
        if want_tape:
            y = _empty((B, T, H), dtype)

    input_dropout, recurrent_dropout = (None, None) if dropout is None else dropout(B)
    if input_dropout is not None:
        x = x * input_dropout[:, None, :]
    _core.simple_rnn_forward(
        weights, x, y, h_last, h0, used, recurrent_dropout,
        options.activation, options.go_backwards, options.zero_output_for_mask and options.return_sequences,
    )  # fmt: skip

    state = h_last
    if not options.return_sequences:
        state = result.copy() if want_state else None
        zeroed = _zeroed_last(used, options)
        if zeroed is not None:
            result[zeroed] = 0
    tape = None
    if want_tape:
        assert y is not None
        y.flags.writeable = False
        kept = _Options(*(getattr(options, name) for name in _Options._fields))
        h0 = None if h0 is None else h0.copy()
        tape = SimpleRNNTape(weights, x, y, h0, used, input_dropout, recurrent_dropout, kept)
    return _deliver(result, out), () if state is None else (state,), tape


def step(
    weights: _core.SimpleRNNWeights, options: Options, x: ArrayLike, state: ArrayLike | None, out: Array | None
) -> tuple[Array, list[Array]]:
    """Compute the output (B, H) of one time step x (B, I), which is the next state; out may be the previous one."""
    previous = state[0] if isinstance(state, list) and len(state) == 1 else state
    if (  # the usual case of streaming, at little cost
        type(x) is type(previous) is type(out) is np.ndarray
        and _core.simple_rnn_step(weights, x, previous, out, options.activation, _UNINTERRUPTED)
    ):
        return out, [out]
    dtype = _check.FLOATS[weights.dtype]
    x = _check.array("x_t", x, dtype, ("batch", "features"), (None, weights.inputs), strided=True)
    (B, I), H = x.shape, weights.units
    h0 = None if state is None else _check.state("states", state, dtype, B, H)
    if out is not None:
        _check.no_overlap(out, x_t=x)
    result = _target(out, dtype, _STATES, (B, H), B * H * (I + H))
    if result is out and h0 is not None and np.may_share_memory(result, h0):
        h0 = h0.copy()  # where they meet, it would be overwritten before it is read
    _core.simple_rnn_forward(weights, x[:, None], None, result, h0, None, None, options.activation, False, False)
    y = _deliver(result, out)
    return y, [y]


def _options(
    activation: str | None, return_sequences: bool, go_backwards: bool, zero_output_for_mask: bool, use_bias: bool
) -> _Options:
    activation = "linear" if activation is None else _check.choice("activation", activation, ACTIVATIONS)
    return _Options(activation, bool(return_sequences), bool(go_backwards), bool(zero_output_for_mask), use_bias)


def _zeroed_last(mask: Array | None, options: Options) -> Array | None:
    """Tell of each row whether its last output is 0, the step processed last being masked; None if that cannot be."""
    if mask is None or not options.zero_output_for_mask or mask.shape[1] == 0:
        return None
    zeroed: Array = mask[:, 0 if options.go_backwards else -1] == 0
    return zeroed


def _target(out: Array | None, dtype: np.dtype[Any], axes: _check.Axes, shape: tuple[int, ...], work: int) -> Array:
    """Return out, if the core can write there and `work` multiply-adds are not interrupted, else a new array."""
    if out is None:
        return _empty(shape, dtype)
    _check.out(out, dtype, axes, shape)
    writable = _check.is_strided(out) if len(shape) == 3 else out.flags.carray
    return out if writable and work <= _UNINTERRUPTED else _empty(shape, dtype)


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Allocate an array that, if it is not small, starts with a cache line, so that vectors do not straddle two."""
    size = math.prod(shape) * dtype.itemsize
    if size < _WORTH_ALIGNING:
        return np.empty(shape, dtype)
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    return np.ndarray(shape, dtype, memory, -_core.address(memory) % _CACHE_LINE)


def _deliver(result: Array, out: Array | None) -> Array:
    if out is None or out is result:
        return result
    np.copyto(out, result)
    return out
