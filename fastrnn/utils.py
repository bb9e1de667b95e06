"""Small helpers around data, with Keras's names and arguments."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check, _random
from fastrnn._check import Array


def pad_sequences(
    sequences: Sequence[Sequence[Any]],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> Array:
    """Make one array of sequences of unequal lengths.

    Parameters
    ----------
    sequences : sequence of sequences
        Each of shape (time, ...), of which time may differ.
    maxlen : int, optional
        The length of the result; by default that of the longest sequence.
    dtype : default "int32"
        Type of the result.
    padding : {"pre", "post"}, default "pre"
        Where shorter sequences are padded.
    truncating : {"pre", "post"}, default "pre"
        Where longer sequences are cut.
    value : float or str, default 0.0
        What to pad with.

    Returns
    -------
    ndarray of shape (samples, maxlen, ...)

    Raises
    ------
    ValueError
        If the sequences differ in more than their lengths, or padding or truncating is unknown.

    Examples
    --------
    >>> from fastrnn.utils import pad_sequences
    >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
    array([[0, 1],
           [3, 4]], dtype=int32)
    """
    _check.choice("padding", padding, ("pre", "post"))
    _check.choice("truncating", truncating, ("pre", "post"))
    try:
        lengths = [len(sequence) for sequence in sequences]
    except TypeError:
        raise ValueError(f"sequences must be a list of sequences, got {sequences!r:.60}") from None
    if isinstance(value, str) and np.dtype(dtype) != object and np.dtype(dtype).kind != "U":
        raise ValueError(f"value must be a number for {np.dtype(dtype)}, got {value!r}")
    longest = max(lengths, default=0) if maxlen is None else _check.count("maxlen", maxlen)
    rest = next((np.shape(sequence)[1:] for sequence in sequences if len(sequence)), ())
    padded = np.full((len(lengths), longest, *rest), value, dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        kept = sequence[max(len(sequence) - longest, 0) :] if truncating == "pre" else sequence[:longest]
        if not len(kept):
            continue
        array = np.asarray(kept, dtype)
        if array.shape[1:] != rest:
            raise ValueError(f"sequences must have elements of shape {rest}, got {array.shape[1:]}")
        if padding == "pre":
            row[longest - len(array) :] = array
        else:
            row[: len(array)] = array
    return padded


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """Make one-hot rows of class numbers.

    Parameters
    ----------
    x : array_like of int and shape (...,), or (..., 1)
        Class numbers, from 0.
    num_classes : int, optional
        The length of a row; by default the largest number and 1.

    Returns
    -------
    ndarray of float64 and shape (..., num_classes)

    Raises
    ------
    ValueError
        If a number is negative, too large or not whole.

    Examples
    --------
    >>> from fastrnn.utils import to_categorical
    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    given = np.asarray(x)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"x must hold class numbers, got {given.dtype}")
    wrong = given[~(np.isfinite(given) & (np.trunc(given) == given))]
    if wrong.size:
        raise ValueError(f"x must hold whole numbers, got {wrong.flat[0]}")
    classes = given.astype(np.intp)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    count = int(classes.max(initial=-1)) + 1 if num_classes is None else _check.count("num_classes", num_classes)
    if classes.size and (classes.min() < 0 or classes.max() >= count):
        wanted = "of at least 0" if num_classes is None else f"from 0 to {count - 1}"
        raise ValueError(f"x must hold classes {wanted}, got {classes.min()} to {classes.max()}")
    return np.eye(count)[classes]


def set_random_seed(seed: int) -> None:
    """Make what is random from here on repeatable: Python's `random`, `numpy.random`, and whatever here has no seed.

    That is initial weights, dropout and the order of samples, as long as layers and models are made and used in the
    same order. Estimators of `fastrnn.sklearn` have their `random_state`.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    TypeError, ValueError
        If it is no such number.

    Examples
    --------
    >>> from fastrnn.initializers import RandomNormal
    >>> from fastrnn.utils import set_random_seed
    >>> set_random_seed(0)
    >>> first = RandomNormal()((2,))
    >>> set_random_seed(0)
    >>> bool((RandomNormal()((2,)) == first).all())
    True
    """
    if _check.count("seed", seed) >= 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    _random.begin_at(seed)
