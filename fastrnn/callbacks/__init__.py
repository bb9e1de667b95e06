"""What happens between the epochs and steps of `Sequential.fit`, with Keras's names and defaults.

A callback is an object whose methods `fit` calls::

    >>> import numpy as np
    >>> import fastrnn as fr
    >>> class Shout(fr.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch}: {sorted(logs)}")
    >>> model = fr.Sequential([fr.SimpleRNN(2), fr.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.zeros((4, 3, 1)), np.zeros(4), verbose=0, callbacks=[Shout()])
    epoch 0: ['loss']
"""

from fastrnn.callbacks.base import Callback
from fastrnn.callbacks.csv_logger import CSVLogger
from fastrnn.callbacks.early_stopping import EarlyStopping
from fastrnn.callbacks.history import History
from fastrnn.callbacks.lambdas import LambdaCallback
from fastrnn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from fastrnn.callbacks.model_checkpoint import ModelCheckpoint
from fastrnn.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
