"""oneDNN's recurrent primitives, through its C interface.

Its arrays are (time, batch, features), handed over so. Inference keeps the weights in the layout that oneDNN prefers;
training converts them at each call, as after an optimizer's step. From Python a call costs about a microsecond more
than from C.
"""

import ctypes
import ctypes.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastrnn._bench.cases import GATES, Array, Case

# Values of enumerations and macros in oneDNN 3's dnnl_types.h.
CPU, IN_ORDER, F32 = 1, 1, 3
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD = 64, 96, 128
TANH, LEFT_TO_RIGHT, OVERWRITE_GRADIENTS = 33, 1, 1
ANY, TNC, LDNC, LDGO, LDIGO = 1, 4, 5, 5, 6
EXEC_ARG_MD = 255
FROM, TO = 1, 17
X, H0, C0, Y, H_LAST, C_LAST, WX, WH, BIAS, WORKSPACE = 1, 2, 3, 17, 18, 19, 33, 34, 41, 64
GRADIENT = 128  # added to an argument's number, that of its gradient

PACKAGE = "onednn-cpu-gomp"


def load() -> ctypes.CDLL:
    """Load the library that pip installed, or that the system has."""
    name = "libdnnl.so.3"
    for path in (str(Path(sys.prefix, "lib", name)), name, ctypes.util.find_library("dnnl")):
        try:
            library = ctypes.CDLL(path) if path else None
        except OSError:
            continue
        if library is not None:
            return library
    raise ImportError(f"there is no {name}: pip install {PACKAGE}")


class Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


class Argument(ctypes.Structure):
    _fields_ = (("number", ctypes.c_int), ("memory", ctypes.c_void_p))


dnnl = load()
dnnl.dnnl_version.restype = ctypes.POINTER(Version)
dnnl.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
dnnl.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
_version = dnnl.dnnl_version().contents
VERSION = f"{_version.major}.{_version.minor}.{_version.patch}"


def call(function: str, *arguments: Any) -> None:
    status = getattr(dnnl, function)(*arguments)
    if status != 0:
        raise RuntimeError(f"{function} returned status {status}")


def create(function: str, *arguments: Any) -> ctypes.c_void_p:
    """Call a function that writes a handle to where its first argument points."""
    handle = ctypes.c_void_p()
    call(function, ctypes.byref(handle), *arguments)
    return handle


_execute, _wait = dnnl.dnnl_primitive_execute, dnnl.dnnl_stream_wait
ENGINE = create("dnnl_engine_create", CPU, ctypes.c_size_t(0))
STREAM = create("dnnl_stream_create", ENGINE, IN_ORDER)


def descriptor(dims: tuple[int, ...], tag: int) -> ctypes.c_void_p:
    return create("dnnl_memory_desc_create_with_tag", len(dims), (ctypes.c_int64 * 12)(*dims), F32, tag)


class Memory:
    """An array that oneDNN uses, zeros at first; `array` is it, flat."""

    def __init__(self, descriptor: ctypes.c_void_p) -> None:
        size = dnnl.dnnl_memory_desc_get_size(descriptor)
        buffer = np.zeros(size + 64, np.uint8)
        start = -buffer.ctypes.data % 64
        self.array = buffer[start : start + size].view(np.float32)
        self.descriptor = descriptor
        self.handle = create("dnnl_memory_create", descriptor, ENGINE, ctypes.c_void_p(self.array.ctypes.data))


class Primitive:
    """Something to be executed with its arguments."""

    def __init__(self, descriptor: ctypes.c_void_p, memories: dict[int, Memory]) -> None:
        self.descriptor, self.memories = descriptor, memories
        arguments = [Argument(number, memory.handle) for number, memory in memories.items()]
        handle = create("dnnl_primitive_create", descriptor)
        self.arguments = handle, STREAM, len(arguments), (Argument * len(arguments))(*arguments)


def conversion(source: Memory, target: Memory) -> Primitive:
    layouts = source.descriptor, ENGINE, target.descriptor, ENGINE
    return Primitive(create("dnnl_reorder_primitive_desc_create", *layouts, None), {FROM: source, TO: target})


class Network:
    """A layer for inference or for training, and its memories."""

    def __init__(self, cell: str, T: int, B: int, I: int, H: int, training: bool) -> None:
        gates, lstm = GATES[cell], cell == "lstm"
        x, y, state = descriptor((T, B, I), TNC), descriptor((T, B, H), TNC), descriptor((1, 1, B, H), LDNC)
        bias = descriptor((1, 1, 4 if cell == "gru" else gates, H), LDGO)
        shapes = {WX: (1, 1, I, gates, H), WH: (1, 1, H, gates, H)}
        any_layout = [descriptor(shape, ANY) for shape in shapes.values()]
        states = [state, state] if lstm else [state]
        tensors = [x, *states, *any_layout, *([None, None] if lstm else []), bias, y, *states]
        numbers = [X, H0, *([C0] if lstm else []), WX, WH, BIAS, Y, H_LAST, *([C_LAST] if lstm else [])]
        name = {"rnn": "vanilla_rnn", "gru": "lbr_gru", "lstm": "lstm"}[cell]
        kind = [TANH] if cell == "rnn" else []
        alpha_beta = [ctypes.c_float(0), ctypes.c_float(0)] if cell == "rnn" else []

        forward = create(
            f"dnnl_{name}_forward_primitive_desc_create",
            *(ENGINE, FORWARD_TRAINING if training else FORWARD_INFERENCE, *kind, LEFT_TO_RIGHT),
            *(*tensors, 0, *alpha_beta, None),
        )
        self.memory = self.memories(forward, [*numbers, WORKSPACE] if training else numbers)
        self.weights = {number: Memory(descriptor(shape, LDIGO)) for number, shape in shapes.items()}
        self.run = Primitive(forward, self.memory)
        self.pack = [conversion(self.weights[n], self.memory[n]) for n in shapes]
        if not training:
            return
        backward = create(
            f"dnnl_{name}_backward_primitive_desc_create",
            *(ENGINE, BACKWARD, *kind, LEFT_TO_RIGHT, *tensors, *tensors),
            *(OVERWRITE_GRADIENTS, *alpha_beta, forward, None),
        )
        own = self.memories(backward, [WX, WH, *(GRADIENT + number for number in numbers)])
        self.gradient = {n: Memory(descriptor(shape, LDIGO)) for n, shape in shapes.items()}
        self.gradient.update({n: own[GRADIENT + n] for n in (X, BIAS, Y)})
        self.pack_back = [conversion(self.weights[n], own[n]) for n in shapes]
        self.run_back = Primitive(backward, {**self.memory, **own})
        self.unpack = [conversion(own[GRADIENT + n], self.gradient[n]) for n in shapes]

    @staticmethod
    def memories(primitive: ctypes.c_void_p, numbers: Iterable[int]) -> dict[int, Memory]:
        """Make the memories that a primitive asks for."""
        query = dnnl.dnnl_primitive_desc_query_md
        return {n: Memory(ctypes.c_void_p(query(primitive, EXEC_ARG_MD, n))) for n in numbers}


def execute(*steps: Primitive) -> None:
    status = 0
    for step in steps:
        status |= _execute(*step.arguments)
    if status | _wait(STREAM):
        raise RuntimeError(f"oneDNN returned status {status}")


class Peer:
    def __init__(self, case: Case, threads: int) -> None:
        if case.dtype != "float32":
            raise NotImplementedError("oneDNN computes in float32 only")
        if case.ragged:
            raise NotImplementedError("oneDNN takes no lengths")
        self.case = case
        T, H, a = case.shape.T, case.shape.H, case.arrays
        bias = a["bias"]
        if case.cell == "gru":  # those of update and reset add up
            bias = np.concatenate([bias.sum(axis=0)[: 2 * H], bias[0, 2 * H :], bias[1, 2 * H :]])
        self.networks = []
        for steps, training in ((T, False), (T, True), (1, False)):
            network = Network(case.cell, steps, *(case.shape.B, case.shape.I, H), training)
            network.memory[X].array[:] = a["x"][:, :steps].swapaxes(0, 1).ravel()
            network.memory[BIAS].array[:] = bias
            network.weights[WX].array[:] = a["kernel"].ravel()
            network.weights[WH].array[:] = a["recurrent_kernel"].ravel()
            execute(*network.pack)
            self.networks.append(network)
        self.inference, self.training, self.one_step = self.networks
        self.training.gradient[Y].array[:] = a["dy"].swapaxes(0, 1).ravel()
        for number, state in zip((H0, C0), a["states"], strict=False):
            self.one_step.memory[number].array[:] = state.ravel()

    def forward(self) -> Any:
        execute(self.inference.run)
        return self.inference

    def train(self) -> Any:
        n = self.training
        execute(*n.pack, n.run, *n.pack_back, n.run_back, *n.unpack)
        return n

    def step(self) -> Any:
        execute(self.one_step.run)
        return self.one_step

    def arrays(self, result: Network) -> list[Array]:
        B, T, I, H = self.case.shape
        gates = GATES[self.case.cell]
        y = result.memory[Y].array.reshape(-1, B, H).swapaxes(0, 1)
        if result is not self.training:
            return [y if result is self.inference else y[:, 0]]
        dx, dkernel, drecurrent, dbias = (result.gradient[n].array for n in (X, WX, WH, BIAS))
        if self.case.cell == "gru":
            dbias = np.stack([dbias[: 3 * H], np.concatenate([dbias[: 2 * H], dbias[3 * H :]])])
        weights = dkernel.reshape(I, gates * H), drecurrent.reshape(H, gates * H)
        return [y, dx.reshape(T, B, I).swapaxes(0, 1), *weights, dbias]
