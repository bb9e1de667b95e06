"""What a backward call gives."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from fastrnn._check import Array

StateGradients: TypeAlias = Array | list[Array] | None  # of a cell with one state, with several, of a layer without


class Gradients(NamedTuple):
    """Gradients of a loss with respect to what went into a forward call; new arrays of the weights' dtype.

    Attributes
    ----------
    dx : ndarray of shape (B, T, I) or None
        Of the input; None if it was not wanted.
    dinitial_state : ndarray of shape (B, H), list of them, or None
        Of the initial state, whether one was given or it was zeros; a list if there are several states, None from a
        layer that has none. Of zeros before a single step, it is computed when it is first asked for.
    weights : list of ndarray
        Of the weights, in Keras's order: kernel, recurrent_kernel and, if there is one, bias, each of its weight's
        shape.
    """

    dx: Array | None
    dinitial_state: StateGradients
    weights: list[Array]


class LaterGradients(Gradients):
    """The same, but the gradient of the initial state may be a function that computes it, called when it is needed."""

    _given: StateGradients | Callable[[], StateGradients]

    def __new__(
        cls, dx: Array | None, dinitial_state: StateGradients | Callable[[], StateGradients], weights: list[Array]
    ) -> "LaterGradients":
        self = super().__new__(cls, dx, None, weights)
        self._given = dinitial_state
        return self

    @property
    def dinitial_state(self) -> StateGradients:
        if callable(self._given):
            self._given = self._given()
        return self._given

    def __iter__(self) -> Iterator[Any]:
        return iter((self.dx, self.dinitial_state, self.weights))

    def __getitem__(self, i: Any) -> Any:
        return tuple(self)[i]

    def __repr__(self) -> str:
        return repr(Gradients(*self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Gradients, tuple(self)

    def _replace(self, **new: Any) -> "LaterGradients":
        kept = {"dx": self.dx, "dinitial_state": self._given, "weights": self.weights}
        return LaterGradients(**(kept | new))


def gradients_of_parts(dx: Array | None, parts: Sequence[Gradients]) -> Gradients:
    """Return those of a layer from those of its parts that run over time."""
    return LaterGradients(dx, partial(_joined_states, parts), [w for part in parts for w in part.weights])


def _joined_states(parts: Sequence[Gradients]) -> StateGradients:
    every = [part.dinitial_state for part in parts]
    joined: list[Any] = [state for found in every for state in (found if isinstance(found, list) else [found])]
    return joined[0] if len(joined) == 1 else joined
