"""Each example runs on a small setting and does what it says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "examples"

if not FOLDER.is_dir():
    pytest.skip("the examples are not here", allow_module_level=True)


def example(name, *needs):
    for package in needs:
        pytest.importorskip(package, reason=f"the example {name} needs {package}")
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reviews(tmp_path, capsys):
    rng = np.random.default_rng(0)
    plot, good, bad = (
        words.split() for words in ("the film a story of his and", "fine great moving", "dull poor awful")
    )
    lines = ["text,label"]
    for label in rng.integers(0, 2, 300):
        words = [*rng.choice(plot, 6), *rng.choice(good if label else bad, 2)]
        lines.append(f"{' '.join(rng.permutation(words))},{label}")
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(lines))
    accuracy = example("reviews", "sklearn").main([str(path), "--words=50", "--length=10", "--epochs=30"])
    assert accuracy > 0.9
    assert "held out are told right" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # what pandas says about itself
def test_sunspots():
    ours, naive = example("sunspots", "statsmodels", "sklearn").main(["--epochs=60"])
    assert ours < 0.9 * naive


def test_unequal_lengths():
    assert example("unequal_lengths", "sklearn").main(["--epochs=8"]) > 0.75


def test_generate_text():
    losses, written = example("generate_text").main(["--epochs=4", "--units=32", "--characters=40000"])
    assert losses[-1] < 0.8 * losses[0]
    assert len(written) == 420


def test_streaming():
    assert 3000 < example("streaming").main(["--epochs=10"]) < 3200
