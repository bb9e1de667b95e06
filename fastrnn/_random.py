"""Where what has no seed of its own draws from."""

from __future__ import annotations  # np.random is imported when something is drawn, not before

import numpy as np

_source: np.random.SeedSequence | None = None  # the system's entropy, until somebody asks for the same again


def begin_at(seed: int) -> None:
    """Let all later generators without a seed follow from this one."""
    global _source
    _source = np.random.SeedSequence(seed)


def generator(seed: int | None) -> np.random.Generator:
    """Return a generator of this seed; without one, the next of those that `begin_at` has begun, or a fresh one."""
    if seed is None and _source is not None:
        return np.random.default_rng(_source.spawn(1)[0])
    return np.random.default_rng(seed)
