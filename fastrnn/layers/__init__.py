"""The layers."""

from fastrnn.layers.bidirectional import Bidirectional
from fastrnn.layers.dense import Dense
from fastrnn.layers.gru import GRU
from fastrnn.layers.lstm import LSTM
from fastrnn.layers.rnn import RNN
from fastrnn.layers.simple_rnn import SimpleRNN

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional", "Dense", "SimpleRNN"]
