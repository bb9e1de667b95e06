"""tanh and sigmoid to 2 units in the last place: over all float32 exponents, and in float64 on samples."""

import numpy as np
import pytest
from reference import ACTIVATIONS

from fastrnn import _core

ULPS = 2


def activate(name, x):
    out = np.full_like(x, np.nan)
    _core.activate(name, x, out)
    return out


def ulps(got, want):
    """Distance in units of the last place of the right answer; `want` has more precision than `got`."""
    spacing = np.spacing(np.abs(want.astype(got.dtype)))
    return np.abs(got.astype(want.dtype) - want) / spacing.astype(want.dtype)


def every_float32_exponent(mantissas):
    """All signs and exponents, subnormals included, each with both ends and some random mantissas: finite float32."""
    rng = np.random.default_rng(0)
    ends = np.array([0, 1, 2, 2**22 - 1, 2**22, 2**22 + 1, 2**23 - 2, 2**23 - 1])
    some = np.concatenate([ends, rng.integers(0, 2**23, mantissas)])
    exponents, signs = np.arange(255)[:, None], np.arange(2)[:, None, None]
    bits = signs << 31 | exponents << 23 | some
    return np.ascontiguousarray(bits.astype(np.uint32).view(np.float32).ravel())


def neighbourhoods(dtype):
    """Around the points where an implementation may change its formula: 64 neighbours on either side, both signs."""
    points = np.array(
        [2.0**e for e in range(-30, 9)]
        + [0.1, 0.2, 0.3, 0.4, 0.55, 0.625, 0.7, 0.75, 1.25, 4.97, 5.0, 7.90531110763549805, 7.99881172180175781, 8.3]
        + [8.6643397, 9.0, 9.01091, 10.0, 15.0, 16.63553, 17.0, 17.32868, 18.0, 18.714973875, 19.0615, 20.0, 22.0]
        + [k * np.log(2) for k in range(1, 151)]
        + [(k + 0.5) * np.log(2) for k in range(151)]
        + [87.0, 87.33654, 88.0, 88.37626, 88.72283, 89.0, 103.0, 103.27893, 103.97208, 104.0]
        + [708.0, 708.39642, 709.0, 709.78271, 710.0, 744.0, 744.44007, 745.13322, 746.0]
    )
    integer = np.int32 if dtype == np.float32 else np.int64
    around = points.astype(dtype).view(integer)[:, None] + np.arange(-64, 65, dtype=integer)
    around = around.view(dtype).ravel()
    return np.concatenate([around, -around])


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_float32_over_all_exponents(isa, name):
    x = np.concatenate([every_float32_exponent(1000), neighbourhoods(np.float32)])
    got = activate(name, x)
    want = ACTIVATIONS[name](x.astype(np.float64))
    error = ulps(got, want)
    worst = np.argmax(error)
    assert error[worst] <= ULPS, f"{name}({x[worst]!r}) is {got[worst]!r}, off by {error[worst]:.2f} ulp"


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_float32_where_values_are_usual(isa, name):
    x = np.random.default_rng(1).normal(0, 3, 300_000).astype(np.float32)
    error = ulps(activate(name, x), ACTIVATIONS[name](x.astype(np.float64)))
    assert error.max() <= ULPS, x[np.argmax(error)]


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_float64_against_long_double(isa, name):
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double has no more precision than double here")
    rng = np.random.default_rng(2)
    exponents = rng.uniform(-60, 10, 60_000)
    logarithmic = rng.choice([-1, 1], 60_000) * 2.0**exponents
    x = np.concatenate([logarithmic, rng.normal(0, 3, 60_000), neighbourhoods(np.float64)])
    wide = x.astype(np.longdouble)
    small = np.exp(-np.abs(wide))
    want = np.tanh(wide) if name == "tanh" else np.where(wide >= 0, 1, small) / (1 + small)
    error = ulps(activate(name, x), want)
    worst = np.argmax(error)
    assert error[worst] <= ULPS, f"{name}({x[worst]!r}), off by {error[worst]:.2f} ulp"


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_float64_against_mpmath(isa, name):
    mpmath = pytest.importorskip("mpmath", reason="the oracle of this test is mpmath")
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0, 4, 300), 2.0 ** rng.uniform(-1022, 10, 200), -(2.0 ** rng.uniform(-70, 10, 200))])
    got = activate(name, x)
    with mpmath.workprec(200):
        for a, b in zip(x.tolist(), got.tolist(), strict=True):
            right = mpmath.tanh(a) if name == "tanh" else 1 / (1 + mpmath.exp(-mpmath.mpf(a)))
            assert abs(mpmath.mpf(b) - right) <= ULPS * np.spacing(abs(float(right))), (name, a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_special_values(isa, name, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, tiny, -tiny], dtype)
    want = {
        "tanh": [0.0, -0.0, 1.0, -1.0, np.nan, tiny, -tiny],
        "sigmoid": [0.5, 0.5, 1.0, 0.0, np.nan, 0.5, 0.5],
        "relu": [0.0, 0.0, np.inf, 0.0, np.nan, tiny, 0.0],
        "linear": x,
    }[name]
    for copies in range(1, 12):  # through whole vectors as well as tails
        got = activate(name, np.tile(x, copies))
        np.testing.assert_array_equal(got, np.tile(np.array(want, dtype), copies))
        if name in ("tanh", "linear"):
            np.testing.assert_array_equal(np.signbit(got), np.signbit(np.tile(x, copies)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_shape(isa, name, dtype):
    """Within its bounds, odd where it has to be, and saturating."""
    x = np.linspace(-40, 40, 40_001).astype(dtype)
    y = activate(name, x)
    if name == "tanh":
        assert (np.abs(y) <= 1).all()
        np.testing.assert_array_equal(activate(name, -x), -y)
    else:
        assert ((y >= 0) & (y <= 1)).all()
    assert y[-1] == 1
    largest = np.array([np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    np.testing.assert_array_equal(activate(name, largest), [1, -1 if name == "tanh" else 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_a_value_does_not_depend_on_its_place(isa, name, dtype):
    """Vectors and tails give the same bits; nothing outside is written; in place is allowed."""
    x = np.random.default_rng(4).normal(0, 3, 77).astype(dtype)
    want = np.concatenate([activate(name, x[i : i + 1].copy()) for i in range(len(x))])
    for n in range(len(x) + 1):
        out = np.full(n + 16, 7, dtype)
        _core.activate(name, x[:n].copy(), out[8 : 8 + n])
        np.testing.assert_array_equal(out[8 : 8 + n], want[:n])
        assert (out[:8] == 7).all()
        assert (out[8 + n :] == 7).all()
        in_place = x[:n].copy()
        _core.activate(name, in_place, in_place)
        np.testing.assert_array_equal(in_place, want[:n])
    if name == "relu":
        np.testing.assert_array_equal(want, np.where(x > 0, x, 0))
    if name == "linear":
        np.testing.assert_array_equal(want, x)
