"""How far floating-point arithmetic may be from exact: the very call, computed many times with random rounding errors.

With unit roundoff u, a sum of K products is off by about u sqrt(K) times the size of its partial sums, in any order of
summation (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019). `Rounding` adds a random
error of that size to every product, and of an operation's rounding to whatever else is computed, in many copies of a
call at once (Monte Carlo arithmetic: Parker, "Monte Carlo arithmetic", 1997). How far the copies scatter is the errors'
standard deviation; the tolerance is `SAFETY` times as much. So a cell's equations are all that its tolerances need.
"""

import dataclasses

import numpy as np
from reference import ACTIVATIONS, DERIVATIVES, Exact, Recurrence

SAFETY = 6  # of an array's million elements all are to pass
SAMPLES = 32  # at least so many errors make a standard deviation
UNDERFLOW = 1e-37  # below this neither float32 nor the square of a float64 is exact
VANISHED = 1e-4  # arrays whose values are all below this may drown in rounding errors: vanished gradients do
ULPS = {"linear": 0, "relu": 0, "tanh": 2, "sigmoid": 2}  # what the activations promise
BEND = {  # how fast act' changes with h = act(z), from which it is computed: 1 - h², h (1 - h)
    "linear": lambda h: 0 * h,
    "relu": lambda h: 0 * h,
    "tanh": lambda h: 2 * np.abs(h),
    "sigmoid": lambda h: np.abs(1 - 2 * h),
}


def largest(a) -> float:
    return float(np.abs(a).max(initial=0.0))


def unit_roundoff(dtype) -> float:
    return float(np.finfo(dtype).eps) / 2


class Rounding(Exact):
    """Arithmetic of unit roundoff u; results have one more axis in front, of independent copies."""

    def __init__(self, u, copies):
        self.u, self.copies, self.rng = u, copies, np.random.default_rng(0)

    def off(self, value, deviation):
        """Many copies of value, each of its elements off by random errors with the given standard deviation."""
        shape = np.broadcast_shapes(np.shape(value), np.shape(deviation))
        shape = shape if len(shape) == 3 else (self.copies, *shape)
        return value + deviation * self.rng.standard_normal(shape, np.float32)

    def begin(self, state):
        return np.broadcast_to(state, (self.copies, *state.shape))

    def dot(self, a, b, onto=0.0, scale=1.0):
        total = onto + (a @ b) * scale
        squares = (a**2 @ b**2) * scale**2 + total**2 + np.square(onto)
        return self.off(total, self.u * np.sqrt((a.shape[-1] + 2) * squares))

    def round(self, value):
        return self.off(value, self.u * np.abs(value))

    def act(self, name, z):
        a = ACTIVATIONS[name](z)
        return self.off(a, ULPS[name] * self.u * np.abs(a)) if ULPS[name] else a

    def slope(self, name, z):
        slope, a = DERIVATIVES[name](z), ACTIVATIONS[name](z)
        return self.off(slope, self.u * (1 + ULPS[name] * BEND[name](a) * np.abs(a))) if ULPS[name] else slope


def _copies(r: Recurrence, dtype) -> Recurrence:
    """The reference call with the rounding errors of `dtype`, many times over; kept with the call."""
    kept = r.__dict__.setdefault("copies", {})
    dtype = np.dtype(dtype)
    if dtype not in kept:
        u = unit_roundoff(dtype) + unit_roundoff(np.float64)  # the reference rounds, too
        narrowest = min(r.x.shape[2], len(r.recurrent_kernel))
        kept[dtype] = dataclasses.replace(r, arithmetic=Rounding(u, max(3, -(-SAMPLES // narrowest))))
    return kept[dtype]


def _gradients(r: Recurrence, dy, dstate):
    """`r.gradients(dy, dstate)`; the latest is kept with the call: not every instruction set need compute it."""
    kept = r.__dict__.get("latest_gradients")
    if kept is None or kept[0] is not dy or kept[1] is not dstate:
        kept = r.__dict__["latest_gradients"] = dy, dstate, r.gradients(dy, dstate)
    return kept[2]


def _tolerance(copies, exact):
    """From the scatter of an array's elements, of which none counts for less than the mean of its row."""
    squared = np.square(copies - exact)
    if copies.ndim > exact.ndim:  # else nothing was computed
        squared = squared.mean(axis=0)
    if squared.size:
        squared = np.maximum(squared, squared.mean(axis=-1, keepdims=True))
    return SAFETY * np.sqrt(squared) + UNDERFLOW


def output_tolerance(r: Recurrence, dtype=np.float32):
    """For all outputs in processing order, (B, T, H)."""
    return _tolerance(_copies(r, dtype).outputs, r.outputs)


def last_tolerance(r: Recurrence, dtype=np.float32):
    """For the last output, (B, H)."""
    return _tolerance(_copies(r, dtype).last, r.last)


def state_tolerance(r: Recurrence, dtype=np.float32):
    """For the last states, in the form of `r.state`."""
    return _tolerance(_copies(r, dtype).state, r.state)


def gradient_tolerances(r: Recurrence, dy=None, dstate=None, dtype=np.float32):
    """For `r.gradients(dy, dstate)`, in the form of its answer: dx, dinitial_state, [dkernel, ...]."""
    (dx, dh0, weights), copies = _gradients(r, dy, dstate), _gradients(_copies(r, dtype), dy, dstate)
    per_weight = [_tolerance(c, w) for c, w in zip(copies[2], weights, strict=True)]
    return _tolerance(copies[0], dx), _tolerance(copies[1], dh0), per_weight


def size(a) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(a, dtype=np.float64)))) if np.size(a) else 0.0


def assert_close(got, want, tolerance, what: str = "result") -> None:
    """`got` within `tolerance` of `want`, element by element.

    A tolerance so wide that zeros might pass is itself a failure.
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert not np.isnan(got).any(), f"{what}: NaN"
    assert size(tolerance) <= size(want) / 20 or largest(want) < VANISHED, (
        f"{what}: a tolerance of {size(tolerance):.1e} is no test of values like {size(want):.1e}"
    )
    excess = np.abs(got.astype(np.float64) - want) - tolerance
    if (excess > 0).any():
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        allowed = np.broadcast_to(tolerance, want.shape)[worst]
        raise AssertionError(
            f"{what}{list(map(int, worst))}: {got[worst]!r} is off by {abs(float(got[worst]) - want[worst]):.2e} "
            f"from {want[worst]!r}, tolerance {allowed:.1e}; {np.count_nonzero(excess > 0)} of {want.size} are wrong"
        )


def assert_output(got, r: Recurrence) -> None:
    """All outputs or the last one, as its number of axes says."""
    if np.ndim(got) == 3:
        assert_close(got, r.outputs, output_tolerance(r, got.dtype), "output")
    else:
        assert_close(got, r.last, last_tolerance(r, got.dtype), "last output")


def assert_state(got, r: Recurrence) -> None:
    got = np.asarray(got)  # of several states a list will do
    assert_close(got, r.state, state_tolerance(r, got.dtype), "state")


def assert_gradients(got, r: Recurrence, dy=None, dstate=None) -> None:
    """What a backward call gave: (dx or None, dinitial_state, [dkernel, ...])."""
    got = (got[0], np.asarray(got[1]), got[2])
    wants, dtype = _gradients(r, dy, dstate), got[1].dtype
    tolerances = gradient_tolerances(r, dy, dstate, dtype)
    assert len(got[2]) == len(wants[2])
    names = ["dx", "dinitial_state", "dkernel", "drecurrent_kernel", "dbias"]
    for name, g, want, tolerance in zip(
        names, [*got[:2], *got[2]], [*wants[:2], *wants[2]], [*tolerances[:2], *tolerances[2]], strict=False
    ):
        if g is not None:
            assert g.dtype == dtype
            assert_close(g, want, tolerance, name)
