"""Recurrent layers with Keras's semantics, trained and run on the CPU at the speed of the hardware."""

import importlib
from typing import TYPE_CHECKING, Any

from fastrnn import constraints, functional, initializers, layers, regularizers
from fastrnn._version import __version__
from fastrnn.config import free_memory, get_include, get_num_threads, set_num_threads, show_config
from fastrnn.functional import Gradients
from fastrnn.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    SimpleRNN,
    TimeDistributed,
)

if TYPE_CHECKING:
    from fastrnn import callbacks, losses, metrics, optimizers, utils
    from fastrnn.sequential import Sequential

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Gradients",
    "Input",
    "Masking",
    "Sequential",
    "SimpleRNN",
    "TimeDistributed",
    "__version__",
    "callbacks",
    "constraints",
    "free_memory",
    "functional",
    "get_include",
    "get_num_threads",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "set_num_threads",
    "show_config",
    "utils",
]

# What not every program needs is imported when it is first asked for.
_LATER = {
    "Sequential": "fastrnn.sequential",
    "callbacks": "",
    "losses": "",
    "metrics": "",
    "optimizers": "",
    "sklearn": "",
    "utils": "",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_LATER[name] or f"{__name__}.{name}")
    found = getattr(module, name) if _LATER[name] else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
