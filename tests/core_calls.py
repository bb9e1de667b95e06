"""Calls of the compiled core, forward and backward, with arrays from a guarding allocator (see `guards`)."""

import numpy as np

from fastrnn import _core


def forward(
    guard,
    cell,
    x,
    weights,
    *,
    initial_state=None,
    mask=None,
    recurrent_dropout=None,
    activation="tanh",
    recurrent_activation="sigmoid",
    go_backwards=False,
    zero_output_for_mask=False,
    keep_y=True,
):
    """Return (y or None, last states as one array, the arguments that `backward` takes)."""
    (B, T, _), H = x.shape, len(weights[1])
    prepared = cell.pack(*[guard.input(w) for w in weights])
    y = guard.output((B, T, H), x.dtype) if keep_y else None
    gates = guard.output((T, B, prepared.kept), x.dtype) if keep_y and prepared.kept else None
    last = tuple(guard.output((B, H), x.dtype) for _ in range(cell.states))
    initial = None
    if initial_state is not None:
        initial = tuple(guard.input(state) for state in np.reshape(initial_state, (cell.states, B, H)))
    mask = None if mask is None else guard.input(np.asarray(mask, bool))
    x, dropout = guard.input(x), guard.input(recurrent_dropout)
    options = activation, recurrent_activation, go_backwards, zero_output_for_mask
    _core.forward(prepared, x, y, last, initial, mask, dropout, gates, *options)
    guard.check()
    state = last[0] if cell.states == 1 else np.stack(last)
    return y, state, (prepared, x, y, gates, initial, mask, dropout, *options)


def backward(guard, cell, call, dy=None, dstate=None, need_dx=True, use_bias=True):
    """Return [dx or None, gradients of the first states as one array, dkernel, drecurrent_kernel, dbias if any]."""
    x, y = call[1], call[2]
    (B, T, I), H = x.shape, y.shape[2]
    dx = guard.output((B, T, I), x.dtype) if need_dx else None
    dinitial = tuple(guard.output((B, H), x.dtype) for _ in range(cell.states))
    shapes = [(I, cell.gates * H), (H, cell.gates * H)] + ([cell.bias_shape(H)] if use_bias else [])
    dweights = [guard.output(shape, x.dtype) for shape in shapes]
    dlast = None
    if dstate is not None:
        dlast = tuple(guard.input(state) for state in np.reshape(dstate, (cell.states, B, H)))
    _core.backward(*call, guard.input(dy), dlast, dx, dinitial, dweights, False)
    guard.check()
    first = dinitial[0] if cell.states == 1 else np.stack(dinitial)
    return [dx, first, *dweights]
