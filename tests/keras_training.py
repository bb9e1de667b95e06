"""Run as a program, for Keras's backend is chosen once in a process: trains the cases with Keras on PyTorch.

    python keras_training.py float64 weights.npz curves.npz

Everything is computed in the type of the first argument. The first file holds the initial weights as "<case>/<number>";
the second one gets the losses and the final weights.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
import training_cases


def main(dtype, source, target):
    keras.config.set_floatx(dtype)
    torch.set_num_threads(1)
    initial = np.load(source)
    results = {}
    for name in dict.fromkeys(key.rpartition("/")[0] for key in initial.files):
        model, *data = training_cases.make(name, keras.layers, keras.optimizers, keras.Sequential)
        count = sum(key.rpartition("/")[0] == name for key in initial.files)
        model.set_weights([initial[f"{name}/{i}"] for i in range(count)])
        results[f"{name}/losses"] = training_cases.curve(model, *data)
        results |= {f"{name}/{i}": weight for i, weight in enumerate(model.get_weights())}
    np.savez(target, **results)


main(*sys.argv[1:])
