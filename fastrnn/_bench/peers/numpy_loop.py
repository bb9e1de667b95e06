"""A loop over time as one writes it by hand in NumPy, the inputs' product done for all steps at once.

In float64 it is what the others' answers are held against.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastrnn._bench.cases import Array, Case

Arrays: TypeAlias = tuple[Array, ...]

VERSION: str = np.__version__


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


# A step goes from z = x(t) kernel + bias and the states to the next states, and keeps what the way back needs. The way
# back goes from the gradients of the next states to those of z, of u = h(t-1) recurrent_kernel and of the states.


def rnn(z: Array, states: Arrays, wh: Array, b: Array) -> tuple[Arrays, Arrays]:
    h = np.tanh(z + states[0] @ wh)
    return (h,), (h,)


def rnn_back(gradients: Arrays, states: Arrays, kept: Arrays, wh: Array) -> tuple[Array, Array, Arrays]:
    (dh,), (h,) = gradients, kept
    dz = dh * (1 - h * h)
    return dz, dz, (dz @ wh.T,)


def gru(z: Array, states: Arrays, wh: Array, b: Array) -> tuple[Arrays, Arrays]:
    (h,), H = states, len(wh)
    u = h @ wh + b
    gates = sigmoid(z[:, : 2 * H] + u[:, : 2 * H])
    update, reset, u = gates[:, :H], gates[:, H:], u[:, 2 * H :]
    new = np.tanh(z[:, 2 * H :] + reset * u)
    return (update * h + (1 - update) * new,), (update, reset, new, u)


def gru_back(gradients: Arrays, states: Arrays, kept: Arrays, wh: Array) -> tuple[Array, Array, Arrays]:
    (dh,), (h,), (update, reset, new, u) = gradients, states, kept
    dnew = dh * (1 - update) * (1 - new * new)
    dgates = [dh * (h - new) * update * (1 - update), dnew * u * reset * (1 - reset)]
    du = np.concatenate([*dgates, dnew * reset], axis=1)
    return np.concatenate([*dgates, dnew], axis=1), du, (dh * update + du @ wh.T,)


def lstm(z: Array, states: Arrays, wh: Array, b: Array) -> tuple[Arrays, Arrays]:
    (h, c), H = states, len(wh)
    a = z + h @ wh
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 3 * H :])
    g = np.tanh(a[:, 2 * H : 3 * H])
    c = f * c + i * g
    tanh_c = np.tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def lstm_back(gradients: Arrays, states: Arrays, kept: Arrays, wh: Array) -> tuple[Array, Array, Arrays]:
    (dh, dc), (_, c), (i, f, g, o, tanh_c) = gradients, states, kept
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    da = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)]
    dz = np.concatenate(da, axis=1)
    return dz, dz, (dz @ wh.T, dc * f)


CELLS: dict[str, tuple[Callable[..., tuple[Arrays, Arrays]], Callable[..., tuple[Array, Array, Arrays]]]] = {
    "rnn": (rnn, rnn_back),
    "gru": (gru, gru_back),
    "lstm": (lstm, lstm_back),
}


class Peer:
    """One loop for every cell."""

    def __init__(self, case: Case, threads: int) -> None:
        a = case.arrays
        self.x, self.dy, self.states = a["x"], a["dy"], a["states"]
        self.wx, self.wh = a["kernel"], a["recurrent_kernel"]
        self.bias: Array = a["bias"][0] if case.cell == "gru" else a["bias"]
        self.inner_bias: Array = a["bias"][-1] if case.cell == "gru" else a["bias"]
        self.used = case.used[:, :, None] if case.ragged else None
        self.cell, self.back = CELLS[case.cell]

    def run(self, tape: list[tuple[Arrays, Arrays]] | None = None) -> Array:
        z = self.x @ self.wx + self.bias
        states: Arrays = tuple(np.zeros_like(s) for s in self.states)
        y = np.empty_like(self.dy)
        for t in range(y.shape[1]):
            new, kept = self.cell(z[:, t], states, self.wh, self.inner_bias)
            if tape is not None:
                tape.append((states, kept))
            if self.used is None:
                states = new
            else:
                states = tuple(np.where(self.used[:, t], n, s) for n, s in zip(new, states, strict=True))
            y[:, t] = states[0]
        return y

    def forward(self) -> Any:
        return (self.run(),)

    def train(self) -> Any:
        tape: list[tuple[Arrays, Arrays]] = []
        y = self.run(tape)
        dz = np.empty((*y.shape[:2], self.wx.shape[1]), y.dtype)
        du = np.empty_like(dz)
        gradients: Arrays = tuple(np.zeros_like(s) for s in self.states)
        # Past a sequence's end dy is 0, and so are all gradients: nothing is left to be masked.
        for t in reversed(range(y.shape[1])):
            gradients = (gradients[0] + self.dy[:, t], *gradients[1:])
            dz[:, t], du[:, t], gradients = self.back(gradients, *tape[t], self.wh)
        h_before = np.zeros_like(y)
        h_before[:, 1:] = y[:, :-1]
        x, h_before, dz, du = (a.reshape(-1, a.shape[-1]) for a in (self.x, h_before, dz, du))
        dbias = dz.sum(axis=0)
        if self.back is gru_back:
            dbias = np.stack([dbias, du.sum(axis=0)])
        return y, (dz @ self.wx.T).reshape(self.x.shape), x.T @ dz, h_before.T @ du, dbias

    def step(self) -> Any:
        (h, *_), _ = self.cell(self.x[:, 0] @ self.wx + self.bias, tuple(self.states), self.wh, self.inner_bias)
        return (h,)

    def arrays(self, result: Any) -> list[Array]:
        return list(result)
