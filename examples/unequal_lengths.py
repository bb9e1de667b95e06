"""Read handwritten digits column by column, without the empty columns: every digit is a sequence of its own length.

    python examples/unequal_lengths.py

Needs scikit-learn, which has the digits.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import fastrnn as fr


def main(arguments=None):
    """Train on four fifths of the digits and return the accuracy on the rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args(arguments)

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    columns = digits.images[order].transpose(0, 2, 1) / 16  # (digits, columns, pixels)
    sequences = [image[image.any(axis=1)] for image in columns]
    labels = digits.target[order]
    cut = len(labels) * 4 // 5
    lengths = sorted({len(sequence) for sequence in sequences})
    print(f"{len(labels)} digits of {lengths[0]} to {lengths[-1]} columns")

    model = fr.Sequential([fr.SimpleRNN(64), fr.Dense(10, activation="softmax")], seed=0)
    model.compile(fr.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(sequences[:cut], labels[:cut], batch_size=32, epochs=options.epochs, verbose=2)
    accuracy = model.evaluate(sequences[cut:], labels[cut:])[1]
    print(f"{accuracy:.1%} of the digits held out are read right")
    return accuracy


if __name__ == "__main__":
    main()
