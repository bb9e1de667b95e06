"""JAX: `lax.scan` over time, compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fastrnn._bench.cases import STATES, Array, Case

VERSION: str = jax.__version__


class Peer:
    def __init__(self, case: Case, threads: int) -> None:
        jax.config.update("jax_enable_x64", case.dtype == "float64")
        H = case.shape.H
        arrays = {name: jnp.asarray(value) for name, value in case.arrays.items()}
        dy, given = arrays.pop("dy"), arrays.pop("states")
        args = tuple(arrays.values())
        used = None if not case.ragged else jnp.asarray(case.used.T[:, :, None])

        def rnn(states: Any, z: Any, wh: Any, b: Any) -> Any:
            return (jnp.tanh(z + states[0] @ wh),)

        def gru(states: Any, z: Any, wh: Any, b: Any) -> Any:
            u = states[0] @ wh + b
            gates = jax.nn.sigmoid(z[:, : 2 * H] + u[:, : 2 * H])
            update, reset = gates[:, :H], gates[:, H:]
            new = jnp.tanh(z[:, 2 * H :] + reset * u[:, 2 * H :])
            return (update * states[0] + (1 - update) * new,)

        def lstm(states: Any, z: Any, wh: Any, b: Any) -> Any:
            i, f, g, o = jnp.split(z + states[0] @ wh, 4, axis=1)
            c = jax.nn.sigmoid(f) * states[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c

        cell = {"rnn": rnn, "gru": gru, "lstm": lstm}[case.cell]

        def biases(b: Any) -> Any:
            return b if case.cell == "gru" else (b, None)

        def outputs(x: Any, wx: Any, wh: Any, b: Any) -> Any:
            bias, inner = biases(b)

            def step(states: Any, inputs: Any) -> Any:
                z, use = inputs
                new = cell(states, z, wh, inner)
                if use is not None:
                    new = tuple(jnp.where(use, n, s) for n, s in zip(new, states, strict=True))
                return new, new[0]

            z = jnp.swapaxes(x @ wx + bias, 0, 1)
            start = (jnp.zeros((x.shape[0], H), x.dtype),) * STATES[case.cell]
            return jnp.swapaxes(jax.lax.scan(step, start, (z, used))[1], 0, 1)

        def outputs_and_gradients(dy: Any, *args: Any) -> Any:
            y, pull_back = jax.vjp(outputs, *args)
            return y, *pull_back(dy)

        def one_step(states: Any, x: Any, wx: Any, wh: Any, b: Any) -> Any:
            bias, inner = biases(b)
            return cell(states, x @ wx + bias, wh, inner)[0]

        forward, train, step = jax.jit(outputs), jax.jit(outputs_and_gradients), jax.jit(one_step)
        states, x_t = tuple(given), arrays["x"][:, 0]
        self.forward = lambda: (forward(*args).block_until_ready(),)
        self.train = lambda: jax.block_until_ready(train(dy, *args))
        self.step = lambda: (step(states, x_t, *args[1:]).block_until_ready(),)

    def arrays(self, result: Any) -> list[Array]:
        return [np.asarray(a) for a in result]
