"""A model as a whole: what Keras's users do with it, beside its layers one by one."""

import copy
import os
import pickle
import signal
import sys
import threading
import time
import warnings

import children
import numpy as np
import pytest

import fastrnn as fr
from fastrnn.training import batches

V, T = 20, 6


def reviews(n=50, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, V, (n, T))
    return x, ((x == 3).any(axis=1)).astype(np.float32)


def unequal(n=50, seed=0):
    x, y = reviews(n, seed)
    lengths = np.random.default_rng(seed + 1).integers(1, T + 1, n)
    return [row[:length] for row, length in zip(x, lengths, strict=True)], y


def classifier(seed=0, mask_zero=True, **compile):
    layers = [fr.Embedding(V, 4, mask_zero=mask_zero), fr.SimpleRNN(5), fr.Dense(1, activation="sigmoid")]
    model = fr.Sequential(layers, seed=seed)
    model.compile(**{"optimizer": fr.optimizers.Adam(0.01), "loss": "binary_crossentropy", **compile})
    return model


def forecaster(seed=0, **arguments):
    model = fr.Sequential([fr.SimpleRNN(4, **arguments), fr.Dense(1)], seed=seed)
    model.compile(fr.optimizers.SGD(0.05), "mse")
    return model


# ---- the model ----


def test_layers_one_by_one_and_the_model_are_the_same():
    x, _ = reviews()
    model = classifier()
    model.build((None, None))
    embedding, rnn, dense = model.layers
    want = dense(rnn(embedding(x), mask=embedding.compute_mask(x)))
    np.testing.assert_allclose(model(x), want, atol=1e-6)
    np.testing.assert_allclose(model.predict(x), want, atol=1e-6)
    np.testing.assert_allclose(model.predict(x, batch_size=7), want, atol=1e-6)


def test_shapes_counts_and_lookup():
    model = fr.Sequential(name="book")
    with pytest.raises(ValueError, match="a layer before it is built"):
        model.build((None, 3))
    model.add(fr.Input((100, 3)))
    model.add(fr.SimpleRNN(10, return_sequences=True, name="first"))
    model.add(fr.SimpleRNN(10))
    model.add(fr.Dense(2))
    assert model.built
    assert model.output_shape == (None, 2)
    assert model.count_params() == 140 + 210 + 22
    lines = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    for part in ('"book"', "first (SimpleRNN)", "(None, 100, 10)", "(None, 10)", "140", "Total params: 372"):
        assert part in text
    assert model.get_layer("first") is model.layers[0] is model.get_layer(index=0)
    for wrong in ({"name": "none"}, {"index": 5}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            model.get_layer(**wrong)
    with pytest.raises(ValueError, match="first member"):
        model.add(fr.Input((3,)))
    assert model.pop().units == 2
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    "first",
    [
        lambda L: L.SimpleRNN(2, input_shape=(7, 3)),
        lambda L: L.GRU(2, input_shape=(None, 3)),
        lambda L: L.LSTM(2, input_shape=[7, 3]),
        lambda L: L.Bidirectional(L.GRU(2), input_shape=(7, 3)),
        lambda L: L.Masking(input_shape=(7, 3)),
        lambda L: L.Dropout(0.5, input_shape=(7, 3)),
        lambda L: L.TimeDistributed(L.Dense(2), input_shape=(7, 3)),
        lambda L: L.Dense(2, input_shape=(3,)),
        lambda L: L.Embedding(5, 2, input_length=7),
    ],
)
def test_the_first_layer_may_know_the_shape_of_its_input(first):
    keras = pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras
    models = []
    for sequential, L in ((keras.Sequential, keras.layers), (fr.Sequential, fr)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras would rather have an Input, or no input_length
            model = sequential([first(L)])
        if L is keras.layers and not model.built:  # it no longer heeds input_length
            model.build((None, 7))
        models.append(model)
    theirs, ours = models
    assert ours.built
    assert ours.output_shape == theirs.output_shape
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    again = fr.Sequential()
    again.add(first(fr))
    again.add(fr.Dropout(0.5, input_shape=(2, 2)))  # no longer the first, as in Keras
    assert again.built
    assert again.input_shape == ours.input_shape


def test_the_shape_of_the_input_is_said_once_and_well():
    model = fr.Sequential([fr.Input((None, 3)), fr.SimpleRNN(2, input_shape=(7, 3))])
    assert model.input_shape == (None, None, 3)
    with pytest.raises(ValueError, match="first member"):
        fr.Sequential([fr.Input((7, 3)), fr.Input((7, 3))])
    with pytest.raises(TypeError, match=r"input_shape must be a tuple of sizes, got 3"):
        fr.Dense(2, input_shape=3)
    with pytest.raises(ValueError, match=r"input_shape\[1\] must be .* got 0"):
        fr.SimpleRNN(2, input_shape=(7, 0))
    assert "input_shape" not in fr.SimpleRNN(2, input_shape=(7, 3)).get_config()


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (lambda: fr.SimpleRNN(3), TypeError, "layers must be a list of layers, got SimpleRNN"),
        (lambda: [3], TypeError, "layers must hold layers, got int"),
        (lambda: [fr.Input(3), fr.SimpleRNN(3)], TypeError, "shape must be a tuple of sizes, got 3"),
        (
            lambda: [fr.Input((5, 2)), fr.GRU(3, name="lower"), fr.GRU(3, name="upper")],
            ValueError,
            r"upper cannot take what lower returns: .*\(batch, time, features\), got \(None, 3\)",
        ),
        (lambda: [fr.SimpleRNN(3, return_state=True)], ValueError, "returns states"),
        (lambda: [fr.Bidirectional(fr.GRU(3), merge_mode=None)], ValueError, "merge_mode must not be None"),
        (lambda: [fr.RNN([fr.GRU(3)], return_all_states=True)], ValueError, "returns states"),
        (lambda: [fr.Dense(3, name="one")] * 2, ValueError, "one is in the model already"),
    ],
)
def test_what_is_no_model(layers, error, message):
    with pytest.raises(error, match=message):
        fr.Sequential(layers())


def test_weights_are_set_all_or_none():
    model = classifier()
    model.build((None, None))
    before = model.get_weights()
    wrong = [np.ones_like(w) for w in before[:-1]] + [np.ones(7)]
    with pytest.raises(ValueError, match=r"weights\[5\] \(bias\)"):
        model.set_weights(wrong)
    with pytest.raises(ValueError, match="6 arrays, got 1"):
        model.set_weights(wrong[:1])
    for got, want in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)
    model.set_weights([np.ones_like(w) for w in before])
    assert all((w == 1).all() for w in model.weights)


def test_a_seed_repeats_everything():
    x, y = reviews()
    layers = [lambda: fr.Dropout(0.3), lambda: fr.SimpleRNN(4, dropout=0.2)]

    def curve(seed):
        model = fr.Sequential([fr.Embedding(V, 4), layers[0](), layers[1](), fr.Dense(1)], seed=seed)
        model.compile("rmsprop", "mse")
        return model.fit(x, y, epochs=3, verbose=0).history["loss"]

    assert curve(1) == curve(1) != curve(2)


def test_copies_and_pickles_are_apart():
    x, y = reviews()
    model = classifier(metrics=["accuracy"])
    model.fit(x, y, verbose=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
        before = model.get_weights()
        other.fit(x, y, verbose=0)
        for got, want in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(got, want)


def test_layers_come_and_go():
    model = fr.Sequential([fr.Input((5, 2)), fr.SimpleRNN(3, name="lower"), fr.Dense(4)])
    head = model.pop()
    assert model.output_shape == (None, 3)
    assert model.count_params() == 18
    with pytest.raises(ValueError, match="cannot take what lower returns"):
        model.add(fr.GRU(3))
    assert len(model.layers) == 1
    assert model.output_shape == (None, 3)
    model.add(head)
    assert model.output_shape == (None, 4)
    assert model.pop() is head
    assert model.pop().name == "lower"


def test_frozen_weights():
    x, y = reviews()
    model = classifier()
    model.build((None, None))
    model.get_layer(index=1).trainable = False
    assert [w.shape for w in model.non_trainable_weights] == [(4, 5), (5, 5), (5,)]
    assert [w.shape for w in model.trainable_weights] == [(V, 4), (5, 1), (1,)]
    frozen = [w.copy() for w in model.non_trainable_weights]
    model.fit(x, y, verbose=0)
    for before, after in zip(frozen, model.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)
    model.get_layer(index=1).trainable = True
    with pytest.raises(ValueError, match="the optimizer has trained other weights: compile the model again"):
        model.fit(x, y, verbose=0)
    assert model.trainable
    model.trainable = False
    assert not model.trainable
    assert model.trainable_weights == []
    both = fr.Bidirectional(fr.GRU(2))
    both.build((None, None, 3))
    both.backward_layer.trainable = False
    assert [len(both.trainable_weights), len(both.non_trainable_weights)] == [3, 3]


def test_layers_can_move_to_another_model():
    x, y = reviews()
    model = classifier()
    model.fit(x, y, epochs=2, verbose=0)
    kept = model.get_weights()[0]
    model.layers[0].trainable = False
    second = fr.Sequential([model.layers[0], fr.SimpleRNN(3), fr.Dense(1, activation="sigmoid")], seed=1)
    second.compile(fr.optimizers.Adam(0.01), "bce")
    losses = second.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(model.get_weights()[0], kept)  # frozen
    model.compile(fr.optimizers.Adam(0.01), "bce")
    model.fit(x, y, verbose=0)  # and the first can go on
    np.testing.assert_array_equal(second.get_weights()[0], kept)


# ---- fit ----


def manual_fit(model, x, y, size, epochs):
    """Training written out of the public parts of layers, losses and optimizers."""
    embedding, rnn, dense = model.layers
    loss, optimizer = fr.losses.get("bce"), fr.optimizers.Adam(0.01)
    for _ in range(epochs):
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            e, e_tape = embedding.forward(x[rows])
            h, h_tape = rnn.forward(e, mask=embedding.compute_mask(x[rows]))
            p, p_tape = dense.forward(h)
            _, tape = loss.forward(y[rows], p)
            back = dense.backward(loss.backward(1.0, tape), p_tape)
            through = rnn.backward(back.dx, h_tape)
            table = embedding.backward(through.dx, e_tape)
            optimizer.apply([*table.weights, *through.weights, *back.weights], model.weights)


def test_fit_is_what_its_parts_make():
    x, y = reviews()
    model, other = classifier(), classifier()
    other.build((None, None))
    model.fit(x, y, batch_size=16, epochs=4, shuffle=False, verbose=0)
    manual_fit(other, x, y, 16, 4)
    for got, want in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5)


def test_every_form_of_the_same_data():
    x, y = reviews(48)
    plan = {"epochs": 3, "shuffle": False, "verbose": 0}

    class Batches:
        def __len__(self):
            return 3

        def __iter__(self):
            return iter([(x[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)])

    class Lists(Batches):  # as PyTorch's loaders give them
        def __iter__(self):
            return map(list, super().__iter__())

    def endless():
        while True:
            yield from Batches()

    want = classifier().fit(x, y, batch_size=16, **plan).history["loss"]
    assert classifier().fit(list(x), list(y), batch_size=16, **plan).history["loss"] == want
    assert classifier().fit(x.tolist(), y[:, None], batch_size=16, **plan).history["loss"] == want
    assert classifier().fit(Batches(), **plan).history["loss"] == want
    assert classifier().fit(list(Batches()), **plan).history["loss"] == want
    assert classifier().fit(endless(), steps_per_epoch=3, **plan).history["loss"] == want
    assert classifier().fit(Lists(), **plan).history["loss"] == want
    weighted = [(*batch, np.ones(16)) for batch in Batches()]
    np.testing.assert_allclose(classifier().fit(weighted, **plan).history["loss"], want, rtol=1e-6)


def test_an_iterator_that_is_used_up_says_so():
    x, y = reviews(32)
    batches = iter([(x, y)])
    with pytest.raises(ValueError, match="no batches"):
        classifier().fit(batches, epochs=2, verbose=0)


def test_unequal_sequences_are_those_padded_with_the_mask():
    x, y = unequal()
    padded = fr.utils.pad_sequences(x, maxlen=T, padding="post")
    plan = {"epochs": 3, "batch_size": 8, "shuffle": False, "verbose": 0, "validation_split": 0.2}
    for mask_zero in (False, True):  # lengths are known without it
        model, other = classifier(mask_zero=mask_zero), classifier()
        got, want = model.fit(x, y, **plan).history, other.fit(padded, y, **plan).history
        for name in ("loss", "val_loss"):
            np.testing.assert_allclose(got[name], want[name], rtol=1e-5)
        np.testing.assert_allclose(model.predict(x), other.predict(padded), atol=1e-5)


def test_unequal_sequences_are_padded_with_zeros_at_the_end():
    column = batches.column("x", [np.array([[1.0], [2.0]]), np.array([[3.0]])])
    values, mask = column.take(np.array([1, 0]))
    np.testing.assert_array_equal(values, [[[3.0], [0.0]], [[1.0], [2.0]]])
    np.testing.assert_array_equal(mask, [[True, False], [True, True]])


def test_unequal_series_and_outputs():
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((n, 3)) for n in (4, 1, 6, 2, 5)]
    y = [sequence.sum(axis=1, keepdims=True) for sequence in x]
    model = fr.Sequential([fr.SimpleRNN(4, return_sequences=True), fr.Dense(1)], seed=0)
    model.compile(fr.optimizers.SGD(0.1), "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=2, epochs=30, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    got = model.predict(x)
    assert got.shape == (5, 6, 1)
    for row, sequence in zip(got, x, strict=True):
        np.testing.assert_allclose(row[: len(sequence)], model(sequence[None])[0], atol=1e-6)
    # The loss is over the steps that are there.
    errors = np.concatenate([(row[: len(s)] - t).ravel() for row, s, t in zip(got, x, y, strict=True)])
    loss, mae = model.evaluate(x, y, batch_size=5)
    np.testing.assert_allclose([loss, mae], [np.mean(errors**2), np.mean(np.abs(errors))], rtol=1e-5)


def test_validation_split_takes_the_last_before_shuffling():
    x, y = reviews(50)
    y[40:] = 5.0  # a truth of its own
    model = fr.Sequential([fr.Embedding(V, 4), fr.SimpleRNN(5), fr.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    history = model.fit(x, y, epochs=1, validation_split=0.2, verbose=0).history
    assert history["loss"][0] < 3 < 15 < history["val_loss"][0]
    loss = model.evaluate(x[40:], y[40:])
    np.testing.assert_allclose(history["val_loss"], [loss], rtol=1e-6)


def test_epochs_of_so_many_steps_go_on_where_the_last_one_ended():
    x, y = reviews(24)
    model, other = classifier(), classifier()
    plan = {"batch_size": 8, "shuffle": False, "verbose": 0}
    by_two = model.fit(x, y, steps_per_epoch=2, epochs=3, **plan).history["loss"]
    assert len(by_two) == 3
    one = [other.fit(x, y, steps_per_epoch=1, epochs=3, **plan) for _ in range(2)]
    np.testing.assert_allclose(by_two[0], np.mean(one[0].history["loss"][:2]), rtol=1e-6)
    np.testing.assert_allclose(by_two[2], np.mean(one[1].history["loss"][1:]), rtol=1e-6)
    for got, want in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    first = model.evaluate(x[:16], y[:16])
    assert model.evaluate(x, y, batch_size=8, steps=2) == pytest.approx(first, rel=1e-6)
    assert model.predict(x, batch_size=8, steps=2).shape == (16, 1)
    assert model.predict(np.tile(x, (3, 1)), steps=2).shape == (64, 1)
    history = model.fit(x, y, validation_split=0.5, validation_steps=1, validation_batch_size=4, verbose=0).history
    np.testing.assert_allclose(history["val_loss"], model.evaluate(x[12:16], y[12:16]), rtol=1e-6)


def test_validation_data_and_frequency():
    x, y = reviews()
    model = classifier(metrics=["accuracy"])
    history = model.fit(x, y, epochs=5, validation_data=(x, y), validation_freq=3, verbose=0)
    assert len(history.history["loss"]) == 5
    assert len(history.history["val_accuracy"]) == 1  # after the third
    weighted = model.fit(x, y, validation_data=(x, y, np.zeros(50)), verbose=0)
    assert weighted.history["val_loss"] == [0.0]
    listed = model.fit(x, y, validation_data=[x, y], verbose=0)
    np.testing.assert_allclose(listed.history["val_loss"], model.evaluate(x, y)[0], rtol=1e-5)
    streamed = model.fit(x, y, validation_data=[(x[:10], y[:10]), (x[10:], y[10:])], verbose=0)
    np.testing.assert_allclose(streamed.history["val_loss"], model.evaluate(x, y)[0], rtol=1e-5)


def test_weights_of_samples_and_classes():
    x, y = reviews()
    twice, plan = classifier(), {"epochs": 3, "batch_size": 50, "shuffle": False, "verbose": 0}
    keep = y == 1
    weights = twice.fit(x, y, sample_weight=np.where(keep, 3.0, 1.0), **plan).history["loss"]
    classes = classifier().fit(x, y.astype(int), class_weight={1: 3.0}, **plan).history["loss"]
    np.testing.assert_allclose(weights, classes, rtol=1e-6)
    # A weight of 3 is as good as being there three times, but for the number that a mean divides by.
    repeated = np.concatenate([np.arange(50), *[np.flatnonzero(keep)] * 2])
    loss = classifier().fit(x[repeated], y[repeated], **{**plan, "batch_size": 1000, "epochs": 1}).history["loss"]
    np.testing.assert_allclose(weights[0] * 50, loss[0] * len(repeated), rtol=1e-5)
    one_hot = fr.Sequential([fr.Embedding(V, 4), fr.SimpleRNN(4), fr.Dense(2, activation="softmax")], seed=0)
    one_hot.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    history = one_hot.fit(x, np.eye(2)[y.astype(int)], class_weight={0: 0.0}, verbose=0).history
    assert set(history) == {"loss", "accuracy", "weighted_accuracy"}


def test_classes_have_weights_in_training_only():
    x, y = reviews()
    history = classifier().fit(x, y, validation_split=0.2, class_weight={0: 0.1, 1: 9.0}, batch_size=50, verbose=0)
    held_out = classifier()
    held_out.build((None, None))
    held_out.set_weights(history.model.get_weights())
    assert history.history["val_loss"] == [held_out.evaluate(x[40:], y[40:])]


@pytest.mark.parametrize("mask_zero", [True, False])
def test_weights_of_sequences_are_those_of_their_steps(mask_zero):
    """Also where there are as many sequences as steps, and where the labels of steps look one-hot."""
    x, y = reviews(T)[0], np.eye(T, dtype=int)
    weights = np.arange(1.0, T + 1)

    def loss(**weights):
        head = fr.Dense(2, activation="softmax")
        model = fr.Sequential(
            [fr.Embedding(V, 4, mask_zero=mask_zero), fr.SimpleRNN(5, return_sequences=True), head], seed=0
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model.fit(x, y, verbose=0, **weights).history["loss"]

    assert loss(sample_weight=weights) == loss(sample_weight=np.repeat(weights, T).reshape(T, T))
    assert loss(class_weight={0: 0.5, 1: 7.0}) == loss(sample_weight=np.where(y == 1, 7.0, 0.5))


def test_initial_epoch_and_epochs():
    x, y = reviews()
    epochs = []
    model = classifier()
    callback = fr.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    history = model.fit(x, y, initial_epoch=2, epochs=5, verbose=0, callbacks=[callback])
    assert epochs == history.epoch == [2, 3, 4]


def test_each_epoch_has_every_sample_once_in_an_order_of_its_own():
    x, y = np.arange(40).reshape(40, 1, 1) / 40, np.arange(40.0)
    seen = []

    class Spy(fr.losses.MeanSquaredError):
        def step(self, y_true, y_pred, sample_weight=None):
            seen.append(np.array(y_true))
            return super().step(y_true, y_pred, sample_weight)

    model = forecaster()
    model.compile("sgd", Spy())
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    first, second = (np.concatenate(seen[i : i + 3]) for i in (0, 3))
    assert sorted(first) == sorted(second) == list(y)
    assert list(first) != list(second) != list(y)


def test_stateful_models_carry_states_from_batch_to_batch():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 30, 1)), rng.standard_normal((4, 1))
    model = fr.Sequential([fr.SimpleRNN(3, stateful=True, return_sequences=True), fr.Dense(1)], seed=0)
    parts = [model.predict(x[:, i : i + 10], batch_size=4) for i in (0, 10, 20)]
    model.reset_state()
    np.testing.assert_allclose(np.concatenate(parts, axis=1), model.predict(x, batch_size=4), atol=1e-6)
    model = fr.Sequential([fr.SimpleRNN(3, stateful=True)], seed=0)
    model.build((32, None, 1))
    x32 = rng.standard_normal((32, 20, 1))
    halves = model.predict(np.concatenate([x32[:, :10], x32[:, 10:]]))  # 32 samples of a batch, unless one says so
    model.reset_state()
    np.testing.assert_allclose(halves[32:], model.predict(x32), atol=1e-6)
    trained = forecaster(stateful=True)
    trained.fit(np.concatenate([x, x]), np.concatenate([y, y]), batch_size=4, shuffle=False, verbose=0)
    assert trained.layers[0].states[0].any()
    with pytest.raises(ValueError, match=r"x must be .*batch=4"):
        trained.fit(x[:3], y[:3], verbose=0)


# ---- endings ----


def test_a_loss_that_is_not_finite_stops_with_an_error_and_harms_nothing():
    x, y = np.ones((8, 3, 1)), np.ones(8)
    y[6] = np.inf
    model = forecaster()
    model.fit(x[:4], y[:4], verbose=0)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 4: the loss is inf: y holds values"):
        model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    other = forecaster()
    other.fit(x[:4], y[:4], verbose=0)
    other.fit(x[:6], y[:6], batch_size=2, shuffle=False, verbose=0)
    for got, want in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    history = model.fit(x, y, epochs=3, callbacks=[fr.callbacks.TerminateOnNaN()], shuffle=False, verbose=0)
    assert history.epoch == [0]
    with pytest.raises(FloatingPointError, match="the loss is inf"):
        model.fit(x, y, callbacks=[fr.callbacks.TerminateOnNaN(raise_error=True)], shuffle=False, verbose=0)
    y[6] = np.nan
    with pytest.raises(FloatingPointError, match="the loss is nan: y holds values that are not finite"):
        model.train_on_batch(x, y)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(FloatingPointError, match="the loss is nan: a smaller learning rate"):
        model.train_on_batch(x, np.ones(8))


class Interrupting(fr.optimizers.Adam):
    """Is interrupted in the middle of a step."""

    def _update(self, g, w, slots, scratch, learning_rate):
        if self.iterations == 3:
            signal.raise_signal(signal.SIGINT)
        super()._update(g, w, slots, scratch, learning_rate)


def test_an_interrupt_waits_for_the_whole_step():
    x, y = reviews(48)
    model, other = classifier(optimizer=Interrupting(0.01)), classifier()
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    assert signal.getsignal(signal.SIGINT) is handler
    assert model.optimizer.iterations == 3
    other.fit(x[:24], y[:24], batch_size=8, shuffle=False, verbose=0)
    for got, want in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    model.fit(x[24:], y[24:], batch_size=8, shuffle=False, verbose=0)  # and it can go on
    other.fit(x[24:], y[24:], batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


def test_an_interrupt_between_steps_leaves_states_and_weights():
    x, y = np.ones((4, 3, 1)), np.ones(4)
    model = forecaster(stateful=True)
    model.fit(x, y, batch_size=4, verbose=0)
    weights, states = model.get_weights(), model.layers[0].states[0].copy()

    class Interrupted(fr.losses.MeanSquaredError):
        def step(self, y_true, y_pred, sample_weight=None):
            signal.raise_signal(signal.SIGINT)
            return super().step(y_true, y_pred, sample_weight)

    model.compile("sgd", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.layers[0].states[0], states)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, want)


def test_an_interrupt_between_layers_leaves_the_states_of_the_first():
    x, y = np.ones((4, 3, 1)), np.ones(4)

    class Interrupted(fr.Dropout):
        asked = False

        def forward(self, x, training=True):
            if self.asked:
                signal.raise_signal(signal.SIGINT)
            return super().forward(x, training)

    model = fr.Sequential([fr.SimpleRNN(3, stateful=True), Interrupted(0.0), fr.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=4, verbose=0)
    states = model.layers[0].states[0].copy()
    model.layers[1].asked = True
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.layers[0].states[0], states)


# Ctrl-C comes somewhere in a training whose time goes into calls of some milliseconds, forward and back.
INTERRUPTED = """
import sys

import numpy as np
import fastrnn as fr

x = np.random.default_rng(0).integers(1, 20, (256, 100))
y = x[:, 0] > 10


def model():
    layers = [fr.Embedding(20, 16, mask_zero=True), fr.Bidirectional(fr.GRU(64)), fr.Dense(1, activation="sigmoid")]
    model = fr.Sequential(layers, seed=0)
    model.compile(fr.optimizers.Adam(0.001), "binary_crossentropy", metrics=["accuracy"])
    return model


def twin_after(steps):
    twin = model()
    for step in range(steps):
        batch = slice(step % 4 * 64, step % 4 * 64 + 64)
        twin.train_on_batch(x[batch], y[batch])
    return twin


trained = model()
ready = fr.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch or print("ready", flush=True))
try:
    trained.fit(x, y, batch_size=64, epochs=100_000, shuffle=False, verbose=0, callbacks=[ready])
except KeyboardInterrupt:
    steps = trained.optimizer.iterations
    same = [np.array_equal(a, b) for a, b in zip(trained.get_weights(), twin_after(steps).get_weights(), strict=True)]
    print("as after a whole step" if steps >= 4 and all(same) else f"after step {steps}: {same}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in POSIX's way")
@pytest.mark.parametrize("seconds", [0.1, 0.123])
def test_ctrl_c_leaves_the_model_as_after_a_whole_step(seconds):
    with children.start("-c", INTERRUPTED) as child:
        try:
            assert child.stdout.readline() == "ready\n", child.stderr.read()
            time.sleep(seconds)
            child.send_signal(signal.SIGINT)
            output, errors = child.communicate(timeout=60)
        finally:
            child.kill()
    assert (output, errors, child.returncode) == ("as after a whole step\n", "", 0)


def test_training_in_another_thread():
    x, y = reviews()
    results = []
    thread = threading.Thread(target=lambda: results.append(classifier().fit(x, y, verbose=0).history["loss"]))
    thread.start()
    thread.join()
    assert results == [classifier().fit(x, y, verbose=0).history["loss"]]


# ---- refusals ----


def test_arguments_that_do_not_fit():
    x, y = reviews()
    model = classifier()
    for call, error, message in (
        (lambda: classifier(loss=None).fit(x, y, verbose=0), ValueError, "compiled with a loss"),
        (lambda: fr.Sequential([fr.Dense(1)]).fit(x, y), ValueError, "compiled first"),
        (lambda: model.fit(x), ValueError, "y must be given"),
        (lambda: model.train_on_batch(x), ValueError, "y must be given"),
        (lambda: model.fit(iter([x]), verbose=0), ValueError, "y must be given"),
        (lambda: model.evaluate(iter([x])), ValueError, "y must be given"),
        (lambda: model.fit(x, y[:-1]), ValueError, "y must be of 50 samples, as x is, got 49"),
        (lambda: model.fit(x, y, sample_weight=[1.0]), ValueError, "sample_weight must be of 50 samples"),
        (
            lambda: model.fit(x, y, sample_weight=y, class_weight={0: 1}, verbose=0),
            ValueError,
            "exclude each other",
        ),
        (lambda: model.fit(x, y, class_weight="balanced"), TypeError, "class_weight must be a mapping"),
        (
            lambda: model.fit(x, y, validation_split=1.5),
            ValueError,
            "validation_split must be .* at least 0 and below 1",
        ),
        (lambda: model.fit(x, y, validation_split="0.2"), TypeError, "validation_split must be a number"),
        (lambda: model.fit(x, y, validation_data=(x,)), ValueError, "validation_data must be .* got 1 values"),
        (lambda: model.fit(x, y, epochs=2.0), TypeError, "epochs must be a whole number of at least 0, got 2.0"),
        (lambda: model.fit(x, y, initial_epoch=-1), ValueError, "initial_epoch must be .* got -1"),
        (lambda: model.fit(x, y, validation_split=0.99), ValueError, "samples on both sides"),
        (lambda: model.fit([(x, y)], validation_split=0.5), ValueError, "all samples at once"),
        (lambda: model.fit(x, y, batch_size=0), ValueError, "^batch_size must be a positive integer, got 0"),
        (lambda: model.fit(x, y, validation_batch_size=0), ValueError, "^validation_batch_size must be .* got 0"),
        (lambda: model.fit(x, y, steps_per_epoch=0), ValueError, "^steps_per_epoch must be .* got 0"),
        (lambda: model.fit(x, y, validation_steps=-1), ValueError, "^validation_steps must be .* got -1"),
        (lambda: model.evaluate(x, y, steps=2.5), TypeError, "^steps must be .* got 2.5"),
        (lambda: model.predict(x, steps=-1), ValueError, "^steps must be .* got -1"),
        (lambda: model.predict(x, batch_size=0), ValueError, "^batch_size must be .* got 0"),
        (lambda: model.fit(x, y, verbose=3), ValueError, "verbose must be"),
        (lambda: model.evaluate(x, y, verbose=3), ValueError, "verbose must be"),
        (lambda: model.fit(x, y, callbacks=[3], verbose=0), TypeError, "callbacks must hold Callback objects, got int"),
        (lambda: model.fit(x + V, y), ValueError, "x must hold ids from 0 to 19, got 21 to"),
        (lambda: model.fit(x, np.array(["a"] * 50)), TypeError, "y must hold real numbers"),
        (lambda: model.fit(np.zeros((0, T), int), np.zeros(0), verbose=0), ValueError, "no batches"),
        (lambda: model.evaluate(np.zeros((0, T), int), np.zeros(0)), ValueError, "no batches"),
        (lambda: model.compile(metrics=["precise"]), ValueError, "metric must be one of"),
        (lambda: model.compile(loss="lost"), ValueError, "loss must be one of"),
        (lambda: model.compile("best"), ValueError, "optimizer must be one of"),
        (
            lambda: forecaster().fit(np.zeros((4, 3)), np.zeros(4)),
            ValueError,
            r"x must be \(batch, time, features\), got \(4, 3\)",
        ),
        (lambda: forecaster()(np.zeros(3)), ValueError, r"x must be \(batch, time, features\), got \(3,\)"),
        (lambda: forecaster().predict([np.zeros((2, 1)), np.zeros((3, 2))]), ValueError, "differ in length only"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_evaluate_predict_and_batches():
    x, y = reviews()
    model = classifier(metrics=["accuracy", "mse"])
    logs = model.evaluate(x, y, return_dict=True)
    assert list(logs) == ["loss", "accuracy", "mse"]
    p = model.predict(x)[:, 0]
    np.testing.assert_allclose(logs["accuracy"], np.mean((p > 0.5) == y))
    np.testing.assert_allclose(logs["mse"], np.mean((p - y) ** 2), rtol=1e-5)
    assert model.evaluate(x, y) == list(logs.values())
    on_batch = model.train_on_batch(x, y, return_dict=True)
    np.testing.assert_allclose(list(on_batch.values()), list(logs.values()), rtol=1e-5)
    assert isinstance(classifier().train_on_batch(x, y), float)
    assert model.predict(x[:0]).shape == (0, 1)
    np.testing.assert_array_equal(model.predict(iter([x[:20], x[20:]])), model.predict(x))
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict(x))
    assert model.test_on_batch(x, y, return_dict=True) == model.evaluate(x, y, batch_size=50, return_dict=True)


def test_progress(capsys):
    x, y = reviews()
    model = classifier(metrics=["accuracy"])
    model.fit(x, y, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2 ")
    for name in ("loss: ", "accuracy: ", "val_loss: ", "val_accuracy: ", "/step"):
        assert name in lines[1]
    model.fit(x, y, epochs=1, verbose=1)
    assert "2/2 ━━━━━━━━━━━━━━━━━━━━ " in capsys.readouterr().out
    model.fit([(x, y)] * 3, verbose=1)
    model.fit(x, y, verbose=0)
    assert "3/3" in capsys.readouterr().out


# ---- files ----


def test_a_saved_model_is_the_model(tmp_path):
    x, y = reviews()
    model = fr.Sequential(
        [
            fr.Embedding(V, 4, mask_zero=True, embeddings_regularizer="l2"),
            fr.Dropout(0.2),
            fr.SimpleRNN(5, return_sequences=True, kernel_constraint="max_norm"),
            fr.TimeDistributed(fr.Dense(3)),
            fr.Bidirectional(fr.LSTM(3, return_sequences=True, dropout=0.0), merge_mode="sum"),
            fr.RNN([fr.GRU(2), fr.SimpleRNN(3)], return_sequences=True),
            fr.GRU(3, reset_after=False),
            fr.Dense(1, activation="sigmoid"),
        ],
        seed=0,
    )
    model.compile(fr.optimizers.RMSprop(0.01, momentum=0.5), "bce", metrics=["accuracy", "mae"])
    model.fit(x, y, verbose=0)
    path = tmp_path / "model.safetensors"
    model.save(path)
    other = fr.Sequential.load(path)
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert other.get_config() == model.get_config()
    assert other.evaluate(x, y) == model.evaluate(x, y)
    for m in (model, other):
        m.layers[1].rate = 0.0
    plan = {"shuffle": False, "verbose": 0, "epochs": 2}
    assert other.fit(x, y, **plan).history == model.fit(x, y, **plan).history  # the optimizer goes on
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    model.save(path, include_optimizer=False)
    with pytest.raises(ValueError, match="compiled first"):
        fr.Sequential.load(path).fit(x, y)


def test_weights_alone_travel_through_files(tmp_path):
    x, y = reviews()
    model, other = classifier(seed=0), classifier(seed=1)
    path = tmp_path / "weights.safetensors"
    model.fit(x, y, verbose=0)
    model.save_weights(path)
    with pytest.raises(ValueError, match="no weights yet"):
        other.load_weights(path)
    other.build((None, None))
    other.load_weights(path)
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    head = fr.Dense(1, activation="sigmoid")
    for layers, message in (
        ([fr.Embedding(V, 4), fr.SimpleRNN(5, use_bias=False), head], "'1/bias' belongs to no layer"),
        ([fr.Embedding(V, 4), fr.SimpleRNN(5), fr.Dense(2)], r"'2/kernel' of shape \(5, 2\), got shape \(5, 1\)"),
        ([fr.Embedding(V, 4), fr.SimpleRNN(5), head, fr.Dense(1)], r"'3/kernel' of shape \(1, 1\), got none"),
    ):
        wrong = fr.Sequential([fr.Input((T,)), *layers])
        before = wrong.get_weights()
        with pytest.raises(ValueError, match=message):
            wrong.load_weights(path)
        assert all((a == b).all() for a, b in zip(before, wrong.get_weights(), strict=True))


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    x, y = reviews()
    model = classifier()
    model.fit(x, y, verbose=0)
    path = tmp_path / "model.safetensors"
    model.save(path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]
    monkeypatch.undo()
    model.compile(fr.optimizers.SGD(lambda step: 0.1), "bce")
    with pytest.raises(ValueError, match="learning_rate must be a number or one of"):
        model.save(path)
    unbuilt = classifier()
    with pytest.raises(ValueError, match="no weights yet"):
        unbuilt.save(path)
    assert path.read_bytes() == before


def test_keras_configs_become_our_models():
    keras = pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras
    L = keras.layers
    theirs = keras.Sequential(
        [L.Embedding(V, 4, mask_zero=True), L.SimpleRNN(5, kernel_regularizer="l2"), L.Dense(1, activation="sigmoid")]
    )
    theirs.build((None, T))
    described = [{"class_name": type(layer).__name__, "config": layer.get_config()} for layer in theirs.layers]
    ours = fr.Sequential.from_config({"layers": described, "build_input_shape": [None, T]})
    ours.set_weights(theirs.get_weights())
    x, _ = reviews()
    x[:, 4:] = 0
    np.testing.assert_allclose(ours.predict(x), np.asarray(theirs(x)), atol=1e-6)


@pytest.mark.parametrize("with_input", [True, False])
def test_whole_configs_travel_both_ways(with_input):
    keras = pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras
    x, _ = reviews()
    models = []
    for package, L in ((keras, keras.layers), (fr, fr.layers)):
        first = [L.Input((T,), dtype="int32")] if with_input else []
        layers = [L.Embedding(V, 4, mask_zero=True), L.Bidirectional(L.GRU(3)), L.Dense(1)]
        model = package.Sequential([*first, *layers])
        model.build((None, T))
        models.append(model)
    for model, other in (models, models[::-1]):
        again = type(other).from_config(model.get_config())
        again.set_weights(model.get_weights())
        np.testing.assert_allclose(np.asarray(again(x)), np.asarray(model(x)), atol=1e-6)


def test_an_input_may_say_the_batch():
    model = fr.Sequential([fr.Input((None, 2), batch_size=3), fr.SimpleRNN(4, stateful=True)])
    assert model.output_shape == (3, 4)
    assert model(np.ones((3, 5, 2))).shape == (3, 4)
    with pytest.raises(ValueError, match="3"):
        model(np.ones((2, 5, 2)))
