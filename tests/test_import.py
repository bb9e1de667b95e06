"""Importing is quiet and brings nothing that is optional."""

import json
import os
import sys

import children
import pytest

import fastrnn
from fastrnn import _core

OPTIONAL = {
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "sklearn",
    "scipy",
    "matplotlib",
    "tqdm",
    "pytest",
    "hypothesis",
    "mpmath",
    "onnxruntime",
    "Cython",
    "setuptools",
    "pkg_resources",
}


COUNT_THREADS = "print(len(os.listdir('/proc/self/task')))"


@pytest.mark.parametrize("module", ["fastrnn", "fastrnn.functional", "fastrnn.layers", "fastrnn._core"])
def test_import_prints_nothing(module):
    assert children.run("-W", "error", "-c", f"import {module}") == (0, "", "")


def test_import_brings_nothing_optional():
    # What a site's own start-up files have imported is not ours.
    script = (
        "import json, sys, numpy; before = set(sys.modules); import fastrnn; fastrnn.SimpleRNN(2); "
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    status, output, errors = children.run("-c", script)
    assert (status, errors) == (0, "")
    new = set(json.loads(output))
    assert "fastrnn" in new
    assert not new & OPTIONAL
    others = new - sys.stdlib_module_names - {"fastrnn", "numpy"}
    assert all(name.startswith(("_cython", "cython_runtime")) for name in others), others


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_import_starts_no_threads():
    status, output, errors = children.run("-c", f"import os, numpy; {COUNT_THREADS}; import fastrnn; {COUNT_THREADS}")
    assert (status, errors) == (0, "")
    before, after = output.split()
    assert before == after


def test_public_names_exist():
    assert len(fastrnn.__all__) == len(set(fastrnn.__all__))
    for name in fastrnn.__all__:
        assert hasattr(fastrnn, name)
    assert {"SimpleRNN", "functional", "set_num_threads", "get_num_threads"} <= set(fastrnn.__all__)
    assert isinstance(fastrnn.__version__, str)


@pytest.mark.parametrize("name", ["no_such_set", "AVX", "avx2,avx512"])
def test_an_unknown_instruction_set_is_an_import_error(name):
    status, output, errors = children.run("-c", "import fastrnn", FASTRNN_ISA=name)
    assert (status, output) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith("ImportError: ")
    for needle in ("FASTRNN_ISA", name, "generic"):  # where it came from, what it was, what it could have been
        assert needle in last


def test_the_environment_chooses_the_instruction_set():
    script = "from fastrnn import _core; print(_core.get_isa())"
    for name in _core.isas():
        assert children.run("-c", script, FASTRNN_ISA=name) == (0, f"{name}\n", "")
    assert children.run("-c", script, FASTRNN_ISA=None) == (0, f"{_core.isas()[-1]}\n", "")


def test_the_environment_chooses_the_number_of_threads():
    def threads(ours, openmp):
        script = "import fastrnn; print(fastrnn.get_num_threads())"
        status, output, errors = children.run("-c", script, FASTRNN_NUM_THREADS=ours, OMP_NUM_THREADS=openmp)
        assert (status, errors) == (0, "")
        return int(output)

    assert threads("3", "2") == 3
    assert threads(None, "2") == 2
    assert 1 <= threads(None, None) <= os.cpu_count()


def test_the_floating_point_mode_stays():
    """Subnormal numbers are subnormal numbers after the import and after a call."""
    script = (
        "import numpy as np, fastrnn; fastrnn.SimpleRNN(20)(np.ones((9, 9, 9), np.float32)); "
        "print(float(np.float32(1e-38) / np.float32(100)) > 0, np.finfo(np.float64).smallest_subnormal > 0)"
    )
    assert children.run("-W", "error", "-c", script) == (0, "True True\n", "")
