"""Every refusal names the argument, says what came and what was wanted, and leaves everything as it was."""

import numpy as np
import pytest
from cases import random_weights

import fastrnn

B, T, I, H = 2, 5, 3, 4


@pytest.fixture
def good(cell):
    rng = np.random.default_rng(0)
    kernel, recurrent, bias = random_weights(rng, I, H, cell=cell)
    return {
        "x": rng.normal(size=(B, T, I)).astype(np.float32),
        "kernel": kernel,
        "recurrent_kernel": recurrent,
        "bias": bias,
        "initial_state": cell.one_array([np.zeros((B, H), np.float32) for _ in range(cell.states)]),
        "mask": np.ones((B, T), bool),
    }


@pytest.fixture
def layer(cell, good):
    layer = cell.layer(H, stateful=True)
    layer.build((B, T, I))
    layer.set_weights([good["kernel"], good["recurrent_kernel"], good["bias"]])
    layer(good["x"])
    return layer


def refusal(call, name, *needles):
    """Check that the call raises an error that begins with the argument's name and mentions every needle."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(name), message
    for needle in needles:
        assert str(needle) in message, f"{needle!r} is not in {message!r}"


def zeros(*shape):
    return np.zeros(shape, np.float32)


def in_all_states(cell, given):
    """What would be wrong for a single state, for as many as the cell has."""
    if cell.states == 1 or given is None:
        return given
    return [*given, given[0]] if isinstance(given, list) else [given, given]


WRONG_SHAPES = [
    ("x", (B, I), ["(batch", "time, features", (B, I)]),
    ("x", (B, T, I, 1), ["(batch", "time, features", (B, T, I, 1)]),
    ("x", (B * T * I,), ["(batch", "time, features", (B * T * I,)]),
    ("x", (), ["(batch", "time, features", ()]),
    ("x", (B, T, I + 1), ["features", I, (B, T, I + 1)]),
    ("x", (B, T, 0), ["features", I, (B, T, 0)]),
    ("kernel", (I,), ["(features", "units", (I,)]),
    ("kernel", (1, I, H), ["(features", "units", (1, I, H)]),
    ("recurrent_kernel", (H, H + 1), ["(units", H, (H, H + 1)]),
    ("recurrent_kernel", (H + 1, H + 1), ["(units", H, (H + 1, H + 1)]),
    ("recurrent_kernel", (H,), ["(units", (H,)]),
    ("bias", (H + 1,), ["units", H, (H + 1,)]),
    ("bias", (1, H), ["units", (1, H)]),
    ("bias", (1,), ["units", (1,)]),
    ("bias", (), ["units", ()]),
    ("initial_state", (H,), ["(batch", "units", (H,)]),
    ("initial_state", (1, H), ["(batch", B, (1, H)]),
    ("initial_state", (B, H + 1), ["(batch", H, (B, H + 1)]),
    ("initial_state", (B, T, H), ["(batch", "units", (B, T, H)]),
    ("initial_state", (2, B, H), ["(batch", "units", (2, B, H)]),
    ("mask", (T,), ["(batch", "time", (T,)]),
    ("mask", (B, T + 1), ["(batch", T, (B, T + 1)]),
    ("mask", (B + 1, T), ["(batch", B, (B + 1, T)]),
    ("mask", (1, T), ["(batch", B, (1, T)]),
    ("mask", (B, T, 1), ["(batch", "time", (B, T, 1)]),
]


@pytest.mark.parametrize(("name", "shape", "needles"), WRONG_SHAPES, ids=[f"{n} {s}" for n, s, _ in WRONG_SHAPES])
def test_wrong_shapes(cell, good, name, shape, needles):
    if name in ("kernel", "recurrent_kernel", "bias") and cell.gates > 1 and shape:
        shape = (*shape[:-1], cell.gates * shape[-1])
        needles = ["units", shape]
    wrong = zeros(*shape)
    wrong = in_all_states(cell, wrong) if name == "initial_state" else wrong
    for call in (cell, cell.forward):
        refusal(lambda call=call: call(**{**good, name: wrong}), name, *needles)


@pytest.mark.parametrize(
    ("name", "shape", "needles"), [case for case in WRONG_SHAPES if case[0] in ("x", "initial_state", "mask")]
)
def test_wrong_shapes_for_a_layer(cell, good, layer, name, shape, needles):
    weights, state = layer.get_weights(), layer.states[0].copy()
    wrong = in_all_states(cell, zeros(*shape)) if name == "initial_state" else zeros(*shape)
    arguments = {"x": good["x"], "initial_state": None, "mask": None, name: wrong}
    for call in (layer, layer.forward):
        refusal(lambda call=call: call(**arguments), name, *needles)
    np.testing.assert_array_equal(layer.states[0], state)
    for a, b in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


WRONG_TYPES = {
    "complex": lambda a: a.astype(np.complex64),
    "object": lambda a: a.astype(object),
    "string": lambda a: a.astype(str),
    "bytes": lambda a: a.astype(bytes),
    "dates": lambda a: a.astype(int).astype("M8[s]"),
    "structured": lambda a: a.astype([("field", "f4")]),
    "masked array": lambda a: np.ma.masked_array(a, mask=False),
    "masked array, something masked": lambda a: np.ma.masked_less(a, 0.5),
    "list of complex": lambda a: a.astype(np.complex64).tolist(),
    "list of strings": lambda a: a.astype(str).tolist(),
}


@pytest.mark.parametrize("name", ["x", "kernel", "recurrent_kernel", "bias", "initial_state", "mask"])
@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_wrong_types(cell, good, name, kind):
    right = good[name][0] if isinstance(good[name], list) else good[name]
    wrong = WRONG_TYPES[kind](right)
    given = in_all_states(cell, wrong) if name == "initial_state" and isinstance(wrong, np.ndarray) else wrong
    refusal(lambda: cell(**{**good, name: given}), name, "must")
    if isinstance(wrong, np.ndarray):
        came = "MaskedArray" if isinstance(wrong, np.ma.MaskedArray) else str(wrong.dtype)
        refusal(lambda: cell(**{**good, name: given}), name, came)


@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_wrong_types_for_a_layer(cell, good, layer, kind):
    change, state = WRONG_TYPES[kind], layer.states[0].copy()
    wrong = in_all_states(cell, change(zeros(B, H)))
    for call in (layer, layer.forward):
        refusal(lambda call=call: call(change(good["x"])), "x", "must")
        refusal(lambda call=call: call(good["x"], mask=change(good["mask"])), "mask", "must")
        refusal(lambda call=call: call(good["x"], initial_state=wrong), "initial_state", "must")
    refusal(lambda: layer.step(change(good["x"][:, 0]), None), "x_t", "must")
    np.testing.assert_array_equal(layer.states[0], state)


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, object()])
def test_x_that_is_no_array(cell, good, value):
    refusal(lambda: cell(**{**good, "x": value}), "x", "must")


def test_ragged_x(cell, good):
    refusal(lambda: cell(**{**good, "x": [[[1.0, 2.0, 3.0]], [[1.0, 2.0]]]}), "x", "(batch, time, features")


@pytest.mark.parametrize(
    ("lengths", "needles"),
    [
        ([-1, 2], [-1, T]),
        ([1, T + 1], [T + 1, T]),
        (np.array([2**63 - 1, 0]), [T]),
        ([1.0, 2.0], ["integer", "float"]),
        ([1.5, 2.0], ["integer", "float"]),
        ([True, False], ["integer", "bool"]),
        ([1], ["batch", B, (1,)]),
        ([1, 2, 3], ["batch", B, (3,)]),
        ([[1, 2]], ["batch", (1, 2)]),
        (2, ["batch", ()]),
        (np.ma.masked_array([1, 2]), ["MaskedArray"]),
        (["a", "b"], ["<U1"]),
        ([1j, 2], ["complex"]),
    ],
)
def test_wrong_lengths(cell, good, layer, lengths, needles):
    good = {**good, "mask": None}
    refusal(lambda: cell(**good, lengths=lengths), "lengths", *needles)
    refusal(lambda: layer(good["x"], lengths=lengths), "lengths", *needles)


def test_mask_and_lengths_at_once(cell, good, layer):
    with pytest.raises(ValueError, match=r"mask.*lengths"):
        cell(**good, lengths=[1, 2])
    with pytest.raises(ValueError, match=r"mask.*lengths"):
        layer(good["x"], mask=good["mask"], lengths=[1, 2])


@pytest.mark.parametrize("value", ["softplus", "Tanh", "", 3, np.tanh, ["tanh"]])
def test_unknown_activations(cell, good, value):
    for name in cell.activations:
        refusal(lambda name=name: cell(**good, **{name: value}), name, "tanh", repr(value))
        refusal(lambda name=name: cell.layer(3, **{name: value}), name, "tanh", repr(value))


@pytest.mark.parametrize("name", ["kernel_initializer", "recurrent_initializer", "bias_initializer"])
@pytest.mark.parametrize("value", ["glorot", "", 3, None, {"class_name": "NoSuchThing", "config": {}}])
def test_unknown_initializers(cell, name, value):
    refusal(lambda: cell.layer(3, **{name: value}), name)


@pytest.mark.parametrize("units", [0, -1, np.int64(0), 2.0, 2.5, "3", None, True, [3], np.nan])
def test_wrong_units(cell, units):
    refusal(lambda: cell.layer(units), "units", "positive integer", repr(units))


def test_numpy_integers_are_integers(cell):
    assert cell.layer(np.int32(3)).units == 3


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan, np.inf, "0.5", None, [0.5]])
def test_wrong_rates(cell, name, rate):
    refusal(lambda: cell.layer(3, **{name: rate}), name, "from 0 to 1", repr(rate))


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex64", "text", object])
def test_wrong_dtypes(cell, dtype):
    refusal(lambda: cell.layer(3, dtype=dtype), "dtype", "float32", "float64")


@pytest.mark.parametrize("shape", [(B, I), (B, T, I, 1), (I,), ()])
def test_build_with_a_wrong_rank(cell, shape):
    refusal(lambda: cell.layer(3).build(shape), "input_shape", "(batch, time, features)", shape)


@pytest.mark.parametrize("features", [None, 0, -2, 2.5, "3"])
def test_build_without_features(cell, features):
    layer = cell.layer(3)
    refusal(lambda: layer.build((None, None, features)), "input_shape", "features" if features is None else features)
    assert not layer.built


def test_x_without_features(cell):
    """A layer that is not built cannot take its number of features from an x that has none."""
    layer = cell.layer(3)
    with pytest.raises((TypeError, ValueError)):
        layer(zeros(B, T, 0))
    assert not layer.built


def test_a_first_call_that_fails_leaves_the_layer_unbuilt_or_usable(cell, good):
    states = in_all_states(cell, zeros(B, H))
    for wrong in (
        {"mask": zeros(B, T + 1)},
        {"initial_state": in_all_states(cell, zeros(B, 99))},
        {"lengths": [99, 0]},
    ):
        layer = cell.layer(H, stateful=True)
        with pytest.raises(ValueError):
            layer(good["x"], **wrong)
        assert layer(good["x"]).shape == (B, H)
        np.testing.assert_array_equal(layer.states[0], layer(good["x"], initial_state=states))


# Weights


@pytest.mark.parametrize(
    ("change", "needles"),
    [
        (lambda w: w[:2], ["kernel, recurrent_kernel, bias", 2]),
        (lambda w: [], ["kernel, recurrent_kernel, bias", 0]),
        (lambda w: [*w, w[0]], ["kernel, recurrent_kernel, bias", 4]),
        (lambda w: [w[0].T, *w[1:]], ["kernel", (H, I)]),
        (lambda w: [w[0].reshape(w[0].shape[::-1]), *w[1:]], ["kernel", (H, I)]),
        (lambda w: [w[0], w[1][:-1], w[2]], ["recurrent_kernel", (H - 1, H)]),
        (lambda w: [w[0], w[1], w[2][None]], ["bias", (1, H)]),
        (lambda w: [w[0], w[1], np.float32(1)], ["bias", ()]),
        (lambda w: [w[0], w[1], w[2].astype(complex)], ["bias", "complex128"]),
        (lambda w: [w[0], w[1].astype(object), w[2]], ["recurrent_kernel", "object"]),
        (lambda w: [w[0], w[1], np.ma.masked_array(w[2])], ["bias", "MaskedArray"]),
        (lambda w: [w[0], w[1], ["a"] * H], ["bias", "<U1"]),
    ],
)
def test_set_weights_takes_all_or_nothing(cell, good, layer, change, needles):
    states = in_all_states(cell, zeros(B, H))
    before, output = layer.get_weights(), layer(good["x"], initial_state=states)
    with pytest.raises((TypeError, ValueError)) as caught:
        layer.set_weights(change([w + 1 for w in before]))
    for needle in needles:
        if cell.gates == 1 or not isinstance(needle, tuple):  # other cells have other shapes
            assert str(needle) in str(caught.value)
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(layer(good["x"], initial_state=states), output)


def test_weights_before_they_exist(cell):
    layer = cell.layer(3)
    for call in (layer.count_params, lambda: layer.set_weights([])):
        with pytest.raises(ValueError, match="build"):
            call()


# Other calls of a layer


def test_features_of_a_built_layer(cell, good, layer):
    refusal(lambda: layer(zeros(B, T, I + 2)), "x", I, (B, T, I + 2))
    refusal(lambda: layer.step(zeros(B, I + 2), None), "x_t", I, (B, I + 2))
    with pytest.raises(ValueError, match=str(I)):
        layer.build((B, T, I + 2))


def test_batch_size_of_a_stateful_layer(cell, layer):
    state = layer.states[0].copy()
    refusal(lambda: layer(zeros(B + 1, T, I)), "x", f"batch={B}", (B + 1, T, I))
    np.testing.assert_array_equal(layer.states[0], state)


@pytest.mark.parametrize(
    ("x_t", "states", "out", "name"),
    [
        (zeros(B), None, None, "x_t"),
        (zeros(B, T, I), None, None, "x_t"),
        (zeros(B, I + 1), None, None, "x_t"),
        (zeros(B, I), [zeros(B + 1, H)], None, "states"),
        (zeros(B, I), [zeros(B, H + 1)], None, "states"),
        (zeros(B, I), zeros(H), None, "states"),
        (zeros(B, I), [zeros(B, H), zeros(B, H)], None, "states"),
        (zeros(B, I), [zeros(B, H).astype(complex)], None, "states"),
        (zeros(B, I), None, zeros(B, H + 1), "out"),
        (zeros(B, I), None, zeros(B, 1, H), "out"),
        (zeros(B, I), None, np.zeros((B, H)), "out"),
        (zeros(B, I), None, [[0.0] * H] * B, "out"),
        (zeros(B, I + 1), zeros(B, H), zeros(B, H), "x_t"),
        (zeros(B, I), zeros(B, H + 1), zeros(B, H), "states"),
        (zeros(B, I), zeros(B, H), zeros(B, H + 1), "out"),
        (zeros(B, I), zeros(B, H), np.ma.zeros((B, H), "f4"), "out"),
        (np.ma.zeros((B, I), "f4"), zeros(B, H), zeros(B, H), "x_t"),
    ],
)
def test_wrong_steps(cell, layer, x_t, states, out, name):
    states, out = in_all_states(cell, states), in_all_states(cell, out)
    refusal(lambda: layer.step(x_t, states, out=out), name, "must")


def test_a_step_does_not_write_into_its_input(cell):
    layer = cell.layer(I)
    x_t = np.ones((B, I), np.float32)
    for out in (x_t, x_t[::-1]):
        refusal(lambda out=out: layer.step(x_t, None, out=in_all_states(cell, out)), "out", "x_t")
    states = in_all_states(cell, np.zeros_like(x_t))
    refusal(lambda: layer.step(x_t, states, out=in_all_states(cell, x_t)), "out", "x_t")
    assert (x_t == 1).all()


@pytest.mark.parametrize("return_sequences", [False, True])
def test_wrong_gradients(cell, good, return_sequences):
    _, tape = cell.forward(**good, return_sequences=return_sequences)
    right = (B, T, H) if return_sequences else (B, H)
    other = (B, H) if return_sequences else (B, T, H)
    for shape in ((B, T, H + 1), (B, T + 1, H), (B, H + 1), (H,), (B, T, H, 1), other):
        refusal(lambda shape=shape: cell.backward(zeros(*shape), tape), "dy", "(batch", "units", shape)
    for kind in ("complex", "object", "string", "masked array"):
        wrong = WRONG_TYPES[kind](zeros(*right))
        refusal(lambda wrong=wrong: cell.backward(wrong, tape), "dy", "must")
    for shape in ((B, H + 1), (H,), (B + 1, H), (B, T, H)):
        dstate = in_all_states(cell, zeros(*shape))
        refusal(lambda dstate=dstate: cell.backward(None, tape, dstate=dstate), "dstate", "(batch", shape)


@pytest.mark.parametrize("tape", [None, 3, (1, 2, 3)])
def test_wrong_tapes(cell, layer, tape):
    refusal(lambda: cell.backward(zeros(B, H), tape), "tape", type(tape).__name__)
    refusal(lambda: layer.backward(zeros(B, H), tape), "tape", type(tape).__name__)


@pytest.mark.parametrize(
    "name",
    [f"{which}_{what}" for what in ("regularizer", "constraint") for which in ("kernel", "recurrent", "bias")]
    + ["activity_regularizer"],
)
def test_wrong_regularizers_and_constraints(cell, name):
    for wrong, told in (("l3", "l3"), (3, "int")):
        refusal(lambda wrong=wrong: cell.layer(3, **{name: wrong}), name, told)


def test_an_argument_that_does_not_exist(cell):
    with pytest.raises(TypeError, match="implementation"):
        cell.layer(3, implementation=2)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_wrong_numbers_of_threads(cell, threads, n):
    before = fastrnn.get_num_threads()
    with pytest.raises((TypeError, ValueError)):
        threads(n)
    assert fastrnn.get_num_threads() == before


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fastrnn.Masking("pad"), TypeError, "mask_value must be a number, got 'pad'"),
        (lambda: fastrnn.Dropout(0.5, noise_shape=3), TypeError, "noise_shape must be a tuple of sizes, got 3"),
        (lambda: fastrnn.constraints.MaxNorm("2"), TypeError, "max_value must be a finite number .* got '2'"),
        (lambda: fastrnn.constraints.UnitNorm(axis=0.5), TypeError, "axis must be a whole number, got 0.5"),
        (lambda: fastrnn.constraints.MinMaxNorm(rate=2), ValueError, "rate must be a number from 0 to 1, got 2"),
        (lambda: fastrnn.losses.BinaryCrossentropy(axis="-1"), TypeError, "axis must be a whole number, got '-1'"),
        (
            lambda: fastrnn.losses.SparseCategoricalCrossentropy(ignore_class=0.5),
            TypeError,
            "ignore_class must be a whole number, got 0.5",
        ),
        (lambda: fastrnn.metrics.BinaryAccuracy(threshold="1"), TypeError, "threshold must be a number, got '1'"),
        (
            lambda: fastrnn.optimizers.schedules.ExponentialDecay(0.1, 0, 0.5),
            ValueError,
            "decay_steps must be a number above 0, got 0",
        ),
        (
            lambda: fastrnn.optimizers.schedules.CosineDecay("0.1", 10),
            TypeError,
            "initial_learning_rate must be a finite number of at least 0, got '0.1'",
        ),
    ],
)
def test_arguments_of_constructors(make, error, message):
    with pytest.raises(error, match=message):
        make()
