"""`python -m fastrnn demo`: handwritten digits, each read as a sequence of eight rows of eight pixels.

The same network is trained twice, by fastrnn and by a loop over time in plain NumPy. Both start from the same weights,
see the same batches and take turns, on one thread each, so that one can be held against the other: the answers, and the
time per epoch.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from fastrnn import Dense, Input, Sequential, SimpleRNN, set_num_threads
from fastrnn.optimizers import Adam

Array: TypeAlias = NDArray[Any]

UNITS = 64
CLASSES = 10
BATCH = 32
LEARNING_RATE = 2e-3


class Digits(NamedTuple):
    """Sequences (samples, time, features) of float32 from 0 to 1, and what they show."""

    x: Array
    labels: Array
    x_held_out: Array
    labels_held_out: Array


def load(seed: int) -> Digits:
    """Load scikit-learn's digits, a fifth of each kind held out."""
    digits = load_digits()
    x = (digits.images / 16).astype(np.float32)
    x, x_held_out, labels, labels_held_out = train_test_split(
        x, digits.target, test_size=0.2, stratify=digits.target, random_state=seed
    )
    return Digits(x, labels, x_held_out, labels_held_out)


class Model(Protocol):
    """What can be trained epoch by epoch."""

    def train(self, x: Array, labels: Array) -> float:
        """Learn from all samples, in batches in the order given, and return the mean loss."""

    def predict(self, x: Array) -> Array:
        """Return the probability of every class, (batch, classes)."""


class FastRNN:
    """Two stacked SimpleRNN layers and a softmax head."""

    def __init__(self, features: int, seed: int) -> None:
        self.model = Sequential(
            [
                Input((None, features)),
                SimpleRNN(UNITS, return_sequences=True),
                SimpleRNN(UNITS),
                Dense(CLASSES, activation="softmax"),
            ],
            seed=seed,
        )
        self.model.compile(Adam(LEARNING_RATE), "sparse_categorical_crossentropy")
        self.weights = self.model.get_weights()

    def train(self, x: Array, labels: Array) -> float:
        history = self.model.fit(x, labels, batch_size=BATCH, shuffle=False, verbose=0)
        return history.history["loss"][0]

    def predict(self, x: Array) -> Array:
        return self.model.predict(x)


class NumPyLoop:
    """The same network and the same optimizer in plain NumPy, float32 throughout."""

    def __init__(self, weights: list[Array]) -> None:
        self.weights = [w.copy() for w in weights]
        self.m = [np.zeros_like(w) for w in weights]
        self.v = [np.zeros_like(w) for w in weights]
        self.steps = 0

    def train(self, x: Array, labels: Array) -> float:
        starts = range(0, len(x), BATCH)
        losses = [self.step(x[i : i + BATCH], labels[i : i + BATCH]) for i in starts]
        return sum(loss * len(labels[i : i + BATCH]) for i, loss in zip(starts, losses, strict=True)) / len(x)

    def step(self, x: Array, labels: Array) -> float:
        wx1, wh1, b1, wx2, wh2, b2, w, b = self.weights
        y1 = rnn_forward(x, wx1, wh1, b1)
        y2 = rnn_forward(y1, wx2, wh2, b2)
        probabilities = softmax(y2[:, -1] @ w + b)
        rows = np.arange(len(x))
        loss = -np.log(probabilities[rows, labels]).mean()

        dz = probabilities.copy()
        dz[rows, labels] -= 1
        dz /= np.float32(len(x))
        dy2 = np.zeros_like(y2)
        dy2[:, -1] = dz @ w.T
        dy1, *second = rnn_backward(dy2, y1, y2, wx2, wh2)
        _, *first = rnn_backward(dy1, x, y1, wx1, wh1)
        self.adam([*first, *second, y2[:, -1].T @ dz, dz.sum(axis=0)])
        return float(loss)

    def predict(self, x: Array) -> Array:
        wx1, wh1, b1, wx2, wh2, b2, w, b = self.weights
        y = rnn_forward(rnn_forward(x, wx1, wh1, b1), wx2, wh2, b2)
        return softmax(y[:, -1] @ w + b)

    def adam(self, gradients: list[Array], beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-7) -> None:
        self.steps += 1
        rate = np.float32(LEARNING_RATE * np.sqrt(1 - beta2**self.steps) / (1 - beta1**self.steps))
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            m += (g - m) * np.float32(1 - beta1)
            v += (g * g - v) * np.float32(1 - beta2)
            w -= rate * m / (np.sqrt(v) + np.float32(epsilon))


def rnn_forward(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """Return every state of h(t) = tanh(x(t) wx + b + h(t-1) wh), (batch, time, units)."""
    y = x @ wx + b
    h = np.zeros_like(y[:, 0])
    for t in range(y.shape[1]):
        h = y[:, t] = np.tanh(y[:, t] + h @ wh)
    return y


def rnn_backward(dy: Array, x: Array, y: Array, wx: Array, wh: Array) -> tuple[Array, Array, Array, Array]:
    """Return the gradients of x, wx, wh and b."""
    dz = np.empty_like(y)
    dh = np.zeros_like(y[:, 0])
    for t in reversed(range(y.shape[1])):
        dz[:, t] = (dy[:, t] + dh) * (1 - y[:, t] ** 2)
        dh = dz[:, t] @ wh.T
    before = np.zeros_like(y)
    before[:, 1:] = y[:, :-1]
    rows = dz.reshape(-1, dz.shape[-1])
    dwx, dwh = (a.reshape(-1, a.shape[-1]).T @ rows for a in (x, before))
    return dz @ wx.T, dwx, dwh, rows.sum(axis=0)


def softmax(z: Array) -> Array:
    """Return probabilities from logits, along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    probabilities: Array = e / e.sum(axis=-1, keepdims=True)
    return probabilities


@dataclass
class Curve:
    """What one training went through, a value for each epoch."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def epoch(self, model: Model, digits: Digits, order: Array) -> Array:
        """Train for one epoch and return the probabilities of the held-out digits; only the training is timed."""
        start = time.perf_counter()
        loss = model.train(digits.x[order], digits.labels[order])
        self.seconds.append(time.perf_counter() - start)
        self.loss.append(loss)
        probabilities = model.predict(digits.x_held_out)
        self.accuracy.append(float(np.mean(probabilities.argmax(axis=1) == digits.labels_held_out)))
        return probabilities


def run(epochs: int, seed: int, out: Path) -> float:
    """Train both models, print and draw what came of it, and return the share of held-out digits read right."""
    digits = load(seed)
    fast = FastRNN(digits.x.shape[-1], seed)
    loop = NumPyLoop(fast.weights)
    parameters = sum(w.size for w in fast.weights)
    print(f"digits   {len(digits.x)} to learn from, {len(digits.x_held_out)} held out; each is 8 rows of 8 pixels")
    print(f"model    SimpleRNN({UNITS}), SimpleRNN({UNITS}), Dense({CLASSES}, softmax): {parameters:,} parameters")

    curves = Curve(), Curve()
    differences = []
    rng = np.random.default_rng(seed)
    set_num_threads(1)
    with threadpool_limits(1), tqdm(range(epochs), desc="training", unit="epoch") as progress:
        for epoch in progress:
            order = rng.permutation(len(digits.x))
            turns: list[tuple[Curve, Model]] = list(zip(curves, (fast, loop), strict=True))
            answers = {model: curve.epoch(model, digits, order) for curve, model in turns[:: -1 if epoch % 2 else 1]}
            differences.append(float(np.abs(answers[fast] - answers[loop]).max()))
            progress.set_postfix({"loss": f"{curves[0].loss[-1]:.4f}", "held out": f"{curves[0].accuracy[-1]:.1%}"})

    accuracy = curves[0].accuracy[-1]
    ours, theirs = (1e3 * float(np.median(curve.seconds)) for curve in curves)
    print(f"result   {accuracy:.1%} of the held-out digits are read right")
    print(f"agree    every probability to {differences[0]:.0e} after one epoch, to {differences[-1]:.0e} at the end")
    print(f"time     {ours:.1f} ms per epoch, in the NumPy loop {theirs:.1f} ms (medians, one thread each):")
    print(f"         fastrnn is {theirs / ours:.1f} times as fast")
    draw(curves, out)
    print(f"picture  {out}")
    return accuracy


def draw(curves: tuple[Curve, Curve], out: Path) -> None:
    """Draw loss, accuracy and time of both trainings."""
    names, colors = ("fastrnn", "NumPy loop"), ("#d1495b", "#30638e")
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    loss, accuracy, seconds = figure.subplots(1, 3, width_ratios=[1, 1, 0.55])
    for curve, name, color, style in zip(curves, names, colors, ("-", (0, (1, 2))), strict=True):
        epochs = range(1, len(curve.loss) + 1)
        loss.plot(epochs, curve.loss, color=color, linestyle=style, linewidth=2, label=name)
        accuracy.plot(epochs, [100 * a for a in curve.accuracy], color=color, linestyle=style, linewidth=2, label=name)
    loss.set_yscale("log")
    loss.set(title="loss while learning", xlabel="epoch")
    loss.legend(frameon=False)
    accuracy.set(title="held-out digits read right, %", xlabel="epoch", ylim=(None, 100))
    times = [1e3 * float(np.median(curve.seconds)) for curve in curves]
    bars = seconds.bar(names, times, color=colors, width=0.6)
    seconds.bar_label(bars, fmt="%.0f", padding=2)
    seconds.set(title="ms per epoch")
    seconds.margins(y=0.1)
    for axes in (loss, accuracy, seconds):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
    figure.savefig(out, dpi=150)
