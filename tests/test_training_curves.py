"""Two hundred steps of training beside Keras 3.15.1 on PyTorch, from the same weights with the same batches."""

import os
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import training_cases

import fastrnn
from fastrnn import optimizers

pytestmark = pytest.mark.pytorch  # on which Keras runs here
pytest.importorskip("keras", reason="training is compared with Keras")

# Relative, of losses and weights, which differ by the rounding of all steps. Keras tells losses in float32 even where
# it computes in float64.
TOLERANCES = {"float64": (1e-6, 1e-5), "float32": (1e-4, 1e-3)}
NAMES = {
    "float64": list(training_cases.CASES),
    "float32": [name for name in training_cases.CASES if name not in training_cases.OPTIMIZERS],
}


class Typed:
    """The layers of fastrnn, of one type."""

    def __init__(self, dtype):
        self.dtype = dtype

    def __getattr__(self, name):
        return partial(getattr(fastrnn, name), dtype=self.dtype)


def ours(name, dtype):
    layers = Typed(dtype)
    model, *data = training_cases.make(name, layers, optimizers, lambda layers: fastrnn.Sequential(layers, seed=7))
    return model, data


@pytest.fixture(scope="module")
def keras_results(tmp_path_factory):
    """Losses and weights of all cases of one type, made when first asked for."""

    @cache
    def results(dtype):
        folder = tmp_path_factory.mktemp("curves")
        initial = {}
        for name in NAMES[dtype]:
            initial |= {f"{name}/{i}": weight for i, weight in enumerate(ours(name, dtype)[0].get_weights())}
        np.savez(folder / "weights.npz", **initial)
        program = Path(__file__).with_name("keras_training.py")
        done = subprocess.run(
            [sys.executable, program, dtype, folder / "weights.npz", folder / "curves.npz"],
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, "KERAS_BACKEND": "torch"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return np.load(folder / "curves.npz")

    return results


@pytest.mark.parametrize(("dtype", "name"), [(dtype, name) for dtype, names in NAMES.items() for name in names])
def test_the_loss_curve_is_that_of_keras(dtype, name, keras_results):
    results = keras_results(dtype)
    model, data = ours(name, dtype)
    losses = training_cases.curve(model, *data)
    wanted, (of_losses, of_weights) = results[f"{name}/losses"], TOLERANCES[dtype]
    assert np.ptp(wanted) > 0.03 * np.abs(wanted).max()  # it learns: a constant would not do
    np.testing.assert_allclose(losses, wanted, rtol=of_losses)
    for i, weight in enumerate(model.get_weights()):
        want = results[f"{name}/{i}"]
        np.testing.assert_allclose(weight, want, rtol=0, atol=of_weights * np.abs(want).max())
