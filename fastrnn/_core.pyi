"""The compiled core: arrays in, arrays filled, no policy. `functional` and the layers are its only callers.

Every array must be aligned, native, of the weights' dtype and dense; arrays of sequences (B, T, ...) may have any
strides but the last. `_check` makes them so. What does not fit raises ValueError, and nothing is read or written. Calls
release the GIL once.
"""

from typing import Any, Final, Self, final

from numpy.typing import NDArray

_Array = NDArray[Any]

C_API: Final[Any]

def compiled_isas() -> tuple[str, ...]: ...
def isas() -> tuple[str, ...]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def compiler() -> str: ...
def address(array: _Array) -> int: ...
def activate(activation: str, x: _Array, out: _Array) -> None: ...

@final
class SimpleRNNWeights:
    def __new__(cls, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None = None) -> Self: ...
    @property
    def inputs(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def isa(self) -> str: ...
    def matches(self, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None) -> bool: ...

def simple_rnn_forward(
    weights: SimpleRNNWeights,
    x: _Array,
    y: _Array | None,
    h_last: _Array | None,
    h0: _Array | None,
    mask: _Array | None,
    dropout: _Array | None,
    activation: str,
    go_backwards: bool,
    zero_output_for_mask: bool,
) -> None: ...
def simple_rnn_step(
    weights: SimpleRNNWeights, x: _Array, h0: _Array, out: _Array, activation: str, most_work: int
) -> bool:
    """One time step from the state h0 (B, H) to out (B, H), which may be h0.

    False if it was not done: an array is not of the one form, out shares memory with x or a part of h0, or there are
    more than `most_work` multiply-adds.
    """

def simple_rnn_backward(
    weights: SimpleRNNWeights,
    x: _Array,
    y: _Array,
    h0: _Array | None,
    mask: _Array | None,
    dropout: _Array | None,
    activation: str,
    go_backwards: bool,
    zero_output_for_mask: bool,
    dy: _Array | None,
    dh_last: _Array | None,
    dx: _Array | None,
    dh0: _Array,
    dkernel: _Array,
    drecurrent: _Array,
    dbias: _Array | None,
) -> None: ...
