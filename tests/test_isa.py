"""Every instruction set that this machine can run, at the sizes where vectors, tiles and tails meet."""

import sys
from pathlib import Path

import children
import core_calls
import numpy as np
import pytest
from cases import ACTIVATIONS, random_mask, random_state, random_weights
from guards import Bytes
from tolerance import assert_gradients, assert_output, assert_state

from fastrnn import _core

UNITS = [*range(1, 41), 63, 64, 65]
ROWS = range(1, 31)


def check(cell, B, T, I, H, dtype, *, activation="tanh", use_bias=True, masked=False, need_dx=True, **flags):
    """One forward and backward pass between guards on every instruction set, against the equations."""
    rng = np.random.default_rng([B, T, I, H])
    x, weights = rng.normal(size=(B, T, I)).astype(dtype), random_weights(rng, I, H, use_bias, dtype, cell)
    arguments = {
        "initial_state": random_state(rng, B, H, dtype, cell) if rng.random() < 0.5 else None,
        "mask": random_mask(rng, B, T) if masked else None,
        "recurrent_dropout": (rng.integers(0, 2, cell.dropout_shape(B, H)) * 2).astype(dtype)
        if rng.random() < 0.2
        else None,
        "activation": activation,
        **flags,
    }
    dy = rng.normal(size=(B, T, H)).astype(dtype)
    dstate = random_state(rng, B, H, dtype, cell) if rng.random() < 0.5 else None
    want = cell.reference(x, *weights, **arguments)

    for isa in _core.isas():  # in here, for the equations and their tolerances take longest
        _core.set_isa(isa)
        try:
            guard = Bytes()
            y, h_last, call = core_calls.forward(guard, cell, x, weights, **arguments)
            assert_output(y, want)
            assert_state(h_last, want)
            _, without_y, _ = core_calls.forward(guard, cell, x, weights, **arguments, keep_y=False)
            np.testing.assert_array_equal(without_y, h_last)

            got = core_calls.backward(guard, cell, call, dy, dstate, need_dx, use_bias)
            assert_gradients((got[0], got[1], got[2:]), want, dy, dstate)
        except Exception as error:
            error.add_note(f"on {isa}")
            raise


@pytest.fixture(autouse=True)
def _same_isa_afterwards():
    before = _core.get_isa()
    yield
    _core.set_isa(before)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def some(cell, sizes, shift):
    """All sizes for the SimpleRNN; for gated cells, whose equations take longer, every fifth, from another one on."""
    return sizes if cell.gates == 1 else sizes[shift % 5 :: 5]


@pytest.mark.parametrize("rows", [1, 4, 15, 30])
def test_every_number_of_units(cell, dtype, rows):
    for H in some(cell, UNITS, rows + 3 * (dtype is np.float64)):
        check(cell, rows, 3, 1 + H * 7 % 40, H, dtype)


@pytest.mark.parametrize("units", [1, 8, 17, 33, 64])
def test_every_number_of_rows(cell, dtype, units):
    for B in some(cell, ROWS, units + 3 * (dtype is np.float64)):
        check(cell, B, 3, 1 + B * 11 % 37, units, dtype)


def test_every_number_of_inputs(cell, dtype):
    for I in some(cell, UNITS, 2 * (dtype is np.float64)):
        check(cell, 5, 2, I, 1 + I * 3 % 29, dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_flags(cell, dtype, activation):
    for seed in some(cell, range(24), ACTIVATIONS.index(activation)):
        flags = {name: bool(seed >> bit & 1) for bit, name in enumerate(["go_backwards", "zero_output_for_mask"])}
        check(
            cell,
            1 + seed * 5 % 30,
            1 + seed % 7,
            1 + seed * 3 % 20,
            1 + seed * 13 % 45,
            dtype,
            activation=activation,
            use_bias=seed % 3 > 0,
            masked=seed % 5 > 0,
            need_dx=seed % 4 > 0,
            **flags,
        )


@pytest.mark.parametrize(("B", "T", "I", "H"), [(3, 4, 300, 9), (33, 3, 5, 200), (2, 3, 257, 257), (70, 2, 31, 70)])
def test_sizes_beyond_a_block(cell, dtype, B, T, I, H):
    check(cell, B, T, I, H, dtype, masked=True)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("B", "I", "H"), [(64, 3, 8), (17, 20, 70), (40, 3, 66), (3, 500, 5), (16, 40, 130)])
def test_more_than_two_chunks_of_time(cell, dtype, masked, B, I, H):
    """Whatever is kept from one chunk to the next is kept right."""
    weights = random_weights(np.random.default_rng(0), I, H, True, dtype, cell)
    T = 2 * _core.backward_steps(cell.pack(*weights), B) + 3
    for go_backwards in (False, True) if cell.gates == 1 else (masked,):
        check(cell, B, T, I, H, dtype, masked=masked, go_backwards=go_backwards)


# A row's bits must not depend on what else is in the call.

SHAPES = [(1, 1), (3, 8), (5, 17), (20, 33), (64, 64), (7, 100)]


def row_results(cell, x, weights, dy, dstate=None, initial_state=None, **arguments):
    """Everything of a call that belongs to one row: y, last states, dx and dh0. States are (B, states, H)."""

    def states_first(a):
        return None if a is None else a.swapaxes(0, 1)

    def rows_first(a):
        return a.reshape(cell.states, len(x), -1).swapaxes(0, 1)

    guard = Bytes()
    arguments["initial_state"] = states_first(initial_state)
    y, last, call = core_calls.forward(guard, cell, x, weights, **arguments)
    dx, dinitial = core_calls.backward(guard, cell, call, dy, states_first(dstate))[:2]
    return [y, rows_first(last), dx, rows_first(dinitial)]


@pytest.mark.parametrize(("I", "H"), SHAPES)
def test_a_row_does_not_depend_on_the_others(cell, isa, dtype, I, H):
    rng = np.random.default_rng(H)
    B, T = 31, 4
    weights = random_weights(rng, I, H, dtype=dtype, cell=cell)
    x, dy = rng.normal(size=(B, T, I)).astype(dtype), rng.normal(size=(B, T, H)).astype(dtype)
    h0, dstate = rng.normal(size=(2, B, cell.states, H)).astype(dtype)
    together = row_results(cell, x, weights, dy, dstate, initial_state=h0)
    assert all(np.isfinite(a).all() and a.any() for a in together)
    choices = [[i] for i in range(B)] + [list(rng.permutation(B)[:n]) for n in (2, 3, 6, 7, 13, 14, 15, 30)]
    for rows in choices:
        alone = row_results(cell, x[rows], weights, dy[rows], dstate[rows], initial_state=h0[rows])
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[rows], b)

    poisoned, keep = x.copy(), rng.random(B) < 0.5
    poisoned[~keep] = np.nan
    for a, b in zip(together, row_results(cell, poisoned, weights, dy, dstate, initial_state=h0), strict=True):
        np.testing.assert_array_equal(a[keep], b[keep])
        assert a is together[3] or np.isnan(b[~keep]).any()


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("T", "I", "H"), [(22, 7, 150), (39, 40, 150), (25, 300, 129), (16, 64, 224)])
def test_a_row_alone_has_the_same_bits(cell, isa, dtype, T, I, H, go_backwards, masked):
    """Its steps compute the projections of later ones beside their own products."""
    rng = np.random.default_rng(T)
    weights = random_weights(rng, I, H, dtype=dtype, cell=cell)
    x, dy = rng.normal(size=(3, T, I)).astype(dtype), rng.normal(size=(3, T, H)).astype(dtype)
    mask = rng.random((3, T)) < 0.8

    def results(rows):
        flags = {"go_backwards": go_backwards, "mask": mask[rows] if masked else None}
        return *row_results(cell, x[rows], weights, dy[rows], **flags), cell(x[rows], *weights, **flags)

    together = results(slice(3))
    for b in range(3):
        row = slice(b, b + 1)
        for alone, want in zip(results(row), together, strict=True):
            np.testing.assert_array_equal(alone, want[row])


@pytest.mark.parametrize(("I", "H"), SHAPES)
def test_a_row_does_not_depend_on_padding(cell, isa, dtype, I, H):
    rng = np.random.default_rng(H)
    B, T, before, after = 9, 5, 2, 3
    weights = random_weights(rng, I, H, dtype=dtype, cell=cell)
    x, dy = rng.normal(size=(B, T, I)).astype(dtype), rng.normal(size=(B, T, H)).astype(dtype)
    dstate = rng.normal(size=(B, cell.states, H)).astype(dtype)
    plain = row_results(cell, x, weights, dy, dstate)

    def padded(a, value):
        return np.pad(a, [(0, 0), (before, after), (0, 0)], constant_values=value)

    mask = np.pad(np.ones((B, T)), [(0, 0), (before, after)])
    y, h_last, dx, dh0 = row_results(cell, padded(x, np.nan), weights, padded(dy, 0), dstate, mask=mask)
    inside = slice(before, before + T)
    for a, b in zip(plain, [y[:, inside], h_last, dx[:, inside], dh0], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(y[:, before + T :], np.repeat(h_last[:, :1], after, axis=1))
    assert not y[:, :before].any()
    assert not dx[:, :before].any()
    assert not dx[:, before + T :].any()

    # The same rows when each of them is padded differently.
    starts = rng.integers(0, before + after + 1, B)
    long_x, long_dy = np.full((B, T + before + after, I), np.nan, dtype), np.zeros((B, T + before + after, H), dtype)
    mask = np.zeros(long_x.shape[:2])
    for row, start in enumerate(starts):
        long_x[row, start : start + T], long_dy[row, start : start + T] = x[row], dy[row]
        mask[row, start : start + T] = 1
    y, h_last, dx, dh0 = row_results(cell, long_x, weights, long_dy, dstate, mask=mask)
    for row, start in enumerate(starts):
        mine = [y[row, start : start + T], h_last[row], dx[row, start : start + T], dh0[row]]
        for a, b in zip(plain, mine, strict=True):
            np.testing.assert_array_equal(a[row], b)


@pytest.mark.parametrize(("I", "H"), SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_backwards_is_forwards_on_reversed_input(cell, isa, dtype, I, H, masked):
    rng = np.random.default_rng(H)
    weights = random_weights(rng, I, H, dtype=dtype, cell=cell)
    x, dy = rng.normal(size=(8, 6, I)).astype(dtype), rng.normal(size=(8, 6, H)).astype(dtype)
    mask = rng.random((8, 6)) < 0.6 if masked else None
    a = row_results(cell, x, weights, dy, mask=mask, go_backwards=True)
    b = row_results(cell, x[:, ::-1].copy(), weights, dy, mask=mask[:, ::-1] if masked else None)
    b[2] = b[2][:, ::-1]
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_sets_are_known_and_the_best_is_used():
    assert set(_core.isas()) <= set(_core.compiled_isas())
    assert "generic" in _core.isas()
    assert _core.get_isa() in _core.isas()


def test_an_unknown_set_is_refused_and_nothing_changes():
    before = _core.get_isa()
    with pytest.raises(ValueError, match="no_such_set"):
        _core.set_isa("no_such_set")
    assert _core.get_isa() == before


def test_weights_keep_the_set_that_packed_them(cell):
    """Prepared weights belong to their kernels, also after the default has changed."""
    weights = random_weights(np.random.default_rng(0), 3, 5, cell=cell)
    prepared = []
    for name in _core.isas():
        _core.set_isa(name)
        prepared.append(cell.pack(*weights))
    assert [p.isa for p in prepared] == list(_core.isas())
    for p in prepared:
        assert (p.inputs, p.units, p.dtype) == (3, 5, "float32")
        last = [np.empty((2, 5), np.float32) for _ in range(cell.states)]
        x = np.ones((2, 4, 3), np.float32)
        _core.forward(p, x, None, tuple(last), None, None, None, None, "tanh", "sigmoid", False, False)
        assert_state(cell.one_array(last), cell.reference(x, *weights))


def test_nothing_is_read_past_a_page():
    """In another process, since it would end there: arrays that touch a page without access, at either end."""
    pytest.importorskip("mmap")
    if not sys.platform.startswith("linux"):
        pytest.skip("page protection is called in Linux's way")
    script = Path(__file__).with_name("page_guards.py")
    status, output, errors = children.run(script)
    assert status == 0, f"exit status {status} after\n{output}{errors}"
    assert output.endswith("done\n")
