"""What layers made of layers share."""

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastrnn import _check
from fastrnn._check import Array, States
from fastrnn._docs import Parts
from fastrnn.layers.at_once import Bounds, pays
from fastrnn.layers.base import Layer
from fastrnn.layers.over_time import OverTime

Config: TypeAlias = Mapping[str, Any]

described = Parts(
    {
        "common": """
            dtype : {"float32", "float64"}, optional
                If given, it must be that of the layers.
            name : str, optional
                By default the class's name and a number.
            trainable : bool, default True
                Whether training is to change the weights.
            input_shape : tuple of int or None, optional
                The shape of one sample, (time, features): a `fastrnn.Sequential` that begins with this layer is built
                at once, as if it began with an `Input`.

            Raises
            ------
            TypeError, ValueError
                If an argument is not one of the above, or the layers do not go together.
            """,
    }
)


class Composite(OverTime):
    """A layer made of layers: its weights are theirs, and so are its type and, as far as it says so, its states."""

    _bounds: ClassVar[Bounds]  # within which two parts run at the same time

    @abstractmethod
    def _parts(self) -> dict[str, OverTime]:
        """Name the layers, in the order of their weights."""

    @property
    def _arrays(self) -> dict[str, Array]:
        return {
            f"{part}.{name}": array for part, layer in self._parts().items() for name, array in layer._arrays.items()
        }

    def _leaves(self) -> list[Layer]:
        return [leaf for layer in self._parts().values() for leaf in layer._leaves()]

    def _part_features(self, features: int) -> list[int]:
        """Return the number of input features of every layer."""
        return [features] * len(self._parts())

    def _weight_shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        parts = zip(self._parts().items(), self._part_features(features), strict=True)
        return {
            f"{part}.{name}": shape for (part, layer), n in parts for name, shape in layer._weight_shapes(n).items()
        }

    @property
    def _state_units(self) -> list[int]:
        return [units for layer in self._parts().values() for units in layer._state_units]

    def _at_once(self, batch: int, time: int) -> bool:
        """Whether two parts of the layer are to run at the same time."""
        return pays(self._bounds, batch, time, self.count_params(), max(a.size for a in self._arrays.values()))

    def _share(self, name: str, value: States | None) -> list[list[Any] | None]:
        """Share a list of states out to the layers; None is None for all.

        Besides one list of all states, Keras's form of it is taken: a list in which each layer has a list.
        """
        counts = [len(layer._state_units) for layer in self._parts().values()]
        if value is None:
            return [None] * len(counts)
        given: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
        if any(isinstance(one, list | tuple) and np.ndim(one) > 2 for one in given):
            given = [state for one in given for state in (one if isinstance(one, list | tuple) else [one])]
        if len(given) != sum(counts):
            raise ValueError(
                f"{name} must be a list of {sum(counts)} arrays (batch, units), got {_check.described(value)}"
            )
        states = iter(given)
        return [list(itertools.islice(states, count)) for count in counts]

    def _checked_states(self, name: str, value: States | None, batch: int) -> list[list[Array] | None]:
        """Check states and share them out to the layers."""
        return [
            given if given is None else list(_check.states(name, given, self.dtype, batch, layer._state_units))
            for given, layer in zip(self._share(name, value), self._parts().values(), strict=True)
        ]

    def _hand_out(self) -> Mapping[str, Array]:
        for layer in self._parts().values():
            layer._hand_out()
        return self._arrays

    def _assign(self, values: Mapping[str, ArrayLike]) -> None:
        super()._assign(values)
        for layer in self._parts().values():
            layer._version = object()

    def _take_dtype(self, dtype: DTypeLike | Config | None) -> None:
        """Take the layers' type, which must be one for all, and the one asked for."""
        found = {layer.dtype.name for layer in self._parts().values()}
        wanted = found if dtype is None else found | {_check.float_dtype(dtype).name}
        if len(wanted) > 1:
            raise ValueError(f"dtype must be the same for all layers, got {' and '.join(sorted(wanted))}")
        self.dtype = np.dtype(found.pop())


def serialize(layer: Layer) -> dict[str, Any]:
    """Describe a layer as Keras does."""
    return {
        "module": "keras.layers",
        "class_name": type(layer).__name__,
        "config": layer.get_config(),
        "registered_name": None,
    }


def deserialize(described: Config) -> OverTime:
    """Make a layer from Keras's description of it or of its cell."""
    from fastrnn import layers

    name = described.get("class_name")
    cls = getattr(layers, str(name).removesuffix("Cell"), None)
    if not (isinstance(cls, type) and issubclass(cls, OverTime)):
        raise ValueError(f"class_name must be that of a recurrent layer, got {name!r}")
    return cls.from_config(described["config"])
