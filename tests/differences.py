"""Gradients without any calculus: an oracle for every gradient."""

import numpy as np


def central_differences(loss, array, step=1e-5):
    """Gradient of loss() with respect to the array, whose elements are moved in place."""
    gradient = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        kept = array[i]
        array[i] = kept + step
        up = loss()
        array[i] = kept - step
        gradient[i] = (up - loss()) / (2 * step)
        array[i] = kept
    return gradient
