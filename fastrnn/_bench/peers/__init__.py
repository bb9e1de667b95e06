"""The same work done by fastrnn and by what one would use instead: a module and in it a class `Peer` for each.

A peer is made from a case and a number of threads. Its method `forward` gives every output, `train` every output and
the gradients of the input and of the weights, `step` the output of one time step that starts from the case's states.
They return what users of the library would hold then, finished but not converted; `arrays` turns it into NumPy arrays
in Keras's layout and order: y, dx, dkernel, drecurrent_kernel, dbias. `forward` and `train` heed the case's lengths.

A peer whose library is missing raises ImportError, one that cannot do the case NotImplementedError; a peer may also
lack a method.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from fastrnn._bench.cases import Array, Case

# By name: the module here, and the distribution whose version says what was timed.
PEERS = {
    "fastrnn": ("fastrnn_layers", "fastrnn"),
    "onednn": ("onednn", "onednn-cpu-gomp"),
    "jax": ("jax_scan", "jax"),
    "torch": ("torch_nn", "torch"),
    "onnxruntime": ("onnx_runtime", "onnxruntime"),
    "keras": ("keras_tensorflow", "tensorflow"),
    "numpy": ("numpy_loop", "numpy"),
}


class Peer(Protocol):
    """What every peer has, apart from those of `forward`, `train` and `step` that it can do."""

    def arrays(self, result: Any) -> Sequence[Array]:
        """Convert what a method returned."""


def make(name: str, case: Case, threads: int) -> Peer:
    """Make the peer of this name, ready to be called."""
    peer: Peer = import_module(f"{__name__}.{PEERS[name][0]}").Peer(case, threads)
    return peer


def version_of(name: str) -> str:
    """Return the version of the peer's library, "unknown" if it does not tell."""
    if name == "fastrnn":
        return import_module("fastrnn").__version__  # type: ignore[no-any-return]
    try:
        return version(PEERS[name][1])
    except PackageNotFoundError:
        return "unknown"
