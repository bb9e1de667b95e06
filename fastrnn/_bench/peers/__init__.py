"""The same work done by fastrnn and by what one would use instead: a module and in it a class `Peer` for each.

A peer is made from a case and a number of threads. Its method `forward` gives every output, `train` every output and
the gradients of the input and of the weights, `step` the output of one time step that starts from the case's states.
They return what users of the library would hold then, finished but not converted; `arrays` turns it into NumPy arrays
in Keras's layout and order: y, dx, dkernel, drecurrent_kernel, dbias. `forward` and `train` heed the case's lengths.

A peer whose library is missing raises ImportError, one that cannot do the case NotImplementedError; a peer may also
lack a method. A module's VERSION says what is timed.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from fastrnn._bench.cases import Array, Case

# The module here and the name to print, by the peer's name.
PEERS = {
    "fastrnn": ("fastrnn_layers", "fastrnn"),
    "onednn": ("onednn", "oneDNN"),
    "jax": ("jax_scan", "JAX"),
    "torch": ("torch_nn", "PyTorch"),
    "onnxruntime": ("onnx_runtime", "ONNX Runtime"),
    "keras": ("keras_tensorflow", "Keras"),
    "numpy": ("numpy_loop", "NumPy loop"),
}


class Peer(Protocol):
    """What every peer has, apart from those of `forward`, `train` and `step` that it can do."""

    def arrays(self, result: Any) -> Sequence[Array]:
        """Convert what a method returned."""


def make(name: str, case: Case, threads: int) -> Peer:
    """Make the peer of this name, ready to be called."""
    peer: Peer = import_module(f"{__name__}.{PEERS[name][0]}").Peer(case, threads)
    return peer


def version(name: str) -> str:
    """Return the version of the peer's library."""
    found: str = import_module(f"{__name__}.{PEERS[name][0]}").VERSION
    return found
