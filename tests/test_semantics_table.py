"""The numbers of Keras's own tests of SimpleRNN, as constants: no oracle has to be installed for them."""

import numpy as np
import pytest

import fastrnn

X34 = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
X43 = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
STATE = np.arange(8, dtype=np.float32).reshape(2, 4)
MASK = np.array([[1, 1, 0, 1], [1, 0, 0, 1]], bool)

# The last step's sum, below 1, has nine terms at half an eps each where nothing is fused, earlier errors enter it times
# 4 * 0.02, and tanh may be two units of half an eps off: less than six eps.
ATOL = 6 * np.finfo(np.float32).eps


def constant_layer(units=4, **arguments):
    return fastrnn.SimpleRNN(
        units,
        kernel_initializer={"class_name": "Constant", "config": {"value": 0.01}},
        recurrent_initializer={"class_name": "Constant", "config": {"value": 0.02}},
        bias_initializer={"class_name": "Constant", "config": {"value": 0.03}},
        **arguments,
    )


@pytest.mark.parametrize(
    ("arguments", "x", "call", "rows"),
    [
        ({}, X34, {}, [0.405432, 0.73605347]),
        ({"unroll": True}, X34, {}, [0.405432, 0.73605347]),
        ({"go_backwards": True}, X34, {}, [0.11144729, 0.5528889]),
        ({}, X43, {"initial_state": STATE}, [0.33621645, 0.6262637]),
        ({"go_backwards": True}, X43, {"initial_state": STATE}, [0.07344437, 0.43043602]),
        ({}, X43, {"mask": MASK}, [0.32951632, 0.61799484]),
        ({"go_backwards": True}, X43, {"mask": MASK}, [0.07376196, 0.43645123]),
    ],
)
def test_last_output(arguments, x, call, rows):
    output = constant_layer(**arguments)(x, **call)
    # Every unit of a row has the same weights.
    np.testing.assert_allclose(output, np.repeat([[rows[0]], [rows[1]]], 4, axis=1), rtol=0, atol=ATOL)


def test_stateful():
    layer = constant_layer(stateful=True)
    for _ in range(2):
        np.testing.assert_allclose(layer(X34)[:, 0], [0.405432, 0.73605347], rtol=0, atol=ATOL)
        np.testing.assert_allclose(layer(X34)[:, 0], [0.40559256, 0.7361247], rtol=0, atol=ATOL)
        layer.reset_state()


@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_sequences_with_a_mask(zero_output_for_mask):
    layer = constant_layer(2, return_sequences=True, zero_output_for_mask=zero_output_for_mask)
    row0 = [0.0599281, 0.15122814, 0.15122814, 0.32394567]
    row1 = [0.3969304, 0.3969304, 0.3969304, 0.608085]
    want = np.array([row0, row1])
    if zero_output_for_mask:
        want *= MASK
    np.testing.assert_allclose(layer(X43, mask=MASK), np.repeat(want[..., None], 2, axis=2), rtol=0, atol=ATOL)
