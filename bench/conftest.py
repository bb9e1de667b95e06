"""Every peer gets the same threads: fixed before NumPy and the others are imported and read their environment."""

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="threads for every peer of the benches (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    n = config.getoption("--threads")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(n)
    if n == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):  # JAX sizes its pool by it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> int:
    n: int = request.config.getoption("--threads")
    return n
