"""What callbacks do, some beside Keras's for the same logged values."""

import csv

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import callbacks

VALUES = [1.0, 0.8, 0.85, 0.79, 0.81, 0.82, 0.7, 0.71, 0.72, 0.73, 0.9, 0.6]


class Trained:
    """What a callback sees of a model."""

    def __init__(self):
        self.stop_training = False
        self.optimizer = fr.optimizers.SGD(0.5)
        self.weights = [np.zeros(1)]

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = [np.array(w) for w in weights]


def run(callback, values):
    """Play the epochs of a training, of which each leaves its number as the weight."""
    model = Trained()
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        model.weights = [np.array([float(epoch)])]
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"val_loss": value})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, model.weights[0][0], rates


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("EarlyStopping", {}),
        ("EarlyStopping", {"patience": 2}),
        ("EarlyStopping", {"patience": 3, "restore_best_weights": True}),
        ("EarlyStopping", {"patience": 1, "min_delta": 0.05, "restore_best_weights": True}),
        ("EarlyStopping", {"patience": 2, "baseline": 0.75}),
        ("EarlyStopping", {"patience": 1, "start_from_epoch": 4}),
        ("EarlyStopping", {"patience": 2, "mode": "max", "restore_best_weights": True}),
        ("EarlyStopping", {"patience": 100, "restore_best_weights": True}),
        ("ReduceLROnPlateau", {"patience": 1}),
        ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5, "cooldown": 2}),
        ("ReduceLROnPlateau", {"patience": 1, "min_lr": 0.1, "min_delta": 0.05}),
        ("ReduceLROnPlateau", {"patience": 2, "mode": "max"}),
    ],
    ids=str,
)
def test_it_does_what_keras_does(name, arguments):
    theirs = pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras.callbacks
    arguments = {"mode": "min", **arguments}
    ours, wanted = (run(getattr(module, name)(**arguments), VALUES) for module in (callbacks, theirs))
    assert ours[:2] == wanted[:2]
    np.testing.assert_allclose(ours[2], wanted[2], rtol=1e-6)


def model_and_data():
    model = fr.Sequential([fr.SimpleRNN(3), fr.Dense(1)], seed=0)
    model.compile(fr.optimizers.SGD(0.1), "mse", metrics=["mae"])
    x = np.random.default_rng(0).standard_normal((40, 5, 1))
    return model, x, x.sum(axis=1)


def test_early_stopping_in_a_training():
    model, x, y = model_and_data()
    stopping = callbacks.EarlyStopping(monitor="loss", mode="max", patience=2, restore_best_weights=True)
    weights = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    history = model.fit(x, y, epochs=50, verbose=0, callbacks=[stopping, keep])
    assert history.epoch == [0, 1, 2]
    assert stopping.stopped_epoch == 2
    for got, want in zip(model.get_weights(), weights[0], strict=True):
        np.testing.assert_array_equal(got, want)


def test_what_goes_up_is_known_by_its_name(capsys):
    for name, value in (("val_accuracy", 0.5), ("auc", 0.5), ("loss", 2.0)):
        stopping = callbacks.EarlyStopping(monitor=name, verbose=1)
        stopping.set_model(Trained())
        for epoch, better in enumerate((1.0, value, value)):
            stopping.on_epoch_end(epoch, {name: better})
        assert stopping.model.stop_training, name
    with pytest.warns(UserWarning, match="monitors val_loss, but there is only loss"):
        callbacks.EarlyStopping().on_epoch_end(0, {"loss": 1.0})


def test_checkpoints(tmp_path):
    model, x, y = model_and_data()
    every = callbacks.ModelCheckpoint(tmp_path / "all" / "{epoch:02d}-{loss:.1f}.safetensors")
    best = callbacks.ModelCheckpoint(tmp_path / "best", monitor="mae", save_best_only=True, mode="max")
    steps = callbacks.ModelCheckpoint(tmp_path / "step-{epoch}-{batch}", save_freq=2, save_weights_only=True)
    history = model.fit(x, y, epochs=3, batch_size=10, verbose=0, callbacks=[every, best, steps])
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == [f"{i + 1:02d}-{loss:.1f}.safetensors" for i, loss in enumerate(history.history["loss"])]
    first = fr.Sequential.load(tmp_path / "all" / names[0])
    np.testing.assert_array_equal(fr.Sequential.load(tmp_path / "best").predict(x), first.predict(x))
    assert sorted(path.name for path in tmp_path.glob("step*")) == [f"step-{e}-{b}" for e in (1, 2, 3) for b in (2, 4)]
    with pytest.raises(KeyError, match="'none', but there is only loss, mae"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.ModelCheckpoint(tmp_path / "{none}")])


def test_csv_and_schedule(tmp_path):
    model, x, y = model_and_data()
    logger = callbacks.CSVLogger(tmp_path / "log.csv", append=True)
    schedule = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    for begin in (0, 2):
        model.fit(x, y, initial_epoch=begin, epochs=begin + 2, verbose=0, callbacks=[schedule, logger])
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row["learning_rate"]) for row in rows] == [0.05, 0.025, 0.0125, 0.00625]
    assert float(rows[0]["mae"]) > 0


def test_every_method_is_called_in_order():
    model, x, y = model_and_data()
    calls = []
    names = ("train_begin", "epoch_begin", "train_batch_begin", "train_batch_end", "epoch_end", "train_end")

    def note(name):
        return lambda *arguments: calls.append((name, arguments))

    callback = callbacks.LambdaCallback(**{f"on_{name}": note(name) for name in names})
    history = model.fit(x, y, batch_size=20, verbose=0, callbacks=[callback])
    once = ["train_batch_begin", "train_batch_end"]
    assert [name for name, _ in calls] == ["train_begin", "epoch_begin", *once, *once, "epoch_end", "train_end"]
    # The logs of the last step are those of the epoch.
    assert calls[5][1][1] == {name: values[0] for name, values in history.history.items()}
    assert callback.params == {"epochs": 1, "steps": 2, "verbose": 0}


def test_the_history_plots_itself(tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    model, x, y = model_and_data()
    history = model.fit(x, y, epochs=4, validation_split=0.2, validation_freq=2, verbose=0)
    figure = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert [axes.get_title() for axes in figure.axes] == ["loss", "mae"]
    training, validation = figure.axes[0].lines
    assert list(training.get_xdata()) == [1, 2, 3, 4]
    assert list(validation.get_xdata()) == [2, 4]
    assert all(tick == int(tick) for axes in figure.axes for tick in axes.get_xticks())
    assert list(validation.get_ydata()) == history.history["val_loss"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.ReduceLROnPlateau(factor=1.0), "factor must be .* below 1, got 1.0"),
        (lambda: callbacks.EarlyStopping(mode="up"), "mode must be one of"),
        (lambda: callbacks.EarlyStopping(patience=-1), "patience must be .* got -1"),
        (lambda: callbacks.EarlyStopping(baseline=float("nan")), "baseline must be a number, got nan"),
        (lambda: callbacks.ModelCheckpoint("a", save_freq="step"), "save_freq must be"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.EarlyStopping(min_delta="1"), "min_delta must be a number, got '1'"),
        (lambda: callbacks.ReduceLROnPlateau(cooldown=1.5), "cooldown must be a whole number"),
        (lambda: callbacks.LearningRateScheduler(0.1), "schedule must be a function, got 0.1"),
        (lambda: callbacks.LambdaCallback(on_epoch_end=3), "on_epoch_end must be a function, got 3"),
    ],
)
def test_arguments_of_wrong_types(make, message):
    with pytest.raises(TypeError, match=message):
        make()
