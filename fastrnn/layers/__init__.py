"""The layers."""

from fastrnn.layers.dense import Dense
from fastrnn.layers.simple_rnn import SimpleRNN

__all__ = ["Dense", "SimpleRNN"]
