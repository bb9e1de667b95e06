"""The examples in docstrings run and give what they say, and what users call has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import fastrnn

PROGRAMS = ("fastrnn.__main__", "fastrnn._demo", "fastrnn._bench")
MODULES = ["fastrnn", *(module.name for module in pkgutil.walk_packages(fastrnn.__path__, "fastrnn."))]
MODULES = [name for name in MODULES if not name.startswith(PROGRAMS)]
PUBLIC = [
    *("fastrnn", "fastrnn.callbacks", "fastrnn.config", "fastrnn.constraints", "fastrnn.functional"),
    *("fastrnn.initializers", "fastrnn.layers", "fastrnn.losses", "fastrnn.metrics", "fastrnn.optimizers"),
    *("fastrnn.optimizers.schedules", "fastrnn.regularizers", "fastrnn.sklearn", "fastrnn.utils"),
]
# Bases, what is only handed on, and what others' examples show.
WITHOUT = {
    *("Callback", "Constraint", "Initializer", "Layer", "LearningRateSchedule", "Loss", "Metric", "Optimizer"),
    *("CallbackList", "Config", "Gradients", "LossTape", "ProgressBar", "Regularizer", "Tape", "accuracy"),
    *("gru_backward", "lstm_backward", "simple_rnn_backward", "serialize"),
}


def load(name):
    if name == "fastrnn.sklearn":
        pytest.importorskip("sklearn", reason="the estimators are scikit-learn's")
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, tmp_path, monkeypatch):
    if name == "fastrnn.metrics":
        pytest.importorskip("sklearn", reason="the metric AUC needs scikit-learn")
    monkeypatch.chdir(tmp_path)
    failed, _ = doctest.testmod(load(name))
    assert not failed


@pytest.mark.parametrize("name", PUBLIC)
def test_what_users_call_has_an_example(name):
    module = load(name)
    defined = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == name]
    for key in getattr(module, "__all__", defined):
        value = getattr(module, key)
        if key.startswith("_") or key in WITHOUT or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        assert ">>>" in inspect.getdoc(value), f"{name}.{key}"
