"""Calls of the compiled core, forward and backward, with arrays from a guarding allocator (see `guards`)."""

import numpy as np

from fastrnn import _core


def forward(
    guard,
    x,
    weights,
    *,
    initial_state=None,
    mask=None,
    recurrent_dropout=None,
    activation="tanh",
    go_backwards=False,
    zero_output_for_mask=False,
    keep_y=True,
):
    """Return (y or None, last state, the arguments that `backward` takes)."""
    (B, T, _), H = x.shape, len(weights[1])
    prepared = _core.SimpleRNNWeights(*[guard.input(w) for w in weights])
    y = guard.output((B, T, H), x.dtype) if keep_y else None
    h_last = guard.output((B, H), x.dtype)
    mask = None if mask is None else guard.input(np.asarray(mask, bool))
    tape = (guard.input(x), y, guard.input(initial_state), mask, guard.input(recurrent_dropout))
    _core.simple_rnn_forward(prepared, tape[0], y, h_last, *tape[2:], activation, go_backwards, zero_output_for_mask)
    guard.check()
    return y, h_last, (prepared, *tape, activation, go_backwards, zero_output_for_mask)


def backward(guard, call, dy=None, dstate=None, need_dx=True, use_bias=True):
    """Return [dx or None, dh0, dkernel, drecurrent_kernel, dbias if there is a bias]."""
    x, y = call[1], call[2]
    (B, T, I), H = x.shape, y.shape[2]
    shapes = [(B, T, I) if need_dx else None, (B, H), (I, H), (H, H), (H,) if use_bias else None]
    results = [None if shape is None else guard.output(shape, x.dtype) for shape in shapes]
    _core.simple_rnn_backward(*call, guard.input(dy), guard.input(dstate), *results)
    guard.check()
    return results if use_bias else results[:-1]
