"""Keras on its NumPy backend, imported without TensorFlow, PyTorch or JAX: `from keras_oracle import keras`."""

import importlib.util
import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

if importlib.util.find_spec("keras") is None:
    pytest.skip("the Keras oracle needs keras", allow_module_level=True)

os.environ["KERAS_BACKEND"] = "numpy"

# The NumPy backend imports JAX, but only for convolutions and Fourier transforms: without JAX, empty modules will do.
_standins = {
    "jax": {"lax": None, "monitoring": SimpleNamespace(record_scalar=None)},
    "keras.src.backend.jax": {},
    "keras.src.backend.jax.math": {"fft": None, "fft2": None},
}
if importlib.util.find_spec("jax") or "keras" in sys.modules:
    _standins = {}
for _name, _contents in _standins.items():
    sys.modules[_name] = ModuleType(_name)
    vars(sys.modules[_name]).update(_contents)

import keras  # noqa: E402 - the stand-ins have to be there first

for _name in _standins:
    del sys.modules[_name]

if keras.__version__ != "3.15.1":
    pytest.skip(f"the Keras oracle is 3.15.1, this is {keras.__version__}", allow_module_level=True)
assert keras.backend.backend() == "numpy", "keras was imported before its backend was chosen"
