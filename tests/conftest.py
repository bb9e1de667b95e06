"""Fixtures and settings shared by all tests."""

import os
import signal

import pytest

# Both must be set before the packages are imported.
os.environ["KERAS_BACKEND"] = "numpy"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's own threads cost the oracles' small products far more than they give

# A shell's background jobs ignore Ctrl-C, and so would the processes that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

try:
    from hypothesis import HealthCheck, settings
except ImportError:
    pass
else:
    # The same examples in every run, no clock and no files: a failure is a bug and not the machine's mood.
    settings.register_profile(
        "fastrnn", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("fastrnn")


def _isas():
    from fastrnn import _core

    return _core.isas()


@pytest.fixture(params=_isas())
def isa(request):
    """Every instruction set this machine can run, in turn."""
    from fastrnn import _core

    before = _core.get_isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


@pytest.fixture
def threads():
    """Sets the number of threads; the old number comes back after the test."""
    import fastrnn

    before = fastrnn.get_num_threads()
    yield fastrnn.set_num_threads
    fastrnn.set_num_threads(before)


def pytest_runtest_setup(item):
    """Skip what needs PyTorch where that is missing; a test that uses it and is not marked fails there."""
    if item.get_closest_marker("pytorch"):
        pytest.importorskip("torch", reason="the oracle is PyTorch")


def pytest_generate_tests(metafunc):
    """Tests that ask for a `cell`, and do not say which, run for every kind."""
    said = any("cell" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "cell" in metafunc.fixturenames and not said:
        from cells import CELLS

        metafunc.parametrize("cell", CELLS, ids=lambda cell: cell.id)
