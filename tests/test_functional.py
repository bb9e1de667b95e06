"""The stateless functions: what they accept, what they return, and that layout and surroundings never matter."""

import pickle
import sys

import children
import numpy as np
import pytest
from cases import Case, random_state, random_weights
from layouts import LAYOUTS
from tolerance import assert_gradients, assert_output, assert_state

from fastrnn import functional
from fastrnn.functional import _tape
from fastrnn.functional._gradients import LaterGradients


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def call(rng, cell, B=5, T=4, I=6, H=7, dtype=np.float32):
    """x, [kernel, recurrent_kernel, bias] and an initial state."""
    x = rng.normal(size=(B, T, I)).astype(dtype)
    return x, random_weights(rng, I, H, dtype=dtype, cell=cell), random_state(rng, B, H, dtype, cell)


def states_like(cell, change, state):
    """The state or states, changed."""
    return cell.one_array([change(one) for one in ([state] if cell.states == 1 else state)])


@pytest.mark.parametrize("seed", range(60))
def test_the_equations_in_float64(cell, seed):
    case = Case(5000 + seed, cell, dtype=np.float64)
    want = cell.reference(case.x, *case.weights, **case.arguments)
    got = cell(
        case.x, *case.weights, **case.arguments, return_sequences=case.return_sequences, return_state=case.return_state
    )
    assert isinstance(got, tuple) == case.return_state
    output, *states = got if case.return_state else (got,)
    assert output.dtype == np.float64
    assert output.ndim == 2 + case.return_sequences
    assert_output(output, want)
    if states:
        assert_state(cell.one_array(states), want)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
def test_shapes_of_results(cell, rng, return_sequences, return_state):
    x, weights, _ = call(rng, cell)
    got = cell(x, *weights, return_sequences=return_sequences, return_state=return_state)
    output, *states = got if return_state else (got,)
    assert output.shape == ((5, 4, 7) if return_sequences else (5, 7))
    assert output.dtype == np.float32
    if return_state:
        assert [state.shape for state in states] == [(5, 7)] * cell.states
        np.testing.assert_array_equal(states[0], output[:, -1] if return_sequences else output)
        assert not any(np.shares_memory(state, output) for state in states)
    forward, _ = cell.forward(x, *weights, return_sequences=return_sequences)
    np.testing.assert_array_equal(forward, output)


def test_the_last_of_all_outputs_is_the_last_output(cell, rng):
    for seed in range(30):
        case = Case(6000 + seed, cell, max_units=40)
        everything = cell(case.x, *case.weights, **case.arguments, return_sequences=True)
        last = cell(case.x, *case.weights, **case.arguments)
        np.testing.assert_array_equal(everything[:, -1], last)


def test_keywords_and_optional_bias(cell, rng):
    x, (kernel, recurrent, bias), _ = call(rng, cell)
    by_name = cell(x=x, kernel=kernel, recurrent_kernel=recurrent, bias=bias)
    np.testing.assert_array_equal(by_name, cell(x, kernel, recurrent, bias))
    np.testing.assert_array_equal(cell(x, kernel, recurrent), cell(x, kernel, recurrent, np.zeros_like(bias)))
    np.testing.assert_array_equal(
        cell(x, kernel, recurrent, activation=None), cell(x, kernel, recurrent, activation="linear")
    )
    with pytest.raises(TypeError):
        cell(x, kernel, recurrent, bias, None)  # everything after bias by name only


def test_states_may_be_lists_and_tuples(cell, rng):
    x, weights, state = call(rng, cell)
    listed = [state] if cell.states == 1 else state
    want = cell(x, *weights, initial_state=state)
    for given in (listed, tuple(listed), states_like(cell, np.ndarray.tolist, state)):
        np.testing.assert_array_equal(cell(x, *weights, initial_state=given), want)


def test_arguments_are_not_changed(cell, rng):
    x, weights, state = call(rng, cell)
    mask = rng.random((5, 4)) < 0.5
    arrays = [x, *weights, *([state] if cell.states == 1 else state), mask]
    copies = [a.copy() for a in arrays]
    _, tape = cell.forward(x, *weights, initial_state=state, mask=mask, return_sequences=True)
    dy, dstate = np.ones((5, 4, 7), np.float32), states_like(cell, np.ones_like, state)
    cell.backward(dy, tape, dstate=dstate)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert (dy == 1).all()
    assert (np.asarray(dstate) == 1).all()


def test_results_are_new_arrays(cell, rng):
    x, weights, state = call(rng, cell)
    for options in ({}, {"return_sequences": True}):
        a = cell(x, *weights, initial_state=state, return_state=True, **options)
        b = cell(x, *weights, initial_state=state, return_state=True, **options)
        for one in a:
            assert one.flags.owndata or one.base is not x
            for other in (x, *weights, *([state] if cell.states == 1 else state), *b):
                assert not np.shares_memory(one, other)
            assert one.flags.writeable


# lengths


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_lengths_are_a_right_padded_mask(cell, rng, go_backwards, return_sequences):
    x, weights, state = call(rng, cell)
    lengths = np.array([0, 4, 2, 1, 3])
    options = {
        "initial_state": state,
        "go_backwards": go_backwards,
        "return_sequences": return_sequences,
        "return_state": True,
    }
    mask = np.arange(4) < lengths[:, None]
    for given in (lengths, lengths.tolist(), lengths.astype(np.uint8), lengths.astype(">i2")):
        got = cell(x, *weights, lengths=given, **options)
        for a, b in zip(got, cell(x, *weights, mask=mask, **options), strict=True):
            np.testing.assert_array_equal(a, b)
    for got_state, given_state in zip(got[1:], [state] if cell.states == 1 else state, strict=True):
        np.testing.assert_array_equal(got_state[0], given_state[0])  # nothing was used of the first row


def test_lengths_backward(cell, rng):
    x, weights, _ = call(rng, cell, dtype=np.float64)
    lengths = [0, 4, 2, 1, 3]
    want = cell.reference(x, *weights, lengths=np.array(lengths))
    dy = rng.normal(size=(5, 7))
    output, tape = cell.forward(x, *weights, lengths=lengths)
    assert_output(output, want)
    assert_gradients(cell.backward(dy, tape), want, dy)


# Nothing to do


@pytest.mark.parametrize("with_state", [False, True])
def test_no_steps_give_the_initial_state(cell, rng, with_state):
    _, weights, state = call(rng, cell)
    given = {"initial_state": state} if with_state else {}
    states = np.reshape(state, (-1, 5, 7)) * with_state
    x = np.zeros((5, 0, 6), np.float32)
    for more in ({}, {"mask": np.zeros((5, 0), bool)}, {"lengths": [0] * 5}, {"zero_output_for_mask": True}):
        output, *last = cell(x, *weights, **given, **more, return_state=True)
        np.testing.assert_array_equal(output, states[0])
        np.testing.assert_array_equal(last, states)
        outputs, *last = cell(x, *weights, **given, **more, return_state=True, return_sequences=True)
        assert outputs.shape == (5, 0, 7)
        np.testing.assert_array_equal(last, states)


MEMORY = """
import resource
import numpy as np
import fastrnn
from fastrnn import functional

fastrnn.set_num_threads(1)
B, T, I, H = 32, 4000, 1, 128
x = np.ones((B, T, I), np.float32)
layer = fastrnn.LAYER(H)
layer(x[:, :2])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + B * T * H, -1))  # a quarter of what all outputs take
layer(x)
layer(x, lengths=np.arange(B) * 100)
functional.FUNCTION(x, *layer.get_weights(), return_state=True)
try:
    functional.FUNCTION(x, *layer.get_weights(), return_sequences=True)
except MemoryError:
    print("all outputs would have been too much")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited in Linux's way")
def test_the_last_output_takes_no_memory_for_the_others(cell):
    script = MEMORY.replace("LAYER", cell.layer_name).replace("FUNCTION", cell.name)
    assert children.run("-c", script) == (0, "all outputs would have been too much\n", "")


@pytest.mark.parametrize("B", [1, 9])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
def test_a_bad_row_stays_alone(cell, rng, B, poison):
    """Also through saturation: an infinite input makes tanh exactly 1 or NaN, and never something else."""
    _, weights, _ = call(rng, cell)
    x = rng.normal(size=(B + 1, 4, 6)).astype(np.float32)
    want = cell(x, *weights)
    x[B, 1, 2] = poison
    got, tape = cell.forward(x, *weights)
    np.testing.assert_array_equal(got[:B], want[:B])
    with np.errstate(all="ignore"):
        h = cell.reference(x[B:], *weights).last[0]
    if np.isnan(poison):
        assert np.isnan(got[B]).all()
    else:
        np.testing.assert_allclose(got[B], h, rtol=0, atol=1e-5)
    dx = cell.backward(np.ones_like(got), tape).dx
    assert np.isfinite(dx[:B]).all()
    assert dx[:B].any()


@pytest.mark.parametrize("T", [0, 4])
def test_no_rows(cell, rng, T):
    _, weights, _ = call(rng, cell)
    x = np.zeros((0, T, 6), np.float32)
    state = cell.one_array([np.zeros((0, 7))] * cell.states)
    output, *states = cell(x, *weights, initial_state=state, mask=np.zeros((0, T)), return_state=True)
    assert [a.shape for a in (output, *states)] == [(0, 7)] * (1 + cell.states)
    assert cell(x, *weights, return_sequences=True).shape == (0, T, 7)
    assert cell(x, *weights, lengths=[], return_sequences=True).shape == (0, T, 7)


# Types


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", ">f4", ">f8", ">i4", "float64"])
def test_inputs_of_other_types_are_converted(cell, rng, dtype):
    """The kernel's type decides, and x is what its conversion to that type is."""
    _, weights, _ = call(rng, cell)
    x = rng.integers(0, 2, (5, 4, 6)).astype(dtype)
    state = cell.one_array([rng.integers(0, 2, (5, 7)).astype(dtype) for _ in range(cell.states)])
    plain = states_like(cell, lambda one: one.astype(np.float32), state)
    want = cell(x.astype(np.float32), *weights, initial_state=plain)
    got = cell(x, *weights, initial_state=state)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)


def test_everything_may_be_lists(cell, rng):
    x, weights, state = call(rng, cell)
    want = cell(x, *weights, initial_state=state)
    state = states_like(cell, np.ndarray.tolist, state)
    got = cell(x.tolist(), *[w.tolist() for w in weights], initial_state=state)
    assert got.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_float64_is_computed_in_float64(cell, rng):
    x, weights, _ = call(rng, cell, dtype=np.float64)
    got = cell(x, *weights)
    assert got.dtype == np.float64
    assert_output(got, cell.reference(x, *weights))
    assert np.abs(got - cell(x, *[w.astype(np.float32) for w in weights])).max() > 1e-9


# Layouts: the same bits, whatever the strides


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_bits(cell, rng, layout, dtype):
    x, weights, state = call(rng, cell, dtype=dtype)
    mask, lengths = rng.random((5, 4)) < 0.6, rng.integers(0, 5, 5)
    dy, dstate = rng.normal(size=(5, 4, 7)).astype(dtype), random_state(rng, 5, 7, dtype, cell)

    def results(change, change_weights=None):
        W = [(change_weights or change)(w) for w in weights]
        initial = states_like(cell, change, state)
        y, tape = cell.forward(change(x), *W, initial_state=initial, mask=change(mask), return_sequences=True)
        g = cell.backward(change(dy), tape, dstate=states_like(cell, change, dstate))
        last = cell(change(x), *W, initial_state=initial, lengths=change(lengths))
        return [y, last, g.dx, np.asarray(g.dinitial_state), *g.weights]

    # A list says nothing of its type, so the weights, which decide about it, stay arrays.
    got = results(LAYOUTS[layout], np.asarray if layout == "nested lists" else None)
    for a, b in zip(results(np.asarray), got, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_array_equal(a, b)


def test_broadcast_arrays_are_read_right(cell, rng):
    _, weights, _ = call(rng, cell)
    row = rng.normal(size=6).astype(np.float32)
    got = cell(np.broadcast_to(row, (5, 4, 6)), *weights)
    np.testing.assert_array_equal(got, cell(np.tile(row, (5, 4, 1)), *weights))


def test_any_shape_stride_and_type(cell):
    hypothesis = pytest.importorskip("hypothesis", reason="draws the arrays of this test")
    from hypothesis import strategies as st

    @st.composite
    def strided(draw, shape, dtype):
        """An array of that shape cut out of a bigger one: any step, sign, order of axes and alignment."""
        steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
        margins = [draw(st.integers(0, 2)) for _ in shape]
        order = draw(st.permutations(range(len(shape))))
        sizes = [n * abs(step) + margin for n, step, margin in zip(shape, steps, margins, strict=True)]
        room = int(np.prod(sizes)) * np.dtype(dtype).itemsize
        shift = draw(st.sampled_from([0, 0, 1, 4]))
        buffer = np.full(room + shift, 0xFF, np.uint8)[shift:]
        big = buffer.view(dtype).reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))
        cut = tuple(
            slice(margin, margin + n * step, step) if step > 0 else slice(margin + n * -step - 1, None, step)
            for n, step, margin in zip(shape, steps, margins, strict=True)
        )
        view = big[cut][tuple(slice(n) for n in shape)]
        assert view.shape == shape
        values = np.random.default_rng(draw(st.integers(0, 1000))).integers(-8, 8, shape) / 8
        view[...] = (np.abs(values) * 8).astype(int) if np.dtype(dtype).kind in "iu" else values
        return view

    dtypes = st.sampled_from(["<f4", "<f4", ">f4", "<f8", ">f8", "<f2", "<i4", ">i2", "u1"])
    sizes = st.integers(0, 5)

    @hypothesis.settings(max_examples=60)
    @hypothesis.given(st.data())
    def check(data):
        B, T, I, H = data.draw(sizes), data.draw(sizes), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 18))
        x = data.draw(strided((B, T, I), data.draw(dtypes)))
        kernel = data.draw(strided((I, cell.gates * H), data.draw(dtypes)))
        recurrent = data.draw(strided((H, cell.gates * H), data.draw(dtypes)))
        bias = data.draw(st.none() | strided(cell.bias_shape(H), data.draw(dtypes)))
        drawn = [data.draw(strided((B, H), data.draw(dtypes))) for _ in range(cell.states)]
        state = data.draw(st.sampled_from([None, cell.one_array(drawn)]))
        mask = data.draw(st.none() | strided((B, T), data.draw(st.sampled_from(["u1", "?", "<i4", "<f4"]))))
        options = {
            "activation": data.draw(st.sampled_from(["tanh", "sigmoid"])),
            "return_sequences": data.draw(st.booleans()),
            "go_backwards": data.draw(st.booleans()),
        }
        dtype = np.dtype("f8" if kernel.dtype.itemsize == 8 else "f4")

        def plain(a):
            return None if a is None else np.array(a, dtype, order="C")

        got = cell(x, kernel, recurrent, bias, initial_state=state, mask=mask, **options)
        want = cell(
            plain(x),
            plain(kernel),
            plain(recurrent),
            plain(bias),
            initial_state=None if state is None else states_like(cell, plain, state),
            mask=None if mask is None else np.array(mask != 0),
            **options,
        )
        assert got.dtype == want.dtype == dtype
        np.testing.assert_array_equal(got, want)

    check()


# out=


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("layout", ["plain", "inside a bigger array", "every second", "Fortran order", "misaligned"])
def test_out_is_written_and_returned(cell, rng, return_sequences, layout):
    x, weights, state = call(rng, cell)
    options = {"initial_state": state, "return_sequences": return_sequences}
    want = cell(x, *weights, **options)
    out = LAYOUTS[layout](np.full_like(want, np.nan))
    around = out.base if out.base is not None else out
    before = np.isnan(around).sum() if around.dtype == np.float32 else None
    got = cell(x, *weights, **options, out=out)
    assert got is out
    np.testing.assert_array_equal(out, want)
    if before is not None and layout != "plain":
        assert np.isnan(around).sum() == before - out.size  # nothing else of the bigger array
    got, *last = cell(x, *weights, **options, out=out, return_state=True)
    assert got is out
    np.testing.assert_array_equal(last[0], want[:, -1] if return_sequences else want)
    assert not any(np.shares_memory(state, out) for state in last)


def test_out_with_masks(cell, rng):
    x, weights, state = call(rng, cell)
    mask = rng.random((5, 4)) < 0.5
    mask[0] = False
    for zero in (False, True):
        for return_sequences in (False, True):
            options = {
                "initial_state": state,
                "mask": mask,
                "zero_output_for_mask": zero,
                "return_sequences": return_sequences,
            }
            want = cell(x, *weights, **options)
            out = np.full_like(want, np.nan)
            cell(x, *weights, **options, out=out)
            np.testing.assert_array_equal(out, want)


def test_out_refuses_what_it_cannot_be(cell, rng):
    x, weights, state = call(rng, cell, T=7, I=7)
    wrong = {
        "shape": np.zeros((5, 8), np.float32),
        "rank": np.zeros((5, 7, 7), np.float32),
        "dtype": np.zeros((5, 7), np.float64),
        "byte order": np.zeros((5, 7), np.dtype("f4").newbyteorder()),
        "read-only": LAYOUTS["read-only"](np.zeros((5, 7), np.float32)),
        "no array": [[0.0] * 7] * 5,
        "masked": np.ma.zeros((5, 7), np.float32),
    }
    for why, out in wrong.items():
        with pytest.raises((TypeError, ValueError), match=r"^out must"):
            cell(x, *weights, initial_state=state, out=out)
        assert not np.any(out), why


def test_out_refuses_to_overlap_an_input(cell, rng):
    x, weights, state = call(rng, cell, T=7, I=7)
    states = [state] if cell.states == 1 else state
    before = [a.copy() for a in (x, *weights, *states)]
    overlapping = {"x": x[:, 3], "initial_state": states[-1]}
    for name, weight in zip(("kernel", "recurrent_kernel"), weights, strict=False):
        overlapping[name] = weight[1:6, -7:]
    for name, out in overlapping.items():
        with pytest.raises(ValueError, match=rf"^out must not share memory with {name}$"):
            cell(x, *weights, initial_state=state, out=out)
    memory = np.zeros((6, *weights[2].shape), np.float32)
    memory[0] = weights[2]
    with pytest.raises(ValueError, match=r"^out must not share memory with bias$"):
        cell(x, *weights[:2], memory[0], out=memory.reshape(6, -1)[:5, :7])
    for array, copy in zip((x, *weights, *states), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_tape_cannot_be_spoiled_through_the_output(cell, rng):
    """With all states returned the output is the tape, so it is read-only, or another array."""
    x, weights, _ = call(rng, cell, dtype=np.float64)
    y, tape = cell.forward(x, *weights, return_sequences=True)
    dy = rng.normal(size=y.shape)
    before = cell.backward(dy, tape).dx
    if y.flags.writeable:
        y[:] = 0
    np.testing.assert_array_equal(cell.backward(dy, tape).dx, before)


def test_public_names(cell):
    assert {f"{cell.name}{part}" for part in ("", "_forward", "_backward")} <= set(functional.__all__)
    assert functional.Gradients._fields == ("dx", "dinitial_state", "weights")


@pytest.mark.parametrize("at_once", [0, 2**16])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_a_single_step_may_come_later(cell, rng, monkeypatch, masked, at_once):
    """The initial state's, if it has more to multiply: when they are asked for, but of what was given before."""
    x, weights, state = call(rng, cell, T=1)
    mask = rng.random((len(x), 1)) < 0.5 if masked else None
    dy = rng.normal(size=(len(x), 1, weights[1].shape[0])).astype(x.dtype)
    dstate = states_like(cell, np.copy, state)
    zeros = states_like(cell, np.zeros_like, state)
    _, tape = cell.forward(x, *weights, initial_state=zeros, mask=mask, return_sequences=True)
    whole = cell.backward(dy, tape, dstate=dstate)
    monkeypatch.setattr(_tape, "AT_ONCE", at_once)
    _, tape = cell.forward(x, *weights, mask=mask, return_sequences=True)
    gradients = cell.backward(dy, tape, dstate=dstate)
    assert isinstance(gradients, LaterGradients) == (at_once == 0)
    for array in (dy, *(dstate if isinstance(dstate, list) else [dstate])):
        array[:] = np.nan
    for got, want in zip(gradients.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(gradients.dx, whole.dx)
    np.testing.assert_array_equal(gradients.dinitial_state, whole.dinitial_state)
    assert np.all(np.any(gradients.dinitial_state, axis=-1))


@pytest.mark.parametrize("at_once", [0, 2**16])
def test_gradients_are_a_named_tuple(cell, rng, monkeypatch, at_once):
    """Also where the initial state's are computed when they are asked for."""
    monkeypatch.setattr(_tape, "AT_ONCE", at_once)
    x, weights, _ = call(rng, cell, T=1)
    _, tape = cell.forward(x, *weights)
    gradients = cell.backward(rng.normal(size=(len(x), weights[1].shape[0])), tape)
    dx, dinitial, dweights = gradients
    np.testing.assert_array_equal(dx, gradients.dx)
    np.testing.assert_array_equal(dinitial, gradients.dinitial_state)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(gradients))[1], dinitial)
    assert dweights is gradients.weights
    assert isinstance(gradients, functional.Gradients)
    assert len(gradients) == 3
    assert gradients._asdict().keys() == set(gradients._fields)
    assert gradients._replace(dx=None).dinitial_state is dinitial
    assert gradients._replace(dinitial_state=None)[1] is None
    assert repr(gradients).startswith("Gradients(dx=")
