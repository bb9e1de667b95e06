"""The same numbers laid out differently in memory."""

import numpy as np


def _misaligned(a):
    buffer = np.empty(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _every_second(a):
    bigger = np.full([2 * n for n in a.shape], np.nan if a.dtype.kind == "f" else 1, a.dtype)
    view = bigger[(slice(None, None, 2),) * a.ndim]
    view[...] = a
    return view


def _inside_a_bigger_array(a):
    bigger = np.full([n + 3 for n in a.shape], np.nan if a.dtype.kind == "f" else 1, a.dtype)
    view = bigger[tuple(slice(1, n + 1) for n in a.shape)]
    view[...] = a
    return view


def _axes_swapped(a):
    return a.swapaxes(0, -1).copy().swapaxes(0, -1)


def _time_major(a):
    return a.swapaxes(0, 1).copy().swapaxes(0, 1) if a.ndim > 1 else a


def _reversed(axis):
    def layout(a):
        if axis >= a.ndim:
            return a
        return np.flip(np.flip(a, axis).copy(), axis)

    return layout


LAYOUTS = {
    "plain": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "axes swapped": _axes_swapped,
    "time major": _time_major,
    "axis 0 reversed": _reversed(0),
    "axis 1 reversed": _reversed(1),
    "axis 2 reversed": _reversed(2),
    "every second": _every_second,
    "inside a bigger array": _inside_a_bigger_array,
    "misaligned": _misaligned,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": _read_only,
    "nested lists": lambda a: a.tolist(),
}
