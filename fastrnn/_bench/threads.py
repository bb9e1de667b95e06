"""Equal threads for everybody. This file imports no library: they read their environment when they are loaded."""

import os


def available_cpus() -> int:
    """Return how many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(n: int) -> None:
    """Let this process, its children and the libraries that they load from now on use n threads, and no GPU."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(n)
    if n == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.update(JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
    if hasattr(os, "sched_setaffinity"):  # JAX sizes its pool by it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])
