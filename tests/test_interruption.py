"""A long call can be interrupted, and nothing is half-changed then."""

import signal
import sys
import time

import children
import pytest
from cells import GRU, GRU_RESET_BEFORE, LSTM, SIMPLE_RNN

# Ctrl-C comes while these calls run. Those with millions of steps would take far longer than the test is ready to wait.
INTERRUPTED = """
from functools import partial

import numpy as np
import fastrnn
from fastrnn import functional

fastrnn.set_num_threads({threads})
H, T = 2048, {T}
x = np.ones((1, T, 1), np.float32)
layer = fastrnn.{layer}(H, recurrent_initializer="zeros", **{options})  # orthogonal ones would take their time
layer.build((1, T, 1))
weights = layer.get_weights()
function = partial(functional.{name}, **{options})
{prepare}
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    {check}
    small = function(x[:, :2], *weights)  # everything works as before
    assert np.isfinite(small).all() and small.any()
    print("unchanged")
else:
    print("was not interrupted")
"""
CASES = {
    "last output": {
        "T": 3_000_000,
        "prepare": "out = np.full((1, H), 7, np.float32)",
        "call": "function(x, *weights, out=out)",
        "check": "assert (out == 7).all()",
    },
    "all outputs": {
        "T": 10_000,
        "prepare": "out = np.full((1, T, H), 7, np.float32)",
        "call": "function(x, *weights, return_sequences=True, out=out)",
        "check": "assert (out == 7).all()",
    },
    "stateful layer": {
        "T": 3_000_000,
        "prepare": """
layer.stateful = True
layer(x[:, :3])
before = layer.states[0].copy()
""",
        "call": "layer(x)",
        "check": "assert before.any() and (layer.states[0] == before).all()",
    },
    "bidirectional layer": {
        "T": 3_000_000,
        "prepare": """
layer = fastrnn.Bidirectional(fastrnn.{layer}(H, recurrent_initializer="zeros", stateful=True))
layer(x[:, :3])
before = np.array(layer.states)
""",
        "call": "layer(x)",
        "check": "assert before.any() and (np.array(layer.states) == before).all()",
    },
    "backward": {
        "T": 50,
        "prepare": "y, tape = functional.{name}_forward(x.repeat(30, axis=0), *weights, **{options})",
        "call": "[functional.{name}_backward(y, tape) for _ in range(1000)]",
        "check": "assert functional.{name}_backward(y, tape).dx.any()",
    },
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in POSIX's way")
@pytest.mark.parametrize(
    ("cell", "number"),
    [(SIMPLE_RNN, 1), (SIMPLE_RNN, 2), (GRU, 2), (GRU_RESET_BEFORE, 1), (LSTM, 1)],
    ids=lambda value: getattr(value, "id", value),
)
@pytest.mark.parametrize("case", CASES)
def test_ctrl_c(case, cell, number):
    names = {"name": cell.name, "layer": cell.layer_name, "options": cell.options, "threads": number}
    parts = {name: str(part).format(**names) for name, part in CASES[case].items()}
    script = INTERRUPTED.format(**names, **parts)
    with children.start("-c", script) as child:
        try:
            assert child.stdout.readline() == "ready\n", child.stderr.read()
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            output, errors = child.communicate(timeout=60)
        finally:
            child.kill()
    assert (output, errors, child.returncode) == ("unchanged\n", "", 0)
