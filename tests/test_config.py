"""Threads, instruction sets, and what is reported about both."""

import json
import os
import subprocess
import sys

import pytest

import fastrnn
from fastrnn import _core, config

VARIABLES = ("FASTRNN_ISA", "FASTRNN_NUM_THREADS", "OMP_NUM_THREADS")


def python(code, **environment):
    """Run code in a fresh interpreter, with no variable of ours set but these."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_set_num_threads(threads, n):
    threads(n)
    assert fastrnn.get_num_threads() == n
    assert fastrnn.show_config()["threads_from"] == "set_num_threads"


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)]
)
def test_set_num_threads_refuses(n, error):
    before = fastrnn.get_num_threads()
    with pytest.raises(error, match=r"^n must be a positive integer, got "):
        fastrnn.set_num_threads(n)
    assert fastrnn.get_num_threads() == before


@pytest.mark.parametrize(
    ("own", "openmp", "want"),
    [
        ("3", "2", (3, "FASTRNN_NUM_THREADS")),
        (None, "2", (2, "OMP_NUM_THREADS")),
        ("", "4,2,1", (4, "OMP_NUM_THREADS")),
        (None, "many", (7, "the CPUs this process may use")),
        (None, "0", (7, "the CPUs this process may use")),
        (None, None, (7, "the CPUs this process may use")),
    ],
)
def test_default_threads(monkeypatch, own, openmp, want):
    monkeypatch.setattr(config, "_available_cpus", lambda: 7)
    monkeypatch.setattr(config, "_environment", {"FASTRNN_NUM_THREADS": own, "OMP_NUM_THREADS": openmp})
    assert config._default_threads() == want


@pytest.mark.parametrize("nonsense", ["many", "0", "-2", "2.5"])
def test_nonsense_thread_count_is_ignored_with_a_warning(monkeypatch, nonsense):
    monkeypatch.setattr(config, "_environment", {"FASTRNN_NUM_THREADS": nonsense, "OMP_NUM_THREADS": "2"})
    with pytest.warns(RuntimeWarning, match=f"FASTRNN_NUM_THREADS={nonsense} is ignored"):
        assert config._default_threads() == (2, "OMP_NUM_THREADS")


GROUPS = {
    "no control groups": ({}, 8),
    "version 2, no limit": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, 8),
    "version 2, one and a half": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 2),
    "version 2, less than one": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
    "version 2, more than there are": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "900000 10000\n"}, 8),
    "version 2, a parent's limit": (
        {
            "proc/self/cgroup": "0::/a/b/c\n",
            "sys/fs/cgroup/a/b/c/cpu.max": "500000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
        },
        3,
    ),
    "version 2, the host's path in a container": (
        {"proc/self/cgroup": "0::/../../x.slice\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"},
        4,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "5:memory:/m\n3:cpuset:/m\n2:cpu,cpuacct:/a\n0::/\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "1:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        8,
    ),
}


@pytest.mark.parametrize(("files", "want"), GROUPS.values(), ids=GROUPS)
def test_cpus_granted_by_control_groups(tmp_path, monkeypatch, files, want):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert config._available_cpus(str(tmp_path)) == want


def test_cpus_without_affinity(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert config._available_cpus(str(tmp_path)) == 5


def test_environment_is_applied_at_import():
    isa = _core.isas()[0]
    code = "import fastrnn, json; print(json.dumps(fastrnn.show_config()))"
    run = python(code, FASTRNN_ISA=isa, FASTRNN_NUM_THREADS="3", OMP_NUM_THREADS="2")
    assert run.stderr == ""
    report = json.loads(run.stdout)
    assert (report["isa"], report["threads"], report["threads_from"]) == (isa, 3, "FASTRNN_NUM_THREADS")
    assert report["environment"] == {"FASTRNN_ISA": isa, "FASTRNN_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}


def test_unsupported_isa_is_an_import_error(monkeypatch):
    monkeypatch.setattr(_core, "isas", lambda: ("generic",))
    monkeypatch.setattr(_core, "compiled_isas", lambda: ("generic", "wide"))
    with pytest.raises(ImportError, match="FASTRNN_ISA=wide is not an instruction set that this processor runs"):
        config._force_isa("wide")


def test_show_config():
    report = fastrnn.show_config()
    assert report["version"] == fastrnn.__version__
    assert report["threads"] == fastrnn.get_num_threads()
    assert report["isa"] in report["isas"]
    assert set(report["isas"]) <= set(report["isas_compiled"])
    assert report["compiler"]
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines] == list(report)
    assert f"isas           {', '.join(report['isas'])}" in lines


def test_get_include_holds_the_header():
    with open(os.path.join(fastrnn.get_include(), "fastrnn.h"), encoding="utf-8") as header:
        assert "FRNN_API_VERSION" in header.read()


def test_import_brings_nothing_slow():
    """Modules that cost milliseconds, and that only some calls need."""
    slow = {"numpy.ma", "numpy.random", "dataclasses", "importlib.metadata", "pathlib"}
    run = python("import sys, numpy; before = set(sys.modules); import fastrnn; print(*set(sys.modules) - before)")
    assert "fastrnn" in run.stdout.split(), run.stderr
    assert not slow & set(run.stdout.split())


def test_public_names():
    run = python("import fastrnn; print(*(name for name in dir(fastrnn) if not name.startswith('_')))")
    assert set(run.stdout.split()) == set(fastrnn.__all__) - {"__version__"}
    assert all(hasattr(fastrnn, name) for name in fastrnn.__all__)
