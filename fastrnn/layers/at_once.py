"""Two parts of a layer at the same time, where threads have nothing to share within a time step."""

import itertools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from fastrnn import _core

T = TypeVar("T")


class Bounds(NamedTuple):
    """Which parts are worth a thread each."""

    least: int  # multiply-adds of them all
    most: int  # and of one's step, with more of which threads had better share the step


APART = Bounds(2**23, 60_000)  # parts that do not wait for each other
OVERLAPPING = Bounds(2**25, 28_000)  # layers that do

_PIECES = 8  # of time, by which a layer is behind the one below


def pays(bounds: Bounds, batch: int, time: int, weights: int, largest: int) -> bool:
    """Whether two parts are to run at the same time: if threads cannot share a step of one part as well, and it pays.

    They share the rows of a batch, or a large matrix's columns. Then each part has both threads' caches, which is
    better than a part for each thread. Starting a thread takes time, as long as `bounds.least` multiply-adds, of which
    a step makes one for each weight.
    """
    shared = batch > 1 or largest > bounds.most
    return not shared and 2 <= _core.get_num_threads() < 4 and time * weights >= bounds.least


def both(run: Callable[[int], T], at_once: bool) -> tuple[T, T]:
    """Return run(0) and run(1); at once if that is to be, each in a thread that shares its work with no other."""
    if not at_once:
        return run(0), run(1)
    outcome: list[Any] = []

    def second() -> None:
        _core.work_alone(threading.get_ident(), True)
        try:
            outcome.extend((run(1), None))
        except BaseException as error:
            outcome.extend((None, error))
        finally:
            _core.work_alone(threading.get_ident(), False)

    me, other = threading.get_ident(), threading.Thread(target=second)
    _core.work_alone(me, True)
    try:
        other.start()
        try:
            first = run(0)
            other.join()
        except BaseException:
            assert other.ident is not None
            _core.stop(other.ident)
            other.join()
            _core.may_go_on(other.ident)
            raise
    finally:
        _core.work_alone(me, False)
    result, error = outcome
    if error is not None:
        raise error
    return first, result


def overlap(piece: Callable[[int, int, int], None], layers: int, time: int) -> None:
    """Call piece(layer, first, end) for all pieces of time of all layers, of two layers at once.

    A piece comes after the layer's piece before it, and after the same piece of the layer below.
    """
    cuts = [time * i // _PIECES for i in range(_PIECES + 1)]
    done = [threading.Semaphore(0) for _ in range(layers)]
    failed = threading.Event()

    def run(member: int) -> None:
        try:
            for layer in range(member, layers, 2):
                for first, end in itertools.pairwise(cuts):
                    if layer:
                        done[layer - 1].acquire()
                    if failed.is_set():
                        return
                    piece(layer, first, end)
                    done[layer].release()
        except BaseException:
            failed.set()
            for waited_for in done:
                waited_for.release()
            raise

    both(run, True)
