"""Models in files: weights in the safetensors format, and the configuration as JSON in its header.

A file holds one string of metadata, "fastrnn", and arrays "<layer>/<weight>" and "optimizer/<number>/<slot>", layers
and buffers being counted from 0. Classes are looked up by their names among those of fastrnn: nothing in a file is
executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any

from fastrnn import _safetensors, layers, losses, metrics, optimizers
from fastrnn._check import Array
from fastrnn._version import __version__
from fastrnn.sequential import Sequential
from fastrnn.training.chain import entry_shape

_FORMAT = 1


def save(model: Sequential, path: str | os.PathLike[str], overwrite: bool, include_optimizer: bool) -> None:
    """Write a model; `Sequential.save` explains it."""
    model._built_chain()
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{os.fspath(path)} is there already, and overwrite is False")
    config: dict[str, Any] = {"format": _FORMAT, "version": __version__, "model": model.get_config()}
    arrays = _places(model)
    if include_optimizer and model._optimizer is not None:
        config["compile"] = _describe(model)
        for i, slots in enumerate(model._optimizer._state):
            arrays.update({f"optimizer/{i}/{slot}": array for slot, array in slots.items()})
    try:
        text = json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the model holds something that a file cannot: {error}") from None
    _safetensors.save(path, arrays, {"format": "np", "fastrnn": text})


def load(path: str | os.PathLike[str]) -> Sequential:
    """Read a model; `Sequential.load` explains it."""
    arrays, metadata = _safetensors.load(path)
    where = os.fspath(path)
    if "fastrnn" not in metadata:
        raise ValueError(f"{where} holds no model of fastrnn, but only arrays")
    try:
        config = json.loads(metadata["fastrnn"])
        if config["format"] != _FORMAT:
            raise ValueError(f"its form is {config['format']!r}, this version reads {_FORMAT}")
        model = _rebuild(config["model"], arrays)
        if "compile" in config:
            _compile(model, config["compile"], arrays)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, NotImplementedError, RecursionError) as error:
        raise ValueError(f"{where} holds no proper model of fastrnn: {type(error).__name__}: {error}") from error
    return model


def load_weights(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Read weights; `Sequential.load_weights` explains it."""
    model._built_chain()
    arrays, _ = _safetensors.load(path)
    places = _places(model)
    _refuse_unknown(arrays, places)
    for name, own in places.items():
        if name not in arrays or arrays[name].shape != own.shape:
            got = f"shape {arrays[name].shape}" if name in arrays else "none"
            raise ValueError(f"{os.fspath(path)} must hold an array {name!r} of shape {own.shape}, got {got}")
    model.set_weights([arrays[name] for name in places])


def _refuse_unknown(arrays: Mapping[str, Array], known: Collection[str]) -> None:
    unknown = [name for name in arrays if name not in known and not name.startswith("optimizer/")]
    if unknown:
        raise ValueError(f"the array {unknown[0]!r} belongs to no layer")


def _places(model: Sequential) -> dict[str, Array]:
    """Return every weight by its name in the file."""
    return {f"{i}/{name}": array for i, layer in enumerate(model.layers) for name, array in layer._arrays.items()}


def _rebuild(config: dict[str, Any], arrays: dict[str, Array]) -> Sequential:
    """Make the model with the weights of the file; it is built only if all shapes are those of the file."""
    shape = tuple(None if size is None else int(size) for size in config["build_input_shape"])
    model = Sequential([layers.deserialize(layer) for layer in config["layers"]], name=config["name"])
    expected = _expected(model, shape)
    for name, (wanted, dtype) in expected.items():
        if name not in arrays:
            raise ValueError(f"the array {name!r} is missing")
        got = arrays[name]
        if got.shape != wanted or got.dtype.name != dtype:
            raise ValueError(f"{name!r} must be {dtype} of shape {wanted}, got {got.dtype} of shape {got.shape}")
    _refuse_unknown(arrays, expected)
    model.build(shape)
    model.set_weights([arrays[name] for name in _places(model)])
    return model


def _expected(model: Sequential, shape: tuple[int | None, ...]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and type of every weight by its name in the file, without making one."""
    expected = {}
    shape = entry_shape(model.layers[0], shape)
    for i, layer in enumerate(model.layers):
        for name, wanted in layer._weight_shapes(shape[-1] or 1).items():
            expected[f"{i}/{name}"] = wanted, layer.dtype.name
        shape = tuple(layer.compute_output_shape(shape))
    return expected


def _describe(model: Sequential) -> dict[str, Any]:
    plain, weighted = model._metrics
    loss = model.loss
    return {
        "optimizer": optimizers.serialize(model.optimizer),
        "iterations": model.optimizer.iterations,
        "loss": None if loss is None else losses.serialize(loss),
        "metrics": [metric if isinstance(metric, str) else metrics.serialize(metrics.get(metric)) for metric in plain],
        "weighted_metrics": [
            metric if isinstance(metric, str) else metrics.serialize(metrics.get(metric)) for metric in weighted
        ],
    }


def _compile(model: Sequential, config: dict[str, Any], arrays: dict[str, Array]) -> None:
    model.compile(config["optimizer"], config["loss"], config["metrics"], config["weighted_metrics"])
    state = {name: array for name, array in arrays.items() if name.startswith("optimizer/")}
    optimizer = model.optimizer
    optimizer.iterations = int(config["iterations"])
    if not state:
        return
    optimizer.prepare(model._ready_parameters().weight_buffers)
    wanted = {f"optimizer/{i}/{slot}": own for i, slots in enumerate(optimizer._state) for slot, own in slots.items()}
    for name in {*state, *wanted}:
        if name not in state or name not in wanted or state[name].shape != wanted[name].shape:
            raise ValueError(f"the array {name!r} does not fit the optimizer")
    for name, own in wanted.items():
        own[...] = state[name]
