"""Recurrent layers with Keras's semantics, trained and run on the CPU at the speed of the hardware."""

from fastrnn import functional, initializers, losses, optimizers
from fastrnn._version import __version__
from fastrnn.config import get_include, get_num_threads, set_num_threads, show_config
from fastrnn.functional import Gradients
from fastrnn.layers import GRU, LSTM, RNN, Bidirectional, Dense, SimpleRNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Dense",
    "Gradients",
    "SimpleRNN",
    "__version__",
    "functional",
    "get_include",
    "get_num_threads",
    "initializers",
    "losses",
    "optimizers",
    "set_num_threads",
    "show_config",
]
