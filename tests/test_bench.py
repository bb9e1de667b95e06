"""What the benches stand on: the yardsticks, the checks before timing, and RESULTS.md being what was measured."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import reference

from fastrnn import __version__, _core
from fastrnn._bench import command
from fastrnn._bench.cases import GATES, MODES, SHAPES, Case, Shape
from fastrnn._bench.peers import make
from fastrnn._bench.turns import Bench, Effort, Row, peak_gflops

NAMES = ("y", "dx", "dkernel", "drecurrent_kernel", "dbias")
SHAPE = Shape(5, 6, 3, 4)


def answers(case, method="train", peer="numpy"):
    made = make(peer, case, 1)
    return made.arrays(getattr(made, method)())


@pytest.mark.parametrize("isa", _core.isas())
def test_multiply_adds_are_counted(isa):
    before = _core.get_isa()
    _core.set_isa(isa)
    try:
        once = _core.multiply_adds("float32", 1)
        assert once > 1
        assert _core.multiply_adds("float32", 7) == 7 * once
        assert _core.multiply_adds("float32", 0) == 0
        assert _core.multiply_adds("float64", 1) * 2 == once
    finally:
        _core.set_isa(before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peers_that_wait_are_stopped(monkeypatch):
    def is_stopped(process, soon=0.0):
        """Whether it is, or will be soon: a signal takes a moment to arrive."""
        stat, end = Path(f"/proc/{process.process.pid}/stat"), time.monotonic() + soon
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            if time.monotonic() >= end:
                return False
        return True

    with Bench(["numpy", "fastrnn"], 1, Effort()) as bench:
        own, other = bench._processes["numpy"], bench._processes["fastrnn"]
        seen = []
        monkeypatch.setattr(own, "ask", lambda *order: seen.append((is_stopped(other, soon=10), is_stopped(own))))
        own.alone(bench._processes.values(), "version")
        assert seen == [(True, False)]
        assert other.ask("version")  # it goes on


def test_the_peak_is_a_rate():
    assert 0.1 < peak_gflops(1) < 10_000


@pytest.mark.parametrize("ragged", [False, True])
def test_the_numpy_loop_is_the_equations(ragged):
    case = Case(SHAPE, ragged=ragged, dtype="float64")
    arrays = dict(case.arrays)
    dy, _ = arrays.pop("dy"), arrays.pop("states")
    rnn = reference.SimpleRNN(**arrays, lengths=case.lengths)
    dx, _, weights = rnn.gradients(dy)
    for name, got, want in zip(NAMES, answers(case), (rnn.outputs, dx, *weights), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("kind", GATES)
def test_gradients_of_the_numpy_loop_are_those_of_its_outputs(kind, ragged):
    case = Case(SHAPE, kind, ragged, "float64")
    gradients = dict(zip(("x", "kernel", "recurrent_kernel", "bias"), answers(case)[1:], strict=True))
    arrays, rng, step = case.arrays, np.random.default_rng(3), 1e-6
    for name, gradient in gradients.items():
        direction = rng.standard_normal(gradient.shape)
        values = []
        for sign in (1, -1):
            other = Case(SHAPE, kind, ragged, "float64")
            other.__dict__["arrays"] = {**arrays, name: arrays[name] + sign * step * direction}
            values.append((answers(other, "forward")[0] * arrays["dy"]).sum())
        slope = (values[0] - values[1]) / (2 * step)
        assert abs(slope - (gradient * direction).sum()) < 1e-7 * abs(slope), name


@pytest.mark.pytorch
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("mode", MODES)
def test_pytorch_agrees(mode, kind):
    method, ragged = MODES[mode]
    expected = answers(Case(SHAPE, kind, ragged, "float64"), method)
    case = Case(SHAPE, kind, ragged)
    case.check(answers(case, method, "torch"), expected)


@pytest.mark.parametrize("mode", MODES)
def test_fastrnn_agrees(mode):
    method, ragged = MODES[mode]
    for name in ("tiny", "sentence", "b32_h64"):
        expected = answers(Case(SHAPES[name], "rnn", ragged, "float64"), method)
        case = Case(SHAPES[name], "rnn", ragged)
        case.check(answers(case, method, "fastrnn"), expected)


def test_after_a_single_step_the_recurrent_kernels_gradient_is_zero():
    shape = Shape(2, 1, 5, 4)
    expected = answers(Case(shape, "rnn", dtype="float64"), "train")
    case = Case(shape, "rnn")
    found = list(answers(case, "train", "fastrnn"))
    case.check(found, expected)
    found[NAMES.index("drecurrent_kernel")][0, 0] = 1e-30
    with pytest.raises(ArithmeticError, match="drecurrent_kernel"):
        case.check(found, expected)


@pytest.mark.parametrize("place", range(5))
def test_wrong_answers_are_found(place):
    case = Case(SHAPE, ragged=True)
    expected = answers(Case(SHAPE, ragged=True, dtype="float64"))
    case.check(expected, expected)
    for change in (np.zeros_like, lambda a: a * 1.001, lambda a: np.full_like(a, np.nan), lambda a: a[..., :-1]):
        wrong = list(expected)
        wrong[place] = change(wrong[place])
        with pytest.raises(ArithmeticError, match=NAMES[place]):
            case.check(wrong, expected)
    with pytest.raises(ArithmeticError, match="answers"):
        case.check(expected[:1], expected)


@pytest.mark.parametrize("shape", [Shape(64, 100, 1, 1), Shape(7, 10, 1, 1), Shape(1, 9, 1, 1)])
def test_ragged_batches_have_half_the_steps(shape):
    case = Case(shape, ragged=True)
    assert case.lengths.dtype.kind == "i"
    assert case.lengths.min() >= 1
    assert case.lengths.max() <= shape.T
    assert abs(case.lengths.mean() - (shape.T + 1) / 2) <= 0.5
    assert case.flops("forward") == 2 * case.lengths.sum() * 2
    assert case.flops("step") == 2 * shape.B * 2


def row(seconds, mode="forward"):
    return Row("tiny", SHAPES["tiny"], "rnn", "float32", mode, 1000, 10.0, dict(seconds), dict(seconds))


def test_rows_survive_a_file(tmp_path):
    rows = [row({"fastrnn": 1e-6, "numpy": 2e-6}), row({"numpy": 2e-6}, "train")]
    command.keep(tmp_path / "kept.json", {"threads": 1}, rows)
    assert command.load(tmp_path / "kept.json") == ({"threads": 1}, rows)


def test_losses_are_said():
    won, lost = row({"fastrnn": 1e-6, "numpy": 2e-6, "jax": 3e-6}), row({"fastrnn": 4e-6, "numpy": 2e-6, "jax": 3e-6})
    assert (won.rival, won.ahead) == (lost.rival, lost.ahead * 4) == ("numpy", 2)
    assert won.of_peak("fastrnn") == pytest.approx(0.1)
    table = command.Table(["fastrnn", "numpy", "jax"])
    assert "faster" not in table.line(won)
    assert table.line(lost).endswith("0.50      0.2       2%  numpy is faster")
    won.own["one thread"] = 1.9e-6
    assert table.line(won).endswith("10%  1.90 x one thread")
    assert command.summary([won, lost]).startswith("fastrnn is the fastest in 1 of 2 rows")
    report = pytest.importorskip("bench.report", reason="bench/ is not beside these tests")
    assert "0.50, lost" in report.comparison([lost])
    assert "lost" not in report.comparison([won])
    assert "**Lost: tiny (0.50).**" in report.verdict([won, lost], 1)


def test_aims_are_held_against_what_was_measured():
    aims = pytest.importorskip("bench.aims", reason="bench/ is not beside these tests")

    def run(*rows, threads=1):
        return {"threads": threads}, list(rows)

    def timed(shape, mode, dims=SHAPE, flops=10**8, **seconds):
        return Row(shape, dims, "rnn", "float32", mode, flops, 100.0, seconds)

    def over_time(steps, seconds):
        return timed(f"1x{steps}", "forward", Shape(1, steps, 8, 8), fastrnn=seconds)

    runs = {
        "rnn": run(
            timed("even", "forward", fastrnn=2e-3, jax=2.3e-3),  # at 50 % of the peak
            timed("fast", "forward", fastrnn=2e-3, jax=2.5e-3),
            timed("full", "forward", fastrnn=1.1e-3, jax=1.1e-3),  # at 91 %
            timed("fast", "train", fastrnn=6e-3, jax=9e-3),
        ),
        "rnn-2-threads": run(
            timed("even", "forward", fastrnn=1.05e-3, jax=2e-3),
            timed("fast", "forward", fastrnn=1.4e-3, jax=2e-3),
            timed("full", "forward", flops=10**6, fastrnn=1.1e-3, jax=2e-3),  # too little work
            threads=2,
        ),
        "modes": run(timed("fast", "ragged", fastrnn=1.1e-3), timed("fast", "ragged-train", fastrnn=4e-3)),
        "growth": run(*(over_time(t, 1e-6 + 1e-7 * t * (1.5 if t == 100 else 1)) for t in (10, 100, 1000, 10_000))),
        "calls": run(timed("1x1", "forward", fastrnn=2.4e-6), timed("1x1", "step", fastrnn=1.6e-6)),
        "avx2": run(
            *(timed(f"64x{n}", "forward", Shape(64, 10, n, n), fastrnn=s) for n, s in ((256, 1.2e-3), (512, 1.3e-3))),
            timed("small", "forward", Shape(8, 10, 256, 256), fastrnn=9e-3),
        ),
        "generic": run(
            timed("tiny", "forward", fastrnn=2e-3, numpy=2e-3), timed("tiny", "train", fastrnn=2e-3, numpy=1.9e-3)
        ),
    }
    runs["avx2"][0]["isa"] = "avx2"
    assert [line.partition(": ")[2] for line in aims.lines(runs)] == [
        "**6 of 7.** Missed: SimpleRNN even forward (1.15, 50.0%).\n",
        "**1 of 2.** Missed: SimpleRNN fast forward, 2 threads (1.43).\n",
        "**3 of 4.** Missed: SimpleRNN 1x100 forward (+36% off a line over T).\n",
        "**1 of 2.** Missed: SimpleRNN fast ragged-train (0.67).\n",
        "**1 of 2.** Missed: SimpleRNN 64x512 forward (76.9%).\n",
        "**1 of 2.** Missed: SimpleRNN tiny train (0.95).\n",
        "**1 of 2.** Missed: step (1.60 µs).\n",
    ]
    shares = [timed("fast", "forward", fastrnn=s) for s in (2.1e-3, 2.5e-3)]
    assert [held for _, held in aims.float64({**runs, "float64": run(*shares)})] == [True, False]
    # What was timed in turn with it counts, and not the other run.
    for name, aim, label, own in (
        ("rnn-2-threads", aims.with_threads, "one thread", [1.9e-3, 2.7e-3, 1]),
        ("modes", aims.ragged, "all steps", [1.8e-3, 8e-3]),
    ):
        before = list(aim(runs))
        for timed_row, seconds in zip(runs[name][1], own, strict=True):
            timed_row.own[label] = seconds
        assert [held for _, held in before] == [held for _, held in aim(runs)][::-1]
    for timed_row, seconds in zip(shares, (1e-3, 1.2e-3), strict=True):  # 47.6 and 50 %, 40 and 41.7 %
        timed_row.own["float32"] = seconds
    assert [held for _, held in aims.float64({"float64": run(*shares)})] == [True, True]
    shares[0].own["float32"] = 0.9e-3  # 55.6 %
    assert [held for _, held in aims.float64({"float64": run(*shares)})] == [False, True]


def test_fastrnn_is_timed_in_turn_with_what_it_is_compared_with():
    effort = Effort(rounds=1, seconds=0.01, most_seconds=0.01)
    for threads, mode, dtype, label in (
        (2, "forward", "float32", "one thread"),
        (1, "ragged", "float32", "all steps"),
        (1, "train", "float64", "float32"),
        (1, "step", "float32", None),
    ):
        with Bench(["fastrnn"], threads, effort) as bench:
            timed_row = bench.row("any", Shape(30, 40, 20, 30), "rnn", dtype, mode)
        assert list(timed_row.seconds) == ["fastrnn"]
        assert list(timed_row.own) == ([label] if label else [])
        assert min([*timed_row.seconds.values(), *timed_row.own.values()]) > 0
        assert timed_row.rival is None


def test_whole_models(monkeypatch):
    report = pytest.importorskip("bench.report", reason="bench/ is not beside these tests")
    monkeypatch.setattr(report.models, "SAMPLES", 700)
    found = report.models.train("fastrnn", "gru", mask_zero=True, rounds=1)
    assert found["version"] == __version__
    assert 0 < found["loss"] < 10
    assert found["epoch"] > 0 and found["predict"] > 0
    parts = found["parts"]
    assert 0 < parts["core"] < parts["layers"] < parts["layers"] + parts["loss"] + parts["optimizer"] < parts["epoch"]
    assert _core.forward.__name__ == "forward"  # what was timed is as it was
    about = {"cpus": 2, "versions": {"fastrnn": "0", "jax": "1"}}
    row = {"cell": "rnn", "mask_zero": True, "epoch": {"fastrnn": 0.2, "jax": 0.1}}
    row["parts"] = {"epoch": 0.2, "layers": 0.16, "core": 0.1, "loss": 0.01, "optimizer": 0.01}
    text = report.training(about, [{**row, "predict": {"fastrnn": 0.1, "jax": 0.3}}])
    assert "| epoch | SimpleRNN, mask_zero | 200 ms | **100 ms** | **0.50, lost** |" in text
    assert "| predict | SimpleRNN, mask_zero | **100 ms** | 300 ms | 3.00 |" in text
    assert "| SimpleRNN, mask_zero | 200 ms | 80.0% | 50.0% | 5.0% | 5.0% | 10.0% |" in text
    assert "**200 ms**; Keras on JAX 100 ms." in report.epoch(about, [row])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234e-7, "0.12 µs"),
        (9.99e-6, "9.99 µs"),
        (4.56e-5, "45.6 µs"),
        (1.234e-3, "1.23 ms"),
        (0.5, "500 ms"),
        (12, "12.0 s"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert command.duration(seconds) == text


def test_what_is_written_is_what_was_measured():
    """README.md and every machine's RESULTS.md are what `python -m bench.report` makes of the results beside them."""
    report = pytest.importorskip("bench.report", reason="bench/ is not beside these tests")
    folders = [file.parent.parent for file in report.HERE.glob("**/results/rnn.json")]
    assert report.HERE in folders
    for folder in folders:
        text = report.results(report.read(folder / "results"), report.other_machines(folder))
        assert (folder / "RESULTS.md").read_text(encoding="utf-8") == text
    runs = report.read(report.HERE / "results")
    readme = report.README.read_text(encoding="utf-8")
    assert readme == report.with_speed(readme, report.readme(runs))
    assert report.readme(runs) in readme
