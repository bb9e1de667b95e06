"""A model of layers one behind the other, with Keras's habits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastrnn import _check, _random, layers, losses, optimizers
from fastrnn._check import Array
from fastrnn.layers import Embedding, Input, Layer
from fastrnn.layers.over_time import OverTime
from fastrnn.losses import Loss, LossLike
from fastrnn.metrics import MetricLike
from fastrnn.optimizers import Optimizer
from fastrnn.optimizers.base import OptimizerLike
from fastrnn.training import loop
from fastrnn.training.chain import Chain, entry_shape
from fastrnn.training.meter import Meter
from fastrnn.training.parameters import Parameters

if TYPE_CHECKING:
    from fastrnn.callbacks import Callback, History

Shape = tuple[int | None, ...]


class Sequential:
    """Layers one behind the other, and their training, as in Keras 3.15.

    Masks travel from the layers that make them, `Embedding(mask_zero=True)` and `Masking`, or from unequal sequences,
    through all layers to the loss. An `Embedding` in front of a recurrent layer costs no array (batch, time, features).

    Parameters
    ----------
    layers : iterable of Layer, optional
        The layers in order; the first may be an `Input`, or know the shape of its input by an argument.
    name : str, default "sequential"
        A name.
    seed : int, optional
        Makes everything random repeatable: initial weights and dropout of layers that have no seed of their own, and
        the order of samples in training.

    Attributes
    ----------
    layers : list of Layer
        The layers.
    optimizer, loss
        What `compile` was given, made objects.
    stop_training : bool
        A callback that sets it to True ends the training after the epoch.

    Raises
    ------
    TypeError
        If something is not a layer.
    ValueError
        If a layer returns states, which nothing could take, or is given twice.

    Notes
    -----
    The first training moves the layers' weights into one buffer, so that an optimizer's step is one pass over it.
    Arrays that were taken from `weights` before are copies from then on.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential(
    ...     [fr.Embedding(500, 16, mask_zero=True), fr.SimpleRNN(8), fr.Dense(1, activation="sigmoid")], seed=0
    ... )
    >>> model.compile(optimizer=fr.optimizers.RMSprop(1e-4), loss="binary_crossentropy", metrics=["accuracy"])
    >>> x, y = np.random.default_rng(0).integers(0, 500, (200, 100)), np.arange(200) % 2
    >>> history = model.fit(x, y, batch_size=64, epochs=2, validation_split=0.2, verbose=0)
    >>> sorted(history.history)
    ['accuracy', 'loss', 'val_accuracy', 'val_loss']
    >>> model.predict(x).shape
    (200, 1)
    """

    def __init__(
        self, layers: Iterable[Layer | Input] = (), name: str = "sequential", *, seed: int | None = None
    ) -> None:
        self.layers: list[Layer] = []
        self.name = str(name)
        self.seed = _check.seed(seed)
        self.stop_training = False
        self.steps_made = 0  # in the current epoch
        self._rng: np.random.Generator | None = None
        self._input_shape: Shape | None = None
        self._chain: Chain | None = None
        self._parameters: Parameters | None = None
        self._optimizer: Optimizer | None = None
        self._loss: Loss | None = None
        self._metrics: tuple[Sequence[MetricLike], Sequence[MetricLike]] = ((), ())
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a list of layers, got {type(layers).__name__}")
        for layer in layers:
            self._append(layer)
        if self.layers and self.input_shape is not None:
            self.build(self.input_shape)

    # ---- the layers ----

    def add(self, layer: Layer | Input) -> None:
        """Append a layer; an `Input` only as the first.

        Raises
        ------
        TypeError, ValueError
            As for the constructor. The model stays as it is.
        """
        shape = self._input_shape
        self._append(layer)
        if self.layers and self.input_shape is not None:
            try:
                self.build(self.input_shape)
            except ValueError:
                self.pop()
                self._input_shape = shape
                raise

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        removed = self.layers.pop()
        self._chain = None
        if self.layers and self.input_shape is not None:
            self.build(self.input_shape)
        return removed

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights of all layers. The first call of `fit` or `predict` does this by itself.

        Parameters
        ----------
        input_shape : sequence of int or None
            Shape of a batch, such as (None, None, 16) for sequences of 16 features, or (None, None) for token ids. Only
            features must be known, and the batch if a layer is stateful.

        Raises
        ------
        ValueError
            If there are no layers, or a layer cannot have such an input.
        """
        if not self.layers:
            raise ValueError("a model must have a layer before it is built")
        if self.seed is not None:
            self._seed_layers()
        shape = entry_shape(self.layers[0], tuple(input_shape))
        for i, layer in enumerate(self.layers):
            try:
                layer.build(shape)
            except ValueError as error:
                before = f"what {self.layers[i - 1].name} returns" if i else "the input"
                raise ValueError(f"{layer.name} cannot take {before}: {error}") from None
            shape = tuple(layer.compute_output_shape(shape))
        self._input_shape = tuple(input_shape)
        self._chain = Chain(self.layers)

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self._chain is not None

    @property
    def input_shape(self) -> Shape | None:
        """The shape that the model was built with, None before that."""
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, with None for the sizes that may vary."""
        return self._shapes()[-1]

    def count_params(self) -> int:
        """Return the number of values in all weights."""
        self._built_chain()
        return sum(layer.count_params() for layer in self.layers)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Write a table of the layers, the shapes of their outputs and the numbers of their parameters.

        Parameters
        ----------
        print_fn : callable, default print
            Gets the table as one text.

        Examples
        --------
        >>> import fastrnn as fr
        >>> model = fr.Sequential([fr.Input((100,)), fr.Embedding(500, 16, name="words"), fr.SimpleRNN(8, name="rnn")])
        >>> model.summary()
        Model: "sequential"
        ┌─────────────────────────────────┬────────────────────────┬───────────────┐
        │ Layer (type)                    │ Output Shape           │       Param # │
        ├─────────────────────────────────┼────────────────────────┼───────────────┤
        │ words (Embedding)               │ (None, 100, 16)        │         8,000 │
        │ rnn (SimpleRNN)                 │ (None, 8)              │           200 │
        └─────────────────────────────────┴────────────────────────┴───────────────┘
         Total params: 8,200 (32.03 KB)
         Trainable params: 8,200 (32.03 KB)
         Non-trainable params: 0 (0.00 B)
        """
        from fastrnn.training.summary import table

        print_fn(table(self.name, self.layers, self._shapes()))

    @property
    def trainable(self) -> bool:
        """Whether training changes any layer. Assigned to, it says so of all layers."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = bool(value)

    @property
    def weights(self) -> list[Array]:
        """The weights themselves, layer by layer."""
        return [weight for layer in self.layers for weight in layer.weights]

    @property
    def trainable_weights(self) -> list[Array]:
        """Those of the weights that training changes."""
        return [weight for layer in self.layers for weight in layer.trainable_weights]

    @property
    def non_trainable_weights(self) -> list[Array]:
        """Those of the weights that training leaves alone."""
        return [weight for layer in self.layers for weight in layer.non_trainable_weights]

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, layer by layer."""
        return [weight for layer in self.layers for weight in layer.get_weights()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Copy values into the weights, layer by layer; all of them or, if one does not fit, none.

        Raises
        ------
        ValueError, TypeError
            If the model is not built, or the number, a shape or a type is wrong.
        """
        self._built_chain()
        leaves = [leaf for layer in self.layers for leaf in layer._leaves()]
        places = [(leaf, name) for leaf in leaves for name in leaf._arrays]
        if len(weights) != len(places):
            raise ValueError(f"weights must be {len(places)} arrays, got {len(weights)}")
        checked = [
            _check.array(f"weights[{i}] ({name})", weight, leaf.dtype, (), leaf._arrays[name].shape)
            for i, ((leaf, name), weight) in enumerate(zip(places, weights, strict=True))
        ]
        for (leaf, name), weight in zip(places, checked, strict=True):
            leaf._assign({name: weight})

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of that name or at that index.

        Raises
        ------
        ValueError
            If there is none.
        """
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"index must be below {len(self.layers)}, got {index}")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"name must be that of a layer, got {name!r}")

    def reset_state(self) -> None:
        """Make the stored states of stateful layers zeros."""
        for layer in self.layers:
            for part in (layer, *layer._leaves()):
                reset = getattr(part, "reset_state", None)
                if reset is not None:
                    reset()

    # ---- training ----

    def compile(
        self,
        optimizer: OptimizerLike = "rmsprop",
        loss: LossLike | None = None,
        metrics: Sequence[MetricLike] | MetricLike | None = None,
        weighted_metrics: Sequence[MetricLike] | MetricLike | None = None,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : default "rmsprop"
            Whatever `fastrnn.optimizers.get` accepts.
        loss : optional
            Whatever `fastrnn.losses.get` accepts; needed to train and to evaluate.
        metrics, weighted_metrics : sequence, optional
            What to report besides the loss: "accuracy", which is the binary, categorical or sparse one that fits the
            truth, and whatever `fastrnn.metrics.get` accepts. The weighted ones count samples by their weights.

        Raises
        ------
        ValueError, TypeError
            If something is unknown.
        """
        optimizer, made = optimizers.get(optimizer), None if loss is None else losses.get(loss)
        wanted = _listed(metrics), _listed(weighted_metrics)
        Meter(*wanted).check()
        self._optimizer, self._loss, self._metrics = optimizer, made, wanted

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer."""
        if self._optimizer is None:
            raise ValueError("the model must be compiled first: compile(optimizer, loss)")
        return self._optimizer

    @property
    def loss(self) -> Loss | None:
        """The loss, None if there is none."""
        return self._loss

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array_like, list of sequences, or iterable of batches
            The input: an array (samples, time, features), or (samples, time) of token ids; a list with an array (time,
            features) or (time,) for each sample, whose times may differ: they are padded, and masked; or, without `y`,
            batches (x, y) or (x, y, sample_weight), such as a `DataLoader` of PyTorch gives.
        y : array_like, or list of sequences
            The truth for each sample, in the form that the loss asks for.
        batch_size : int, default 32
            Samples of one step.
        epochs : int, default 1
            The number of the last epoch; as many epochs are made, if initial_epoch is 0.
        verbose : {"auto", 0, 1, 2}, default "auto"
            0 is silent, 1 shows a bar that moves, 2 writes a line for each epoch. "auto" is 1 on a terminal, else 2.
        callbacks : Callback, or a sequence of them, optional
            What else to do; see `fastrnn.callbacks`.
        validation_split : float, default 0
            The share of the samples, the last ones, to evaluate after each epoch instead of training on them.
        validation_data : tuple (x, y) or (x, y, sample_weight), or iterable of batches, optional
            What to evaluate instead.
        shuffle : bool, default True
            Whether each epoch has an order of its own. Batches of an iterable come as they are.
        class_weight : mapping of int to float, optional
            A weight in training for the samples of each class, 1 if it is not there. Evaluations have none.
        sample_weight : array_like of shape (samples,), optional
            A weight for each sample, or for each of its time steps.
        initial_epoch : int, default 0
            Where to continue counting.
        steps_per_epoch : int, optional
            How many batches an epoch is, the next one going on where it ends; by default all.
        validation_steps : int, optional
            How many batches an evaluation is; by default all.
        validation_batch_size : int, optional
            By default batch_size.
        validation_freq : int, default 1
            Evaluate after every so many epochs.

        Returns
        -------
        History
            What every epoch ended with. It can `plot()`.

        Raises
        ------
        ValueError, TypeError
            If data do not fit the model, the loss or each other.
        FloatingPointError
            If a loss is not finite. The model is as after the last step whose loss was.
        KeyboardInterrupt
            With Ctrl-C. The model is as after the last whole step, and can be trained on.
        """
        return loop.fit(
            self,
            loop.Plan(
                x=x,
                y=y,
                batch_size=_positive("batch_size", batch_size) or 32,
                epochs=_check.count("epochs", epochs),
                verbose=_verbosity(verbose),
                callbacks=_listed(callbacks),
                validation_split=_check.number("validation_split", validation_split, below=1.0),
                validation_data=validation_data,
                shuffle=bool(shuffle),
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=_check.count("initial_epoch", initial_epoch),
                steps_per_epoch=_positive("steps_per_epoch", steps_per_epoch),
                validation_steps=_positive("validation_steps", validation_steps),
                validation_batch_size=_positive("validation_batch_size", validation_batch_size),
                validation_freq=_check.positive_integer("validation_freq", validation_freq),
            ),
        )

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = 0,
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Compute the loss and the metrics, without training.

        Parameters
        ----------
        x, y, batch_size, sample_weight
            As for `fit`.
        verbose : {0, 1, 2, "auto"}, default 0
            Whether to write them as well.
        steps : int, optional
            How many batches; by default all.
        return_dict : bool, default False
            Return a dict of values by their names.

        Returns
        -------
        float, list of float, or dict
            The loss, if there are no metrics; else the loss and the metrics in order.
        """
        shown = _verbosity(verbose) in (1, 2)
        size = _positive("batch_size", batch_size) or 32
        logs = loop.evaluate(self, x, y, sample_weight, size, _positive("steps", steps))
        if shown:
            print(" - ".join(f"{name}: {value:.4f}" for name, value in logs.items()))
        if return_dict:
            return logs
        return next(iter(logs.values())) if len(logs) == 1 else list(logs.values())

    def predict(self, x: Any, batch_size: int | None = None, verbose: int | str = 0, steps: int | None = None) -> Array:
        """Compute the output for many samples.

        Parameters
        ----------
        x : array_like, list of sequences, or iterator of batches
            As for `fit`.
        batch_size : int, optional
            Samples of one batch; it only matters for stateful layers and for memory.
        verbose
            Has no effect.
        steps : int, optional
            How many batches; by default all.

        Returns
        -------
        ndarray of shape (samples, ...)
            The outputs. Those of unequal sequences, if the model returns sequences, are padded with zeros at the end.
        """
        return loop.predict(self, x, _positive("batch_size", batch_size), _positive("steps", steps))

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None, training: bool = False) -> Array:
        """Compute the output for one batch.

        Parameters
        ----------
        x : array_like of shape (B, T, I), or (B, T) of token ids
            The batch.
        mask : array_like of shape (B, T), optional
            Steps to use.
        training : bool, default False
            Whether to drop out.
        """
        chain = self._ensure_built(x)
        found, used = chain.admit(x), None if mask is None else np.asarray(mask)
        return chain.forward(found, used).y if training else chain.run(found, used)[0]

    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one step with one batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            The batch, as for `fit`.
        return_dict : bool, default False
            Return a dict of values by their names.

        Returns
        -------
        float, list of float, or dict
            The loss of this batch before the step, if there are no metrics; else the loss and the metrics in order.
        """
        return loop.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, return_dict: bool = False
    ) -> Any:
        """Compute the loss and the metrics of one batch, without training; see `evaluate`."""
        return self.evaluate(x, y, max(len(x), 1), 0, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """Compute the output for one batch; see `predict`."""
        return self.predict(x, max(len(x), 1))

    # ---- files ----

    def save(self, path: str | os.PathLike[str], overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Write the model into a file in the safetensors format, its configuration as JSON in the header.

        Parameters
        ----------
        path : path
            The file. It is replaced when everything is written, and stays as it was if that fails.
        overwrite : bool, default True
            Whether the file may be there already.
        include_optimizer : bool, default True
            Whether to write what `compile` was given and the optimizer's state, so that training can go on.

        Raises
        ------
        FileExistsError
            If the file is there and overwrite is False.
        ValueError
            If the model is not built, or holds a function, such as a user's initializer, that no file could.
        OSError
            If the file cannot be written.
        """
        from fastrnn import saving

        saving.save(self, path, overwrite, include_optimizer)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Sequential:
        """Read the model that `save` wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is malformed, cut off or too long, or is not of a model. Nothing in it is executed, and nothing
            is allocated that the file does not hold.
        """
        from fastrnn import saving

        return saving.load(path)

    def save_weights(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the model into a file, without what `compile` was given; see `save`."""
        self.save(path, overwrite, include_optimizer=False)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the weights of another model of such layers from the file that `save` or `save_weights` wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is malformed, or its weights are not those of this model's layers, or it is not built. No weight
            is changed then.
        """
        from fastrnn import saving

        saving.load_weights(self, path)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration as plain data for JSON, in Keras's form, without compilation and weights."""
        shape = None if self._input_shape is None else list(self._input_shape)
        return {
            "name": self.name,
            "layers": [layers.serialize(layer) for layer in self.layers],
            "build_input_shape": shape,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a model from what `get_config`, or that of a Sequential of Keras, returned, with new weights."""
        described, shape = list(config["layers"]), config.get("build_input_shape")
        if described and described[0].get("class_name") == "InputLayer":
            given = described.pop(0)["config"]["batch_shape"]
            shape = shape or given
        model = cls([layers.deserialize(layer) for layer in described], name=config.get("name", "sequential"))
        if shape:
            model.build(shape)
        return model

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r} of {len(self.layers)} layers>"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have weights of their own, which move into buffers of their own."""
        return {**self.__dict__, "_parameters": None, "_chain": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        if all(layer.built for layer in self.layers) and self._input_shape is not None and self.layers:
            self._chain = Chain(self.layers)

    # ---- for the loop ----

    def _append(self, layer: object) -> None:
        if isinstance(layer, Input):
            if self.layers or self._input_shape is not None:
                raise ValueError("an Input must be the first member of a model")
            self._input_shape = layer.batch_shape
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must hold layers, got {type(layer).__name__}")
        if getattr(layer, "merge_mode", "") is None:
            raise ValueError(f"{layer.name} has two outputs: merge_mode must not be None")
        if getattr(layer, "return_state", False) or getattr(layer, "return_all_states", False):
            raise ValueError(
                f"{layer.name} returns states, which a Sequential has no use for: return_state must be False"
            )
        if any(layer is other for other in self.layers):
            raise ValueError(f"{layer.name} is in the model already")
        self._chain = None
        self.layers.append(layer)
        if layer._sample_shape is not None and len(self.layers) == 1 and self._input_shape is None:
            self._input_shape = Input(layer._sample_shape).batch_shape

    def _ensure_built(self, x: Any) -> Chain:
        if self._chain is None:
            shape = np.shape(x)
            self._build_for(shape, shape[0] if shape else None)
        return self._built_chain()

    def _build_for(self, shape: Shape, batch: int | None) -> None:
        """Build the model for an x of this shape; `batch` is the size that stateful layers are to have."""
        first = self.layers[0] if self.layers else None
        if isinstance(first, Embedding):
            shape = (None, None)
        elif isinstance(first, OverTime) and len(shape) != 3 and (first.input_dim is None or len(shape) != 2):
            raise ValueError(f"x must be (batch, time, features), got {shape}")
        self.build((batch, *shape[1:]))

    def _built_chain(self) -> Chain:
        if self._chain is None:
            raise ValueError("the model has no weights yet: call build(input_shape), fit or predict first")
        return self._chain

    def _shapes(self) -> list[Shape]:
        self._built_chain()
        assert self._input_shape is not None
        shape = entry_shape(self.layers[0], self._input_shape)
        shapes = []
        for layer in self.layers:
            shape = tuple(layer.compute_output_shape(shape))
            shapes.append(shape)
        return shapes

    def _ready_parameters(self) -> Parameters:
        if self._parameters is None or not self._parameters.belong_to(self.layers):
            self._parameters = Parameters(self.layers)
        return self._parameters

    def _generator(self) -> np.random.Generator:
        if self._rng is None:
            self._rng = _random.generator(self.seed)
        return self._rng

    def _seed_layers(self) -> None:
        leaves = [leaf for layer in self.layers for leaf in layer._leaves()]
        seeds = np.random.SeedSequence(self.seed).generate_state(len(leaves))
        for leaf, seed in zip(leaves, seeds, strict=True):
            if leaf.seed is None and not leaf.built:
                leaf.seed = int(seed)


def _listed(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _positive(name: str, value: int | None) -> int | None:
    return None if value is None else _check.positive_integer(name, value)


def _verbosity(value: int | str) -> int | str:
    if value not in (0, 1, 2, "auto"):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {value!r}")
    return value
