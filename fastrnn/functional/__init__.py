"""Recurrent layers without objects: arrays in, arrays out, nothing kept between calls.

Each cell has three functions. `gru` computes, `gru_forward` computes and keeps a tape, and `gru_backward` turns the
tape and the gradient of the output into the gradients of everything that went in (back-propagation through time); the
others are named alike.

Shapes are written with B (batch), T (time), I (features) and H (units).
"""

from fastrnn.functional._call import Output
from fastrnn.functional._gradients import Gradients
from fastrnn.functional._gru import gru, gru_forward
from fastrnn.functional._lstm import lstm, lstm_forward
from fastrnn.functional._simple_rnn import simple_rnn, simple_rnn_forward
from fastrnn.functional._tape import Tape, backward

simple_rnn_backward = gru_backward = lstm_backward = backward  # the tape knows its cell

__all__ = [
    "Gradients",
    "Output",
    "Tape",
    "gru",
    "gru_backward",
    "gru_forward",
    "lstm",
    "lstm_backward",
    "lstm_forward",
    "simple_rnn",
    "simple_rnn_backward",
    "simple_rnn_forward",
]
