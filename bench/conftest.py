"""Every peer gets the same threads, and every bench is held against the peak that is measured in the same run."""

import platform
import runpy
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="threads for every peer of the benches (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    # Not imported, since that would load NumPy, which reads its environment when it is loaded.
    threads = runpy.run_path(str(Path(__file__).parents[1] / "fastrnn" / "_bench" / "threads.py"))
    threads["limit_threads"](config.getoption("--threads"))


@pytest.fixture(scope="session")
def threads(request: pytest.FixtureRequest) -> int:
    n: int = request.config.getoption("--threads")
    return n


@pytest.fixture(scope="session")
def peak_gflops(threads: int) -> float:
    from fastrnn._bench.turns import peak_gflops

    return peak_gflops(threads, seconds=0.2)


@pytest.fixture
def made(threads):
    """Make a peer, or skip what it cannot do."""
    from fastrnn._bench.peers import make

    def make_or_skip(name, case):
        try:
            return make(name, case, threads)
        except (ImportError, NotImplementedError) as why:
            pytest.skip(f"{name}: {why}")

    return make_or_skip


@pytest.fixture
def timed(benchmark, made, threads, peak_gflops):
    """Hold a peer's answers against the float64 loop's, then time it."""
    import fastrnn
    from fastrnn._bench.cases import MODES, Case
    from fastrnn._bench.peers import version

    def time(name, shape, dims, cell, mode, group=None):
        method, ragged = MODES[mode]
        case = Case(dims, cell, ragged)
        peer = made(name, case)
        if not hasattr(peer, method):
            pytest.skip(f"{name} has no {method}")
        run = getattr(peer, method)
        case.check(peer.arrays(run()), expected(dims, cell, mode))

        benchmark.group = group or f"{cell} {mode} {shape}"
        benchmark.extra_info.update(
            peer=name,
            version=version(name),
            cell=cell,
            mode=mode,
            dims=dims._asdict(),
            threads=threads,
            isa=fastrnn.show_config()["isa"],
            python=platform.python_version(),
            peak_gflops=peak_gflops,
        )
        benchmark(run)
        if benchmark.stats:  # none with --benchmark-disable
            gflops = case.flops(method) / benchmark.stats["min"] / 1e9
            benchmark.extra_info.update(gflops=gflops, of_peak=gflops / peak_gflops)

    return time


_expected = {}


def expected(dims, cell, mode):
    """Return the answers in float64; those of the last case are kept, for its next peer."""
    from fastrnn._bench.cases import MODES, Case
    from fastrnn._bench.peers import make

    method, ragged = MODES[mode]
    key = dims, cell, mode
    if key not in _expected:
        _expected.clear()
        peer = make("numpy", Case(dims, cell, ragged, "float64"), 1)
        _expected[key] = peer.arrays(getattr(peer, method)())
    return _expected[key]
