"""SimpleRNN, GRU and LSTM in float64 NumPy, written from the text and sharing nothing with the package.

`Recurrence` runs a cell over time, forward and by the chain rule back. A masked step carries every state unchanged, and
its output is the previous state again or, with `zero_output_for_mask`, 0. Dropout multiplies x(t) by one mask (B, I)
and h(t-1), on its way into the product of each gate, by that gate's mask (B, H), the same at every step.

Everything may have more axes in front of the ones named here: a call's `arithmetic` can compute many slightly different
versions of it at once (see `tolerance`).
"""

from dataclasses import dataclass, field
from types import SimpleNamespace as Saved

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


class Exact:
    """Arithmetic without more rounding than float64's own."""

    def begin(self, state):
        return state

    def dot(self, a, b, onto=0.0, scale=1.0):
        """The product of matrices, times `scale`, added to `onto`."""
        return onto + (a @ b) * scale

    def round(self, value):
        return value

    def act(self, name, z):
        return ACTIVATIONS[name](z)

    def slope(self, name, z):
        return DERIVATIVES[name](z)


@dataclass
class Recurrence:
    """One call; arrays of any real type, everything computed in float64.

    `outputs` is (B, T, H) in processing order, `last` (B, H) what leaves without return_sequences, `states` the last
    states (B, H), of which the first is the output of the step that was used last.
    """

    x: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None = None
    initial_state: np.ndarray | list | None = None
    mask: np.ndarray | None = None
    lengths: np.ndarray | None = None
    activation: str = "tanh"
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    input_dropout: np.ndarray | None = None  # (B, I)
    recurrent_dropout: np.ndarray | None = None  # (gates, B, H), or (B, H) where there is one gate
    arithmetic: Exact = field(default_factory=Exact, repr=False)

    GATES = 1
    STATES = 1

    def __post_init__(self):
        B, T, I = self.x.shape
        H = len(self.recurrent_kernel)
        self.W, self.U = f64(self.kernel), np.split(f64(self.recurrent_kernel), self.GATES, axis=1)
        self.b, self.inner_b = self.biases(np.zeros(self.GATES * H) if self.bias is None else f64(self.bias))
        self.in_drop = np.ones((B, I)) if self.input_dropout is None else f64(self.input_dropout)
        self.drop = np.ones((self.GATES, B, H))
        if self.recurrent_dropout is not None:
            self.drop = f64(self.recurrent_dropout).reshape(self.GATES, B, H)
        self.use = np.ones((B, T), bool) if self.mask is None else np.asarray(self.mask) != 0
        if self.lengths is not None:
            self.use = np.arange(T) < np.asarray(self.lengths)[:, None]
        self.order = list(range(T))[:: -1 if self.go_backwards else 1]

        if self.initial_state is None:
            states = [np.zeros((B, H))] * self.STATES
        else:
            states = list(f64(self.initial_state).reshape(self.STATES, B, H))
        states = [self.arithmetic.begin(state) for state in states]
        self.last, outputs, self.saved = states[0], [], {}
        for t in self.order:
            use = self.use[:, t, None]
            x_t = np.where(use, f64(self.x[:, t]) * self.in_drop, 0.0)  # what is skipped may hold anything, even NaN
            new, self.saved[t] = self.step(x_t, states)
            self.saved[t].x = x_t
            self.last = np.where(use, new[0], 0.0 if self.zero_output_for_mask else states[0])
            outputs.append(self.last)
            states = [np.where(use, after, before) for after, before in zip(new, states, strict=True)]
        self.states = states
        self.outputs = np.stack(outputs, axis=-2) if outputs else np.zeros((B, 0, H))

    def biases(self, bias):
        """What is added to the product with x, and what to that with the state."""
        return bias, np.zeros_like(bias)

    @property
    def state(self):
        """The last states as one array: (B, H), or (2, B, H) of an LSTM."""
        return self.states[0] if self.STATES == 1 else np.stack(self.states, axis=-3)

    def output(self, return_sequences):
        return self.outputs if return_sequences else self.last

    def gradients(self, dy=None, dstate=None):
        """Of sum(dy * output) + sum(dstate * state), as (dx, dinitial_state, [dkernel, drecurrent_kernel, dbias]).

        dy: (B, T, H) for all outputs, (B, H) for the last one, None for zeros; dstate: as `state`, or None. No dbias
        without a bias.
        """
        B, T, I = self.x.shape
        H = len(self.recurrent_kernel)
        dstates = list(np.zeros((self.STATES, B, H)) if dstate is None else f64(dstate).reshape(self.STATES, B, H))
        dy = np.zeros((B, T, H)) if dy is None else f64(dy)
        if dy.ndim == 2:
            dlast, dy = dy, np.zeros((B, T, H))
            if T:
                dy[:, -1] = dlast
            else:  # the output is the initial state
                dstates[0] = dstates[0] + dlast
        dx, done = {}, []
        for s, t in reversed(list(enumerate(self.order))):
            use, d = self.use[:, t, None], self.saved[t]
            dnew = [self.arithmetic.round(dstates[0] + dy[:, s]), *dstates[1:]]
            dinput, dbefore = self.step_back(d, [np.where(use, g, 0.0) for g in dnew])
            dx[t] = self.arithmetic.dot(dinput, self.W.T) * self.in_drop
            carried = dstates if self.zero_output_for_mask else dnew
            dstates = [np.where(use, g, kept) for g, kept in zip(dbefore, carried, strict=True)]
            done.append((d.x, dinput, d.operands, d.dinner))
        dx = np.stack([dx[t] for t in range(T)], axis=-2) if T else np.zeros((B, 0, I))
        return dx, dstates[0] if self.STATES == 1 else np.stack(dstates, axis=-3), self.weight_gradients(done)

    def weight_gradients(self, done):
        if not done:
            return [np.zeros(w.shape) for w in (self.kernel, self.recurrent_kernel, self.bias) if w is not None]
        inputs, dinputs, operands, dinners = zip(*done, strict=True)

        def summed(a, d):
            """Of the outer products of rows, over all rows and steps."""
            a, d = np.concatenate(a, axis=-2), np.concatenate(d, axis=-2)
            return self.arithmetic.dot(a.swapaxes(-1, -2), d)

        per_gate = [summed([o[k] for o in operands], [d[k] for d in dinners]) for k in range(self.GATES)]
        gradients = [summed(inputs, dinputs), np.concatenate(per_gate, axis=-1)]
        if self.bias is not None:
            ones = [np.ones((len(self.x), 1))] * len(done)
            gradients.append(self.bias_gradient(lambda d: summed(ones, d)[..., 0, :], dinputs, dinners))
        return gradients

    def bias_gradient(self, total, dinputs, dinners):
        return total(dinputs)


class SimpleRNN(Recurrence):
    """h(t) = act(x(t) W + b + h(t-1) U)."""

    def step(self, x, states):
        A, (h,) = self.arithmetic, states
        operand = h * self.drop[0]
        z = A.dot(operand, self.U[0], onto=A.dot(x, self.W, onto=self.b))
        a = A.act(self.activation, z)
        return [a], Saved(z=z, operands=[operand], kinks=[z])

    def step_back(self, d, dnew):
        A = self.arithmetic
        dz = A.round(dnew[0] * A.slope(self.activation, d.z))
        d.dinner = [dz]
        return dz, [A.dot(dz, self.U[0].T) * self.drop[0]]


@dataclass
class GRU(Recurrence):
    """z, r = sigmoid(x W + h U + b); h(t) = z h(t-1) + (1 - z) c.

    c = act(x W + b + r (h(t-1) U + b')) with reset_after, then b is (2, 3H); else c = act(x W + b + (r h(t-1)) U).
    """

    recurrent_activation: str = "sigmoid"
    reset_after: bool = True

    GATES = 3

    def biases(self, bias):
        return bias if bias.ndim == 2 else super().biases(bias)

    def step(self, x, states):
        A, (h,) = self.arithmetic, states
        Uz, Ur, Uc = self.U
        bz, br, bc = np.split(self.inner_b, 3)
        xz, xr, xc = np.split(A.dot(x, self.W, onto=self.b), 3, axis=-1)
        hz, hr, hc = (h * drop for drop in self.drop)
        az, ar = A.dot(hz, Uz, onto=xz + bz), A.dot(hr, Ur, onto=xr + br)
        z, r = A.act(self.recurrent_activation, az), A.act(self.recurrent_activation, ar)
        if self.reset_after:
            inner = A.dot(hc, Uc, onto=bc)
            ac = A.round(xc + r * inner)
        else:
            hc, inner = A.round(r * hc), None
            ac = A.dot(hc, Uc, onto=xc)
        c = A.act(self.activation, ac)
        new = A.round(A.round(z * h) + A.round((1 - z) * c))
        kinks = [ac] + [az, ar] * (self.recurrent_activation == "relu")
        return [new], Saved(h=h, z=z, r=r, c=c, az=az, ar=ar, ac=ac, inner=inner, operands=[hz, hr, hc], kinks=kinks)

    def step_back(self, d, dnew):
        A, (g,) = self.arithmetic, dnew
        Uz, Ur, Uc = self.U
        dac = A.round(g * (1 - d.z) * A.slope(self.activation, d.ac))
        if self.reset_after:
            dinner, dr = A.round(dac * d.r), A.round(dac * d.inner)
            dh = A.dot(dinner, Uc.T, onto=A.round(g * d.z), scale=self.drop[2])
        else:
            dinner = dac
            dproduct = A.dot(dac, Uc.T) * self.drop[2]
            dr, dh = A.round(dproduct * d.h), A.round(g * d.z + dproduct * d.r)
        daz = A.round(g * (d.h - d.c) * A.slope(self.recurrent_activation, d.az))
        dar = A.round(dr * A.slope(self.recurrent_activation, d.ar))
        for da, U, drop in ((daz, Uz, self.drop[0]), (dar, Ur, self.drop[1])):
            dh = A.dot(da, U.T, onto=dh, scale=drop)
        d.dinner = [daz, dar, dinner]
        return np.concatenate([daz, dar, dac], axis=-1), [dh]

    def bias_gradient(self, total, dinputs, dinners):
        if not self.reset_after:
            return total(dinputs)
        return np.stack([total(dinputs), total([np.concatenate(d, axis=-1) for d in dinners])], axis=-2)


@dataclass
class LSTM(Recurrence):
    """i, f, o = sigmoid(x W + h(t-1) U + b); c(t) = f c(t-1) + i act(x W + h(t-1) U + b); h(t) = o act(c(t))."""

    recurrent_activation: str = "sigmoid"

    GATES = 4
    STATES = 2

    def step(self, x, states):
        A, (h, c) = self.arithmetic, states
        operands = [h * drop for drop in self.drop]
        inputs = np.split(A.dot(x, self.W, onto=self.b), 4, axis=-1)
        a = [A.dot(o, U, onto=z) for z, o, U in zip(inputs, operands, self.U, strict=True)]
        i, f, o = (A.act(self.recurrent_activation, a[k]) for k in (0, 1, 3))
        new = A.act(self.activation, a[2])
        after = A.round(A.round(f * c) + A.round(i * new))
        shown = A.act(self.activation, after)
        kinks = [a[2], after] + [a[0], a[1], a[3]] * (self.recurrent_activation == "relu")
        saved = Saved(a=a, c=c, i=i, f=f, o=o, new=new, after=after, shown=shown, operands=operands, kinks=kinks)
        return [A.round(o * shown), after], saved

    def step_back(self, d, dnew):
        A, (g, gc) = self.arithmetic, dnew
        dc = A.round(gc + g * d.o * A.slope(self.activation, d.after))
        slopes = [A.slope(self.activation if k == 2 else self.recurrent_activation, d.a[k]) for k in range(4)]
        above = [dc * d.new, dc * d.c, dc * d.i, g * d.shown]
        da = [A.round(v * s) for v, s in zip(above, slopes, strict=True)]
        d.dinner = da
        dh = 0.0
        for v, U, drop in zip(da, self.U, self.drop, strict=True):
            dh = A.dot(v, U.T, onto=dh, scale=drop)
        return np.concatenate(da, axis=-1), [dh, A.round(dc * d.f)]
