"""PyTorch's `torch.nn.RNN`, `GRU` and `LSTM`, eager, as its documentation shows them; ragged batches are packed."""

from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fastrnn._bench.cases import Array, Case, reorder

VERSION: str = torch.__version__
ORDER = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 1, 2, 3]}  # of Keras's gates; each is its own inverse


class Peer:
    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        a, order = case.arrays, ORDER[case.cell]
        bias = a["bias"] if case.cell == "gru" else (a["bias"], np.zeros_like(a["bias"]))
        parameters = [reorder(w, order).T for w in (a["kernel"], a["recurrent_kernel"], *bias)]
        self.order, self.both_biases = order, case.cell == "gru"
        self.rnn = getattr(torch.nn, case.cell.upper())(case.shape.I, case.shape.H, batch_first=True)
        self.cell = getattr(torch.nn, case.cell.upper() + "Cell")(case.shape.I, case.shape.H)
        with torch.no_grad():
            for module in (self.rnn, self.cell):
                module.to(getattr(torch, case.dtype))
                for parameter, value in zip(module.parameters(), parameters, strict=True):
                    parameter.copy_(torch.from_numpy(value))
        self.x, self.dy = torch.from_numpy(a["x"]), torch.from_numpy(a["dy"])
        self.x_t, self.x_grad = self.x[:, 0].contiguous(), self.x.clone().requires_grad_()
        states = tuple(torch.from_numpy(a["states"]))
        self.states = states if case.cell == "lstm" else states[0]
        self.lengths = None if case.lengths is None else torch.from_numpy(case.lengths)

    def outputs(self, x: Any) -> Any:
        if self.lengths is None:
            return self.rnn(x)[0]
        packed = pack_padded_sequence(x, self.lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])[0]

    def forward(self) -> Any:
        with torch.inference_mode():
            return (self.outputs(self.x),)

    def train(self) -> Any:
        self.rnn.zero_grad(set_to_none=True)
        self.x_grad.grad = None
        y = self.outputs(self.x_grad)
        y.backward(self.dy)
        return y, self.x_grad.grad, *(parameter.grad for parameter in self.rnn.parameters())

    def step(self) -> Any:
        with torch.inference_mode():
            h = self.cell(self.x_t, self.states)
            return (h if isinstance(h, torch.Tensor) else h[0],)

    def arrays(self, result: Any) -> list[Array]:
        y, *rest = (tensor.detach().numpy() for tensor in result)
        if not rest:
            return [y]
        dx, *gradients = rest
        dkernel, drecurrent, dbias, dinner = (reorder(g.T, self.order) for g in gradients)
        return [y, dx, dkernel, drecurrent, np.stack([dbias, dinner]) if self.both_biases else dbias]
