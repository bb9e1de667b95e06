"""Threads never change a bit, and survive fork."""

import concurrent.futures
import os
import signal
import threading
import warnings

import numpy as np
import pytest
from cases import random_weights
from cells import SIMPLE_RNN

import fastrnn
from fastrnn.layers.base import weights_lock

# (B, T, I, H): many rows and few, so that both ways of splitting the work are taken. Rows a multiple of 4096 bytes
# apart, as the first ones are, are moved unless there are too many threads. With 640 units members share the packing of
# the weights, too. Gradients of at most 131,072 elements are summed in halves of 16 rows and more: those of the
# last but one are, whatever the cell, and those of the last one are not.
SHAPES = [
    (24, 16, 64, 64),
    (64, 10, 32, 64),
    (7, 20, 16, 128),
    (1, 12, 64, 512),
    (1, 28, 64, 260),
    (2, 8, 100, 300),
    (33, 5, 3, 17),
    (256, 4, 8, 8),
    (2, 2, 800, 640),
    (20, 6, 60, 130),
    (20, 3, 200, 390),
    (1, 30, 2000, 16),
    (1, 40, 150, 64),
    (2, 40, 600, 24),
    (1, 3000, 40, 30),
]


def everything(cell, x, weights, mask=None, **options):
    outputs, tape = cell.forward(x, *weights, mask=mask, return_sequences=True, **options)
    gradients = cell.backward(np.cos(np.arange(outputs.size)).reshape(outputs.shape), tape)
    last = cell(x, *weights, mask=mask, **options)
    return [outputs, last, gradients.dx, np.asarray(gradients.dinitial_state), *gradients.weights]


def call(shape, cell=SIMPLE_RNN, dtype=np.float32):
    B, T, I, H = shape
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=(B, T, I)).astype(dtype), random_weights(rng, I, H, dtype=dtype, cell=cell)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_the_same_bits_for_any_number(cell, threads, shape, dtype, masked):
    x, weights = call(shape, cell, dtype)
    mask = np.random.default_rng(0).random(shape[:2]) < 0.6 if masked else None
    threads(1)
    want = everything(cell, x, weights, mask)
    assert all(a.any() for a in want)
    for n in (2, 3, 5):
        threads(n)
        for a, b in zip(everything(cell, x, weights, mask), want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_instruction_set(cell, threads, isa):
    x, weights = call((40, 6, 30, 70), cell)
    threads(1)
    want = everything(cell, x, weights)
    threads(3)
    for a, b in zip(everything(cell, x, weights), want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_set_and_get(threads):
    for n in (1, 2, 7, np.int64(3)):
        threads(n)
        assert fastrnn.get_num_threads() == n
        assert isinstance(fastrnn.get_num_threads(), int)


def test_more_threads_than_work(cell, threads):
    threads(64)
    x, weights = call((1, 1, 1, 1), cell)
    assert cell(x, *weights).shape == (1, 1)
    x, weights = call((3, 4, 5, 6), cell)
    everything(cell, x, weights)
    assert cell(x[:0], *weights).shape == (0, 6)


def test_changing_the_number_again_and_again(cell, threads):
    x, weights = call((64, 5, 32, 64), cell)
    threads(1)
    want = cell(x, *weights)
    for n in [2, 1, 4, 3, 1, 2] * 5:
        threads(n)
        np.testing.assert_array_equal(cell(x, *weights), want)


def test_callers_on_many_threads(cell, threads):
    """Calls that arrive while the workers are busy are computed all the same."""
    calls = [call(shape, cell) for shape in SHAPES]
    threads(1)
    want = [everything(cell, *one) for one in calls]
    threads(3)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for _ in range(4):
            for results, right in zip(pool.map(lambda one: everything(cell, *one), calls), want, strict=True):
                for a, b in zip(results, right, strict=True):
                    np.testing.assert_array_equal(a, b)


def in_child(check):
    """Fork, and check something in the child: returns its process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork in a process with threads
        child = os.fork()
    if child == 0:  # no pytest here: whatever happens, the child ends with its status
        status = 1
        try:
            signal.alarm(60)  # ends a child that hangs
            status = int(not check())
        finally:
            os._exit(status)
    return child


def ended_well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@can_fork
@pytest.mark.parametrize("threads_in_child", [1, 2, 4])
def test_fork(cell, threads, threads_in_child):
    """The workers do not exist in a child; it must start its own, and not wait for theirs."""
    x, weights = call(SHAPES[0], cell)
    threads(3)
    want = everything(cell, x, weights)

    def same_bits():
        fastrnn.set_num_threads(threads_in_child)
        return all(np.array_equal(a, b) for a, b in zip(everything(cell, x, weights), want, strict=True))

    child = in_child(same_bits)
    for a, b in zip(everything(cell, x, weights), want, strict=True):  # the parent goes on meanwhile
        np.testing.assert_array_equal(a, b)
    assert ended_well(child)


@can_fork
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept on a processor here")
def test_members_on_one_processor(cell, threads):
    """Who waits there keeps the others from coming, and must let them."""
    x, weights = call(SHAPES[3], cell)
    threads(1)
    want = everything(cell, x, weights)

    def same_bits():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        fastrnn.set_num_threads(3)
        return all(np.array_equal(a, b) for a, b in zip(everything(cell, x, weights), want, strict=True))

    assert ended_well(in_child(same_bits))


@can_fork
def test_fork_while_weights_are_changed(cell):
    """A thread that holds the lock does not exist in a child, which must not wait for it."""
    x, weights = call(SHAPES[0], cell)
    layer = cell.layer(weights[1].shape[0])
    layer.build(x.shape)
    layer.set_weights(weights)
    held, done = threading.Event(), threading.Event()

    def hold():
        with weights_lock():
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = in_child(lambda: all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), weights, strict=True)))
    done.set()
    holder.join()
    assert ended_well(child)


def test_processes_by_multiprocessing(cell, threads):
    import multiprocessing

    x, weights = call(SHAPES[0], cell)
    threads(2)
    want = cell(x, *weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
        with context.Pool(2) as pool:
            results = pool.starmap_async(cell, [(x, *weights)] * 4)
            for result in results.get(timeout=60):  # only against workers that hang
                np.testing.assert_array_equal(result, want)
