"""The estimators by scikit-learn's own checks, and in its tools."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="the estimators are scikit-learn's")

import joblib  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from fastrnn.sklearn import RNNClassifier, RNNRegressor  # noqa: E402

ESTIMATORS = [RNNClassifier(), RNNRegressor()]
CELLS = ["rnn", "gru", "lstm"]


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


def test_no_check_is_expected_to_fail():
    for estimator in ESTIMATORS:
        tags = estimator.__sklearn_tags__()
        assert not tags._skip_test
        assert not tags.non_deterministic
        assert not getattr(tags.classifier_tags, "poor_score", False)
        assert not getattr(tags.regressor_tags, "poor_score", False)


def sequences(n=80, time=8, features=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, time, features))
    return X, X.sum(axis=(1, 2))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"units": [6, 4], "dropout": 0.1}, {"bidirectional": True}],
    ids=str,
)
def test_every_kind_learns(kind, arguments):
    X, y = sequences()
    common = {"units": 8, "cell": kind, "random_state": 0, "batch_size": 20, **arguments}
    assert RNNClassifier(**common).fit(X, y > 0).score(X, y > 0) > 0.9
    assert RNNRegressor(**common).fit(X, y).score(X, y) > 0.8


def test_the_forms_of_x_are_the_same():
    X, y = sequences(time=6)
    labels = np.where(y > 0, "up", "down")
    common = {"units": 4, "epochs": 5, "random_state": 0}
    want = RNNClassifier(**common).fit(X, labels).predict_proba(X)
    flat = RNNClassifier(n_timesteps=6, **common).fit(X.reshape(80, -1), labels)
    np.testing.assert_array_equal(flat.predict_proba(X.reshape(80, -1)), want)
    listed = RNNClassifier(**common).fit(list(X), labels)
    np.testing.assert_array_equal(listed.predict_proba(list(X)), want)
    np.testing.assert_array_equal(listed.predict_proba(X), want)
    # A padded sequence is the sequence.
    longer = RNNClassifier(**common).fit([*X[:-1], X[-1][:3]], labels)
    np.testing.assert_allclose(
        longer.predict_proba([X[0], X[1][:2]])[1], longer.predict_proba([X[1][:2]])[0], rtol=1e-9
    )
    single = RNNClassifier(**common).fit(X.astype(np.float32), labels)
    assert single.predict_proba(X).dtype == np.float32
    np.testing.assert_allclose(single.predict_proba(X), want, atol=1e-2)
    numbers = RNNClassifier(units=4, epochs=2).fit([[1.0], [1.0, 2.0]], [0, 1])
    assert numbers.n_features_in_ == 1


def test_in_a_pipeline_a_search_and_cross_validation(tmp_path):
    X, y = sequences(n=60, time=5, features=1)
    X, labels = X[:, :, 0], y > 0
    pipeline = make_pipeline(StandardScaler(), RNNClassifier(units=4, epochs=20, random_state=0))
    search = GridSearchCV(pipeline, {"rnnclassifier__units": [2, [3, 3]]}, cv=2, n_jobs=2).fit(X, labels)
    assert search.best_score_ > 0.6
    assert len(cross_val_score(pipeline, X, labels, cv=3)) == 3
    joblib.dump(search.best_estimator_, tmp_path / "model")
    again = joblib.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert not hasattr(clone(again)[-1], "model_")


def test_weights_are_repetitions():
    X, y = sequences(n=30)
    weight = np.random.default_rng(1).integers(0, 4, 30)
    repeated = np.repeat(np.arange(30), weight)
    for estimator, truth in ((RNNClassifier, (y > 0).astype(int)), (RNNRegressor, y)):
        common = {"units": 4, "epochs": 20, "random_state": 0}
        weighted = estimator(**common).fit(X, truth, sample_weight=weight)
        again = estimator(**common).fit(X[repeated], truth[repeated])
        np.testing.assert_allclose(weighted.predict(X), again.predict(X), rtol=1e-6)
        plain = estimator(**common).fit(X, truth)
        np.testing.assert_raises(
            AssertionError, np.testing.assert_allclose, plain._outputs(X), weighted._outputs(X), rtol=1e-3
        )


def test_going_on():
    X, y = sequences()
    warm = RNNRegressor(units=4, epochs=3, warm_start=True, random_state=0).fit(X, y).fit(X, y)
    assert (warm.n_iter_, len(warm.loss_curve_)) == (6, 6)
    assert warm.loss_curve_[-1] < warm.loss_curve_[0]
    cold = RNNRegressor(units=4, epochs=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(cold.fit(X, y).predict(X), cold.fit(X, y).predict(X))
    assert cold.n_iter_ == 3
    part = RNNClassifier(units=4, random_state=0)
    for i in range(0, 80, 20):
        part.partial_fit(X[i : i + 20], y[i : i + 20] > 0, classes=[False, True])
    assert part.n_iter_ == 4
    numbers = RNNRegressor(units=4).partial_fit(X, np.stack([y, -y], axis=1))
    assert numbers.partial_fit(X, np.stack([y, -y], axis=1)).predict(X).shape == (80, 2)
    for call, message in (
        (lambda: part.partial_fit(X, y > 0, classes=[0, 1, 2]), "classes must be those of the first call"),
        (lambda: part.partial_fit(X, np.full(80, "up")), "y must hold labels of"),
        (lambda: part.partial_fit(X[:, :, :1], y > 0), "X has 1 features, but RNNClassifier is expecting 2"),
        (lambda: numbers.partial_fit(X, y), "y must have 2 outputs, as in the first call, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_early_stopping():
    X, _ = sequences(n=60)
    noise = np.random.default_rng(0).integers(0, 2, 60)
    model = RNNClassifier(units=16, epochs=500, early_stopping=True, patience=3, random_state=0)
    assert model.fit(X, noise).n_iter_ < 200
    assert model.fit(list(X), noise, sample_weight=np.ones(60)).n_iter_ < 200


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (RNNClassifier(cell="elman"), "cell must be one of 'rnn', 'gru', 'lstm', got 'elman'"),
        (RNNClassifier(units=0), "units must be a positive integer, got 0"),
        (RNNClassifier(units=[]), "units must be a number or a list of at least one"),
        (RNNClassifier(epochs=0), "epochs must be a positive integer, got 0"),
        (RNNClassifier(batch_size=0), "batch_size must be a positive integer, got 0"),
        (RNNClassifier(n_timesteps=3), r"X must have a multiple of n_timesteps=3 columns, got \(80, 16\)"),
    ],
)
def test_wrong_parameters_are_told_by_fit(estimator, message):
    X, y = sequences()
    with pytest.raises(ValueError, match=message):
        estimator.fit(X.reshape(80, -1), y > 0)


def test_wrong_data():
    X, y = sequences()
    for wrong, message in (
        ([X[0], X[1][:, :1]], "X has 1 features, but RNNRegressor is expecting 2"),
        (np.full_like(X, np.nan), "NaN"),
        (X[:0], "0 sample"),
        (X[:3], "inconsistent numbers of samples"),
    ):
        with pytest.raises(ValueError, match=message):
            RNNRegressor().fit(wrong, y[: len(wrong)] if len(wrong) == 2 else y)
    with pytest.raises(NotFittedError):
        RNNClassifier().predict(X)
    with pytest.raises(ValueError, match="dim 3"):
        RNNRegressor().fit(X, np.zeros((80, 2, 2)))


def test_lists_that_are_equally_long_by_chance():
    sequences = [[1.0], [0.0, 1.0], [1.0, 1.0, 0.0], [0.0]] * 3
    model = RNNClassifier(2, epochs=2, random_state=0).fit(sequences, [1, 0, 1, 0] * 3)
    every = model.predict_proba(sequences)
    for rows in ([1, 5], [2], [0, 3]):
        some = model.predict_proba([sequences[i] for i in rows])
        np.testing.assert_allclose(some, every[rows], rtol=1e-6)
    model.fit(np.zeros((4, 5)), [0, 1, 0, 1])  # a table again: five steps
    with pytest.raises(ValueError, match="expecting 5 features"):
        model.predict(sequences[2:3])
