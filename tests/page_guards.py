"""Run by test_isa in a process of its own: arrays that touch forbidden pages. Prints where it is, since it may die."""

import itertools

import core_calls
import numpy as np
from cases import random_state, random_weights
from cells import CELLS
from guards import Pages

from fastrnn import _core

SHAPES = [(1, 2, 1, 1), (2, 3, 3, 7), (7, 2, 5, 16), (13, 2, 17, 33), (15, 1, 8, 9), (3, 3, 64, 63)]

for isa in _core.isas():
    _core.set_isa(isa)
    for dtype in (np.float32, np.float64):
        for at_end in (False, True):
            print(isa, dtype.__name__, "at the end" if at_end else "at the beginning", flush=True)
            for (B, T, I, H), cell in itertools.product(SHAPES, CELLS):
                rng = np.random.default_rng(H)
                x, weights = rng.normal(size=(B, T, I)).astype(dtype), random_weights(rng, I, H, True, dtype, cell)
                mask, state = rng.random((B, T)) < 0.7, random_state(rng, B, H, dtype, cell)
                dropout = np.ones(cell.dropout_shape(B, H), dtype)
                guard = Pages(at_end)
                for arguments in ({}, {"mask": mask, "initial_state": state, "recurrent_dropout": dropout}):
                    call = core_calls.forward(guard, cell, x, weights, **arguments)[2]
                    core_calls.backward(guard, cell, call, np.ones((B, T, H), dtype), state)
                    core_calls.forward(guard, cell, x, weights, **arguments, keep_y=False)
            for n in (1, 3, 8, 15, 17, 33):
                guard = Pages(at_end)
                for name in ("tanh", "sigmoid", "relu", "linear"):
                    _core.activate(name, guard.input(np.ones(n, dtype)), guard.output((n,), dtype))
print("done")
