"""Watch a signal as it comes, one value at a time, and tell when it stops being what it was.

    python examples/streaming.py

A network learns to forecast the next value of a noisy oscillation. Then it runs along a stream, one step for each
value; where the oscillation changes its frequency, the forecasts fail.
"""

import argparse
import time

import numpy as np

import fastrnn as fr

UNITS = 32
CHANGE = 3000  # the step at which the signal changes


def signal(steps, rng, change=None):
    """Return a noisy oscillation (steps,), of another frequency from the change on."""
    frequency = np.full(steps, 0.2)
    if change is not None:
        frequency[change:] = 0.27
    return (np.sin(np.cumsum(frequency)) + 0.05 * rng.standard_normal(steps)).astype(np.float32)


def main(arguments=None):
    """Train, run along a stream, and return the step at which the alarm went off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(0)
    rows = np.lib.stride_tricks.sliding_window_view(signal(5000, rng), 60)[::5, :, None]
    layer, head = fr.SimpleRNN(UNITS, return_sequences=True), fr.Dense(1)
    model = fr.Sequential([layer, head], seed=0)
    model.compile(fr.optimizers.Adam(3e-3), "mse")
    model.fit(rows[:, :-1], rows[:, 1:], epochs=options.epochs, verbose=2)

    stream = signal(2 * CHANGE, rng, CHANGE)
    state = np.zeros((1, UNITS), np.float32)
    forecast, error, usual, alarm = 0.0, 0.0, None, None
    start = time.perf_counter()
    for t, value in enumerate(stream):
        error += 0.02 * (abs(value - forecast) - error)  # a running mean
        if t == CHANGE // 2:
            usual = error
        elif usual is not None and alarm is None and error > 2 * usual:
            alarm = t
        layer.step(stream[t : t + 1, None], state, out=state)
        forecast = head(state)[0, 0]
    microseconds = 1e6 * (time.perf_counter() - start) / len(stream)
    print(f"the signal changed at step {CHANGE}, the alarm went off at {alarm}; {microseconds:.0f} microseconds a step")
    return alarm


if __name__ == "__main__":
    main()
