# From arrays to pointers, by the buffer protocol.

ctypedef void *pointer
ctypedef const void *const_pointer
ctypedef Py_buffer *buffer_pointer

cdef enum:
    MOST_ARRAYS = 24
    SHORT = 1 << 16  # multiply-adds

cdef object FLOAT32 = numpy_dtype("float32")
cdef object FLOAT64 = numpy_dtype("float64")
cdef object INTP = numpy_dtype("intp")
cdef object UINT8 = numpy_dtype("uint8")

cdef enum access:
    READ = 0
    WRITE = PyBUF_WRITABLE

cdef enum content:
    NUMBERS
    MASK
    IDS

cdef struct arrays:
    # The buffers that a call holds. All have one element type; only masks are bytes, and ids of intp.
    int count
    char code  # "f" or "d"
    Py_ssize_t size
    Py_buffer views[MOST_ARRAYS]


cdef void release(arrays *a) noexcept:
    while a.count:
        a.count -= 1
        PyBuffer_Release(&a.views[a.count])


cdef bint has_type(Py_buffer *view, char code, Py_ssize_t size) noexcept:
    if view.format == NULL or view.format[0] == 0 or view.format[1] != 0 or view.itemsize != size:
        return False
    if code == c"n":
        return view.format[0] in b"lqin"
    return view.format[0] == code or (code == c"?" and view.format[0] == c"B")


cdef object shape_of(Py_buffer *view):
    return tuple([view.shape[i] for i in range(view.ndim)])


cdef Py_buffer *take(arrays *a, object array, str name, access mode, int ndim, const Py_ssize_t *shape,
                     content what=NUMBERS) except NULL:
    # The array's buffer, checked: this shape (-1 stands for any), no gaps in C order, except that the first two of
    # three axes may have any strides.
    cdef Py_buffer *view = &a.views[a.count]
    cdef Py_ssize_t size = a.size if what == NUMBERS else 1 if what == MASK else <Py_ssize_t> sizeof(intptr_t)
    cdef Py_ssize_t stride = size
    cdef char code = a.code if what == NUMBERS else c"?" if what == MASK else c"n"
    cdef int axis
    PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT | <int> mode)
    a.count += 1
    if not has_type(view, code, size):
        raise ValueError(f"{name} must have the native element type {chr(code)!r}")
    if view.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {shape_of(view)}")
    for axis in range(ndim - 1, -1, -1):
        if shape[axis] >= 0 and view.shape[axis] != shape[axis]:
            wanted = tuple([shape[i] for i in range(ndim)])
            raise ValueError(f"{name} must have shape {wanted}, got {shape_of(view)}")
        if (ndim < 3 or axis == 2) and view.shape[axis] > 1 and view.strides[axis] != stride:
            raise ValueError(f"{name} must be dense")
        stride *= view.shape[axis]
        # Also where gaps are allowed, every element must be aligned.
        if view.len and (<uintptr_t> view.buf % <size_t> size or (view.shape[axis] > 1 and view.strides[axis] % size)):
            raise ValueError(f"{name} must be aligned")
    return view


cdef void *vector(arrays *a, object array, str name, access mode, Py_ssize_t n) except? NULL:
    # Where a dense (n,) array lies; NULL for None.
    return NULL if array is None else take(a, array, name, mode, 1, &n).buf


cdef void *matrix(arrays *a, object array, str name, access mode, Py_ssize_t rows, Py_ssize_t columns) except? NULL:
    # Where a dense (rows, columns) array lies; NULL for None.
    cdef Py_ssize_t[2] shape = [rows, columns]
    return NULL if array is None else take(a, array, name, mode, 2, shape).buf


cdef Py_buffer *sequences(arrays *a, object array, str name, access mode, Py_ssize_t B, Py_ssize_t T,
                          Py_ssize_t width) except NULL:
    # A (B, T, width) array.
    cdef Py_ssize_t[3] shape = [B, T, width]
    return take(a, array, name, mode, 3, shape)
