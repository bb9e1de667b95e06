"""The layers."""

from collections.abc import Mapping
from typing import Any

from fastrnn.layers.base import Layer
from fastrnn.layers.bidirectional import Bidirectional
from fastrnn.layers.composite import serialize
from fastrnn.layers.dense import Dense
from fastrnn.layers.embedding import Embedding
from fastrnn.layers.gru import GRU
from fastrnn.layers.input import Input
from fastrnn.layers.lstm import LSTM
from fastrnn.layers.rnn import RNN
from fastrnn.layers.simple_rnn import SimpleRNN
from fastrnn.layers.time_distributed import TimeDistributed
from fastrnn.layers.weightless import Dropout, Masking

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Input",
    "Layer",
    "Masking",
    "SimpleRNN",
    "TimeDistributed",
    "deserialize",
    "serialize",
]


def deserialize(config: Mapping[str, Any]) -> Layer:
    """Make a layer from its description, {"class_name": ..., "config": ...}, as Keras writes it.

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> deserialize({"class_name": "Dense", "config": {"units": 3, "name": "head"}})
    <Dense 'head'>
    """
    name = config.get("class_name")
    cls = globals().get(name) if name in __all__ else None
    if not (isinstance(cls, type) and issubclass(cls, Layer)) or cls is Layer:
        raise ValueError(f"class_name must be that of a layer of fastrnn, got {name!r}")
    return cls.from_config(config.get("config") or {})
