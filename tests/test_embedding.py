"""A downstream Cython package is compiled against the installed one and computes what Python's door computes."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference

import fastrnn
from fastrnn import _core

pytest.importorskip("Cython", reason="compiling a downstream package needs Cython")
pytest.importorskip("setuptools", reason="compiling a downstream package needs setuptools")


@pytest.fixture(scope="module")
def downstream(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downstream")
    shutil.copytree(Path(__file__).parent / "downstream", folder, dirs_exist_ok=True)
    build = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (library,) = folder.glob("downstream*.so")
    spec = importlib.util.spec_from_file_location("downstream", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_header_is_where_get_include_says():
    header = Path(fastrnn.get_include()) / "fastrnn.h"
    assert "frnn_get_api" in header.read_text()


def test_both_doors_lead_to_the_version_compiled_for(downstream):
    compiled_for, imported, capsule = downstream.versions()
    assert compiled_for == imported == capsule


def test_downstream_computes_the_same_bits(downstream, isa):
    rng = np.random.default_rng(1)
    B, T, I, H = 5, 7, 3, 19
    x = rng.standard_normal((B, T, I), np.float32)
    weights = {
        "kernel": rng.standard_normal((I, H), np.float32) / np.float32(np.sqrt(I)),
        "recurrent_kernel": np.linalg.qr(rng.standard_normal((H, H))).Q.astype(np.float32),
        "bias": rng.standard_normal(H, np.float32),
    }
    out = np.full((B, H), np.nan, np.float32)
    downstream.last_state(isa, x, *weights.values(), out)

    np.testing.assert_array_equal(out, fastrnn.functional.simple_rnn(x, **weights))
    want = reference.SimpleRNN(x, **weights).state
    np.testing.assert_allclose(out, want, rtol=0, atol=np.finfo(np.float32).eps * T * (I + H))


def test_an_unknown_instruction_set_is_no_kernels(downstream):
    zeros = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="isa must be"):
        downstream.last_state("mmx", zeros[None], zeros, zeros, zeros[0], zeros.copy())
    assert "mmx" not in _core.compiled_isas()
