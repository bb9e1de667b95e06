"""The compiled core: arrays in, arrays filled, no policy. `functional` and the layers are its only callers.

Every array must be aligned, native, of the weights' dtype and dense; arrays of sequences (B, T, ...) may have any
strides but the last. `_check` makes them so. What does not fit raises ValueError, and nothing is read or written. Calls
release the GIL once, unless they are over in some microseconds.
"""

from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Array = NDArray[Any]
_States = tuple[_Array | None, ...]
_Input = _Array | tuple[_Array, _Array]
_Mask = _Array | tuple[_Array, _Array | None]  # (B, T) of bytes, and an order of the rows; all segments need the same

C_API: Final[Any]

def compiled_isas() -> tuple[str, ...]: ...
def isas() -> tuple[str, ...]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def compiler() -> str: ...
def multiply_adds(dtype: str, times: int) -> float:
    """Do a tile's multiply-adds `times` times in registers, and return how many scalar ones that were."""

def stop(thread: int) -> None:
    """Let calls that a thread makes end by KeyboardInterrupt soon, as a signal does in the main thread."""

def work_alone(thread: int, yes: bool) -> None:
    """Let calls that a thread makes use this thread only, because there are others beside it."""

def may_go_on(thread: int) -> None: ...
def free_spare() -> int:
    """Give the blocks that wait for the next call back to the system, and return how many bytes those are."""

def mask_of_lengths(lengths: Any, time: int) -> _Array | None:
    """Return a (B, time) array of uint8, ones in the first lengths[b] elements of each row and zeros in the others.

    None: the lengths are no dense array (B,) of intp, or not from 0 to time.
    """

def activate(activation: str, x: _Array, out: _Array) -> None: ...
def assign(to: list[_Array], values: list[Any], copy: bool, /) -> bool:
    """Copy values into arrays of one dtype, if all are dense arrays of the same shapes and dtype; False otherwise.

    Without copy, say whether they are.
    """

def descend(
    optimizer: str,
    w: _Array,
    g: _Array,
    m: _Array | None,
    v: _Array | None,
    a: _Array | None,
    rate: float,
    decay: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    nesterov: bool,
    /,
) -> None:
    """One step of "sgd", "rmsprop" or "adam" with the gradient g of the weights w; fastrnn.h has the equations.

    Dense arrays of one size and any shape. What the optimizer remembers, m, v and a, is changed as w is.
    """

def binary_crossentropy(truth: _Array, p: _Array, loss: _Array, dp: _Array, epsilon: float) -> None:
    """Write the loss of every prediction and its derivative: dense arrays of one size and any shape.

    A prediction counts as no closer than epsilon to 0 and 1, and has the derivative 0 if it is.
    """

@final
class Memory:
    """So many bytes, as a buffer that starts with a cache line. Freed, they may wait for the next call."""

    def __new__(cls, bytes: int, /) -> Self: ...

def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Allocate an array; one that is not small starts with a cache line, so that vectors do not straddle two."""

@disjoint_base
class Weights:
    """The prepared weights of a layer; a layer's own class makes them."""

    @property
    def inputs(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def gates(self) -> int:
        """How many matrices stand side by side in the kernels: 1, GRU 3, LSTM 4."""

    @property
    def states(self) -> int:
        """How many arrays (B, H) pass from step to step: 1, LSTM 2 (h and c)."""

    @property
    def kept(self) -> int:
        """Elements of a token in the array `gates` of a tape; 0 if there is no such array."""

    @property
    def dtype(self) -> str: ...
    @property
    def isa(self) -> str: ...
    def matches(self, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None) -> bool: ...
    def unpack(self, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None, /) -> None:
        """Write what these weights were made from into arrays."""

    def new_gradients(
        self, x: _Array | tuple[_Array, _Array], need_dx: bool, need_dinitial: bool, need_db: bool, /
    ) -> tuple[_Array | None, tuple[_Array, ...], list[_Array]]:
        """Arrays for the gradients of x (of the table, if it is a pair), of the initial states, and of the weights."""

    def order(self, mask: _Array) -> _Array | None:
        """The rows of a mask (B, T), those with most active steps first; None if that makes no call faster."""

@final
class SimpleRNNWeights(Weights):
    def __new__(cls, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None = None) -> Self: ...

@final
class GRUWeights(Weights):
    def __new__(
        cls, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None = None, reset_after: bool = True
    ) -> Self: ...
    @property
    def reset_after(self) -> bool: ...

@final
class LSTMWeights(Weights):
    def __new__(cls, kernel: _Array, recurrent_kernel: _Array, bias: _Array | None = None) -> Self: ...

def forward(
    weights: Weights,
    x: _Input,
    y: _Array | None,
    last: _States | None,
    initial: _States | None,
    mask: _Mask | None,
    dropout: _Array | None,
    gates: _Array | None,
    activation: str,
    recurrent_activation: str,
    go_backwards: bool,
    zero_output_for_mask: bool,
    /,
) -> None:
    """Run all steps; y, the last states and gates (T, B, kept), what `backward` needs besides y, are written if given.

    x is (B, T, I); or, with weights of no inputs, ids (B, T) of intp and a table (V, gates * H), whose rows are what x
    kernel + bias is. dropout is (B, H), in gated cells (gates, B, H). A last state may be the initial one.
    """

def infer(
    weights: Weights,
    x: object,
    mask: _Mask | None,
    gates: _Array | None,
    activation: str,
    recurrent_activation: str,
    go_backwards: bool,
    zero_output_for_mask: bool,
    return_sequences: bool,
    /,
) -> _Array | None:
    """The outputs of all steps, or of the last one, in a new array. gates is filled if given.

    None if it was not done: x or the mask (B, T), of bytes, is not of the one form, there are no steps, or the last
    output is to be 0 where it is masked.
    """

def step(
    weights: Weights,
    x: object,
    before: object,
    after: object,
    activation: str,
    recurrent_activation: str,
    most_work: int,
    /,
) -> list[_Array] | None:
    """One time step from the states `before` to those `after`, which may be the same arrays.

    Both are lists of arrays (B, H), or a single one that is the only state; without `after` new ones are made. Returns
    those written, or None if it was not done: an array is not of the one form, what is written shares memory with x,
    with another or with a part of a state, or there are more than `most_work` multiply-adds.
    """

def backward(
    weights: Weights,
    x: _Input,
    y: _Array,
    gates: _Array | None,
    initial: _States | None,
    mask: _Mask | None,
    dropout: _Array | None,
    activation: str,
    recurrent_activation: str,
    go_backwards: bool,
    zero_output_for_mask: bool,
    dy: _Array | None,
    dlast: _States | None,
    dx: _Array | None,
    dinitial: _States | None,
    dweights: list[_Array],
    accumulate: bool,
    /,
) -> None:
    """Turn gradients of the outputs and last states into those of everything that went in.

    `dweights` holds those of the weights in their order. With ids, dx is the gradient of the table. With `accumulate`
    that and the gradients of the weights are added to, instead of written.
    """

def backward_steps(weights: Weights, batch: int) -> int:
    """Time steps that the sums of `backward` go through in one piece.

    A sequence that is cut at multiples of it, its segments taken last to first with `accumulate` in all calls but the
    first, gives the same bits as in one call.
    """

def dense_forward(x: _Array, w: _Array, b: _Array | None, y: _Array, activation: str) -> None:
    """Write y = activation(x w + b): x (n, I), w (I, H), b (H,), y (n, H)."""

def dense_backward(
    x: _Array,
    w: _Array,
    y: _Array | None,
    dy: _Array,
    dx: _Array | None,
    dw: _Array,
    db: _Array | None,
    activation: str,
) -> None:
    """Turn the gradient of y into those of x, w and b, as far as they are given."""
