"""The simple (Elman) recurrent layer."""

from fastrnn import _core, functional
from fastrnn.initializers import Initializer
from fastrnn.layers.base import Recurrent


class SimpleRNN(Recurrent):
    """Fully connected recurrent layer whose output is fed back as its state, as in Keras 3.15.

    ::

        h(t) = activation(x(t) kernel + bias + h(t-1) recurrent_kernel)

    The equation is that of J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990). Weights are kernel
    (I, H), recurrent_kernel (H, H) and bias (H,), with I input features and H units. One layer can be called by many
    threads at once, unless it is stateful.

    Parameters
    ----------
    units : int
        Number of outputs, H.
    activation : {"tanh", "relu", "sigmoid", "linear"} or None, default "tanh"
        None is linear.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer : default "glorot_uniform"
        Whatever `fastrnn.initializers.get` accepts.
    recurrent_initializer : default "orthogonal"
        The same for the recurrent kernel.
    bias_initializer : default "zeros"
        The same for the bias.
    kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer : None
        Not implemented yet.
    kernel_constraint, recurrent_constraint, bias_constraint : None
        Not implemented yet.
    dropout : float, default 0
        Share of the input features to drop in training: one choice per call and sequence, the same at all time steps.
        The others are multiplied by 1 / (1 - dropout).
    recurrent_dropout : float, default 0
        The same for the state, on its way into the product with the recurrent kernel.
    return_sequences : bool, default False
        Return the output of every step (B, T, H) instead of the last one (B, H).
    return_state : bool, default False
        Return (output, state) instead of the output.
    go_backwards : bool, default False
        Process time from T-1 to 0. Outputs are in processing order: the first belongs to x[:, T-1].
    stateful : bool, default False
        Start each call from the state in which the previous one ended, row by row. This fixes the batch size.
    unroll : bool, default False
        Accepted for Keras's sake; it changes nothing.
    seed : int, optional
        Makes dropout and the initializers that have no seed of their own repeatable: layers of one seed draw the same.
    zero_output_for_mask : bool, default False
        The outputs of masked steps are 0 instead of the previous output.
    dtype : {"float32", "float64"}, default "float32"
        Type of weights and results, in which everything is computed.
    name : str, optional
        By default simple_rnn, simple_rnn_1, ...
    trainable : bool, default True
        Kept for whoever updates the weights.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of the above.
    NotImplementedError
        If a regularizer or a constraint is not None.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import SimpleRNN
    >>> layer = SimpleRNN(3)
    >>> layer(np.zeros((1, 4, 4))).shape
    (1, 3)
    >>> layer.count_params()
    24
    """

    _pack = _core.SimpleRNNWeights
    _run = staticmethod(functional.run)
    _step = staticmethod(functional.step)
    _backward = staticmethod(functional.simple_rnn_backward)

    def _weight_specs(self, features: int) -> dict[str, tuple[tuple[int, ...], Initializer]]:
        H = self.units
        specs: dict[str, tuple[tuple[int, ...], Initializer]] = {
            "kernel": ((features, H), self.kernel_initializer),
            "recurrent_kernel": ((H, H), self.recurrent_initializer),
        }
        if self.use_bias:
            specs["bias"] = ((H,), self.bias_initializer)
        return specs
