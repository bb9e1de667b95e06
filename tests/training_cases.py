"""Models, data and optimizers for which training is compared with Keras, told in the words that both understand.

`L` is where layers come from and `O` where optimizers do: `keras.layers` and `keras.optimizers`, or `fastrnn`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

STEPS = 200
BATCHES = 10  # that are gone through again and again
B, T, V, E, I, H = 8, 4, 11, 5, 3, 4


def tokens(rng):
    x = rng.integers(0, V, (BATCHES, B, T))
    return x, ((x == 3).sum(axis=2) > (x == 5).sum(axis=2)).astype(np.float32)


def padded(rng):
    x, y = tokens(rng)
    lengths = rng.integers(1, T + 1, (BATCHES, B, 1))
    return np.where(np.arange(T) < lengths, x, 0), y


def series(rng):
    x = rng.standard_normal((BATCHES, B, T, I)).astype(np.float32)
    return x, x.sum(axis=(2, 3), keepdims=True)[..., 0] / 3


def gaps(rng):
    x, y = series(rng)
    x[rng.random(x.shape[:3]) < 0.3] = 0
    return x, y


def labels(rng):
    x, _ = gaps(rng)
    return x, (x.sum(axis=(2, 3)) > 0).astype(np.int64) + (x[:, :, -1, 0] > 0)


def labels_of_steps(rng):
    x, _ = padded(rng)
    return x, x % 3


def one_hot(rng):
    x, y = labels(rng)
    return x, np.eye(3, dtype=np.float32)[y]


@dataclass
class Case:
    layers: Callable[[Any], list[Any]]
    data: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
    loss: str
    optimizer: Callable[[Any], Any] = lambda O: O.RMSprop(0.001)
    weighted: bool = False


def binary(cell, mask_zero=False):
    return lambda L: [L.Embedding(V, E, mask_zero=mask_zero), getattr(L, cell)(H), L.Dense(1, activation="sigmoid")]


def bidirectional(cell):
    def layers(L):
        inner = getattr(L, cell)(H, return_sequences=True)
        return [L.Embedding(V, E, mask_zero=True), L.Bidirectional(inner), getattr(L, cell)(H), L.Dense(1)]

    return layers


CASES = {
    "embedding": Case(binary("SimpleRNN"), tokens, "binary_crossentropy"),
    "mask_zero": Case(binary("SimpleRNN", mask_zero=True), padded, "binary_crossentropy", lambda O: O.Adam(0.003)),
    "stack": Case(
        lambda L: [L.SimpleRNN(H, return_sequences=True), L.SimpleRNN(H, go_backwards=True), L.Dense(1)],
        series,
        "mean_squared_error",
        lambda O: O.Adam(0.003),
    ),
    "masking": Case(
        lambda L: [L.Masking(), L.SimpleRNN(H, zero_output_for_mask=True), L.Dense(3, activation="softmax")],
        labels,
        "sparse_categorical_crossentropy",
        lambda O: O.Adam(0.003),
    ),
    "masked loss": Case(
        lambda L: [
            L.Embedding(V, E, mask_zero=True),
            L.SimpleRNN(H, return_sequences=True),
            L.TimeDistributed(L.Dense(3, activation="softmax")),
        ],
        labels_of_steps,
        "sparse_categorical_crossentropy",
        lambda O: O.Adam(0.003),
    ),
    "one-hot": Case(
        lambda L: [L.SimpleRNN(H, activation="relu"), L.Dropout(0.0), L.Dense(3, activation="softmax")],
        one_hot,
        "categorical_crossentropy",
        lambda O: O.SGD(0.05),
    ),
    "absolute error, weighted": Case(
        lambda L: [L.SimpleRNN(H), L.Dense(1)], series, "mean_absolute_error", lambda O: O.SGD(0.01), weighted=True
    ),
    "rules": Case(
        lambda L: [
            L.Embedding(V, E, embeddings_regularizer="l1", embeddings_constraint="unit_norm"),
            L.SimpleRNN(
                H,
                kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}},
                recurrent_regularizer="l2",
                recurrent_constraint="max_norm",
                bias_constraint="non_neg",
            ),
            # Keras's SimpleRNN takes an activity_regularizer and forgets it.
            L.Dense(H, kernel_constraint="min_max_norm", activity_regularizer="l2", bias_regularizer="l2"),
            L.Dense(1, activation="sigmoid"),
        ],
        tokens,
        "binary_crossentropy",
        lambda O: O.SGD(0.05),
    ),
}
OPTIMIZERS = {
    "sgd": lambda O: O.SGD(0.05),
    "momentum": lambda O: O.SGD(0.005, momentum=0.9),
    "nesterov": lambda O: O.SGD(0.005, momentum=0.9, nesterov=True),
    "rmsprop": lambda O: O.RMSprop(0.001, rho=0.8, momentum=0.5, centered=True),
    "adam": lambda O: O.Adam(0.003, weight_decay=0.1),
    "amsgrad": lambda O: O.Adam(0.003, amsgrad=True),
    "adamw": lambda O: O.AdamW(0.003),
    "clipnorm": lambda O: O.SGD(0.2, clipnorm=0.1),
    "clipvalue": lambda O: O.SGD(0.2, clipvalue=0.02),
    "global_clipnorm": lambda O: O.SGD(0.2, global_clipnorm=0.1),
    "exponential decay": lambda O: O.SGD(O.schedules.ExponentialDecay(0.1, 20, 0.8)),
    "cosine decay": lambda O: O.Adam(O.schedules.CosineDecay(0.001, 100, warmup_target=0.005, warmup_steps=20)),
}
CASES |= {name: Case(binary("SimpleRNN"), tokens, "binary_crossentropy", make) for name, make in OPTIMIZERS.items()}
# Every cell meets a mask, both directions and several optimizers; not all with all, for each case takes a second.
CASES |= {
    "GRU": Case(binary("GRU"), tokens, "binary_crossentropy", lambda O: O.AdamW(0.003)),
    "LSTM": Case(binary("LSTM"), tokens, "binary_crossentropy", lambda O: O.SGD(0.01, momentum=0.9, nesterov=True)),
    "masked GRU": Case(binary("GRU", mask_zero=True), padded, "binary_crossentropy"),
    "masked LSTM": Case(binary("LSTM", mask_zero=True), padded, "binary_crossentropy", lambda O: O.Adam(0.003)),
    "bidirectional SimpleRNN": Case(bidirectional("SimpleRNN"), padded, "mean_squared_error", lambda O: O.Adam(0.001)),
    "bidirectional GRU": Case(bidirectional("GRU"), padded, "mean_squared_error", lambda O: O.SGD(0.05, momentum=0.9)),
    "bidirectional LSTM": Case(bidirectional("LSTM"), padded, "mean_squared_error"),
}


def make(name, L, O, sequential):
    """Make a model, compiled and built, and its data: x, y and weights, of which each has a first axis of batches."""
    case = CASES[name]
    rng = np.random.default_rng(list(name.encode()))
    x, y = case.data(rng)
    weight = rng.uniform(0.2, 2.0, (BATCHES, B)).astype(np.float32) if case.weighted else None
    model = sequential(case.layers(L))
    model.compile(optimizer=case.optimizer(O), loss=case.loss)
    model.build((None, *x.shape[2:]))
    return model, x, y, weight


def curve(model, x, y, weight):
    """The loss before each step, and the weights in the end."""
    losses = []
    for step in range(STEPS):
        i = step % BATCHES
        losses.append(float(model.train_on_batch(x[i], y[i], None if weight is None else weight[i])))
    return np.array(losses)
