"""What the compiled core does for training, between guards, at every size where vectors end: beside float64."""

import numpy as np
import pytest
from guards import Bytes
from tolerance import unit_roundoff

from fastrnn import _core

SIZES = [*range(70), 1000]
ROUNDINGS = 16  # more than a step of an optimizer makes, each on a number no larger than those below
RATE, DECAY, MOMENTUM, RHO, EPSILON = 0.3, 0.01, 0.8, 0.6, 0.1


def sgd(w, g, m, v, a, nesterov):
    w = w - DECAY * w
    if m is None:
        return w - RATE * g, m, v, a
    m = MOMENTUM * m - RATE * g
    return w + (MOMENTUM * m - RATE * g if nesterov else m), m, v, a


def rmsprop(w, g, m, v, a, nesterov):
    v = RHO * v + (1 - RHO) * g**2
    a = None if a is None else RHO * a + (1 - RHO) * g
    down = RATE * g / np.sqrt(v - (0 if a is None else a**2) + EPSILON)
    m = None if m is None else MOMENTUM * m + down
    return w - DECAY * w - (down if m is None else m), m, v, a


def adam(w, g, m, v, a, nesterov):
    m = MOMENTUM * m + (1 - MOMENTUM) * g
    v = RHO * v + (1 - RHO) * g**2
    a = None if a is None else np.maximum(a, v)
    return w - DECAY * w - RATE * m / (np.sqrt(v if a is None else a) + EPSILON), m, v, a


CASES = [
    (sgd, "", False),
    (sgd, "m", False),
    (sgd, "m", True),
    (rmsprop, "v", False),
    (rmsprop, "vm", False),
    (rmsprop, "va", False),
    (rmsprop, "vma", False),
    (adam, "mv", False),
    (adam, "mva", False),
]


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.mark.parametrize(("equation", "kept", "nesterov"), CASES)
def test_steps_of_optimizers(isa, dtype, equation, kept, nesterov):
    for n in SIZES:
        rng, guard = np.random.default_rng(n), Bytes()
        # v is far above a², as a mean of squares is: no difference of nearly equal numbers
        given = {"w": rng.uniform(-1, 1, n), "g": rng.uniform(-1, 1, n)}
        given |= {name: rng.uniform(1, 2, n) if name == "v" else rng.uniform(-1, 1, n) for name in kept}
        arrays = {name: guard.output((n,), dtype) for name in given if name != "g"}
        for name, array in arrays.items():
            array[...] = given[name]
        g = guard.input(given["g"].astype(dtype))
        exact = {name: np.array(array, np.float64) for name, array in arrays.items()}
        want = equation(exact["w"], np.array(g, np.float64), *map(exact.get, "mva"), nesterov)
        others = map(arrays.get, "mva")
        _core.descend(equation.__name__, arrays["w"], g, *others, RATE, DECAY, MOMENTUM, RHO, EPSILON, nesterov)
        guard.check()
        for name, array in zip("wmva", want, strict=True):
            if array is not None:
                np.testing.assert_allclose(arrays[name], array, rtol=0, atol=ROUNDINGS * unit_roundoff(dtype))
                assert n == 0 or not np.allclose(array, given[name], rtol=0, atol=1e-3)


def test_a_nan_stays(isa):
    """Also in the largest v: a gradient that was no number must not go unnoticed."""
    w, m, v, a = (np.ones(40, np.float32) for _ in range(4))
    g = np.where(np.arange(40) % 7 == 3, np.nan, 1).astype(np.float32)
    _core.descend("adam", w, g, m, v, a, RATE, DECAY, MOMENTUM, RHO, EPSILON, False)
    for array in (w, m, v, a):
        np.testing.assert_array_equal(np.isnan(array), np.isnan(g))


def test_binary_crossentropy(dtype):
    u, epsilon = unit_roundoff(dtype), 1e-7
    least, most = (np.float64(dtype(bound)) for bound in (epsilon, 1 - epsilon))
    for n in SIZES:
        rng, guard = np.random.default_rng(n), Bytes()
        truth = rng.choice([0, 1, 0.3, 0.9], n).astype(dtype)
        p = rng.choice([0, 1, 1e-8, *rng.uniform(0.01, 0.99, 5)], n).astype(dtype)
        losses, slopes = guard.output((n,), dtype), guard.output((n,), dtype)
        _core.binary_crossentropy(guard.input(truth), guard.input(p), losses, slopes, epsilon)
        guard.check()
        t, q = truth.astype(np.float64), np.clip(p.astype(np.float64), least, most)
        want = -t * np.log(q) - (1 - t) * np.log(1 - q)
        np.testing.assert_allclose(losses, want, rtol=4 * u, atol=1e-15)
        np.testing.assert_allclose(slopes, np.where(q == p, (q - t) / (q * (1 - q)), 0), rtol=8 * u, atol=1e-15)


X = np.ones((2, 3), np.float32)
BAD = {
    "size": (X, X[:1], None, "g must be dense, with as many elements as the others"),
    "type": (X, X.astype(np.float64), None, "g must have the native element type 'f'"),
    "gaps": (X.T, X, None, "w must be dense"),
    "unaligned": (X, np.zeros(25, np.uint8)[1:].view(np.float32), None, "g must be aligned"),
    "swapped": (X, X.astype(">f4"), None, "g must have the native element type 'f'"),
    "read-only": (np.broadcast_to(X, X.shape), X, None, "w must be writeable, got a read-only array"),
    "nothing remembered": (X, X, None, "required pointer is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case):
    w, g, v, message = BAD[case]
    before = w.copy()
    with pytest.raises(ValueError, match=message):
        _core.descend("rmsprop", w, g, None, v, None, RATE, DECAY, MOMENTUM, RHO, EPSILON, False)
    np.testing.assert_array_equal(w, before)
    with pytest.raises(TypeError, match=r"g must be a numpy\.ndarray, got list"):
        _core.descend("rmsprop", X, X.tolist(), None, X, None, RATE, DECAY, MOMENTUM, RHO, EPSILON, False)
    with pytest.raises(KeyError):
        _core.descend("lion", X, X, None, None, None, RATE, DECAY, MOMENTUM, RHO, EPSILON, False)
