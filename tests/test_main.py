"""`python -m fastrnn`, and what the README says to type."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastrnn

README = Path(__file__).parents[1] / "README.md"


def run(*arguments, cwd, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "fastrnn", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_config_prints_what_show_config_returns(tmp_path):
    printed = run("config", cwd=tmp_path).stdout
    assert fastrnn.__version__ in printed
    assert fastrnn._core.get_isa() in printed


def test_help_names_the_commands(tmp_path):
    printed = run("--help", cwd=tmp_path).stdout
    assert "demo" in printed
    assert "config" in printed
    assert "--epochs" in run("demo", "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("arguments", [(), ("train",), ("demo", "--epochs", "0"), ("demo", "--epochs", "many")])
def test_a_wrong_command_line_is_refused(arguments, tmp_path):
    assert "usage: python -m fastrnn" in run(*arguments, cwd=tmp_path, code=2).stderr


def test_demo_reads_held_out_digits_and_draws_its_curve(tmp_path):
    for name in ("sklearn", "threadpoolctl", "matplotlib", "tqdm"):
        pytest.importorskip(name, reason="the demo needs what fastrnn[demo] installs")
    printed = run("demo", "--out", "curve.png", cwd=tmp_path).stdout
    assert float(re.search(r"([\d.]+)% of the held-out digits", printed)[1]) >= 95
    after_one_epoch = float(re.search(r"probability to (\S+) after one epoch", printed)[1])
    assert 0 < after_one_epoch < 1e-3
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_demo_says_what_is_missing(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ModuleNotFoundError(\"No module named 'sklearn'\", name='sklearn')\n")
    refused = run("demo", cwd=tmp_path, code=1)
    assert "pip install 'fastrnn[demo]'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_examples_in_the_readme_run_one_after_the_other():
    if not README.exists():
        pytest.skip("the README is not beside these tests")
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    names = {}
    for example in examples:
        exec(compile(example, str(README), "exec"), names)
