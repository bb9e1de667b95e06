"""Token ids beside what they stand for: rows of a table, looked up, in front of the same layer."""

import numpy as np
import pytest
from tolerance import unit_roundoff

import fastrnn
from fastrnn import GRU, LSTM, Bidirectional, Embedding, SimpleRNN
from fastrnn.layers import tokens
from fastrnn.layers.tokens import Tokens

E, H, B, T = 5, 7, 6, 9
FEW, MANY = 4, 200  # words: fewer and more than the batch has tokens
FLAGS = [
    {},
    {"return_sequences": True},
    {"return_sequences": True, "go_backwards": True, "zero_output_for_mask": True},
    {"use_bias": False, "activation": "relu"},
    {"dropout": 0.4, "recurrent_dropout": 0.3},
]
KINDS = {
    "SimpleRNN": SimpleRNN,
    "GRU": GRU,
    "GRU, reset before": lambda units, **arguments: GRU(units, reset_after=False, **arguments),
    "LSTM": LSTM,
    "both directions": lambda units, **arguments: Bidirectional(LSTM(units, **arguments)),
    "their product": lambda units, **arguments: Bidirectional(GRU(units, **arguments), merge_mode="mul"),
}
kinds = pytest.mark.parametrize("kind", KINDS)
flags = pytest.mark.parametrize("flags", FLAGS, ids=str)
sizes = pytest.mark.parametrize("vocabulary", [FEW, MANY])
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def problem(vocabulary, masked=True):
    rng = np.random.default_rng(vocabulary)
    ids = rng.integers(0, vocabulary, (B, T))
    mask = rng.random((B, T)) < 0.7 if masked else None
    return ids, mask, rng


def close(got, want, dtype):
    # Sums of at most B·T·(E + H) products, whose errors grow as the root of their number; 32 is for what is after them.
    atol = 32 * unit_roundoff(dtype) * np.sqrt(B * T * (E + H)) * np.abs(want).max()
    assert want.any()
    np.testing.assert_allclose(got, want, rtol=0, atol=atol)


def states(gradients):
    found = gradients.dinitial_state
    return found if isinstance(found, list) else [found]


def same_dropout(layer):
    """Make the next call draw what the last one did."""
    kept = [(leaf, leaf._rng.bit_generator.state) for leaf in layer._leaves()]

    def again():
        for leaf, state in kept:
            leaf._rng.bit_generator.state = state

    return again


def arguments_of(kind, flags):
    """Leave out what a kind does not have."""
    found = {"seed": 2, **flags}
    if kind != "SimpleRNN":
        found["activation"] = "tanh"
    if kind in ("both directions", "their product"):
        found["go_backwards"] = False
    return found


@kinds
@flags
@sizes
@dtypes
@pytest.mark.parametrize("masked", [False, True])
def test_an_embedding_that_is_read_is_one_that_is_looked_up(kind, flags, vocabulary, dtype, masked):
    ids, mask, rng = problem(vocabulary, masked)
    embedding = Embedding(vocabulary, E, "random_normal", dtype=dtype, seed=1)
    layer = KINDS[kind](H, dtype=dtype, **arguments_of(kind, flags))
    x, looked_up = embedding.forward(ids)
    layer.build(x.shape)
    again = same_dropout(layer)
    y, tape = layer.forward(x, mask=mask)
    dy = rng.standard_normal(y.shape)
    gradients = layer.backward(dy, tape)
    (dtable,) = embedding.backward(gradients.dx, looked_up).weights

    again()
    y_read, tape = layer.forward(embedding.look_up(ids), mask=mask)
    read = layer.backward(dy, tape)
    close(y_read, y, dtype)
    close(read.dx, dtable, dtype)
    for got, want in zip(read.weights, gradients.weights, strict=True):
        close(got, want, dtype)
    for got, want in zip(states(read), states(gradients), strict=True):
        close(got, want, dtype)
    assert layer.backward(dy, tape, need_dx=False).dx is None


@kinds
@flags
@sizes
@dtypes
def test_ids_are_one_hot_rows(kind, flags, vocabulary, dtype):
    ids, mask, rng = problem(vocabulary)
    arguments = {"input_dim": vocabulary, "kernel_initializer": "random_uniform", **arguments_of(kind, flags)}
    layer = KINDS[kind](H, dtype=dtype, **arguments)
    one_hot = np.eye(vocabulary)[ids]
    layer.build(one_hot.shape)
    again = same_dropout(layer)
    y, tape = layer.forward(one_hot, mask=mask)
    dy = rng.standard_normal(y.shape)
    gradients = layer.backward(dy, tape)

    again()
    y_ids, tape = layer.forward(ids, mask=mask)
    of_ids = layer.backward(dy, tape)
    close(y_ids, y, dtype)
    assert of_ids.dx is None
    for got, want in zip(of_ids.weights, gradients.weights, strict=True):
        close(got, want, dtype)


def test_ids_of_every_integer_type_and_in_a_stateful_layer():
    ids, _, _ = problem(FEW)
    layer = SimpleRNN(H, input_dim=FEW, stateful=True, seed=0)
    both = SimpleRNN(H, input_dim=FEW, seed=0)(np.concatenate([ids, ids], axis=1))
    layer(ids.astype(np.int8))
    np.testing.assert_array_equal(layer(ids.astype(np.uint64)), both)
    with pytest.raises(ValueError, match=r"x must be \(batch=6, time\), got \(5, 9\)"):
        layer(ids[:5])


def test_a_changed_weight_counts_at_the_next_call():
    ids, _, _ = problem(FEW)
    layer = SimpleRNN(H, input_dim=FEW, seed=0)
    before = layer(ids)
    layer.recurrent_kernel[...] = 0
    after = layer(ids)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_array_equal(after, layer(np.eye(FEW)[ids]))


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[0, FEW]], ValueError, "x must hold ids from 0 to 3, got 0 to 4"),
        ([[-1, 0]], ValueError, "x must hold ids from 0 to 3, got -1 to 0"),
        ([[0.5, 1]], TypeError, "x must hold token ids, whole numbers, got float64"),
        ([0, 1], ValueError, r"x must be \(batch, time\), got \(2,\)"),
        ([["a"]], TypeError, "x must hold token ids, whole numbers, got <U1"),
    ],
)
def test_wrong_ids(ids, error, message):
    with pytest.raises(error, match=message):
        Embedding(FEW, E)(ids)
    if np.asarray(ids).dtype.kind == "i" and np.ndim(ids) == 2:
        with pytest.raises(error, match=message):
            SimpleRNN(H, input_dim=FEW)(ids)


@kinds
def test_the_table_is_projected_where_that_is_less_work(kind):
    layer = KINDS[kind](H, seed=0)
    for vocabulary in (B * T - 1, B * T):
        embedding = Embedding(vocabulary, E)
        embedding.build()
        layer.build((None, None, E))
        for leaf in layer._leaves():
            gathered = tokens.gather(leaf, embedding.look_up(np.zeros((B, T), np.intp)), training=True)
            if vocabulary < B * T:
                assert gathered.x.rows.shape == (vocabulary, leaf.kernel.shape[1])
            else:
                assert gathered.x.shape == (B, T, E)


def test_tokens_tell_their_shape():
    ids = np.zeros((B, T), np.intp)
    assert Tokens(ids, np.zeros((FEW, E)), FEW).shape == (B, T, E)
    assert Tokens(ids, None, FEW).shape == (B, T, FEW)


@pytest.mark.parametrize("vocabulary", [FEW, MANY])
def test_no_tokens(vocabulary):
    layer = SimpleRNN(H, input_dim=vocabulary, return_sequences=True)
    assert layer(np.zeros((0, T), int)).shape == (0, T, H)
    y, tape = layer.forward(np.zeros((B, 0), int))
    assert y.shape == (B, 0, H)
    assert not layer.backward(y, tape).weights[0].any()


def test_one_hot_models_train_from_ids():
    ids, _, _ = problem(FEW)
    y = np.arange(B) % 2
    curves = []
    for x in (ids, np.eye(FEW)[ids]):
        layers = [SimpleRNN(H, input_dim=FEW, dtype="float64"), fastrnn.Dense(1, "sigmoid", dtype="float64")]
        model = fastrnn.Sequential(layers, seed=3)
        model.compile(fastrnn.optimizers.Adam(0.01), "binary_crossentropy")
        curves.append(model.fit(x, y, batch_size=4, epochs=5, verbose=0).history["loss"])
        np.testing.assert_allclose(model.predict(ids), model.predict(np.eye(FEW)[ids]), rtol=1e-12)
    np.testing.assert_allclose(*curves, rtol=1e-12)
    assert curves[0][-1] < curves[0][0]
