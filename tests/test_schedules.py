"""Optimizers' arguments, and learning rates that change, beside Keras's."""

import numpy as np
import pytest

from fastrnn import optimizers
from fastrnn.optimizers import schedules

SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9, "staircase": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 20, "warmup_target": 0.3, "warmup_steps": 5}),
]
OPTIMIZERS = [
    optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
    optimizers.RMSprop(0.1, rho=0.5, momentum=0.1, epsilon=1e-3, centered=True, clipvalue=0.5),
    optimizers.Adam(schedules.CosineDecay(0.1, 10), amsgrad=True, global_clipnorm=2.0),
    optimizers.AdamW(0.1, 0.01),
]


@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_schedules_are_keras_s(name, arguments):
    keras = pytest.importorskip("keras_oracle", reason="the oracle is Keras").keras
    ours, theirs = (getattr(module, name)(**arguments) for module in (schedules, keras.optimizers.schedules))
    for step in range(30):
        np.testing.assert_allclose(ours(step), float(theirs(step)), rtol=2e-6, atol=1e-9)
    again = schedules.get(schedules.serialize(ours))
    assert [again(step) for step in range(30)] == [ours(step) for step in range(30)]
    from_keras = {"class_name": name, "config": theirs.get_config()}
    assert schedules.get(from_keras)(3) == ours(3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_an_optimizer_is_what_its_config_says(optimizer):
    again = optimizers.get(optimizers.serialize(optimizer))
    results = []
    for one in (optimizer, again):
        one.iterations, one._state, one._scratch, one._known = 0, [], [], None
        w = [np.ones((3, 2)), np.ones(2)]
        for step in range(5):
            one.apply([np.full((3, 2), 0.3), np.arange(2.0) - step], w)
        results.append(np.concatenate([a.ravel() for a in w]))
    np.testing.assert_array_equal(*results)
    assert again.get_config() == optimizer.get_config()
    assert set(results[0]) != {1.0}


def test_the_gradients_given_are_not_clipped_in_place():
    w, g = [np.ones(2)], [np.array([30.0, 40.0])]
    optimizers.SGD(1.0, clipnorm=5.0).apply(g, w)
    np.testing.assert_array_equal(g[0], [30.0, 40.0])
    np.testing.assert_allclose(w[0], [1 - 3, 1 - 4])


def test_one_buffer_or_many_weights_make_the_same_step():
    rng = np.random.default_rng(0)
    for optimizer in OPTIMIZERS:
        config = optimizers.serialize(optimizer)
        one, many = optimizers.get(config), optimizers.get(config)
        buffer, gradients = rng.standard_normal(10), rng.standard_normal((4, 10))
        parts = [buffer[:6].copy().reshape(2, 3), buffer[6:].copy()]
        for g in gradients:
            many.apply([g[:6].reshape(2, 3), g[6:]], parts)
            flat = g.copy()
            one.step([flat], [buffer], [flat[:6], flat[6:]])
        np.testing.assert_allclose(buffer, np.concatenate([part.ravel() for part in parts]), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.SGD(-1.0), ValueError, "learning_rate must be a finite number of at least 0, got -1"),
        (lambda: optimizers.SGD("fast"), TypeError, "learning_rate must be a finite number of at least 0, got 'fast'"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "momentum must be a number from 0 to 1, got 1.5"),
        (lambda: optimizers.RMSprop(rho=1.0), ValueError, "rho must be a number of at least 0 and below 1, got 1.0"),
        (lambda: optimizers.AdamW(weight_decay=None), TypeError, "weight_decay must be a finite number"),
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, "only one of clipnorm"),
        (lambda: optimizers.Adam(clipnorm=-1.0), ValueError, "clipnorm must be a finite number of at least 0, got -1"),
        (lambda: optimizers.get("sgdw"), ValueError, "optimizer must be one of 'sgd', 'rmsprop', 'adam', 'adamw'"),
        (
            lambda: optimizers.get(3),
            TypeError,
            "optimizer must be a name, a config or an Optimizer, got int",
        ),
        (lambda: optimizers.SGD(lambda step: 0.1).get_config(), ValueError, "one of fastrnn.optimizers.schedules"),
        (lambda: schedules.get({"class_name": "Linear"}), ValueError, "learning_rate must be one of"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_rate_is_of_the_steps_made_before():
    seen = []
    optimizer = optimizers.SGD(lambda step: seen.append(step) or 0.1)
    w = [np.zeros(1)]
    for _ in range(3):
        optimizer.apply([[1.0]], w)
    assert seen == [0, 1, 2]
    np.testing.assert_allclose(w[0], -0.3)
    optimizer.learning_rate = 1.0
    optimizer.apply([[1.0]], w)
    np.testing.assert_allclose(w[0], -1.3)
