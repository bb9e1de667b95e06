"""Token ids beside what they stand for: rows of a table, looked up, in front of the same layer."""

import numpy as np
import pytest
from tolerance import unit_roundoff

import fastrnn
from fastrnn import GRU, LSTM, Bidirectional, Embedding, SimpleRNN, _core
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
    found = {"seed": 2, "bias_initializer": "random_normal", **flags}
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


def big_call(layer, vocabulary, batch, time, masked, **more):
    """Return everything that one call of a layer with tokens gives, there and back."""
    rng = np.random.default_rng(time)
    embedding = Embedding(vocabulary, E, "random_normal", seed=1)
    embedding.build()
    ids = rng.integers(0, vocabulary, (batch, time))
    mask = rng.random(ids.shape) < 0.6 if masked else None
    layer.build((None, None, E))
    y, tape = layer.forward(embedding.look_up(ids), mask=mask, **more)
    found = layer.backward(np.cos(np.arange(y.size)).reshape(y.shape), tape)
    return [y, found.dx, *states(found), *found.weights]


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "GRU, reset before", "LSTM"])
@pytest.mark.parametrize(("units", "batch", "time"), [(8, 64, 100), (40, 30, 31), (200, 3, 12)])
@pytest.mark.parametrize("masked", [False, True])
def test_the_same_bits_with_any_number_of_threads(threads, kind, units, batch, time, masked):
    layer = KINDS[kind](units, return_sequences=True, seed=2)
    threads(1)
    want = big_call(layer, 20, batch, time, masked)
    for n in (2, 3):
        threads(n)
        for a, b in zip(big_call(layer, 20, batch, time, masked), want, strict=True):
            assert np.any(b)
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "GRU, reset before", "LSTM"])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_checkpoints_change_no_bit(kind, go_backwards, masked):
    layer = KINDS[kind](33, return_sequences=True, go_backwards=go_backwards, seed=2)
    want = big_call(layer, 20, 5, 777, masked)
    for a, b in zip(big_call(layer, 20, 5, 777, masked, checkpoint=True), want, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "GRU, reset before", "LSTM"])
def test_truncated_like_what_is_looked_up(kind):
    ids, mask, rng = problem(FEW)
    layer = KINDS[kind](H, return_sequences=True, dtype="float64", seed=2)
    embedding = Embedding(FEW, E, "random_normal", dtype="float64", seed=1)
    x, looked_up = embedding.forward(ids)
    y, tape = layer.forward(x, mask=mask, tbptt=4)
    dy = rng.standard_normal(y.shape)
    want = layer.backward(dy, tape)
    y_read, tape = layer.forward(embedding.look_up(ids), mask=mask, tbptt=4)
    got = layer.backward(dy, tape)
    close(y_read, y, "float64")
    close(got.dx, embedding.backward(want.dx, looked_up).weights[0], "float64")
    for a, b in zip(got.weights, want.weights, strict=True):
        close(a, b, "float64")


def test_ids_that_change_behind_the_back_reach_no_other_memory():
    layer = SimpleRNN(H, seed=0)
    layer.build((None, None, E))
    embedding = Embedding(FEW, E)
    embedding.build()
    ids = np.zeros((B, T), np.intp)
    y, tape = layer.forward(embedding.look_up(ids))
    for wrong in (FEW, -1, 2**40):
        ids[2, 3] = wrong
        with pytest.raises(ValueError, match="ids must be rows of a table of 4"):
            layer(embedding.look_up(ids))
        with pytest.raises(ValueError, match="ids must be rows of a table of 4"):
            layer.backward(y, tape)


@pytest.mark.parametrize(
    ("ids", "table", "inputs", "message"),
    [
        (np.zeros((B, T), np.intp), np.zeros((FEW, H), np.float32), 2, "with weights of no inputs"),
        (np.zeros((B, T), np.int16), np.zeros((FEW, H), np.float32), 0, "ids must have the native element type"),
        (np.zeros((B, T)), np.zeros((FEW, H), np.float32), 0, "ids must have the native element type"),
        (np.zeros((B, T, 1), np.intp), np.zeros((FEW, H), np.float32), 0, "ids must have 2 axes"),
        (np.zeros((B, 2 * T), np.intp)[:, ::2], np.zeros((FEW, H), np.float32), 0, "ids must be dense"),
        (np.zeros((B, T), np.intp), np.zeros((FEW, H + 1), np.float32), 0, "table must have shape"),
        (np.zeros((B, T), np.intp), np.zeros((FEW, H)), 0, "table must have the native element type"),
        (np.zeros((B, T), np.intp), np.zeros((0, H), np.float32), 0, "ids must be rows of a table of 0"),
    ],
)
def test_what_the_core_refuses(ids, table, inputs, message):
    weights = _core.SimpleRNNWeights(np.zeros((inputs, H), np.float32), np.zeros((H, H), np.float32))
    last = (np.zeros((B, H), np.float32),)
    with pytest.raises(ValueError, match=message):
        _core.forward(
            weights, (ids, table), None, last, None, None, None, None, "tanh", "sigmoid", False, False
        )  # fmt: skip
    assert _core.infer(weights, (ids, table), None, None, "tanh", "sigmoid", False, False, False) is None
