"""The layer that looks up a vector for every token: y(t) = embeddings[x(t)]."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check, constraints, initializers, regularizers
from fastrnn._check import Array
from fastrnn.constraints import ConstraintLike
from fastrnn.functional import Gradients
from fastrnn.initializers import InitializerLike
from fastrnn.layers import tokens
from fastrnn.layers.base import Layer, Weight, WeightSpecs
from fastrnn.layers.tokens import Tokens
from fastrnn.regularizers import RegularizerLike


class EmbeddingTape(NamedTuple):
    """What back-propagation needs of one forward call: by `Embedding.forward`, for `Embedding.backward`."""

    ids: Array  # (B, T)
    vocabulary: int


class Embedding(Layer):
    """Looks up a row of a table for every token id, as in Keras 3.15.

    In a `fastrnn.Sequential`, a recurrent layer that follows reads the table itself, and the array (B, T, E) is never
    made: where the vocabulary is smaller than the batch has tokens, the table is projected once instead of every token.

    Parameters
    ----------
    input_dim : int
        The size of the vocabulary, V: ids are from 0 to V-1.
    output_dim : int
        The length of a token's vector, E.
    embeddings_initializer : str, mapping, Initializer or callable, default "uniform"
        Whatever `fastrnn.initializers.get` accepts: by default uniform within ±0.05.
    embeddings_regularizer, embeddings_constraint : default None
        Whatever `fastrnn.regularizers.get` and `fastrnn.constraints.get` accept; they work in `fastrnn.Sequential`.
    mask_zero : bool, default False
        Whether id 0 is padding, which the layers that follow skip.
    weights : array_like of shape (V, E), or a list of it, optional
        The table at first, such as that of vectors trained elsewhere, instead of what the initializer makes.
    dtype : {"float32", "float64"}, default "float32"
        Type of the table and of the output.
    name : str, optional
        A name; by default "embedding" with a number.
    trainable : bool, default True
        Whether training is to change the table.
    seed : int, optional
        Makes the initial table repeatable. Keras has no such argument.
    input_length : int, optional
        The number of time steps, T: a `fastrnn.Sequential` that begins with this layer is built at once, as if it began
        with an `Input`. Nothing else depends on it.

    Attributes
    ----------
    embeddings : ndarray of shape (V, E)
        The table, from `build` on.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> from fastrnn import Embedding
    >>> layer = Embedding(3, 2, embeddings_initializer="identity")
    >>> layer([[0, 1, 2]])
    array([[[1., 0.],
            [0., 1.],
            [0., 0.]]], dtype=float32)
    """

    _arguments = (
        "input_dim",
        "output_dim",
        "embeddings_initializer",
        "embeddings_regularizer",
        "activity_regularizer",
        "embeddings_constraint",
        "mask_zero",
    )

    embeddings = Weight()

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: InitializerLike = "uniform",
        embeddings_regularizer: RegularizerLike = None,
        embeddings_constraint: ConstraintLike = None,
        mask_zero: bool = False,
        weights: ArrayLike | Sequence[ArrayLike] | None = None,
        *,
        activity_regularizer: RegularizerLike = None,
        dtype: DTypeLike | Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
        seed: int | None = None,
        input_length: int | None = None,
    ) -> None:
        shape = None if input_length is None else (_check.positive_integer("input_length", input_length),)
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed, input_shape=shape)
        self.input_dim = _check.positive_integer("input_dim", input_dim)
        self.output_dim = _check.positive_integer("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer, "embeddings_initializer")
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer, "embeddings_regularizer")
        self.activity_regularizer = regularizers.get(activity_regularizer, "activity_regularizer")
        self.embeddings_constraint = constraints.get(embeddings_constraint, "embeddings_constraint")
        self.mask_zero = bool(mask_zero)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [np.asarray(weights)])

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Create the table. The first call does this by itself; the shape of the input does not matter."""
        super().build((None, self.input_dim))

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """Look up the vectors.

        Parameters
        ----------
        x : array_like of int and shape (B, T)
            Token ids, from 0 to V-1.
        training : bool, default False
            Makes no difference.

        Returns
        -------
        ndarray of shape (B, T, E)
            A new array.

        Raises
        ------
        TypeError, ValueError
            If `x` does not hold whole numbers, has the wrong shape, or an id is not in the vocabulary.
        """
        return self.forward(x)[0]

    def forward(self, x: ArrayLike, training: bool = True) -> tuple[Array, EmbeddingTape]:
        """Look up the vectors and keep what `backward` needs; as a call of the layer otherwise."""
        self.build()
        ids = tokens.check("x", x, self.input_dim)
        return np.take(self._arrays["embeddings"], ids, axis=0), EmbeddingTape(ids, self.input_dim)

    def backward(self, dy: ArrayLike, tape: EmbeddingTape, *, need_dx: bool = True) -> Gradients:
        """Propagate the gradient of the output back to the table.

        Parameters
        ----------
        dy : array_like of shape (B, T, E)
            Gradient of a loss with respect to the output.
        tape : EmbeddingTape
            What `forward` returned.
        need_dx : bool, default True
            Makes no difference: ids have no gradient.

        Returns
        -------
        Gradients
            dx and dinitial_state, None; weights, [dembeddings (V, E)].
        """
        ids, vocabulary = tape
        axes = ("batch", "time", "features")
        dy = _check.array("dy", dy, self.dtype, axes, (*ids.shape, self.output_dim))
        return Gradients(None, None, [tokens.add_rows(ids, dy, vocabulary)])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return (B, T, E)."""
        return (*input_shape, self.output_dim)

    def compute_mask(self, x: Any, mask: Array | None = None) -> Array | None:
        """Return which ids are not 0, with mask_zero, and not masked already; else the mask of the input."""
        if not self.mask_zero:
            return mask
        used: Array = np.not_equal(x, 0)
        return used if mask is None else used & (np.asarray(mask) != 0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as plain data for JSON, in Keras's form, and a seed if there is one."""
        config = super().get_config()
        return config if self.seed is None else {**config, "seed": self.seed}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Embedding":
        """Make a layer from what `get_config` returned, or that of Keras's Embedding."""
        config = dict(config)
        unknown = {name: config.pop(name, None) for name in ("quantization_config", "lora_rank", "lora_alpha")}
        _check.not_implemented(**unknown)
        return cls(**config)

    def look_up(self, ids: Array) -> Tokens:
        """Return the output for checked ids as rows of the table, for a recurrent layer to read it."""
        return Tokens(ids, self._arrays["embeddings"], self.input_dim)

    def _weight_specs(self, features: int) -> WeightSpecs:
        return {"embeddings": ((self.input_dim, self.output_dim), self.embeddings_initializer)}
