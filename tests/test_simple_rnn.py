"""What is the SimpleRNN's alone; the rest is in test_recurrent."""

import numpy as np

import fastrnn


def test_four_inputs_and_three_units_make_24_parameters():
    layer = fastrnn.SimpleRNN(3)
    assert layer(np.zeros((1, 4, 4))).shape == (1, 3)
    assert layer.count_params() == 24
    assert fastrnn.SimpleRNN(10)(np.zeros((1, 20, 100)))[0].shape == (10,)
    without = fastrnn.SimpleRNN(3, use_bias=False)
    without.build((None, None, 4))
    assert without.count_params() == 21


def probe(dropout, recurrent_dropout):
    """A linear layer that shows its dropout masks: with one step y = input mask + h0 * recurrent mask."""
    layer = fastrnn.SimpleRNN(
        32,
        activation=None,
        use_bias=False,
        kernel_initializer="identity",
        recurrent_initializer="identity",
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )
    layer.build((None, None, 32))
    return layer


def test_one_mask_per_call_for_all_steps():
    layer = probe(0.5, 0.0)
    x = np.zeros((6, 8, 32))
    x[:] = 1
    layer.recurrent_kernel[:] = 0
    y = layer(x, training=True)
    assert (y == y[:, :1]).all()
    assert (layer(x, training=True) != y).any()  # another call, another mask
    layer = probe(0.0, 0.5)
    y = layer(np.zeros((6, 8, 32)), np.ones((6, 32)), training=True)
    np.testing.assert_array_equal(y != 0, np.repeat(y[:, :1] != 0, 8, axis=1))
    np.testing.assert_allclose(y[:, 7], y[:, 0] ** 8)  # multiplies the state at every step


def test_everything_may_be_dropped():
    x = np.random.default_rng(0).normal(size=(4, 6, 32)).astype(np.float32)
    assert not probe(1.0, 0.0)(x, training=True).any()
    np.testing.assert_array_equal(probe(0.0, 1.0)(x, training=True), x)
