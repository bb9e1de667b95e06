"""The same work done by fastrnn and by what one would use instead.

A peer is made from a case and a number of threads. `forward()` returns every output; `train()` returns every output
and the gradients of the input and the weights. Both return whatever the library's users would hold then, finished but
not converted; `arrays` turns it into NumPy arrays in Keras's layout and order: y, dx, dkernel, drecurrent_kernel,
dbias. A peer without `train` does inference only. Making a peer whose library is missing raises ImportError.
"""

import os
from typing import Any

import numpy as np

from .shapes import Case


class FastRNN:
    """The layer, its weights set anew before each training step, so that preparing them counts."""

    def __init__(self, case: Case, threads: int) -> None:
        import fastrnn

        fastrnn.set_num_threads(threads)
        a = case.arrays
        self.x, self.dy = a["x"], a["dy"]
        self.weights = [a["kernel"], a["recurrent_kernel"], a["bias"]]
        self.layer = fastrnn.SimpleRNN(case.shape.H, return_sequences=True)
        self.layer.build(self.x.shape)
        self.layer.set_weights(self.weights)

    def forward(self):
        return (self.layer(self.x),)

    def train(self):
        self.layer.set_weights(self.weights)
        y, tape = self.layer.forward(self.x, training=True)
        gradients = self.layer.backward(self.dy, tape)
        return y, gradients.dx, *gradients.weights

    arrays = staticmethod(list)


class NumPy:
    """A loop over time as one writes it by hand: the inputs' product done for all steps at once."""

    def __init__(self, case: Case, threads: int) -> None:
        a = case.arrays
        self.x, self.dy = a["x"], a["dy"]
        self.wx, self.wh, self.b = a["kernel"], a["recurrent_kernel"], a["bias"]

    def forward(self):
        z = self.x @ self.wx + self.b
        h = np.zeros_like(z[:, 0])
        y = np.empty_like(z)
        for t in range(z.shape[1]):
            h = y[:, t] = np.tanh(z[:, t] + h @ self.wh)
        return (y,)

    def train(self):
        (y,) = self.forward()
        dz = np.empty_like(y)
        dh = np.zeros_like(y[:, 0])
        for t in reversed(range(y.shape[1])):
            dz[:, t] = (self.dy[:, t] + dh) * (1 - y[:, t] ** 2)
            dh = dz[:, t] @ self.wh.T
        h_before = np.zeros_like(y)
        h_before[:, 1:] = y[:, :-1]
        rows = [a.reshape(-1, a.shape[-1]) for a in (self.x, h_before, dz)]
        return y, dz @ self.wx.T, rows[0].T @ rows[2], rows[1].T @ rows[2], rows[2].sum(axis=0)

    arrays = staticmethod(list)


class PyTorch:
    """`torch.nn.RNN`, eager, as its documentation shows it."""

    def __init__(self, case: Case, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        a = {name: torch.from_numpy(value) for name, value in case.arrays.items()}
        self.x, self.dy = a["x"], a["dy"]
        self.x_grad = self.x.clone().requires_grad_()
        self.rnn = torch.nn.RNN(case.shape.I, case.shape.H, batch_first=True)
        with torch.no_grad():
            self.rnn.weight_ih_l0.copy_(a["kernel"].T)
            self.rnn.weight_hh_l0.copy_(a["recurrent_kernel"].T)
            self.rnn.bias_ih_l0.copy_(a["bias"])
            self.rnn.bias_hh_l0.zero_()

    def forward(self):
        with self.torch.inference_mode():
            return (self.rnn(self.x)[0],)

    def train(self):
        self.rnn.zero_grad(set_to_none=True)
        self.x_grad.grad = None
        y, _ = self.rnn(self.x_grad)
        y.backward(self.dy)
        r = self.rnn
        return y, self.x_grad.grad, r.weight_ih_l0.grad.T, r.weight_hh_l0.grad.T, r.bias_ih_l0.grad

    @staticmethod
    def arrays(result):
        return [tensor.detach().numpy() for tensor in result]


class JAX:
    """`lax.scan` over time, compiled."""

    def __init__(self, case: Case, threads: int) -> None:
        import jax

        jnp = jax.numpy
        arrays = {name: jnp.asarray(value) for name, value in case.arrays.items()}
        self.dy = arrays.pop("dy")
        self.args = tuple(arrays.values())

        def outputs(x, wx, wh, b):
            def step(h, z):
                h = jnp.tanh(z + h @ wh)
                return h, h

            z = jnp.swapaxes(x @ wx + b, 0, 1)
            return jnp.swapaxes(jax.lax.scan(step, jnp.zeros_like(z[0]), z)[1], 0, 1)

        def outputs_and_gradients(dy, *args):
            y, pull_back = jax.vjp(outputs, *args)
            return y, *pull_back(dy)

        self.block = jax.block_until_ready
        self.jit_outputs = jax.jit(outputs)
        self.jit_gradients = jax.jit(outputs_and_gradients)

    def forward(self):
        return (self.block(self.jit_outputs(*self.args)),)

    def train(self):
        return self.block(self.jit_gradients(self.dy, *self.args))

    @staticmethod
    def arrays(result):
        return [np.asarray(a) for a in result]


class ONNXRuntime:
    """The RNN operator, inference only. Its arrays are (time, batch, features), handed over like that."""

    def __init__(self, case: Case, threads: int) -> None:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        B, T, I, H = case.shape
        a = case.arrays
        weights = {
            "W": a["kernel"].T[None],
            "R": a["recurrent_kernel"].T[None],
            "B": np.concatenate([a["bias"], np.zeros(H, np.float32)])[None],
        }
        graph = helper.make_graph(
            [helper.make_node("RNN", ["X", "W", "R", "B"], ["Y"], hidden_size=H)],
            "simple_rnn",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, [T, B, I])],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [T, 1, B, H])],
            [numpy_helper.from_array(np.ascontiguousarray(w), name) for name, w in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.feed = {"X": np.ascontiguousarray(a["x"].swapaxes(0, 1))}

    def forward(self):
        return self.session.run(None, self.feed)

    @staticmethod
    def arrays(result):
        return [result[0][:, 0].swapaxes(0, 1)]


class KerasTensorFlow:
    """`keras.layers.SimpleRNN` on TensorFlow, in a compiled function."""

    def __init__(self, case: Case, threads: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import tensorflow as tf

        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        import keras

        if keras.backend.backend() != "tensorflow":
            raise ImportError("keras was imported before, with another backend")
        a: dict[str, Any] = case.arrays
        layer = keras.layers.SimpleRNN(case.shape.H, return_sequences=True)
        layer.build(a["x"].shape)
        layer.set_weights([a["kernel"], a["recurrent_kernel"], a["bias"]])
        x, dy = tf.constant(a["x"]), tf.constant(a["dy"])

        @tf.function
        def outputs():
            return (layer(x),)

        @tf.function
        def outputs_and_gradients():
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
            sources = [x, *(v.value for v in layer.trainable_variables)]
            return y, *tape.gradient(y, sources, output_gradients=dy)

        self.forward = outputs
        self.train = outputs_and_gradients

    @staticmethod
    def arrays(result):
        return [a.numpy() for a in result]


PEERS = {
    "fastrnn": FastRNN,
    "numpy": NumPy,
    "torch": PyTorch,
    "jax": JAX,
    "onnxruntime": ONNXRuntime,
    "keras": KerasTensorFlow,
}
