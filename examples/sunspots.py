"""Forecast the sunspots of the next year from those of the years before, 1700 to 2008.

    python examples/sunspots.py

Needs statsmodels, which has the numbers, and scikit-learn.
"""

import argparse

import numpy as np
from statsmodels.datasets import sunspots

from fastrnn.sklearn import RNNRegressor

YEARS = 30  # that a forecast looks back at
HELD_OUT = 60


def main(arguments=None):
    """Train on all but the last years, and return the mean errors of the network and of taking last year's number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=150)
    options = parser.parse_args(arguments)

    spots = np.asarray(sunspots.load().data["SUNACTIVITY"], np.float64)
    x = np.lib.stride_tricks.sliding_window_view(spots[:-1], YEARS) / spots.max()  # every column is a year
    y = spots[YEARS:]
    model = RNNRegressor(units=16, epochs=options.epochs, learning_rate=5e-3, random_state=0)
    model.fit(x[:-HELD_OUT], y[:-HELD_OUT])

    truth = y[-HELD_OUT:]
    ours = np.abs(model.predict(x[-HELD_OUT:]) - truth).mean()
    naive = np.abs(spots[-HELD_OUT - 1 : -1] - truth).mean()
    print(f"mean error in the last {HELD_OUT} years: {ours:.1f} sunspots; taking last year's number: {naive:.1f}")
    return ours, naive


if __name__ == "__main__":
    main()
