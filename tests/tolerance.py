"""How far a floating-point SimpleRNN may be from exact arithmetic: a running error analysis of the very call.

With unit roundoff u, a sum of K products is off by about u sqrt(K) times the size of its partial sums, in any order of
summation (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019). Such errors, taken as
independent, are followed through the recurrence element by element: squares of errors pass through squares of weights
and of derivatives. Where a gradient fades with time, its relative error is not allowed to fade. That is the errors'
standard deviation; the tolerance is `SAFETY` times as much.
"""

import numpy as np
from reference import DERIVATIVES, SimpleRNN

SAFETY = 4
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


def _mean(rows):
    return rows.mean(axis=-1, keepdims=True)


def _relative(errors, values):
    """Mean of the errors over mean of the values, for every row; 0 where the values are 0."""
    return np.divide(_mean(errors), _mean(values), out=np.zeros((len(values), 1)), where=_mean(values) > 0)


class Errors:
    """Standard deviations of what computing in `dtype` adds to a reference call, squared, by input time."""

    def __init__(self, r: SimpleRNN, dtype):
        self.r = r
        self.u = unit_roundoff(dtype) + unit_roundoff(np.float64)  # the reference rounds, too
        self.derivative = DERIVATIVES[r.activation](r.z)
        (T, B, H), I = r.z.shape, len(r.W)
        self.h_before, self.h = np.zeros((T, B, H)), np.zeros((T, B, H))
        terms = r.x_used**2 @ r.W**2 + r.b**2 + r.h_used**2 @ r.U**2
        e = np.zeros((B, H))
        for t in r.order:
            e_z = (e * r.rec_drop**2) @ r.U**2 + self.sum_error(I + H + 1, terms[t], r.z[t])
            self.h_before[t] = e
            rounding = (ULPS[r.activation] * self.u * r.act[t]) ** 2
            e = np.where(r.use[:, t, None], self.derivative[t] ** 2 * e_z + rounding, e)
            self.h[t] = e

    def sum_error(self, K, squares, total):
        """Of a sum of K products, from the sum of the products' squares and the sum itself."""
        return (K + 2) * self.u**2 * (squares + total**2)

    def backward(self):
        """Follow the last call of `r.gradients`: squared errors of dx, dinitial_state and the weights' gradients."""
        r, u = self.r, self.u
        T, B, H = r.z.shape
        e_dh, e_dz = np.zeros((B, H)), np.zeros((T, B, H))
        for t in reversed(r.order):
            use = r.use[:, t, None]
            slope = BEND[r.activation](r.act[t]) ** 2 * self.h[t] + 4 * u**2
            e_g = e_dh + (u * r.g[t]) ** 2
            e_dz[t] = np.where(use, self.derivative[t] ** 2 * e_g + slope * r.g[t] ** 2, 0)
            dh = r.dz[t] @ r.U.T
            followed = e_dz[t] @ r.U.T**2 + self.sum_error(H, r.dz[t] ** 2 @ r.U.T**2, dh)
            followed = np.maximum(followed, _relative(e_g, r.g[t] ** 2) * _mean(dh**2))
            e_dh = np.where(use, followed * r.rec_drop**2, e_g)
        e_dx = e_dz @ r.W.T**2 + self.sum_error(H, r.dz**2 @ r.W.T**2, r.dz @ r.W.T)

        def flat(a):
            return a.reshape(-1, a.shape[-1])

        def product_error(a, e_a):
            a, e_a, dz, e = flat(a), flat(e_a), flat(r.dz), flat(e_dz)
            return (a**2).T @ e + e_a.T @ dz**2 + self.sum_error(len(dz), (a**2).T @ dz**2, a.T @ dz)

        ones = np.ones((T, B, 1))
        weights = [
            product_error(r.x_used, np.zeros_like(r.x_used)),
            product_error(r.h_used, self.h_before * r.rec_drop**2),
            product_error(ones, 0 * ones)[0],
        ]
        return e_dx.transpose(1, 0, 2) * r.in_drop[:, None] ** 2, e_dh, weights[: 2 if r.bias is None else 3]


def _tolerance(squared):
    return SAFETY * np.sqrt(squared) + UNDERFLOW


def output_tolerance(r: SimpleRNN, dtype=np.float32):
    """For all outputs in processing order, (B, T, H)."""
    return _tolerance(Errors(r, dtype).h.transpose(1, 0, 2)[:, r.order])


def state_tolerance(r: SimpleRNN, dtype=np.float32):
    """For the last state and the last output, (B, H)."""
    return output_tolerance(r, dtype)[:, -1] if r.order else np.zeros_like(r.state)


def gradient_tolerances(r: SimpleRNN, dtype=np.float32):
    """For the last call of `r.gradients`, in the form of its answer: dx, dinitial_state, [dkernel, ...]."""
    dx, dh0, weights = Errors(r, dtype).backward()
    return _tolerance(dx), _tolerance(dh0), [_tolerance(w) for w in weights]


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


def assert_output(got, r: SimpleRNN) -> None:
    """All outputs or the last one, as its number of axes says."""
    if np.ndim(got) == 3:
        assert_close(got, r.outputs, output_tolerance(r, got.dtype), "output")
    else:
        assert_close(got, r.last, state_tolerance(r, got.dtype), "last output")


def assert_state(got, r: SimpleRNN) -> None:
    assert_close(got, r.state, state_tolerance(r, got.dtype), "state")


def assert_gradients(got, r: SimpleRNN, dy=None, dstate=None) -> None:
    """What a backward call gave: (dx or None, dinitial_state, [dkernel, ...])."""
    wants, dtype = r.gradients(dy, dstate), got[1].dtype
    tolerances = gradient_tolerances(r, dtype)
    assert len(got[2]) == len(wants[2])
    names = ["dx", "dinitial_state", "dkernel", "drecurrent_kernel", "dbias"]
    for name, g, want, tolerance in zip(
        names, [*got[:2], *got[2]], [*wants[:2], *wants[2]], [*tolerances[:2], *tolerances[2]], strict=False
    ):
        if g is not None:
            assert g.dtype == dtype
            assert_close(g, want, tolerance, name)
