"""`python -m fastrnn`, and what the README says to type."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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
    for command in ("bench", "config", "demo"):
        assert command in printed
    assert "--epochs" in run("demo", "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("train",),
        ("demo", "--epochs", "0"),
        ("demo", "--epochs", "many"),
        ("bench", "--cell", "elman"),
        ("bench", "--modes", "forward,backward"),
        ("bench", "--peers", "fastrnn,matlab"),
        ("bench", "--rounds", "0"),
        ("bench", "--shapes", "huge"),
        ("bench", "--shapes", "1x0x3x4"),
        ("bench", "--threads", "0"),
        ("bench", "--threads", "1000000"),
    ],
)
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


def test_bench_prints_a_table_and_keeps_it(tmp_path):
    options = (
        "--peers",
        "fastrnn,numpy",
        "--shapes",
        "tiny,3x2x5x4",
        "--modes",
        "train,step",
        "--rounds",
        "1",
        "--quick",
    )
    done = run("bench", *options, "--machine", "some machine", "--json", "kept.json", cwd=tmp_path)
    kept = json.loads((tmp_path / "kept.json").read_text(encoding="utf-8"))
    assert kept["about"]["machine"] == "some machine"
    assert kept["about"]["threads"] == 1
    assert kept["about"]["versions"] == {"fastrnn": fastrnn.__version__, "numpy": np.__version__}
    assert [(row["dims"], row["mode"]) for row in kept["rows"]] == [
        ([1, 4, 4, 3], "train"),
        ([1, 4, 4, 3], "step"),
        ([3, 2, 5, 4], "train"),
        ([3, 2, 5, 4], "step"),
    ]
    for row in kept["rows"]:
        B, T, I, H = row["dims"]
        assert row["flops"] == 2 * B * H * (I + H) * (3 * T if row["mode"] == "train" else 1)
        assert row["peak_gflops"] > 0
        assert set(row["seconds"]) == set(row["first_call"]) == {"fastrnn", "numpy"}
        assert all(0 < seconds < 60 for seconds in [*row["seconds"].values(), *row["first_call"].values()])
        assert re.search(rf"{'x'.join(map(str, row['dims']))} +{row['mode']} .*[µm]s .*%", done.stdout)
    assert "of 4 rows" in done.stdout


def test_bench_draws(tmp_path):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    run("bench", "--peers", "fastrnn,numpy", "--shapes", "tiny", "--quick", "--plot", "drawn.svg", cwd=tmp_path)
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")
    assert "nan" not in drawn.lower()


def test_bench_says_what_is_missing(tmp_path):
    for name in ("torch", "matplotlib"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')\n")
    refused = run("bench", "--plot", "drawn.svg", cwd=tmp_path, code=1)
    assert "pip install 'fastrnn[bench]'" in refused.stderr
    without = run("bench", "--shapes", "tiny", "--peers", "fastrnn,torch", "--quick", cwd=tmp_path)
    assert "without torch: No module named torch" in without.stderr
    assert "Traceback" not in refused.stderr + without.stderr


def test_bench_wants_a_place_for_its_files(tmp_path):
    assert "there is no folder for" in run("bench", "--json", "nowhere/kept.json", cwd=tmp_path, code=1).stderr


def test_the_examples_in_the_readme_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("sklearn", reason="one of the examples is scikit-learn's")
    if not README.exists():
        pytest.skip("the README is not beside these tests")
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    names = {}
    for example in examples:
        exec(compile(example, str(README), "exec"), names)
