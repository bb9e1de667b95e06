"""Files: what is written can be read, by others too, and what is wrong with a file is said."""

import json
import os
import struct

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import _safetensors

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(3.5),
    "c": np.zeros((0, 4), np.int64),
    "d": np.array([True, False]),
    "e": np.arange(4, dtype=">f8")[::2],
}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "arrays"
    _safetensors.save(path, ARRAYS, {"what": "five"})
    arrays, metadata = _safetensors.load(path)
    assert metadata == {"what": "five"}
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype.newbyteorder("=")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_has_the_permissions_of_any_other_or_keeps_its_own(tmp_path):
    path, other = tmp_path / "arrays", tmp_path / "other"
    other.touch()
    _safetensors.save(path, ARRAYS, {})
    assert path.stat().st_mode == other.stat().st_mode
    path.chmod(0o640)
    _safetensors.save(path, ARRAYS, {})
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_safetensors_package_agrees(tmp_path):
    package = pytest.importorskip("safetensors.numpy", reason="the other implementation is the safetensors package")
    _safetensors.save(tmp_path / "ours", ARRAYS, {})
    for name, array in package.load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    package.save_file({name: ARRAYS[name] for name in "abcd"}, tmp_path / "theirs")
    for name, array in _safetensors.load(tmp_path / "theirs").arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


@pytest.mark.parametrize(
    ("header", "data", "length", "message"),
    [
        (b"", b"", 2**63, "claims 9223372036854775808 bytes, more than"),
        (b"{}", b"", 5000, "claims 5000 bytes, but only 2 follow"),
        (b'["a"]', b"", None, "does not begin with {"),
        (b"{'a'}", b"", None, "is not JSON"),
        (b"{" * 100_000, b"", None, "is not JSON"),
        (b'{"a": {}, "a": {}}', b"", None, "is there twice"),
        (b"{\xff}", b"", None, "is not JSON"),
        ({"__metadata__": {"a": 1}}, b"", None, "metadata are not strings"),
        ({"a": 3}, b"", None, "'a' has not just dtype, shape and data_offsets"),
        ({"a": entry(extra=1)}, bytes(8), None, "'a' has not just"),
        ({"a": entry(dtype="C64")}, bytes(8), None, "has the type 'C64'"),
        ({"a": entry(shape=[-2])}, bytes(8), None, "has the shape"),
        ({"a": entry(shape=[2.0])}, bytes(8), None, "has the shape"),
        ({"a": entry(shape=[True, 2])}, bytes(8), None, "has the shape"),
        ({"a": entry(shape=[1] * 100)}, bytes(4), None, "has the shape"),
        ({"a": entry(offsets=[8, 0])}, bytes(8), None, "has the data_offsets"),
        ({"a": entry(offsets=[0])}, bytes(8), None, "has the data_offsets"),
        ({"a": entry(shape=[3])}, bytes(8), None, "has 8 bytes"),
        ({"a": entry(shape=[2**40, 2**40])}, bytes(8), None, "has 8 bytes"),
        ({"a": entry(shape=[2**40], offsets=[0, 2**42])}, bytes(8), None, "need 4398046511104 bytes, but 8 are"),
        ({"a": entry(), "b": entry()}, bytes(8), None, "begins at 0 instead of 8"),
        ({"a": entry(), "b": entry(offsets=[12, 20])}, bytes(20), None, "begins at 12 instead of 8"),
        ({"a": entry()}, bytes(7), None, "need 8 bytes, but 7 are"),
        ({"a": entry()}, bytes(9), None, "need 8 bytes, but 9 are"),
    ],
)
def test_malformed_files(tmp_path, header, data, length, message):
    path = write(tmp_path / "wrong", header, data, length)
    with pytest.raises(ValueError, match="is not a proper safetensors file") as caught:
        _safetensors.load(path)
    assert message in str(caught.value)
    with pytest.raises(ValueError, match="is not a proper safetensors file"):
        fr.Sequential.load(path)


def test_every_cut_is_refused(tmp_path):
    path = tmp_path / "model"
    saved(path)
    whole = path.read_bytes()
    cut = tmp_path / "cut"
    for length in [*range(0, 40), *range(40, len(whole), 97), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is not a proper safetensors file"):
            fr.Sequential.load(cut)
    cut.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="is not a proper safetensors file"):
        fr.Sequential.load(cut)


# ---- models ----


def saved(path):
    model = fr.Sequential([fr.Embedding(9, 4), fr.SimpleRNN(3), fr.Dense(1)], seed=0)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 5), int), np.ones(4), verbose=0)
    model.save(path)
    return model


def changed(path, change):
    """Write the model again with a changed configuration and changed arrays."""
    arrays, metadata = _safetensors.load(path)
    config = json.loads(metadata["fastrnn"])
    change(config, arrays)
    _safetensors.save(path, arrays, {"fastrnn": json.dumps(config)})


def layer(config, i):
    return config["model"]["layers"][i]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: c.update(format=99), "its form is 99"),
        (lambda c, a: c.pop("model"), "KeyError"),
        (lambda c, a: layer(c, 0).update(class_name="os.system"), "class_name must be that of a layer"),
        (lambda c, a: layer(c, 0).update(class_name="Layer"), "class_name must be that of a layer"),
        (lambda c, a: layer(c, 0).update(class_name=["Dense"]), "class_name must be|unhashable"),
        (lambda c, a: layer(c, 1)["config"].update(command="rm"), "unexpected keyword argument"),
        (lambda c, a: layer(c, 1)["config"].update(units=10**9), "must be float32 of shape"),
        (lambda c, a: layer(c, 1)["config"].update(dtype="float64"), "must be float64 of shape"),
        (lambda c, a: layer(c, 0)["config"].update(input_dim=10**12), "must be float32 of shape"),
        (lambda c, a: c["model"]["layers"].pop(), "belongs to no layer"),
        (lambda c, a: a.pop("1/kernel"), "the array '1/kernel' is missing"),
        (lambda c, a: a.update({"9/kernel": np.zeros(2)}), "'9/kernel' belongs to no layer"),
        (lambda c, a: a.update({"2/bias": np.zeros(2, np.float32)}), "'2/bias' must be float32 of shape"),
        (lambda c, a: c["compile"].update(loss={"class_name": "exec"}), "loss must be one of"),
        (lambda c, a: c["compile"].update(optimizer={"class_name": "exec"}), "optimizer must be one of"),
        (lambda c, a: c["compile"].update(metrics=["exec"]), "metric must be one of"),
        (lambda c, a: c["compile"].update(iterations="many"), "ValueError"),
        (lambda c, a: a.pop("optimizer/0/velocity"), "does not fit the optimizer"),
        (lambda c, a: a.update({"optimizer/0/velocity": np.zeros(3, np.float32)}), "does not fit the optimizer"),
        (lambda c, a: c["model"].update(build_input_shape=None), "TypeError"),
        (lambda c, a: c["model"].update(layers=[]), "IndexError"),
    ],
)
def test_models_that_are_none(tmp_path, change, message):
    path = tmp_path / "model"
    saved(path)
    changed(path, change)
    with pytest.raises(ValueError, match=f"holds no proper model of fastrnn: .*{message}|{message}"):
        fr.Sequential.load(path)


def test_arrays_alone_are_no_model(tmp_path):
    _safetensors.save(tmp_path / "arrays", ARRAYS, {})
    with pytest.raises(ValueError, match="holds no model of fastrnn, but only arrays"):
        fr.Sequential.load(tmp_path / "arrays")
    with pytest.raises(FileNotFoundError):
        fr.Sequential.load(tmp_path / "none")


def test_a_link_or_folder_in_the_way(tmp_path):
    model = saved(tmp_path / "model")
    with pytest.raises(OSError):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
