"""Time the training of whole models, by fastrnn and by Keras on each of its backends that is installed.

    python -m bench.models  # six minutes; python -m bench.measure does it, too

Everybody starts from the same weights and gets the same batches in the same order, and the losses have to agree. Each
library has a process of its own for each model, and they take turns. A time is that of the best epoch but the first
ones, which compile; where an epoch takes long, fewer batches are timed, and their time is scaled.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastrnn._bench.cases import LAYERS
from fastrnn._bench.machine import describe

HERE = Path(__file__).parent
SAMPLES, STEPS, WORDS, FEATURES, UNITS, BATCH = 20_000, 100, 500, 16, 8, 64
MODEL = f'Sequential([Embedding({WORDS}, {FEATURES}), SimpleRNN({UNITS}), Dense(1, activation="sigmoid")])'
BATCHES = math.ceil(SAMPLES / BATCH)
LIBRARIES = {
    "fastrnn": "fastrnn",
    "jax": "Keras on JAX",
    "tensorflow": "Keras on TensorFlow",
    "torch": "Keras on PyTorch",
}
TURNS = 2  # whatever else the machine does for a minute hits nobody in all of them
TIMED_BATCHES = {"fastrnn": BATCHES, "jax": BATCHES, "tensorflow": 100, "torch": 30}


def train(library: str, cell: str, mask_zero: bool, rounds: int) -> dict[str, Any]:
    """Train a model in this process; return the loss of the first batches, seconds, and what was timed."""
    keras: Any  # fastrnn has its names
    layers: Any
    if library == "fastrnn":
        import fastrnn as keras

        layers, version = keras, keras.__version__
    else:
        os.environ.update(KERAS_BACKEND=library, TF_CPP_MIN_LOG_LEVEL="3")
        import keras

        layers, version = keras.layers, f"{keras.__version__}, {library} {sys.modules[library].__version__}"

    rng = np.random.default_rng(0)
    x = rng.integers(0, WORDS, (SAMPLES, STEPS)).astype(np.int32)
    y = (x[:, ::7] < 30).any(axis=1).astype(np.float32)
    model = keras.Sequential(
        [
            layers.Embedding(WORDS, FEATURES, mask_zero=mask_zero),
            getattr(layers, LAYERS[cell])(UNITS),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer=keras.optimizers.RMSprop(1e-4), loss="binary_crossentropy", metrics=["accuracy"])
    model.build((None, STEPS))
    model.set_weights([0.2 * rng.standard_normal(weight.shape) for weight in model.get_weights()])

    marks: list[float] = []

    def mark(*_: object) -> None:
        marks.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_epoch_begin=mark, on_epoch_end=mark)
    few, some = (slice(0, batches * BATCH) for batches in (10, TIMED_BATCHES[library]))
    settings = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    loss = model.fit(x[few], y[few], **settings).history["loss"][0]
    model.fit(x[some], y[some], epochs=1 + rounds, callbacks=[clock], **settings)
    predictions = []
    for _ in range(1 + rounds):
        begin = time.perf_counter()
        model.predict(x[some], batch_size=1000, verbose=0)
        predictions.append(time.perf_counter() - begin)
    _, *epochs = (end - begin for begin, end in zip(marks[::2], marks[1::2], strict=True))
    scale = BATCHES / TIMED_BATCHES[library]
    result = {"loss": loss, "epoch": min(epochs) * scale, "predict": min(predictions) * scale, "version": version}
    if library == "fastrnn":
        from .step import profile

        result["parts"] = profile(model, 1 + rounds, x[some], y[some], **settings)
    return result


def measure(file: Path, rounds: int, machine: str | None = None) -> None:
    """Time all models with all libraries that are there, and write what came of it."""
    about = describe()
    about |= {"machine": machine or about["processor"], "rounds": rounds, "versions": {}}
    rows = []
    for cell in LAYERS:
        for mask_zero in (False, True):
            turns = [dict(run(cell, mask_zero, rounds, about["versions"])) for _ in range(TURNS)]
            found = {name: min((turn[name] for turn in turns), key=lambda result: result["epoch"]) for name in turns[0]}
            losses = {name: result["loss"] for name, result in found.items()}
            if not np.allclose(list(losses.values()), losses["fastrnn"], rtol=1e-4):
                raise ArithmeticError(f"{cell}: the losses are {losses}")
            seconds = {
                kind: {name: min(turn[name][kind] for turn in turns) for name in found} for kind in ("epoch", "predict")
            }
            rows.append({"cell": cell, "mask_zero": mask_zero, **seconds, "parts": found["fastrnn"]["parts"]})
            print(json.dumps(rows[-1]), flush=True)
    file.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def load(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read what `measure` wrote."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    return kept["about"], kept["rows"]


def run(cell: str, mask_zero: bool, rounds: int, versions: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train in a process for each library."""
    for library in LIBRARIES:
        command = [sys.executable, "-m", "bench.models", "--rounds", str(rounds)]
        command += ["--train", library, cell, "mask_zero" if mask_zero else ""]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
        if done.returncode:
            print(f"without {library}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        versions[library] = result.pop("version")
        yield library, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts (default: %(default)s)")
    parser.add_argument("--machine", help="what to call this machine (default: what the system says)")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "models.json", help="(default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.train:
        library, cell, mask_zero = arguments.train
        print(json.dumps(train(library, cell, bool(mask_zero), arguments.rounds)))
    else:
        measure(arguments.json, arguments.rounds, arguments.machine)


if __name__ == "__main__":
    main()
