"""Memory of results and scratch: where it begins, that it is used again, and that it never is two things at a time."""

import threading

import numpy as np
import pytest

import fastrnn
from fastrnn import _core, functional

MB = 2**20


def address(array):
    return array.__array_interface__["data"][0]


def block(size):
    return np.ndarray((size,), np.uint8, _core.Memory(size))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4096, MB - 1, 2 * MB, 5 * MB + 3])
def test_a_block_starts_with_a_cache_line_and_is_whole(size):
    memory = block(size)
    assert address(memory) % 64 == 0 or not size
    memory[:] = 7
    assert len(memoryview(_core.Memory(size))) == size
    assert np.all(memory == 7)


@pytest.mark.parametrize("shape", [(0, 5), (3,), (2, 3, 4), (100, 82), (64, 50, 16)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_that_is_not_small_starts_with_a_cache_line(shape, dtype):
    array = _core.empty(shape, np.dtype(dtype))
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.nbytes < 32 * 1024 or address(array) % 64 == 0


def test_an_array_that_no_memory_can_hold_is_refused():
    with pytest.raises(MemoryError, match=r"could not allocate an array of shape \(4611686018427387904, 8, 3\)"):
        _core.empty((2**62, 8, 3), np.dtype(np.float32))


def test_a_freed_block_serves_the_next_call():
    fastrnn.free_memory()
    first = block(3 * MB)
    where = address(first)
    del first
    again = block(2 * MB)
    assert address(again) == where
    assert fastrnn.free_memory() == 0  # it is in use
    assert address(block(2 * MB)) != where
    del again
    assert fastrnn.free_memory() >= 5 * MB
    assert fastrnn.free_memory() == 0


def test_a_block_much_too_large_is_left_for_a_call_that_needs_it():
    fastrnn.free_memory()
    block(8 * MB)
    small = block(MB)
    assert fastrnn.free_memory() >= 8 * MB
    assert small.nbytes == MB


def test_what_waits_is_limited():
    fastrnn.free_memory()
    blocks = [block(40 * MB) for _ in range(10)]
    blocks.clear()
    assert fastrnn.free_memory() <= 256 * MB
    block(200 * MB)  # more than half of what may wait
    assert fastrnn.free_memory() == 0
    blocks = [block(MB) for _ in range(100)]
    blocks.clear()
    assert 0 < fastrnn.free_memory() < 20 * MB


@pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (2**62, MemoryError), (2**63 - 1, MemoryError)])
def test_impossible_sizes(size, error):
    with pytest.raises(error):
        _core.Memory(size)


def test_results_of_earlier_calls_stay_what_they_are():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 50, 32)).astype(np.float32)
    layer = fastrnn.SimpleRNN(64, return_sequences=True, seed=0)
    kept = [layer(x * scale) for scale in (1, 2, 3)]
    copies = [y.copy() for y in kept]
    for _ in range(3):
        layer(x * 4)
        y, tape = layer.forward(x, training=True)
        layer.backward(y, tape)
    for y, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(y, copy)


def test_threads_do_not_get_each_others_memory():
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(np.float32) / 8 for shape in ((48, 64), (64, 64), (64,))]
    inputs = [rng.standard_normal((32, 40, 48)).astype(np.float32) for _ in range(4)]
    expected = [functional.simple_rnn(x, *weights, return_sequences=True) for x in inputs]
    wrong = []

    def work(x, y):
        for _ in range(20):
            if not np.array_equal(functional.simple_rnn(x, *weights, return_sequences=True), y):
                wrong.append(1)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
