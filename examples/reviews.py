"""Tell positive reviews from negative ones: words become ids, and a recurrent network reads them in order.

    python examples/reviews.py reviews.csv

The file has a line for each review, with the columns `text` and `label`, which is 1 for a positive one and 0 for any
other. Needs scikit-learn.
"""

import argparse
import csv

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

import fastrnn as fr


def read(path):
    """Return the texts and labels of a file."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([int(row["label"]) for row in rows])


def vocabulary_of(texts, words):
    """Return the number of each of the most frequent words, from 2; 0 is padding and 1 any other word."""
    found = CountVectorizer(max_features=words).fit(texts).vocabulary_
    return {word: number + 2 for number, word in enumerate(sorted(found))}


def ids_of(texts, vocabulary, length):
    """Return an array (texts, length) of word numbers, of the last words of each text."""
    split = CountVectorizer().build_analyzer()
    rows = [[vocabulary.get(word, 1) for word in split(text)] for text in texts]
    return fr.utils.pad_sequences(rows, maxlen=length)


def main(arguments=None):
    """Train on the first four fifths of a file and return the accuracy on the rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--words", type=int, default=2000, help="size of the vocabulary (default: %(default)s)")
    parser.add_argument("--length", type=int, default=40, help="words of a review (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args(arguments)

    texts, labels = read(options.file)
    cut = len(texts) * 4 // 5
    vocabulary = vocabulary_of(texts[:cut], options.words)
    x = ids_of(texts, vocabulary, options.length)

    model = fr.Sequential(
        [
            fr.Embedding(len(vocabulary) + 2, 16, mask_zero=True),
            fr.SimpleRNN(8),
            fr.Dense(1, activation="sigmoid"),
        ],
        seed=0,
    )
    model.compile(optimizer=fr.optimizers.RMSprop(1e-3), loss="binary_crossentropy", metrics=["accuracy"])
    stopping = fr.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    model.fit(
        x[:cut],
        labels[:cut],
        batch_size=64,
        epochs=options.epochs,
        validation_split=0.1,
        callbacks=[stopping],
        verbose=2,
    )
    accuracy = model.evaluate(x[cut:], labels[cut:])[1]
    print(f"{accuracy:.1%} of the reviews held out are told right")
    return accuracy


if __name__ == "__main__":
    main()
