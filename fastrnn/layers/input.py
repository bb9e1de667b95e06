"""What comes into a model."""

from typing import Any, NamedTuple

from fastrnn import _check


class Input(NamedTuple):
    """The shape of one sample, as the first member of a `fastrnn.Sequential`, which is then built at once.

    Parameters
    ----------
    shape : tuple of int or None
        (time, features), or (time,) for token ids; None stands for a size that may vary.
    batch_size : int, optional
        The number of samples in every batch, which stateful layers must know.
    dtype, name
        Accepted for Keras's sake; they change nothing.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.Input((None, 3)), fr.SimpleRNN(8)])
    >>> model.output_shape
    (None, 8)
    """

    shape: tuple[int | None, ...]
    batch_size: int | None = None
    dtype: Any = None
    name: str | None = None

    @property
    def batch_shape(self) -> tuple[int | None, ...]:
        """The shape of a batch."""
        return (self.batch_size, *_check.sizes("shape", self.shape))
