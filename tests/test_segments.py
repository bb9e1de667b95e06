"""Truncated and checkpointed back-propagation: time is cut into segments."""

import numpy as np
import pytest
import torch_oracle
from cases import Case, random_mask, random_state, random_weights
from tolerance import assert_close

import fastrnn
from fastrnn import _core


def flat(gradients):
    """All gradients; those of several states as one array."""
    return [gradients.dx, np.asarray(gradients.dinitial_state), *gradients.weights]


def assert_same_bits(got, want):
    for a, b in zip(flat(got), flat(want), strict=True):
        np.testing.assert_array_equal(a, b)


def call(cell, seed, T, dtype=np.float32, B=3, I=4, H=5):
    rng = np.random.default_rng(seed)
    coin = lambda: bool(rng.integers(2))  # noqa: E731
    x, weights = rng.normal(size=(B, T, I)).astype(dtype), random_weights(rng, I, H, dtype=dtype, cell=cell)
    options = {
        "initial_state": random_state(rng, B, H, dtype, cell) if coin() else None,
        "mask": random_mask(rng, B, T) if coin() else None,
        "return_sequences": coin(),
        "go_backwards": coin(),
        "zero_output_for_mask": coin(),
    }
    dy = rng.normal(size=(B, T, H) if options["return_sequences"] else (B, H)).astype(dtype)
    return (x, *weights), options, dy, random_state(rng, B, H, dtype, cell) if coin() else None


@pytest.mark.pytorch
@pytest.mark.parametrize("seed", range(20))
def test_truncated_gradients_are_pytorchs(cell, seed):
    case = Case(9000 + seed, cell, dtype=np.float64, max_steps=14)
    k = 1 + seed % 6
    output, tape = cell.forward(
        case.x, *case.weights, **case.arguments, return_sequences=case.return_sequences, tbptt=k
    )
    want_output, _, want = torch_oracle.recurrent(
        cell, case.dy, case.dstate, case.x, *case.weights, **case.arguments, tbptt=k
    )
    assert_close(output, want_output, 1e-12 * (1 + np.abs(want_output)))
    for got, right in zip(flat(cell.backward(case.dy, tape, dstate=case.dstate)), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 7, 12, 100])
def test_the_output_does_not_depend_on_truncation(cell, k):
    for seed in range(8):
        arrays, options, dy, dstate = call(cell, seed, 12)
        want, whole = cell.forward(*arrays, **options)
        got, tape = cell.forward(*arrays, **options, tbptt=k)
        np.testing.assert_array_equal(got, want)
        if k >= 12:
            assert_same_bits(cell.backward(dy, tape, dstate=dstate), cell.backward(dy, whole, dstate=dstate))
        elif dstate is None and options["mask"] is None:
            assert (cell.backward(dy, tape).dx != cell.backward(dy, whole).dx).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("T", [0, 1, 2, 30, 200, 777])
def test_checkpoints_change_no_bit(cell, isa, dtype, T):
    for seed in range(4):
        arrays, options, dy, dstate = call(cell, [seed, T], T, dtype, B=1 + 3 * seed)
        want, whole = cell.forward(*arrays, **options)
        got, tape = cell.forward(*arrays, **options, checkpoint=True)
        np.testing.assert_array_equal(got, want)
        assert got.flags.writeable
        got[:] = np.nan  # the tape does not need it
        for _ in range(2):
            assert_same_bits(cell.backward(dy, tape, dstate=dstate), cell.backward(dy, whole, dstate=dstate))


@pytest.mark.parametrize(
    ("B", "T", "I", "H"),
    [(1, 1000, 7, 65), (17, 150, 20, 70), (70, 100, 3, 33), (5, 2000, 2, 3), (40, 300, 3, 5), (259, 40, 3, 64)],
)
@pytest.mark.parametrize("number", [1, 2])
def test_checkpoints_change_no_bit_of_larger_calls(cell, threads, B, T, I, H, number):
    threads(number)
    arrays, options, dy, dstate = call(cell, B, T, B=B, I=I, H=H)
    _, whole = cell.forward(*arrays, **options)
    _, tape = cell.forward(*arrays, **options, checkpoint=True)
    assert len(tape.begins) > 1
    assert_same_bits(cell.backward(dy, tape, dstate=dstate), cell.backward(dy, whole, dstate=dstate))


def test_checkpoints_keep_few_states(cell):
    x, weights = np.zeros((1, 10_000, 1), np.float32), random_weights(np.random.default_rng(0), 1, 64, cell=cell)
    _, tape = cell.forward(x, *weights, checkpoint=True, return_sequences=True)
    assert tape.y is None
    assert tape.gates is None
    piece = _core.backward_steps(tape.weights, 1)
    assert len(tape.begins) <= 101
    assert tape.steps < 100 + piece


@pytest.mark.parametrize("k", [2, 5])
def test_checkpoints_between_truncations(cell, k):
    arrays, options, dy, dstate = call(cell, 3, 17)
    _, truncated = cell.forward(*arrays, **options, tbptt=k)
    _, both = cell.forward(*arrays, **options, tbptt=k, checkpoint=True)
    assert both.y is None
    assert_same_bits(cell.backward(dy, both, dstate=dstate), cell.backward(dy, truncated, dstate=dstate))


@pytest.mark.parametrize("more", [{"tbptt": 4}, {"checkpoint": True}, {"tbptt": 4, "checkpoint": True}])
def test_layers_and_functions_agree(cell, more):
    arrays, options, dy, _ = call(cell, 1, 21)
    x, *weights = arrays
    call_options = {name: options.pop(name) for name in ("initial_state", "mask")}
    layer = cell.layer(5, **options)
    layer.build(x.shape)
    layer.set_weights(weights)
    y, tape = layer.forward(x, **call_options, **more)
    want, want_tape = cell.forward(*arrays, **call_options, **options, **more)
    np.testing.assert_array_equal(y, want)
    assert_same_bits(layer.backward(dy, tape), cell.backward(dy, want_tape))


@pytest.mark.pytorch
@pytest.mark.parametrize("more", [{"tbptt": 4}, {"checkpoint": True}])
def test_dropout_is_one_choice_for_all_segments(cell, more):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(3, 30, 4)), rng.normal(size=(3, 30, 5))
    layer = cell.layer(5, dropout=0.4, recurrent_dropout=0.4, return_sequences=True, dtype="float64", seed=3)
    y, tape = layer.forward(x, **more)
    drops = {"input_dropout": tape.input_dropout, "recurrent_dropout": tape.recurrent_dropout}
    output, _, want = torch_oracle.recurrent(cell, dy, None, x, *layer.get_weights(), **drops, tbptt=more.get("tbptt"))
    assert_close(y, output, 1e-12)
    for got, right in zip(flat(layer.backward(dy, tape)), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", True])
def test_wrong_truncations(cell, k):
    arrays, options, _, _ = call(cell, 0, 5)
    with pytest.raises((TypeError, ValueError), match=r"^tbptt must be a positive integer"):
        cell.forward(*arrays, **options, tbptt=k)


@pytest.mark.parametrize("more", [{"tbptt": 4}, {"checkpoint": True}])
def test_wrappers_pass_it_on(more):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(3, 50, 4)).astype(np.float32), rng.normal(size=(3, 50, 6)).astype(np.float32)
    for layer in (
        fastrnn.Bidirectional(fastrnn.LSTM(3, return_sequences=True)),
        fastrnn.RNN([fastrnn.GRU(5), fastrnn.LSTM(6)], return_sequences=True),
    ):
        want, whole = layer.forward(x)
        got, tape = layer.forward(x, **more)
        np.testing.assert_array_equal(got, want)
        gradients = layer.backward(dy, tape), layer.backward(dy, whole)
        same = [np.array_equal(a, b) for a, b in zip(gradients[0].weights, gradients[1].weights, strict=True)]
        assert all(same) if "checkpoint" in more else not any(same)
