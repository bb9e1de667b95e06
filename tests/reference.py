"""The SimpleRNN equations in float64 NumPy, written from the text and sharing nothing with the package.

h_t = act(x_t kernel + bias + h_{t-1} recurrent_kernel). A masked step carries h unchanged, and its output is h again
or, with `zero_output_for_mask`, 0. Dropout multiplies x_t by one mask (B, I) and h_{t-1} by one mask (B, H), the same
at every step. Back-propagation is the chain rule applied to these lines, last processed step first.
"""

from dataclasses import dataclass

import numpy as np

ACTIVATIONS = {
    "linear": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda z: np.where(z >= 0, 1.0, np.exp(-np.abs(z))) / (1 + np.exp(-np.abs(z))),
}
DERIVATIVES = {
    "linear": lambda z: np.ones_like(z),
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "tanh": lambda z: 1 / np.cosh(np.clip(z, -300, 300)) ** 2,
    "sigmoid": lambda z: 1 / (2 + 2 * np.cosh(np.clip(z, -300, 300))),
}


def f64(a):
    return np.asarray(a).astype(np.float64)


@dataclass
class SimpleRNN:
    """One call; arrays of any real type, everything computed in float64.

    `outputs` is (B, T, H) in processing order, `last` (B, H) what leaves without return_sequences, `state` (B, H) the
    last state.
    """

    x: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None = None
    initial_state: np.ndarray | None = None
    mask: np.ndarray | None = None
    lengths: np.ndarray | None = None
    activation: str = "tanh"
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    input_dropout: np.ndarray | None = None
    recurrent_dropout: np.ndarray | None = None

    def __post_init__(self):
        B, T, I = self.x.shape
        H = len(self.recurrent_kernel)
        self.W, self.U = f64(self.kernel), f64(self.recurrent_kernel)
        self.b = np.zeros(H) if self.bias is None else f64(self.bias)
        self.in_drop = np.ones((B, I)) if self.input_dropout is None else f64(self.input_dropout)
        self.rec_drop = np.ones((B, H)) if self.recurrent_dropout is None else f64(self.recurrent_dropout)
        self.use = np.ones((B, T), bool) if self.mask is None else np.asarray(self.mask) != 0
        if self.lengths is not None:
            self.use = np.arange(T) < np.asarray(self.lengths)[:, None]
        self.order = list(range(T))[:: -1 if self.go_backwards else 1]

        act = ACTIVATIONS[self.activation]
        h = np.zeros((B, H)) if self.initial_state is None else f64(self.initial_state)
        self.last, self.outputs = h, np.zeros((B, T, H))
        # By time of the input: what multiplies W and U, and their sum. What is skipped may hold anything, even NaN.
        self.x_used, self.h_used = np.zeros((T, B, I)), np.zeros((T, B, H))
        self.z, self.act = np.zeros((T, B, H)), np.zeros((T, B, H))
        for s, t in enumerate(self.order):
            use = self.use[:, t, None]
            self.x_used[t] = np.where(use, f64(self.x[:, t]) * self.in_drop, 0.0)
            self.h_used[t] = h * self.rec_drop
            self.z[t] = self.x_used[t] @ self.W + self.b + self.h_used[t] @ self.U
            self.act[t] = act(self.z[t])
            self.last = np.where(use, self.act[t], 0.0 if self.zero_output_for_mask else h)
            self.outputs[:, s] = self.last
            h = np.where(use, self.act[t], h)
        self.state = h

    def output(self, return_sequences):
        return self.outputs if return_sequences else self.last

    def gradients(self, dy=None, dstate=None):
        """Of sum(dy * output) + sum(dstate * state), as (dx, dinitial_state, [dkernel, drecurrent_kernel, dbias]).

        dy: (B, T, H) for all outputs, (B, H) for the last one, None for zeros; dstate: (B, H) or None. No dbias without
        a bias.
        """
        B, T, I = self.x.shape
        dh = np.zeros_like(self.state) if dstate is None else f64(dstate)
        dy = np.zeros_like(self.outputs) if dy is None else f64(dy)
        if dy.ndim == 2:
            dlast, dy = dy, np.zeros_like(self.outputs)
            if T:
                dy[:, -1] = dlast
            else:  # the output is the initial state
                dh = dh + dlast
        derivative = DERIVATIVES[self.activation]
        dx, self.g, self.dz = np.zeros((B, T, I)), np.zeros_like(self.z), np.zeros_like(self.z)
        dW, dU, db = np.zeros_like(self.W), np.zeros_like(self.U), np.zeros_like(self.b)
        for s, t in reversed(list(enumerate(self.order))):
            use = self.use[:, t, None]
            self.g[t] = dy[:, s] + dh
            dz = self.dz[t] = np.where(use, self.g[t] * derivative(self.z[t]), 0.0)
            dW += self.x_used[t].T @ dz
            dU += self.h_used[t].T @ dz
            db += dz.sum(axis=0)
            dx[:, t] = (dz @ self.W.T) * self.in_drop
            carried = dh if self.zero_output_for_mask else self.g[t]
            dh = np.where(use, (dz @ self.U.T) * self.rec_drop, carried)
        return dx, dh, [dW, dU] + ([] if self.bias is None else [db])
