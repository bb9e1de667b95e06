"""Files of named arrays in the safetensors format: a header in JSON, then the bytes of the arrays.

::

    8 bytes     length of the header, little-endian
    header      {"__metadata__": {str: str}, name: {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}, ...}
    the rest    the arrays, C-contiguous and little-endian, without gaps

Nothing in a file is executed, and nothing is allocated that the file itself is not large enough for. The format's
description is https://github.com/huggingface/safetensors#format.
"""

import json
import math
import os
import struct
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastrnn._check import Array

_TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_LONGEST_HEADER = 100_000_000  # the format's own limit
_MOST_AXES = 32


class Contents(NamedTuple):
    """What is in a file."""

    arrays: dict[str, Array]
    metadata: dict[str, str]


def save(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write a file. A file that is there is replaced when everything is written, and else stays as it is.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = os.fspath(path)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts = []
    end = 0
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        begin, end = end, end + little.nbytes
        header[name] = {"dtype": _NAMES[little.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        parts.append(little)
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    folder, name = os.path.split(path)
    handle, unfinished = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(text)))
            file.write(text)
            for part in parts:
                file.write(part.tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, _mode(path))
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def load(path: str | os.PathLike[str]) -> Contents:
    """Read a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not exactly as the format says: what is cut off, too long, overlapping or unknown is refused.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise _malformed(path, f"it has {size} bytes, which is too short for a header")
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LONGEST_HEADER:
            raise _malformed(path, f"its header claims {length} bytes, more than {_LONGEST_HEADER}")
        if length > size - 8:
            raise _malformed(path, f"its header claims {length} bytes, but only {size - 8} follow")
        header, metadata = _parse(path, file.read(length))
        data = size - 8 - length
        _check_layout(path, header, data)
        arrays = {}
        for name, entry in sorted(header.items(), key=lambda item: item[1].begin):
            dtype = _TYPES[entry.dtype]
            count = math.prod(entry.shape)
            flat = np.fromfile(file, dtype, count)
            if flat.size != count:
                raise _malformed(path, f"it ends within {name!r}")
            arrays[name] = flat.astype(dtype.newbyteorder("="), copy=False).reshape(entry.shape)
    return Contents({name: arrays[name] for name in header}, metadata)


def _malformed(path: str, why: str) -> ValueError:
    return ValueError(f"{path} is not a proper safetensors file: {why}")


class _Entry(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _parse(path: str, text: bytes) -> tuple[dict[str, _Entry], dict[str, str]]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    if not text.startswith(b"{"):
        raise _malformed(path, "its header does not begin with {")
    try:
        header = json.loads(text.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"its header is not JSON ({error})") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _malformed(path, "its metadata are not strings by name")
    return {name: _entry(path, name, value) for name, value in header.items()}, metadata


def _entry(path: str, name: str, value: Any) -> _Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _malformed(path, f"{name!r} has not just dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise _malformed(path, f"{name!r} has the type {dtype!r}, which must be one of {', '.join(_TYPES)}")
    if not _are_sizes(shape) or len(shape) > _MOST_AXES:
        raise _malformed(path, f"{name!r} has the shape {shape!r:.100}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _malformed(path, f"{name!r} has the data_offsets {offsets!r:.100}")
    if math.prod(shape) * _TYPES[dtype].itemsize != offsets[1] - offsets[0]:
        raise _malformed(path, f"{name!r} of shape {shape} and type {dtype} has {offsets[1] - offsets[0]} bytes")
    return _Entry(dtype, tuple(shape), *offsets)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value)


def _check_layout(path: str, header: Mapping[str, _Entry], data: int) -> None:
    """Refuse arrays that overlap, leave gaps, or do not fill the file."""
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise _malformed(path, f"{name!r} begins at {entry.begin} instead of {end}")
        end = entry.end
    if end != data:
        raise _malformed(path, f"its arrays need {end} bytes, but {data} are there")


def _mode(path: str) -> int:
    """Return the permissions of the file, or those that a new one gets."""
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
