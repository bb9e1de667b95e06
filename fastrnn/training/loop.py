"""The loops over epochs and batches: training, evaluation, prediction."""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrnn._check import Array
from fastrnn.callbacks import Callback, History, TerminateOnNaN
from fastrnn.callbacks.base import CallbackList
from fastrnn.callbacks.progress_bar import ProgressBar
from fastrnn.losses import Loss
from fastrnn.training import batches
from fastrnn.training.batches import Batch, Samples
from fastrnn.training.chain import Chain
from fastrnn.training.interrupts import WholeSteps
from fastrnn.training.meter import Meter, weighted
from fastrnn.training.parameters import Parameters, penalty

if TYPE_CHECKING:
    from fastrnn.optimizers import Optimizer
    from fastrnn.sequential import Sequential

_NO_BATCHES = "x gave no batches: there are no samples, or it is an iterator that is used up"
_NO_TRUTH = "y must be given, in batches as (x, y) or (x, y, sample_weight)"
_BLOCK = 2**17  # values of the input that a batch of a prediction has at most, if there are no states


class Plan(NamedTuple):
    """The arguments of `Sequential.fit`, which explains them."""

    x: Any
    y: Any
    batch_size: int
    epochs: int
    verbose: int | str
    callbacks: tuple[Callback, ...]
    validation_split: float
    validation_data: Any
    shuffle: bool
    class_weight: Mapping[int, float] | None
    sample_weight: Any
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: int


class Stepper:
    """Makes steps: forward, loss, backward, optimizer."""

    def __init__(self, model: Sequential, interrupts: WholeSteps) -> None:
        self.chain: Chain = model._built_chain()
        self.parameters: Parameters = model._ready_parameters()
        self.optimizer: Optimizer = model.optimizer
        self.loss = _loss_of(model)
        self.interrupts = interrupts
        self._stateful = [
            layer for top in model.layers for layer in (top, *top._leaves()) if getattr(layer, "stateful", False)
        ]
        try:
            self.optimizer.prepare(self.parameters.weight_buffers)
        except ValueError as error:
            raise ValueError(f"the optimizer has trained other weights: compile the model again ({error})") from None

    def step(self, batch: Batch) -> tuple[float, Array, Array | None]:
        """Make one step, and return the loss before it, the prediction and its mask.

        If anything ends it early, the model is as before.
        """
        states = [layer._states for layer in self._stateful]  # type: ignore[attr-defined] # it is Recurrent
        parameters = self.parameters
        try:
            if batch.y is None:
                raise ValueError(_NO_TRUTH)
            done = self.chain.forward(batch.x, batch.mask)
            value, dy = self.loss.step(batch.y, done.y, weight_with_mask(self.loss, batch.weight, done.y, done.mask))
            total = _finite(value + done.penalty, batch)  # before gradients are made of it
            self.chain.backward(dy, done, parameters.gradients, parameters.first)
            if parameters.rules:
                total = _finite(total + parameters.regularize(), batch)
        except BaseException:
            for layer, state in zip(self._stateful, states, strict=True):
                layer._states = state  # type: ignore[attr-defined]
            raise
        self.interrupts.changing = True
        self.optimizer.step(parameters.gradient_buffers, parameters.weight_buffers, parameters.gradient_views)
        parameters.changed()
        self.interrupts.done()
        return total, done.y, done.mask


def fit(model: Sequential, plan: Plan) -> History:
    """Train; `Sequential.fit` explains everything."""
    history = History()
    bar = _progress(plan.verbose)
    given = [*plan.callbacks, history]
    on_nan = next(
        (callback for callback in given if isinstance(callback, TerminateOnNaN)), TerminateOnNaN(raise_error=True)
    )
    source, validation = _sources(model, plan)
    meter, tester = Meter(*model._metrics), Meter(*model._metrics)
    with WholeSteps() as interrupts:
        stepper = Stepper(model, interrupts)
        params = {"epochs": plan.epochs, "steps": source.steps, "verbose": plan.verbose}
        callbacks = CallbackList([*given, *([bar] if bar else [])], model, params)
        model.stop_training = False
        callbacks.call("on_train_begin", {})
        logs: dict[str, float] = {}
        for epoch in range(plan.initial_epoch, plan.epochs):
            meter.reset()
            callbacks.call("on_epoch_begin", epoch, {})
            try:
                _epoch(model, stepper, source.epoch(model, epoch), meter, callbacks, bar)
            except FloatingPointError as error:
                if on_nan.raise_error:
                    raise FloatingPointError(
                        f"epoch {epoch + 1}, step {model.steps_made + 1}: {error}. Training stops, and the model stays "
                        "as it was before that step"
                    ) from None
                model.stop_training = True
            logs = meter.result()
            if validation is not None and (epoch + 1) % plan.validation_freq == 0:
                tested = _test(model, validation.epoch(model, epoch), tester)
                logs.update({f"val_{name}": value for name, value in tested.items()})
            callbacks.call("on_epoch_end", epoch, logs)
            if model.stop_training:
                break
        callbacks.call("on_train_end", logs)
    return history


def _epoch(
    model: Sequential,
    stepper: Stepper,
    data: Iterable[Batch],
    meter: Meter,
    callbacks: CallbackList,
    bar: ProgressBar | None,
) -> None:
    model.steps_made = 0
    moves = bar is not None and bar.is_alive
    for number, batch in enumerate(data):
        for callback in callbacks.before_steps:
            callback.on_train_batch_begin(number, {})
        loss, y_pred, mask = stepper.step(batch)
        model.steps_made = number + 1
        meter.add(loss, batch.y, y_pred, batch.weight, mask)
        if callbacks.after_steps:
            logs = meter.result()
            for callback in callbacks.after_steps:
                callback.on_train_batch_end(number, logs)
        if moves and bar is not None and bar.is_due():
            bar.show(number, meter.result())
    if model.steps_made == 0:
        raise ValueError(_NO_BATCHES)


def evaluate(
    model: Sequential, x: Any, y: Any, sample_weight: Any, batch_size: int, steps: int | None
) -> dict[str, float]:
    """Return the loss and metrics by name."""
    source = _source(model, x, y, sample_weight, None, batch_size, steps, shuffle=False)
    return _test(model, source.begin(steps).epoch(model, 0), Meter(*model._metrics))


def _test(model: Sequential, data: Iterable[Batch], meter: Meter) -> dict[str, float]:
    meter.reset()
    loss, chain = _loss_of(model), model._built_chain()
    of_weights = penalty(model.layers)
    batch = None
    for batch in data:
        y, mask, of_outputs = chain.run(batch.x, batch.mask)
        if batch.y is None:
            raise ValueError(_NO_TRUTH)
        value = loss.forward(batch.y, y, weight_with_mask(loss, batch.weight, y, mask))[0]
        meter.add(float(value) + of_outputs + of_weights, batch.y, y, batch.weight, mask)
    if batch is None:
        raise ValueError(_NO_BATCHES)
    return meter.result()


def predict(model: Sequential, x: Any, batch_size: int | None, steps: int | None) -> Array:
    """Return the outputs for all samples."""
    size = batch_size or 32
    stateful = any(getattr(leaf, "stateful", False) for layer in model.layers for leaf in layer._leaves())
    source = _source(model, x, None, None, None, size, steps, shuffle=False, needs_truth=False).begin(steps)
    if source.samples is not None and not stateful and batch_size is None:
        first = source.samples.x.take(slice(0, 1))[0]
        source = source._replace(size=max(size, _BLOCK // max(first.size, 1)))
    chain = model._built_chain()
    outputs = [chain.run(batch.x, batch.mask)[0] for batch in source.epoch(model, 0)]
    if not outputs:
        return np.zeros((0, *(size or 0 for size in model.output_shape[1:])), chain.dtype)
    if len(outputs) == 1:
        return outputs[0]
    longest = max(y.shape[1] for y in outputs) if outputs[0].ndim > 2 else 0
    return np.concatenate([_lengthened(y, longest) for y in outputs])


def train_on_batch(
    model: Sequential, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None, return_dict: bool
) -> Any:
    """Make one step with one batch, and return its loss and metrics."""
    _ensure_built(model, x)
    weigh = _weigh(model, class_weight)
    found = batches.samples(x, y, sample_weight, weigh, model._built_chain().admit)
    batch = found.take(slice(None))
    if batch.y is not None:
        _loss_of(model).check_truth(batch.y)
    with WholeSteps() as interrupts:
        loss, y_pred, mask = Stepper(model, interrupts).step(batch)
    meter = Meter(*model._metrics)
    meter.add(loss, batch.y, y_pred, batch.weight, mask)
    logs = meter.result()
    if return_dict:
        return logs
    return loss if len(logs) == 1 else list(logs.values())


def weight_with_mask(loss: Loss, weight: Array | None, y_pred: Array, mask: Array | None) -> Array | None:
    """Return the samples' weights, for all their time steps, times the mask of the prediction, as Keras merges them.

    A loss that is a mean is one over the values that are not masked.
    """
    if mask is None:
        if weight is None:
            return None
        return weight.reshape(*weight.shape, *(1,) * (y_pred.ndim - 1 - weight.ndim))
    used: Array = (np.asarray(mask) != 0).astype(np.float64)
    if loss.reduction in ("sum_over_batch_size", "mean"):
        valid = used.sum()
        used *= used.size / valid if valid else 0.0
    return weighted(used, weight)


class _Source(NamedTuple):
    """Where batches come from, epoch after epoch."""

    samples: Samples | None
    size: int
    shuffle: bool
    stream: Any  # of a user's batches, if there are no samples
    steps: int | None  # of an epoch, if known
    class_weight: Mapping[int, float] | None
    needs_truth: bool = True  # of a stream
    endless: Iterator[Batch] | None = None  # if epochs go on where the last one ended

    def begin(self, steps: int | None) -> _Source:
        """Return a source of no more than the first batches."""
        if self.samples is None or steps is None:
            return self
        return self._replace(samples=self.samples.part(0, steps * self.size), steps=steps)

    def go_on(self, model: Sequential, steps: int | None) -> _Source:
        """Return a source of so many batches in each epoch: of all samples, and then of all again."""
        if self.samples is None or steps is None:
            return self
        endless = itertools.chain.from_iterable(self.epoch(model, epoch) for epoch in itertools.count())
        return self._replace(endless=endless, steps=steps)

    def epoch(self, model: Sequential, epoch: int) -> Iterable[Batch]:
        """Return the batches of an epoch."""
        if self.endless is not None:
            return itertools.islice(self.endless, self.steps)
        if self.samples is not None:
            order = model._generator().permutation(len(self.samples.x)) if self.shuffle else None
            return self.samples.batches(self.size, order)
        check = None if model.loss is None else model.loss.check_truth
        weigh = _weigh(model, self.class_weight)
        stream = batches.from_iterable(self.stream, model._built_chain().admit, weigh, check, self.needs_truth)
        return stream if self.steps is None else itertools.islice(stream, self.steps)


def _sources(model: Sequential, plan: Plan) -> tuple[_Source, _Source | None]:
    """Return where the batches of training and of validation come from."""
    source = _source(
        model,
        plan.x,
        plan.y,
        plan.sample_weight,
        plan.class_weight,
        plan.batch_size,
        plan.steps_per_epoch,
        plan.shuffle,
    )
    size = plan.validation_batch_size or plan.batch_size
    if plan.validation_data is not None:
        x, y, weight = _validation_parts(plan.validation_data)
        tested = _source(model, x, y, weight, None, size, plan.validation_steps, shuffle=False)
        return source.go_on(model, plan.steps_per_epoch), tested.begin(plan.validation_steps)
    if not plan.validation_split:
        return source.go_on(model, plan.steps_per_epoch), None
    if source.samples is None:
        raise ValueError("validation_split needs all samples at once, got an iterable of batches")
    n = len(source.samples.x)
    split = math.floor(n * (1.0 - plan.validation_split))
    if split in (0, n):
        raise ValueError(f"validation_split must leave samples on both sides, got {plan.validation_split!r} of {n}")
    last = source.samples.part(split, n)
    if plan.class_weight is not None:
        last = last._replace(weight=None)  # classes have weights in training only
    held_out = source._replace(samples=last, size=size, shuffle=False)
    training = source._replace(samples=source.samples.part(0, split), steps=batches.count(split, plan.batch_size))
    return training.go_on(model, plan.steps_per_epoch), held_out.begin(plan.validation_steps)


def _validation_parts(given: Any) -> tuple[Any, Any, Any]:
    """Take apart what a user gives to evaluate: (x, y) or (x, y, sample_weight), or else batches."""
    if not isinstance(given, tuple) and not (isinstance(given, list) and given and not isinstance(given[0], tuple)):
        return given, None, None
    if len(given) not in (2, 3):
        raise ValueError(f"validation_data must be (x, y), (x, y, sample_weight) or batches, got {len(given)} values")
    return (*given, None)[:3]


def _source(
    model: Sequential,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    size: int,
    steps: int | None,
    shuffle: bool,
    needs_truth: bool = True,
) -> _Source:
    if y is None and _is_stream(x, needs_truth):
        if sample_weight is not None:
            raise ValueError("sample_weight must be None with batches, which hold it: (x, y, sample_weight)")
        if steps is not None and not isinstance(x, Iterator):
            x = iter(x)  # an epoch begins where the last one ended
        if not model.built:
            first = next(iter(x), None)
            if first is None:
                raise ValueError("x gave no batches")
            _ensure_built(model, batches.parts_of_batch(first, needs_truth)[0])
            if isinstance(x, Iterator):
                x = itertools.chain([first], x)
        known = len(x) if steps is None and hasattr(x, "__len__") else steps
        return _Source(None, size, False, x, known, class_weight, needs_truth)
    if y is None and needs_truth:
        raise ValueError("y must be given, unless x is an iterable of batches")
    _ensure_built(model, x)
    chain = model._built_chain()
    found = batches.samples(x, y, sample_weight, _weigh(model, class_weight), chain.admit)
    if found.y is not None and model.loss is not None:
        model.loss.check_truth(found.y.values)  # once, and not in every step
        if model.loss._rounds_truth:
            found = found._replace(y=found.y.rounded(chain.dtype))
    return _Source(found, size, shuffle, None, batches.count(len(found.x), size), None)


def _weigh(model: Sequential, class_weight: Mapping[int, float] | None) -> batches.Weigh | None:
    """Return what makes weights of a truth."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight must be a mapping of class numbers to weights, got {class_weight!r}")
    return functools.partial(batches.weights_of_classes, class_weight=class_weight, axes=len(model.output_shape))


def _is_stream(x: Any, needs_truth: bool) -> bool:
    """Whether x is batches rather than samples."""
    if isinstance(x, Iterator):
        return True
    if isinstance(x, list | tuple):
        return needs_truth and bool(x) and isinstance(x[0], tuple)
    return isinstance(x, Iterable) and not hasattr(x, "__array__") and not hasattr(x, "dtype")


def _ensure_built(model: Sequential, x: Any) -> None:
    """Build the model from data, unless it is built."""
    if model.built:
        return
    sample: Any = x[0] if isinstance(x, list | tuple) and len(x) else None
    shape = np.shape(x) if sample is None else (len(x), *np.shape(sample))
    if isinstance(x, list | tuple) and len({len(s) for s in x if np.ndim(s)}) > 1:
        shape = (len(x), None, *np.shape(sample)[1:])
    model._build_for(shape, None)


def _loss_of(model: Sequential) -> Loss:
    if model.loss is None:
        raise ValueError("the model must be compiled with a loss first: compile(optimizer, loss)")
    return model.loss


def _progress(verbose: int | str) -> ProgressBar | None:
    if verbose == 0:
        return None
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return ProgressBar(is_alive=verbose == 1 or (verbose == "auto" and is_terminal))


def _lengthened(y: Array, time: int) -> Array:
    if y.ndim < 3 or y.shape[1] == time:
        return y
    padding = np.zeros((len(y), time - y.shape[1], *y.shape[2:]), y.dtype)
    return np.concatenate([y, padding], axis=1)


def _finite(loss: float, batch: Batch) -> float:
    if math.isfinite(loss):
        return loss
    data = {"x": batch.x, "y": batch.y, "sample_weight": batch.weight}
    wrong = next((name for name, array in data.items() if array is not None and not np.isfinite(array).all()), None)
    why = f"{wrong} holds values that are not finite" if wrong else "a smaller learning rate or clipnorm may help"
    raise FloatingPointError(f"the loss is {loss}: {why}")
