"""Keras's SimpleRNN, GRU and LSTM on TensorFlow, in a compiled function."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastrnn._bench.cases import LAYERS, Array, Case


@contextmanager
def silence() -> Iterator[None]:
    """Let nothing reach standard error: what TensorFlow writes there when it is loaded, no setting prevents."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with silence():
    import tensorflow as tf  # first: without it, nothing of keras is touched

    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError("keras was imported before, with another backend")

VERSION: str = f"{keras.__version__} on TensorFlow {tf.__version__}"


class Peer:
    def __init__(self, case: Case, threads: int) -> None:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        a = case.arrays
        layer = getattr(keras.layers, LAYERS[case.cell])(case.shape.H, return_sequences=True, dtype=case.dtype)
        layer.build(a["x"].shape)
        layer.set_weights([a["kernel"], a["recurrent_kernel"], a["bias"]])
        x, dy, x_t = tf.constant(a["x"]), tf.constant(a["dy"]), tf.constant(a["x"][:, 0])
        states = [tf.constant(s) for s in a["states"]]
        mask = tf.constant(case.used) if case.ragged else None

        @tf.function(autograph=False)
        def forward() -> Any:
            return (layer(x, mask=mask),)

        @tf.function(autograph=False)
        def train() -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, mask=mask, training=True)
            sources = [x, *(v.value for v in layer.trainable_variables)]
            return y, *tape.gradient(y, sources, output_gradients=dy)

        @tf.function(autograph=False)
        def step() -> Any:
            return (layer.cell(x_t, states)[0],)

        self.forward, self.train, self.step = forward, train, step

    def arrays(self, result: Any) -> list[Array]:
        return [a.numpy() for a in result]
