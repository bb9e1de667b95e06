"""Recurrent networks as scikit-learn's estimators, for its pipelines, searches and cross-validation.

>>> import numpy as np
>>> from fastrnn.sklearn import RNNClassifier
>>> rng = np.random.default_rng(0)
>>> X = rng.standard_normal((60, 10, 2))  # 60 sequences of 10 steps of 2 features
>>> y = np.where(X.sum(axis=(1, 2)) > 0, "up", "down")
>>> RNNClassifier(units=8, random_state=0).fit(X, y).predict(X[:3]).shape
(3,)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data

import fastrnn
from fastrnn import _check
from fastrnn._check import Array
from fastrnn.callbacks import EarlyStopping
from fastrnn.layers import Layer

__all__ = ["RNNClassifier", "RNNRegressor"]

_CELLS = {"rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}
_LARGEST_BATCH = 200  # of batch_size="auto"


class _RNN(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """What both estimators share: parameters, the forms of X, and training."""

    def __init__(
        self,
        units: int | Sequence[int] = 32,
        cell: str = "rnn",
        bidirectional: bool = False,
        dropout: float = 0.0,
        learning_rate: float = 0.01,
        epochs: int = 100,
        batch_size: int | str = "auto",
        n_timesteps: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.n_timesteps = n_timesteps
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _layers(self, outputs: int, dtype: str) -> list[Layer]:
        """Make the layers, for a head of so many outputs."""
        units = [self.units] if isinstance(self.units, int | np.integer) else list(self.units)
        if not units:
            raise ValueError("units must be a number or a list of at least one, got an empty list")
        cell = getattr(fastrnn, _CELLS[_check.choice("cell", self.cell, tuple(_CELLS))])
        layers: list[Layer] = []
        for i, size in enumerate(units):
            layer = cell(size, dropout=self.dropout, return_sequences=i + 1 < len(units), dtype=dtype)
            layers.append(fastrnn.Bidirectional(layer) if self.bidirectional else layer)
        layers.append(self._head(outputs, dtype))
        return layers

    def _head(self, outputs: int, dtype: str) -> Layer:
        raise NotImplementedError

    def _loss(self) -> str:
        raise NotImplementedError

    def _sequences(self, X: Any, reset: bool) -> Any:
        """Take X in any of its forms as an array (n, time, features), or as a list of arrays (time, features)."""
        ragged = _as_ragged(X, even_if_equal=not reset and getattr(self, "_takes_lists", False))
        if reset:
            self._takes_lists = ragged is not None
        if ragged is not None:
            found = [check_array(x, dtype=[np.float64, np.float32], ensure_min_samples=0) for x in ragged]
            self._set_features(found[0].shape[1], reset)
            for x in found:
                self._set_features(x.shape[1], False)
            return found
        if getattr(X, "ndim", 0) == 3:
            X = check_array(X, dtype=[np.float64, np.float32], allow_nd=True)
            self._set_features(X.shape[2], reset)
            return X
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)
        steps = X.shape[1] if self.n_timesteps is None else _check.positive_integer("n_timesteps", self.n_timesteps)
        if X.shape[1] % steps:
            raise ValueError(f"X must have a multiple of n_timesteps={steps} columns, got {X.shape}")
        return X.reshape(len(X), steps, -1)

    def _set_features(self, features: int, reset: bool) -> None:
        if reset:
            self.n_features_in_ = features
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        elif features != self.n_features_in_:
            raise ValueError(
                f"X has {features} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                "input."
            )

    def _train(self, X: Any, y: Array, outputs: int, sample_weight: Any, epochs: int, goes_on: bool) -> None:
        """Train the model that is there, or a new one."""
        random = check_random_state(self.random_state)
        seed = int(random.randint(np.iinfo(np.int32).max))
        dtype = np.result_type(*X) if isinstance(X, list) else X.dtype
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not (goes_on and hasattr(self, "model_")):
            self.model_ = fastrnn.Sequential(self._layers(outputs, dtype.name), seed=seed)
            self.model_.compile(
                fastrnn.optimizers.Adam(self.learning_rate),
                # A sample of weight 2 is two samples, also in what the mean divides by.
                fastrnn.losses.get({"class_name": self._loss(), "config": {"reduction": "mean_with_sample_weight"}}),
            )
            self.loss_curve_: list[float] = []
            self.n_iter_ = 0
        data, validation, callbacks = (X, y, sample_weight), None, []
        if self.early_stopping and epochs > 1:
            data, validation = self._split(X, y, sample_weight, seed)
            callbacks.append(EarlyStopping(patience=self.patience, restore_best_weights=True))
        largest = min(_LARGEST_BATCH, len(data[0])) if self.batch_size == "auto" else self.batch_size
        history = self.model_.fit(
            data[0],
            data[1],
            sample_weight=data[2],
            batch_size=_check.positive_integer("batch_size", largest),
            epochs=_check.positive_integer("epochs", epochs),
            validation_data=validation,
            callbacks=callbacks,
            verbose=self.verbose,
        )
        self.loss_curve_ = self.loss_curve_ + history.history["loss"]
        self.n_iter_ += len(history.epoch)

    def _split(self, X: Any, y: Array, sample_weight: Array | None, seed: int) -> tuple[Any, Any]:
        stratify = y if y.dtype.kind in "iu" and np.bincount(y).min() > 1 else None
        training, held_out = train_test_split(
            np.arange(len(y)), test_size=self.validation_fraction, random_state=seed, stratify=stratify
        )

        def part(rows: Array) -> tuple[Any, Array, Array | None]:
            x = [X[i] for i in rows] if isinstance(X, list) else X[rows]
            return x, y[rows], None if sample_weight is None else sample_weight[rows]

        return part(training), part(held_out)

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        return self.model_.predict(self._sequences(X, reset=False))


class RNNClassifier(ClassifierMixin, _RNN):  # type: ignore[misc] # scikit-learn has no types
    """A recurrent network that classifies sequences.

    Layers of `units`, each giving all its outputs to the next one, and a softmax head on the last output, trained with
    Adam to make the cross-entropy small.

    X is an array (n, time, features); or a list with an array (time, features) for each sample, whose times may differ;
    or two-dimensional (n, n_timesteps · features), where the columns of one time step are side by side. It is computed
    in float32 if it is float32, else in float64, which takes twice as long.

    Parameters
    ----------
    units : int or list of int, default 32
        Units of the recurrent layer, or of each layer of a stack.
    cell : {"rnn", "gru", "lstm"}, default "rnn"
        The kind of layers.
    bidirectional : bool, default False
        Whether the layers read in both directions.
    dropout : float, default 0
        Share of each layer's input features to drop in training.
    learning_rate : float, default 0.01
        Adam's.
    epochs : int, default 100
        How often `fit` goes through the data.
    batch_size : int or "auto", default "auto"
        Samples of one step; "auto" is all of them, but at most 200.
    n_timesteps : int, optional
        Time steps in a row of a two-dimensional X. By default, every column is one.
    early_stopping : bool, default False
        Whether to hold out samples, to stop when their loss has not become less for `patience` epochs, and to return to
        the weights of the best one.
    validation_fraction : float, default 0.1
        The share to hold out.
    patience : int, default 10
        See early_stopping.
    warm_start : bool, default False
        Whether `fit` goes on with the network that is there.
    random_state : int, RandomState instance or None, default None
        Makes everything random repeatable.
    verbose : int, default 0
        As for `fastrnn.Sequential.fit`.

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
        The labels, sorted.
    model_ : Sequential
        The network.
    loss_curve_ : list of float
        The loss of every epoch.
    n_iter_ : int
        How many epochs there were.
    n_features_in_ : int
        Columns of a two-dimensional X, or features of a time step.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.sklearn import RNNClassifier
    >>> X = [np.full((n, 1), n % 2) for n in (3, 4, 5, 6, 7, 8)]  # of unequal lengths
    >>> RNNClassifier(units=4, random_state=0).fit(X, [0, 1, 0, 1, 0, 1]).predict(X[:2])
    array([0, 1])
    """

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array-like of shape (n, time, features), list of arrays (time, features), or (n, n_timesteps · features)
            The sequences.
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,), optional
            How much each counts.

        Returns
        -------
        self
        """
        goes_on = self.warm_start and hasattr(self, "model_")
        X, labels = self._checked(X, y, reset=not goes_on)
        if not goes_on:
            self.classes_ = np.unique(labels)
        self._train(X, self._encode(labels), len(self.classes_), sample_weight, self.epochs, goes_on)
        return self

    def partial_fit(
        self, X: Any, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Go through some data once, with the network that is there.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like of shape (classes,), optional
            All labels there are; needed in the first call, if its y has not all of them.

        Returns
        -------
        self
        """
        goes_on = hasattr(self, "model_")
        X, labels = self._checked(X, y, reset=not goes_on)
        if not goes_on:
            self.classes_ = np.unique(labels if classes is None else np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, got {classes}")
        self._train(X, self._encode(labels), len(self.classes_), sample_weight, 1, goes_on)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (n, classes), for X in any of its forms."""
        return self._outputs(X)

    def predict(self, X: Any) -> Array:
        """Return the likeliest label of each sample, (n,), for X in any of its forms."""
        found: Array = self.classes_[self._outputs(X).argmax(axis=1)] if hasattr(self, "classes_") else self._outputs(X)
        return found

    def _checked(self, X: Any, y: ArrayLike, reset: bool) -> tuple[Any, Array]:
        X = self._sequences(X, reset)
        labels = _column(y)
        check_classification_targets(labels)
        check_consistent_length(X, labels)
        return X, labels

    def _encode(self, labels: Array) -> Array:
        if not np.isin(labels, self.classes_).all():
            raise ValueError(f"y must hold labels of {self.classes_}, got {np.setdiff1d(labels, self.classes_)}")
        return np.searchsorted(self.classes_, labels)

    def _head(self, outputs: int, dtype: str) -> Layer:
        return fastrnn.Dense(outputs, activation="softmax", dtype=dtype)

    def _loss(self) -> str:
        return "sparse_categorical_crossentropy"


class RNNRegressor(RegressorMixin, _RNN):  # type: ignore[misc] # scikit-learn has no types
    """A recurrent network that tells a number, or several, for each sequence.

    As `RNNClassifier`, of which it has all parameters, but with a linear head and the mean squared error. The network
    learns y with mean 0 and variance 1; predictions are scaled back.

    Attributes
    ----------
    model_, loss_curve_, n_iter_, n_features_in_
        As of `RNNClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.sklearn import RNNRegressor
    >>> t = np.arange(200.0)
    >>> X = np.stack([np.sin(t[i : i + 20]) for i in range(180)])  # every column is a time step
    >>> model = RNNRegressor(units=8, random_state=0).fit(X[:150], np.sin(t[20:170]))
    >>> bool(model.score(X[150:], np.sin(t[170:])) > 0.95)
    True
    """

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array-like of shape (n, time, features), list of arrays (time, features), or (n, n_timesteps · features)
            The sequences.
        y : array-like of shape (n,) or (n, outputs)
            What to tell.
        sample_weight : array-like of shape (n,), optional
            How much each counts.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, self.epochs, self.warm_start)

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Go through some data once, with the network that is there; y is scaled as in the first call.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, 1, True)

    def predict(self, X: Any) -> Array:
        """Return the numbers, (n,) or (n, outputs) as y was, for X in any of its forms."""
        y = self._outputs(X) * self._scale + self._mean if hasattr(self, "_scale") else self._outputs(X)
        return y[:, 0] if self._is_flat else y

    def _fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None, epochs: int, goes_on: bool) -> Self:
        goes_on = goes_on and hasattr(self, "model_")
        X = self._sequences(X, reset=not goes_on)
        numbers = _numbers(y, self)
        check_consistent_length(X, numbers)
        table = numbers.reshape(len(numbers), -1)
        if not goes_on:
            self._is_flat = numbers.ndim == 1
            weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
            usable = weight is not None and weight.shape == (len(table),) and weight.sum() > 0
            self._mean = np.average(table, axis=0, weights=weight if usable else None)
            variance = np.average((table - self._mean) ** 2, axis=0, weights=weight if usable else None)
            self._scale = np.where(variance > 0, np.sqrt(variance), 1.0)
        elif table.shape[1] != len(self._mean):
            raise ValueError(f"y must have {len(self._mean)} outputs, as in the first call, got {table.shape[1]}")
        self._train(X, (table - self._mean) / self._scale, table.shape[1], sample_weight, epochs, goes_on)
        return self

    def _head(self, outputs: int, dtype: str) -> Layer:
        return fastrnn.Dense(outputs, dtype=dtype)

    def _loss(self) -> str:
        return "mean_squared_error"


def _as_ragged(X: Any, even_if_equal: bool) -> list[Any] | None:
    """Return the sequences, if X is a list of arrays (time, features), or of numbers in unequal numbers.

    Equal numbers are a row of a table, unless the estimator has learned from lists: they are equal by chance then.
    """
    if not isinstance(X, list | tuple) or not X:
        return None
    if all(isinstance(x, np.ndarray) and x.ndim == 2 for x in X):
        return list(X)
    are_rows = all(isinstance(x, list | tuple | np.ndarray) and np.ndim(x) == 1 for x in X)
    if are_rows and (even_if_equal or len({len(x) for x in X}) > 1):
        return [np.asarray(x).reshape(-1, 1) for x in X]
    return None


def _column(y: ArrayLike) -> Array:
    from sklearn.utils import column_or_1d

    labels: Array = column_or_1d(y, warn=True)
    return labels


def _numbers(y: ArrayLike, estimator: Any) -> Array:
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    numbers: Array = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=estimator)
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        return _column(numbers)
    return numbers
