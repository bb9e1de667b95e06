"""Every refusal of a user's argument, in one voice: the argument's name, what was wanted, what came.

The functions return the argument in the one form that the compiled core takes, and the argument itself where it has
that form.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastrnn import _core

Array: TypeAlias = NDArray[Any]
Axes: TypeAlias = tuple[str, ...]
Shape: TypeAlias = tuple[int | None, ...]
States: TypeAlias = ArrayLike | Sequence[ArrayLike]  # one array, or a list of as many as there are states

FLOATS: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


def array(
    name: str, value: ArrayLike, dtype: np.dtype[Any], axes: Axes, shape: Shape, *, strided: bool = False
) -> Array:
    """Return value as a native, aligned array of `dtype` and `shape`, in which None stands for any size.

    The array is dense; if `strided`, only its last axis need be. Whatever has this form already is returned as it is,
    whatever has not is copied once.
    """
    if type(value) is np.ndarray and value.dtype is dtype and value.flags.carray:  # the usual case, at little cost
        if value.shape != shape:
            _check_shape(name, value, axes, shape)
        return value
    found = _numbers(name, value, axes)
    _check_shape(name, found, axes, shape)
    if found.dtype == dtype and (is_strided(found) if strided else found.flags.c_contiguous and found.flags.aligned):
        return found
    return np.array(found, dtype, order="C")


def is_strided(value: Array) -> bool:
    """Whether the last axis is dense and every element is aligned; the other strides may be anything."""
    return value.flags.aligned and (value.shape[-1] <= 1 or value.strides[-1] == value.itemsize)


def mask(value: ArrayLike | None, lengths: ArrayLike | None, batch: int, time: int) -> Array:
    """Return a new (batch, time) array of uint8, 1 where a step is used, from a mask or from lengths of padded rows."""
    if lengths is None:
        assert value is not None
        found = _numbers("mask", value, ("batch", "time"))
        _check_shape("mask", found, ("batch", "time"), (batch, time))
        return np.array(found if found.dtype == bool else found != 0, np.uint8, order="C")
    if value is not None:
        raise ValueError("mask and lengths exclude each other, got both")
    found = _numbers("lengths", lengths, ("batch",))
    _check_shape("lengths", found, ("batch",), (batch,))
    if found.dtype.kind not in "iu" and found.size:
        raise TypeError(f"lengths must hold integers, got {found.dtype}")
    used = _core.mask_of_lengths(found.astype(np.intp), time)  # where what is too large becomes negative
    if used is None:
        raise ValueError(f"lengths must be from 0 to {time}, got {found.min()} to {found.max()}")
    return used


def states(name: str, value: States, dtype: np.dtype[Any], batch: int, units: Sequence[int]) -> tuple[Array, ...]:
    """Return arrays (batch, units), as many as there are units, from a list of them; a single one may be no list."""
    axes, count = ("batch", "units"), len(units)
    given = _as_list(value, count)
    if given is None:
        raise ValueError(f"{name} must be a list of {count} arrays (batch, units), got {described(value)}")
    names = [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]
    return tuple(
        [array(which, one, dtype, axes, (batch, n)) for which, one, n in zip(names, given, units, strict=True)]
    )


def outs(value: Array | Sequence[Array], count: int) -> tuple[Array, ...]:
    """Return the `count` arrays to write states into, from a list of them; a single one may be the array itself."""
    given = _as_list(value, count)
    if given is None:
        raise ValueError(f"out must be a list of {count} arrays (batch, units), got {described(value)}")
    return tuple(given)


def out(value: Array, dtype: np.dtype[Any], axes: Axes, shape: Shape) -> None:
    """Refuse an output that is not a writeable array of this very dtype and shape."""
    if not isinstance(value, np.ndarray) or _is_masked(value):
        raise TypeError(f"out must be a numpy.ndarray, got {type(value).__name__}")
    if value.dtype != dtype:
        raise TypeError(f"out must be {dtype}, got {value.dtype}")
    _check_shape("out", value, axes, shape)
    if not value.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")


def no_overlap(value: Array | Sequence[Array], **inputs: States | None) -> None:
    """Refuse an output, or several, that shares memory with an input."""
    for name, other in inputs.items():
        for written in value if isinstance(value, list | tuple) else [value]:
            for read in other if isinstance(other, list | tuple) else [other]:
                if isinstance(written, np.ndarray) and isinstance(read, np.ndarray) and _share_memory(written, read):
                    raise ValueError(f"out must not share memory with {name}")


def weights(
    kernel: ArrayLike, recurrent_kernel: ArrayLike, bias: ArrayLike | None, gates: int, biases: int
) -> tuple[Array, Array, Array | None]:
    """Return the weights of a cell, in float64 if the kernel is, else in float32.

    Kernels have the columns of all gates side by side, and so has each of the biases.
    """
    columns = "units" if gates == 1 else f"{gates}*units"
    found = _numbers("kernel", kernel, ("features", columns))
    dtype = FLOATS["float64" if found.dtype.kind == "f" and found.itemsize >= 8 else "float32"]
    found = array("kernel", found, dtype, ("features", columns), (None, None))
    width = found.shape[1]
    if width == 0:
        raise ValueError(f"kernel must have at least one unit, got {found.shape}")
    if width % gates:
        raise ValueError(f"kernel must be (features, {columns}), got {found.shape}")
    bias_axes, bias_shape = ((columns,), (width,)) if biases == 1 else (("biases", columns), (biases, width))
    return (
        found,
        array("recurrent_kernel", recurrent_kernel, dtype, ("units", columns), (width // gates, width)),
        None if bias is None else array("bias", bias, dtype, bias_axes, bias_shape),
    )


def positive_integer(name: str, value: Any) -> int:
    """Return value as an int above 0."""
    return _integer(value, 1, f"{name} must be a positive integer")


def count(name: str, value: Any) -> int:
    """Return value as an int of at least 0."""
    return _integer(value, 0, f"{name} must be a whole number of at least 0")


def _integer(value: Any, least: float, wanted: str) -> int:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{wanted}, got {value!r}") from None
    if number < least:
        raise ValueError(f"{wanted}, got {value!r}")
    return number


def sizes(name: str, value: Any) -> tuple[int | None, ...]:
    """Return value as a tuple of ints above 0, and None for sizes that may vary."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{name} must be a tuple of sizes, got {value!r}")
    return tuple(None if size is None else positive_integer(f"{name}[{i}]", size) for i, size in enumerate(value))


def seed(value: Any) -> int | None:
    """Return value as an int of at least 0, or None."""
    return None if value is None else _integer(value, 0, "seed must be a non-negative integer or None")


def number(name: str, value: Any, below: float = math.inf) -> float:
    """Return value, a number from 0 to `below`."""
    wanted = "a finite number of at least 0" if below == math.inf else f"a number of at least 0 and below {below:g}"
    return _number(f"{name} must be {wanted}", value, lambda given: 0.0 <= given < below)


def positive_number(name: str, value: Any) -> float:
    """Return value, a number above 0."""
    return _number(f"{name} must be a number above 0", value, lambda given: 0.0 < given < math.inf)


def real(name: str, value: Any) -> float:
    """Return value, any number but NaN."""
    return _number(f"{name} must be a number", value, lambda given: not math.isnan(given))


def rate(name: str, value: Any) -> float:
    """Return value as a float from 0 to 1."""
    return _number(f"{name} must be a number from 0 to 1", value, lambda given: 0.0 <= given <= 1.0)


def _number(wanted: str, value: Any, is_right: Callable[[float], bool]) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{wanted}, got {value!r}")
    if not is_right(float(value)):
        raise ValueError(f"{wanted}, got {value!r}")
    return float(value)


def integer(name: str, value: Any) -> int:
    """Return value as an int of either sign."""
    return _integer(value, -math.inf, f"{name} must be a whole number")


def function(name: str, value: Any) -> Callable[..., Any]:
    """Return value, which must be callable."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
    found: Callable[..., Any] = value
    return found


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return value, which must be one of the choices."""
    if isinstance(value, str) and value in choices:
        return value
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def float_dtype(value: DTypeLike | Mapping[str, Any] | None) -> np.dtype[Any]:
    """Return float32 (also for None) or float64, named as NumPy does or by the config of a Keras DTypePolicy."""
    if value is None:
        return FLOATS["float32"]
    named: Any = value
    if isinstance(named, Mapping):
        named = named.get("config", {}).get("name")
    try:
        return FLOATS[np.dtype(named).name]
    except (KeyError, TypeError, SyntaxError):  # NumPy reads "(2,)f4" as Python
        raise ValueError(f"dtype must be 'float32' or 'float64', got {value!r}") from None


def not_implemented(**arguments: Any) -> None:
    """Refuse arguments of Keras's that would change the result and are not implemented: only None is accepted."""
    for name, value in arguments.items():
        if value is not None:
            raise NotImplementedError(f"{name} is not implemented yet and must be None, got {value!r}")


def _as_list(value: Any, count: int) -> list[Any] | None:
    """Return value as a list of `count`, if it is one or there can be no doubt that it is an array; else None."""
    if isinstance(value, list | tuple) and len(value) == count and (count > 1 or np.ndim(value[0]) == 2):
        return list(value)
    return [value] if count == 1 else None


def described(value: Any) -> str:
    """Say what came in place of a list."""
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else f"shape {np.shape(value)}"


def _share_memory(a: Array, b: Array) -> bool:
    # Exact where little work tells, as for interleaved slices of one array; else whether their bounds overlap.
    return np.may_share_memory(a, b, max_work=1000)  # type: ignore[arg-type] # any number, says NumPy's manual


def _numbers(name: str, value: ArrayLike, axes: Axes) -> Array:
    """Return value as an array of real numbers."""
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be {_layout(axes)}, got nested sequences of different lengths") from error
    if _is_masked(value):
        raise TypeError(f"{name} must be a plain array, got {type(value).__name__}, whose mask would be ignored")
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got {found.dtype}")
    return found


def _is_masked(value: Any) -> bool:
    # An exact array cannot be masked; numpy.ma takes long to import and is imported wherever a masked array exists.
    return type(value) is not np.ndarray and isinstance(value, np.ndarray) and isinstance(value, np.ma.MaskedArray)


def _check_shape(name: str, value: Array, axes: Axes, shape: Shape) -> None:
    got = value.shape
    if got == shape:
        return
    if len(got) != len(shape):
        raise ValueError(f"{name} must be {_layout(axes) if axes else shape}, got {got}")
    for size, wanted in zip(got, shape):  # noqa: B905  (as many, and this is the usual case)
        if size != wanted and wanted is not None:
            raise ValueError(f"{name} must be {_layout(axes, shape) if axes else shape}, got {got}")


def _layout(axes: Axes, shape: Shape = ()) -> str:
    """Write a shape as (batch, time, features=4)."""
    sizes = shape or (None,) * len(axes)
    parts = [axis if size is None else f"{axis}={size}" for axis, size in zip(axes, sizes, strict=True)]
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
