"""Learn a text character by character, then write one: states are carried from batch to batch, and from step to step.

    python examples/generate_text.py            # learns Python's own documentation
    python examples/generate_text.py some.txt

The text is cut into a few long streams that are read side by side. A batch is the next piece of each stream, and a
stateful layer goes on where it stopped: back-propagation through time is truncated, memory is not.
"""

import argparse
import pydoc_data.topics
from pathlib import Path

import numpy as np

import fastrnn as fr

STREAMS = 32
PIECE = 64


def pieces(codes):
    """Return batches (x, y) of pieces, y being one character ahead, in the order of the text."""
    length = (len(codes) - 1) // STREAMS // PIECE * PIECE
    x, y = (codes[i : i + STREAMS * length].reshape(STREAMS, length) for i in (0, 1))
    return [(x[:, i : i + PIECE], y[:, i : i + PIECE]) for i in range(0, length, PIECE)]


def write(model, characters, start, length, temperature, seed=0):
    """Continue a text, choosing each character at random as the model thinks likely."""
    rng = np.random.default_rng(seed)
    *layers, head = model.layers
    states = [None] * len(layers)
    codes = [characters.index(character) for character in start]
    for t in range(len(start) + length - 1):
        y = np.eye(len(characters), dtype=np.float32)[codes[t : t + 1]]
        for i, layer in enumerate(layers):
            y, states[i] = layer.step(y, states[i])
        if t + 1 == len(codes):
            likely = np.exp(np.log(head(y)[0] + 1e-9) / temperature)
            codes.append(int(rng.choice(len(characters), p=likely / likely.sum())))
    return "".join(characters[code] for code in codes)


def main(arguments=None):
    """Train, write some lines, and return the loss of every epoch and what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--characters", type=int, default=300_000, help="of the text to learn (default: %(default)s)")
    options = parser.parse_args(arguments)

    text = Path(options.file).read_text() if options.file else "\n".join(pydoc_data.topics.topics.values())
    text = text[: options.characters]
    characters = sorted(set(text))
    codes = np.array([characters.index(character) for character in text])
    cells = [
        fr.SimpleRNN(options.units, return_sequences=True, stateful=True, input_dim=len(characters)),
        fr.SimpleRNN(options.units, return_sequences=True, stateful=True),
    ]
    model = fr.Sequential([*cells, fr.Dense(len(characters), activation="softmax")], seed=0)
    model.compile(fr.optimizers.Adam(2e-3, global_clipnorm=1.0), "sparse_categorical_crossentropy")
    forget = fr.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: model.reset_state())
    history = model.fit(pieces(codes), epochs=options.epochs, callbacks=[forget], verbose=2)
    written = write(model, characters, text[:20], 400, temperature=0.6)
    print(written)
    return history.history["loss"], written


if __name__ == "__main__":
    main()
