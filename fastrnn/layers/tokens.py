"""Token ids as a layer's input, without an array (B, T, features) ever being made.

A token's features are a row of a table: of the embeddings (V, E), or of the identity, if tokens are one-hot. The
product of the input with a recurrent layer's kernel is then a row, too::

    x(t) kernel = table[id(t)] kernel = (table kernel)[id(t)]

Where the vocabulary V is smaller than the batch has tokens, it is cheaper to project the table once and gather rows of
the product; and backward, to add the gradients of the rows by id before they go through kernel and table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastrnn._check import Array
from fastrnn.functional._dense import dense, dense_backward
from fastrnn.functional._gradients import Gradients
from fastrnn.functional._tape import Projected
from fastrnn.functional._tape import backward as backward_through_time

if TYPE_CHECKING:
    from fastrnn.layers.recurrent import Recurrent


class Tokens(NamedTuple):
    """A batch of sequences (B, T, features) as ids into a table of features.

    Attributes
    ----------
    ids : ndarray of intp and shape (B, T)
        Rows of the table.
    table : ndarray of shape (V, features), or None
        None is the identity: every token is one-hot.
    vocabulary : int
        V.
    """

    ids: Array
    table: Array | None
    vocabulary: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, T, features)."""
        B, T = self.ids.shape
        return B, T, self.vocabulary if self.table is None else self.table.shape[1]


class _Gathered(NamedTuple):
    """What a recurrent layer computes with in place of tokens."""

    x: Array | Projected  # (B, T, features), if not projected
    weights: Any  # prepared, for such an x
    dropout: Callable[[int], tuple[Array | None, Array | None]] | None
    kernel: Array | None  # (features, width), if projected
    factor: Array | None  # (tokens, 1), of one-hot tokens with dropout


class TokenTape(NamedTuple):
    """What back-propagation needs of one call with tokens."""

    tokens: Tokens
    kernel: Array | None
    factor: Array | None
    inner: Any  # the layer's tape of a call with the gathered rows

    @classmethod
    def of(cls, tokens: Any, rows: _Gathered, inner: Any) -> TokenTape:
        """Keep what a call with gathered rows left behind."""
        return cls(tokens, rows.kernel, rows.factor, inner)


def check(name: str, value: ArrayLike, vocabulary: int) -> Array:
    """Return ids (B, T) as intp, all from 0 to vocabulary - 1."""
    ids = np.asarray(value)
    if ids.dtype.kind == "f" and not np.any(ids != np.trunc(ids)):  # as Keras's models get them from pad_sequences
        ids = ids.astype(np.intp)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold token ids, whole numbers, got {ids.dtype}")
    if ids.ndim != 2:
        raise ValueError(f"{name} must be (batch, time), got {ids.shape}")
    if ids.size and (ids.min() < 0 or ids.max() >= vocabulary):
        raise ValueError(f"{name} must hold ids from 0 to {vocabulary - 1}, got {ids.min()} to {ids.max()}")
    return ids.astype(np.intp, order="C", copy=False)


def gather(layer: Recurrent, tokens: Tokens, training: bool) -> _Gathered:
    """Look up what the layer computes with: its projected table, or the tokens' rows of the table itself."""
    ids, table, V = tokens
    dropout = layer._dropout_for(training)
    factor = None
    if table is not None and (ids.size <= V or (training and layer.dropout)):
        return _Gathered(_take(table, ids), layer._prepare(), dropout, None, None)
    kernel = layer._arrays["kernel"]
    if table is None and training and layer.dropout:
        of_tokens, of_states = layer._draw_dropout(len(ids))
        assert of_tokens is not None
        factor = np.take_along_axis(of_tokens, ids, axis=1).reshape(-1, 1)
        dropout = lambda batch: (None, of_states)  # noqa: E731
    bias = _input_bias(layer) if layer.use_bias else None
    if table is not None:
        rows = dense(table, kernel, bias)
    else:
        if factor is None and ids.size > V:
            rows = kernel.copy()
        else:  # every token gets a row of its own
            rows = _take(kernel, ids.reshape(-1))
            ids = np.arange(ids.size, dtype=np.intp).reshape(ids.shape)
            if factor is not None:
                rows *= factor
        if bias is not None:
            rows += bias
    return _Gathered(Projected(ids, rows), _prepare(layer), dropout, kernel if table is None else kernel.copy(), factor)


def backward(dy: ArrayLike | None, tape: TokenTape, dstate: Any, need_dx: bool) -> Gradients:
    """Propagate gradients back; dx is the gradient of the table (V, features), None if tokens are one-hot."""
    (ids, table, V), kernel, factor, inner = tape
    if kernel is None:
        gradients = backward_through_time(dy, inner, dstate=dstate, need_dx=need_dx)
        dx = gradients.dx
        return gradients if dx is None else gradients._replace(dx=add_rows(ids, dx, V))
    gradients = backward_through_time(dy, inner, dstate=dstate, need_dx=True)
    drows = gradients.dx
    assert drows is not None
    if factor is not None:
        drows *= factor
    if inner.x.ids is not ids:
        drows = add_rows(ids, drows, V)
    if table is None:
        return gradients._replace(dx=None, weights=[drows, *gradients.weights[1:]])
    dtable, dkernel, _ = dense_backward(table, kernel, None, drows, need_dx=need_dx, need_dbias=False)
    return gradients._replace(dx=dtable, weights=[dkernel, *gradients.weights[1:]])


def add_rows(ids: Array, rows: Array, vocabulary: int) -> Array:
    """Add up the rows (..., width) of every id: an array (vocabulary, width), 0 where an id does not occur."""
    width = rows.shape[-1]
    total = np.zeros(vocabulary * width, rows.dtype)
    np.add.at(total, (ids.reshape(-1, 1) * width + np.arange(width)).reshape(-1), rows.reshape(-1))
    return total.reshape(vocabulary, width)


def _take(table: Array, ids: Array) -> Array:
    return np.take(table, ids, axis=0, mode="clip")  # they are in range: this skips the check


def _input_bias(layer: Recurrent) -> Array:
    """Return what is added to the product of the input, and a GRU's second bias of its update and reset gates."""
    bias: Array = layer._arrays["bias"]
    if bias.ndim == 1:
        return bias
    gates = 2 * layer.units
    added: Array = bias[0].copy()
    added[:gates] += bias[1, :gates]
    return added


def _prepare(layer: Recurrent) -> Any:
    """Return weights without a kernel, for what it would make of tokens is known."""
    version = layer._version
    prepared_version, prepared = layer._prepared_for_products
    kernel, recurrent_kernel, bias = layer._to_pack()
    none = kernel[:0]
    if prepared_version is not version or (layer._exposed and not prepared.matches(none, recurrent_kernel, bias)):
        prepared = layer._cell.pack(none, recurrent_kernel, bias)
        layer._prepared_for_products = version, prepared
    return prepared
