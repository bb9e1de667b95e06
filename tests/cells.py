"""The cells that are tested: ours, Keras's, and their equations, with what is particular to each."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import reference

import fastrnn
from fastrnn import _core, functional


@dataclass(frozen=True)
class Cell:
    """A cell in all its forms."""

    id: str
    name: str  # as functions begin
    layer_name: str
    gates: int
    states: int = 1
    options: dict[str, Any] = field(default_factory=dict)  # what makes it this variant

    def __getattr__(self, what):
        """The functions: `forward` of the GRU is gru_forward."""
        if what.startswith("_"):
            raise AttributeError(what)
        return partial(getattr(functional, f"{self.name}_{what}"), **(self.options if what != "backward" else {}))

    def __call__(self, *args, **kwargs):
        return getattr(functional, self.name)(*args, **self.options, **kwargs)

    def layer(self, *args, **kwargs):
        return getattr(fastrnn, self.layer_name)(*args, **self.options, **kwargs)

    def reference(self, *args, **kwargs):
        return getattr(reference, self.layer_name)(*args, **self.options, **kwargs)

    def keras_layer(self, *args, **kwargs):
        from keras_oracle import keras

        return getattr(keras.layers, self.layer_name)(*args, **self.options, **kwargs)

    def pack(self, *weights):
        kernel, recurrent_kernel, bias = (*weights, None)[:3]
        return getattr(_core, f"{self.layer_name}Weights")(kernel, recurrent_kernel, bias, *self.options.values())

    @property
    def activations(self):
        """The arguments that name activations."""
        return ["activation"] if self.gates == 1 else ["activation", "recurrent_activation"]

    def bias_shape(self, units):
        two = self.options.get("reset_after", False)
        return (2, self.gates * units) if two else (self.gates * units,)

    def dropout_shape(self, batch, units):
        """Of the factors of the states in the products."""
        return (batch, units) if self.gates == 1 else (self.gates, batch, units)

    def one_array(self, states):
        """A list of states as the reference has it."""
        return states[0] if self.states == 1 else states


SIMPLE_RNN = Cell("SimpleRNN", "simple_rnn", "SimpleRNN", gates=1)
GRU = Cell("GRU", "gru", "GRU", gates=3, options={"reset_after": True})
GRU_RESET_BEFORE = Cell("GRU, reset before", "gru", "GRU", gates=3, options={"reset_after": False})
LSTM = Cell("LSTM", "lstm", "LSTM", gates=4, states=2)
CELLS = [SIMPLE_RNN, GRU, GRU_RESET_BEFORE, LSTM]
