"""The trainable weights of a model side by side in one buffer, so that an optimizer's step is one pass over it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrnn._check import Array
from fastrnn.constraints import Constraint
from fastrnn.layers import Layer
from fastrnn.regularizers import Regularizer


class _Rule(NamedTuple):
    """What is asked of one weight, besides making the loss small."""

    weight: Array
    gradient: Array
    regularizer: Regularizer | None
    constraint: Constraint | None


class Parameters:
    """Moves the trainable weights of layers into buffers, one of each type, beside buffers for their gradients.

    The layers keep their weights as views of the buffers. An array that was taken from a layer before is no longer its
    weight.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.leaves: list[Layer] = []
        self.gradients: list[list[Array | None]] = []  # of each layer's weights in order, None if it is not trained
        self.rules: list[_Rule] = []
        self._members: list[tuple[Layer, str, Array]] = []
        sizes: dict[np.dtype[Any], int] = {}
        for layer in layers:
            for leaf in layer._leaves():
                if layer.trainable and leaf.trainable:
                    sizes[leaf.dtype] = sizes.get(leaf.dtype, 0) + leaf.count_params()
        self._weights_of = {dtype: np.empty(size, dtype) for dtype, size in sizes.items()}
        self._gradients_of = {dtype: np.zeros(size, dtype) for dtype, size in sizes.items()}
        used = dict.fromkeys(sizes, 0)
        for layer in layers:
            views: list[Array | None] = []
            for leaf in layer._leaves():
                if not (layer.trainable and leaf.trainable):
                    views += [None] * len(leaf._own)
                    continue
                if leaf._own:
                    self.leaves.append(leaf)
                for name in leaf._own:
                    views.append(self._move(leaf, name, used))
            self.gradients.append(views)
        trained = [any(view is not None for view in views) for views in self.gradients]
        self.first = trained.index(True) if True in trained else len(trained)  # the first layer with a gradient
        self.weight_buffers = list(self._weights_of.values())
        self.gradient_buffers = list(self._gradients_of.values())
        self.gradient_views = [view for views in self.gradients for view in views if view is not None]

    def belong_to(self, layers: Sequence[Layer]) -> bool:
        """Whether all trainable weights of the layers are in the buffers, and nothing else is."""
        wanted = [
            (leaf, name)
            for layer in layers
            for leaf in layer._leaves()
            for name in leaf._own
            if layer.trainable and leaf.trainable
        ]
        return len(wanted) == len(self._members) and all(
            leaf is member and name == of and leaf._own[name] is view
            for (leaf, name), (member, of, view) in zip(wanted, self._members, strict=True)
        )

    def regularize(self) -> float:
        """Add the gradients of the weights' penalties, and return the penalties."""
        penalty = 0.0
        for weight, gradient, regularizer, _ in self.rules:
            if regularizer is not None:
                penalty += regularizer(weight)
                gradient += regularizer.gradient(weight)
        return penalty

    def changed(self) -> None:
        """Apply the constraints, and tell the layers that their weights are new."""
        for weight, _, _, constraint in self.rules:
            if constraint is not None:
                weight[...] = constraint(weight)
        for leaf in self.leaves:
            leaf._version = object()

    def _move(self, leaf: Layer, name: str, used: dict[np.dtype[Any], int]) -> Array:
        array = leaf._own[name]
        start = used[leaf.dtype]
        used[leaf.dtype] = end = start + math.prod(array.shape)
        weight = self._weights_of[leaf.dtype][start:end].reshape(array.shape)
        gradient = self._gradients_of[leaf.dtype][start:end].reshape(array.shape)
        leaf._move(name, weight)
        self._members.append((leaf, name, weight))
        prefix = "recurrent" if name == "recurrent_kernel" else name
        regularizer = getattr(leaf, f"{prefix}_regularizer", None)
        constraint = getattr(leaf, f"{prefix}_constraint", None)
        if regularizer is not None or constraint is not None:
            self.rules.append(_Rule(weight, gradient, regularizer, constraint))
        return gradient


def penalty(layers: Sequence[Layer]) -> float:
    """Return the penalties of the trainable weights, for a loss that is not to be trained on."""
    total = 0.0
    for layer in layers:
        for leaf in layer._leaves():
            if not (layer.trainable and leaf.trainable):
                continue
            for name, array in leaf._arrays.items():
                prefix = "recurrent" if name == "recurrent_kernel" else name
                regularizer = getattr(leaf, f"{prefix}_regularizer", None)
                total += 0.0 if regularizer is None else regularizer(array)
    return total
