"""What layers share that run over time."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check
from fastrnn._check import Array, States
from fastrnn.functional._call import EVERYTHING, SEQUENCES, Keep, Output, documented
from fastrnn.functional._gradients import Gradients
from fastrnn.layers import tokens
from fastrnn.layers.base import Layer
from fastrnn.layers.tokens import Tokens


class OverTime(Layer):
    """A layer that runs over time: what it is called with, and the states that a stateful one keeps."""

    units: int  # number of outputs
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    zero_output_for_mask: bool
    input_dim: int | None = None  # number of input features, if x may be ids of tokens
    _states: list[Array] | None = None

    @property
    def states(self) -> list[Array] | None:
        """The states (B, H) that a stateful layer's next call starts from; None before the first, or if not stateful.

        What is written into them counts at the next call, which then replaces them by new ones.
        """
        return self._states

    def reset_state(self) -> None:
        """Make the stored states zeros. The batch size stays as it is."""
        if self._states is not None:
            self._states = [np.zeros_like(state) for state in self._states]

    @property
    @abstractmethod
    def _state_units(self) -> list[int]:
        """The width of each state."""

    @abstractmethod
    def _call(
        self,
        x: ArrayLike | Tokens,
        initial_state: States | None,
        mask: ArrayLike | None,
        lengths: ArrayLike | None,
        training: bool,
        keep: Keep | None = None,
        into: Array | None = None,
    ) -> tuple[Any, Sequence[Array], Any]:
        """Run over time and return the output, the last states, if somebody wants them, and the tape to keep.

        Nothing of the layer is changed. `into` is memory of ours for the output, of any strides but the last.
        """

    @abstractmethod
    def _backward(self, dy: Any, tape: Any, dstate: States | None, need_dx: bool) -> Gradients:
        """Propagate gradients back through all time steps."""

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights, and the states of a stateful layer. The first call does this by itself.

        Parameters
        ----------
        input_shape : sequence of int or None
            (batch, time, features), of which only features must be known. The batch size of a stateful layer is the one
            given here, or else that of the first call.

        Raises
        ------
        ValueError
            If the shape has not three axes, or features is not known or not what the layer was built with.
        """
        if len(input_shape) != 3:
            raise ValueError(f"input_shape must be (batch, time, features), got {tuple(input_shape)}")
        super().build(input_shape)
        if self.stateful and self._states is None and input_shape[0] is not None:
            self._states = [np.zeros((input_shape[0], units), self.dtype) for units in self._state_units]

    def __call__(
        self,
        x: ArrayLike,
        initial_state: States | None = None,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        training: bool = False,
    ) -> Output:
        """Run the layer over a batch of sequences.

        Parameters
        ----------
        x : array_like of shape (B, T, I)
            The sequences. Real numbers of another type than the layer's are converted. With `input_dim`, also integers
            (B, T): ids from 0 to I-1 of tokens, each of which stands for a one-hot row.
        initial_state : array_like of shape (B, H), or a list of as many as the layer has states, optional
            The states before the first step. By default the stored states of a stateful layer, else zeros.
        mask : array_like of shape (B, T), optional
            Steps to use, in any pattern: what is not zero is true.
        lengths : array_like of int and shape (B,), optional
            Instead of a mask: the number of steps to use at the beginning of each sequence, from 0 to T.
        training : bool, default False
            Whether to drop out. `forward` also keeps what back-propagation needs.

        Returns
        -------
        output : ndarray of shape (B, H), or (B, T, H) with return_sequences
        *states : ndarrays of shape (B, H)
            The last states; only with return_state, which makes the result a tuple.

        Raises
        ------
        TypeError
            If an array does not hold real numbers or is a masked array.
        ValueError
            If a shape is wrong, mask and lengths are both given, or lengths are out of range.
        """
        output, states, _ = self._call(x, initial_state, mask, lengths, training)
        result: Output = self._deliver(output, states) if states else output
        return result

    @documented
    def forward(
        self,
        x: ArrayLike,
        initial_state: States | None = None,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        training: bool = True,
        tbptt: int | None = None,
        checkpoint: bool = False,
    ) -> tuple[Output, Any]:
        """Run the layer as a call does, and keep what `backward` needs.

        The arguments are those of a call, and two more.

        {recording}
        """
        keep = EVERYTHING if tbptt is None and not checkpoint else Keep(tbptt, bool(checkpoint))
        output, states, tape = self._call(x, initial_state, mask, lengths, training, keep)
        return self._deliver(output, states), tape

    def backward(
        self, dy: ArrayLike | None, tape: Any, dstate: States | None = None, need_dx: bool = True
    ) -> Gradients:
        """Propagate gradients back through all time steps of one `forward` call.

        Parameters
        ----------
        dy : array_like of the output's shape, or None
            Gradient of a loss with respect to the output; None stands for zeros.
        tape
            What `forward` returned; it can be used any number of times.
        dstate : array_like of shape (B, H), or a list of as many as the layer has states, optional
            Gradient with respect to the last states, whether or not they were returned; zeros by default.
        need_dx : bool, default True
            Whether to compute the gradient of x, which a first layer has no use for.

        Returns
        -------
        Gradients
            The tuple (dx, dinitial_state, weights), weights in the order of `weights`. For ids of tokens, dx is None.
        """
        return self._backward(dy, tape, dstate, need_dx)

    def _deliver(self, output: Any, states: Sequence[Array]) -> Any:
        """Keep the last states of a stateful layer, and return the output with those that its user is to have."""
        self._keep_states(states)
        shown = self._shown(states)
        return (output, *shown) if shown else output

    def _keep_states(self, states: Sequence[Array]) -> None:
        if self.stateful:
            self._states = [state.copy() for state in states]

    def _shown(self, states: Sequence[Array]) -> Sequence[Array]:
        return states if self.return_state else ()

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the output, (B, H), or (B, T, H) with return_sequences; states are not counted."""
        batch, time = input_shape[:2]
        return (batch, time, self.units) if self.return_sequences else (batch, self.units)

    def compute_mask(self, x: Any, mask: Array | None = None) -> Array | None:
        """Return the mask with return_sequences, as it is even if time is reversed, as Keras does; else None."""
        return mask if self.return_sequences else None

    def _one_hot(self, x: ArrayLike | Tokens) -> ArrayLike | Tokens:
        """Take integers of two axes as ids of tokens, if `input_dim` says so; anything else is what it is."""
        if self.input_dim is None or isinstance(x, Tokens):
            return x
        found = np.asarray(x)
        is_tokens = found.ndim == 2 and found.dtype.kind in "iu"
        return Tokens(tokens.check("x", found, self.input_dim), None, self.input_dim) if is_tokens else x

    def _admit(self, x: ArrayLike | Tokens) -> Any:
        """Build the layer from its first input, and hold a stateful layer to its batch size."""
        batch = None if self.states is None else self.states[0].shape[0]
        x = self._one_hot(x)
        if isinstance(x, Tokens):
            if batch not in (None, len(x.ids)):
                raise ValueError(f"x must be (batch={batch}, time), got {x.ids.shape}")
            self.build(x.shape)
            return x
        found = _check.array("x", x, self.dtype, SEQUENCES, (batch, None, self._features), strided=True)
        self.build(found.shape)
        return found
