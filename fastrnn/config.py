"""How this process computes: threads, instruction set, and what there is to report about both.

Importing this module applies the environment: FASTRNN_ISA forces an instruction set, FASTRNN_NUM_THREADS or else
OMP_NUM_THREADS the number of threads, which otherwise is the number of CPUs that the process may use.
"""

import math
import os
import platform
import warnings
from typing import Any

import numpy as np

from fastrnn import _check, _core
from fastrnn._version import __version__

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_environment = {name: os.environ.get(name) for name in ("FASTRNN_ISA", "FASTRNN_NUM_THREADS", "OMP_NUM_THREADS")}


class Config(dict[str, Any]):
    """What `show_config` returns: a dict that prints as a table."""

    def __str__(self) -> str:
        rows = [(key, _text(value)) for key, value in self.items()]
        width = max(len(key) for key, _ in rows)
        return "\n".join(f"{key:<{width}}  {text}" for key, text in rows)


def set_num_threads(n: int) -> None:
    """Let each call use at most n threads, the caller's included. Results do not depend on it, to the last bit.

    Raises
    ------
    TypeError, ValueError
        If n is not a positive integer.

    Examples
    --------
    >>> import fastrnn
    >>> before = fastrnn.get_num_threads()
    >>> fastrnn.set_num_threads(1)
    >>> fastrnn.get_num_threads()
    1
    >>> fastrnn.set_num_threads(before)
    """
    global _threads_from
    _core.set_num_threads(_check.positive_integer("n", n))
    _threads_from = "set_num_threads"


def get_num_threads() -> int:
    """Return how many threads a call may use, the caller's included.

    Examples
    --------
    >>> import fastrnn
    >>> fastrnn.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def free_memory() -> int:
    """Give memory that waits for the next calls back to the system.

    Fresh memory is dear, so fastrnn keeps up to 256 MB of what its calls have used and nobody uses any more: scratch,
    prepared weights and results. Nothing that is computed depends on it.

    Returns
    -------
    int
        How many bytes that was.

    Examples
    --------
    >>> import fastrnn
    >>> freed = fastrnn.free_memory()
    >>> fastrnn.free_memory()
    0
    """
    return _core.free_spare()


def get_include() -> str:
    """Return the folder of fastrnn.h, for compiling C or Cython code against this package.

    Examples
    --------
    >>> import os
    >>> import fastrnn
    >>> os.path.exists(os.path.join(fastrnn.get_include(), "fastrnn.h"))
    True
    """
    installed = os.path.join(_PACKAGE, "include")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(_PACKAGE), "src_c")


def show_config() -> Config:
    """Return what a bug report should hold, as a dict that prints as a table.

    Returns
    -------
    Config
        version; isa, the instruction set in use; isas, those that this processor runs, worst to best; isas_compiled;
        threads and threads_from, what decided their number; cpus, those this process may use; compiler; numpy; python;
        platform; environment, the variables that were read at import, None where unset.

    Examples
    --------
    >>> import fastrnn
    >>> fastrnn.show_config()["version"] == fastrnn.__version__
    True
    """
    return Config(
        version=__version__,
        isa=_core.get_isa(),
        isas=_core.isas(),
        isas_compiled=_core.compiled_isas(),
        threads=_core.get_num_threads(),
        threads_from=_threads_from,
        cpus=_available_cpus(),
        compiler=_core.compiler(),
        numpy=np.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        environment=dict(_environment),
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={'unset' if item is None else item}" for key, item in value.items())
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _force_isa(name: str | None) -> None:
    if not name:
        return
    if name not in _core.isas():
        reason = "not an instruction set that this processor runs" if name in _core.compiled_isas() else "unknown"
        raise ImportError(f"FASTRNN_ISA={name} is {reason}; there are {', '.join(_core.isas())}")
    _core.set_isa(name)


def _default_threads() -> tuple[int, str]:
    """Return the number of threads to start with, and what says so."""
    own, openmp = _environment["FASTRNN_NUM_THREADS"], _environment["OMP_NUM_THREADS"]
    n = _positive(own)
    if n is not None:
        return n, "FASTRNN_NUM_THREADS"
    if own:
        problem = f"FASTRNN_NUM_THREADS={own} is ignored: it must be a positive integer"
        warnings.warn(problem, RuntimeWarning, stacklevel=2)
    n = _positive((openmp or "").split(",")[0])  # OpenMP's list has a number for each level of nesting
    if n is not None:
        return n, "OMP_NUM_THREADS"
    return _available_cpus(), "the CPUs this process may use"


def _positive(text: str | None) -> int | None:
    try:
        n = int(text or "")
    except ValueError:
        return None
    return n if n > 0 else None


def _available_cpus(root: str = "/") -> int:
    """Count the CPUs that this process may use: its affinity, and at most the time that its control groups grant."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = _granted_cpus(root)
    return allowed if math.isinf(granted) else max(1, min(allowed, math.ceil(granted)))


def _granted_cpus(root: str = "/") -> float:
    """Return how many CPUs' time this process's control groups (version 1 or 2) grant, infinity without a limit."""
    granted = math.inf
    for line in _read(root, "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Every group up to the top can set a limit. In a container only the top may be there: the path is the host's.
        group = os.path.normpath("/" + group).strip("/")
        while True:
            granted = min(granted, _quota(root, os.path.join("sys/fs/cgroup", "cpu" if controllers else "", group)))
            if not group:
                break
            group = os.path.dirname(group)
    return granted


def _quota(root: str, folder: str) -> float:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        fields = " ".join(_read(root, folder, name) for name in names).split()
        if len(fields) == 2 and fields[0].isdigit():  # else there is no such file, or no limit: "max" or -1
            return int(fields[0]) / int(fields[1])
    return math.inf


def _read(*path: str) -> str:
    try:
        with open(os.path.join(*path), encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


_force_isa(_environment["FASTRNN_ISA"])
_threads, _threads_from = _default_threads()
_core.set_num_threads(_threads)
