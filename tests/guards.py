"""Arrays with guards on both sides, for the compiled core: what reads or writes past an end is found out."""

import ctypes
import mmap

import numpy as np


class Bytes:
    """Arrays inside larger buffers of bytes: around inputs they are 0xff, which reads as NaN; outputs start as NaN.

    Elements are aligned and nothing more: every array starts at another offset from a cache line.
    """

    MARGIN = 256

    def __init__(self):
        self._buffers, self._offset = [], 0

    def _reserve(self, shape, dtype, pattern):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        start = self.MARGIN + self._offset % 64 // dtype.itemsize * dtype.itemsize
        self._offset += 24
        buffer = np.full(start + size + self.MARGIN, pattern, np.uint8)
        array = buffer[start : start + size].view(dtype).reshape(shape)
        self._buffers.append((buffer, array, start, size, pattern))
        return array

    def input(self, a):
        if a is None:
            return None
        array = self._reserve(a.shape, a.dtype, 0xFF)
        array[...] = a
        array.flags.writeable = False
        return array

    def output(self, shape, dtype):
        array = self._reserve(shape, dtype, 0xA5)
        array.view(np.uint8)[...] = 0xFF
        return array

    def check(self):
        for buffer, array, start, size, pattern in self._buffers:
            guards = np.concatenate([buffer[:start], buffer[start + size :]])
            assert (guards == pattern).all(), f"written outside an array of shape {array.shape}"


class Pages:
    """Arrays that end (or begin) exactly at a page that must not be touched: reading it ends the process."""

    def __init__(self, at_end):
        self._at_end, self._maps = at_end, []
        self._mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        self._mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def output(self, shape, dtype):
        page, dtype = mmap.PAGESIZE, np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        room = -(-max(size, 1) // page) * page
        memory = mmap.mmap(-1, room + 2 * page)
        everything = np.frombuffer(memory, np.uint8)
        address = everything.ctypes.data
        for guard in (address, address + page + room):
            if self._mprotect(guard, page, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self._maps.append(memory)  # for good: the pages are never given back before the process ends
        start = page + room - size if self._at_end else page
        array = everything[start : start + size].view(dtype).reshape(shape)
        array.view(np.uint8)[...] = 0xFF
        return array

    def input(self, a):
        if a is None:
            return None
        array = self.output(a.shape, a.dtype)
        array[...] = a
        return array

    def check(self):
        pass
