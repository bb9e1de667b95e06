"""Where the time of an epoch of training goes: to the layers, the loss, the optimizer, and the loop around them."""

import time
from collections.abc import Callable
from typing import Any

from fastrnn import Sequential, _core
from fastrnn.callbacks import LambdaCallback

PARTS = ("layers", "core", "loss", "optimizer")  # the compiled core within the layers


class Stopwatch:
    """Adds up how long functions take. An entry of an object is replaced until the stopwatch is closed."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._kept: list[tuple[Any, str, Any]] = []

    def time(self, part: str, owner: Any, name: str) -> None:
        """Time a method of this object, or a function of this module."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds[part] += time.perf_counter() - begin
            return result

        self._kept.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, timed)

    def close(self) -> None:
        """Put back what was there."""
        for owner, name, before in self._kept:
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def profile(model: Sequential, epochs: int, *data: Any, **settings: Any) -> dict[str, float]:
    """Train some epochs, and return seconds of the best one: all of it ("epoch"), and of each part of it."""
    watch = Stopwatch()
    for layer in model.layers:
        for name in ("forward", "backward"):
            watch.time("layers", layer, name)
    for name in ("forward", "backward"):
        watch.time("core", _core, name)
    watch.time("loss", model.loss, "step")
    watch.time("optimizer", model.optimizer, "step")
    found: list[dict[str, float]] = []

    def begin(*_: object) -> None:
        watch.seconds = dict.fromkeys(PARTS, 0.0) | {"epoch": -time.perf_counter()}

    def end(*_: object) -> None:
        found.append(watch.seconds | {"epoch": watch.seconds["epoch"] + time.perf_counter()})

    try:
        model.fit(*data, epochs=epochs, callbacks=[LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)], **settings)
    finally:
        watch.close()
    return min(found, key=lambda seconds: seconds["epoch"])
