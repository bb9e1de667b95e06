# From arrays to pointers. Of NumPy's C API this uses hardly more than what tells about an array, fields of a struct
# that has long stayed the same. The buffer protocol would take 0.15 us for each array.

cdef extern from *:
    """
    #define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
    #include <numpy/arrayobject.h>
    #undef I /* of complex.h; here it is a number of inputs */
    """
    ctypedef struct PyArrayObject:
        pass
    ctypedef struct PyArray_Descr:
        int type_num
    const int NPY_BOOL, NPY_UBYTE, NPY_INT, NPY_LONG, NPY_LONGLONG, NPY_FLOAT, NPY_DOUBLE
    const int NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, NPY_ARRAY_C_CONTIGUOUS
    int _import_array() except -1
    void *PyArray_DATA(PyArrayObject *)
    int PyArray_NDIM(PyArrayObject *)
    Py_ssize_t *PyArray_DIMS(PyArrayObject *)
    Py_ssize_t *PyArray_STRIDES(PyArrayObject *)
    PyArray_Descr *PyArray_DESCR(PyArrayObject *)
    bint PyArray_CHKFLAGS(PyArrayObject *, int)
    bint PyArray_ISNOTSWAPPED(PyArrayObject *)
    bint PyArray_Check(object)
    object PyArray_SimpleNew(int, Py_ssize_t *, int)

_import_array()

ctypedef void *pointer
ctypedef const void *const_pointer
ctypedef view *view_pointer

cdef enum:
    MOST_ARRAYS = 24
    SHORT = 1 << 16  # multiply-adds

cdef object FLOAT32 = numpy_dtype("float32")
cdef object FLOAT64 = numpy_dtype("float64")
cdef object INTP = numpy_dtype("intp")
cdef object UINT8 = numpy_dtype("uint8")

cdef enum access:
    READ
    WRITE

cdef enum content:
    NUMBERS
    MASK
    IDS

cdef struct view:
    # An array as a call finds it.
    PyObject *array
    char *buf
    Py_ssize_t bytes
    int ndim
    const Py_ssize_t *shape
    const Py_ssize_t *strides

cdef struct arrays:
    # The arrays that a call holds. All have one element type; only masks are bytes, and ids of intp.
    int count
    char code  # "f" or "d"
    Py_ssize_t size
    view views[MOST_ARRAYS]


cdef void release(arrays *a) noexcept:
    while a.count:
        a.count -= 1
        Py_DECREF(<object> a.views[a.count].array)


cdef bint has_type(PyArrayObject *array, char code, content what) noexcept:
    cdef int number = PyArray_DESCR(array).type_num
    if what == NUMBERS:
        return number == (NPY_DOUBLE if code == c"d" else NPY_FLOAT)
    if what == MASK:
        return number == NPY_BOOL or number == NPY_UBYTE
    return (  # C may have several types of this size
        number == NPY_LONG and sizeof(long) == sizeof(intptr_t)
        or number == NPY_LONGLONG and sizeof(long long) == sizeof(intptr_t)
        or number == NPY_INT and sizeof(int) == sizeof(intptr_t)
    )


cdef object shape_of(const view *v):
    return tuple([v.shape[i] for i in range(v.ndim)])


cdef view *hold(arrays *a, object array, str name, access mode, content what) except NULL:
    # The array, if it is one, of this type and aligned; and writeable, if that is to be.
    cdef view *v = &a.views[a.count]
    cdef PyArrayObject *it = <PyArrayObject *> array
    cdef int i
    if not PyArray_Check(array):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(array).__name__}")
    if not has_type(it, a.code, what) or not PyArray_ISNOTSWAPPED(it):
        wanted = chr(a.code) if what == NUMBERS else "?" if what == MASK else "n"
        raise ValueError(f"{name} must have the native element type {wanted!r}")
    if not PyArray_CHKFLAGS(it, NPY_ARRAY_ALIGNED):
        raise ValueError(f"{name} must be aligned")
    if mode == WRITE and not PyArray_CHKFLAGS(it, NPY_ARRAY_WRITEABLE):
        raise ValueError(f"{name} must be writeable, got a read-only array")
    v.array, v.buf, v.ndim = <PyObject *> array, <char *> PyArray_DATA(it), PyArray_NDIM(it)
    v.shape, v.strides = PyArray_DIMS(it), PyArray_STRIDES(it)
    v.bytes = a.size if what == NUMBERS else 1 if what == MASK else <Py_ssize_t> sizeof(intptr_t)
    for i in range(v.ndim):
        v.bytes *= v.shape[i]
    Py_INCREF(array)
    a.count += 1
    return v


cdef bint is_dense(const view *v) noexcept:
    return PyArray_CHKFLAGS(<PyArrayObject *> v.array, NPY_ARRAY_C_CONTIGUOUS)


cdef view *take(arrays *a, object array, str name, access mode, int ndim, const Py_ssize_t *shape,
                content what=NUMBERS) except NULL:
    # The array, checked: this shape (-1 stands for any), no gaps in C order, except that the first two of three axes
    # may have any strides.
    cdef view *v = hold(a, array, name, mode, what)
    cdef int axis
    if v.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {shape_of(v)}")
    for axis in range(ndim):
        if shape[axis] >= 0 and v.shape[axis] != shape[axis]:
            wanted = tuple([shape[i] for i in range(ndim)])
            raise ValueError(f"{name} must have shape {wanted}, got {shape_of(v)}")
    if not is_dense(v) and (ndim < 3 or v.shape[2] > 1 and v.strides[2] != a.size):
        raise ValueError(f"{name} must be dense")
    return v


cdef void *vector(arrays *a, object array, str name, access mode, Py_ssize_t n) except? NULL:
    # Where a dense (n,) array lies; NULL for None.
    return NULL if array is None else take(a, array, name, mode, 1, &n).buf


cdef void *matrix(arrays *a, object array, str name, access mode, Py_ssize_t rows, Py_ssize_t columns) except? NULL:
    # Where a dense (rows, columns) array lies; NULL for None.
    cdef Py_ssize_t[2] shape = [rows, columns]
    return NULL if array is None else take(a, array, name, mode, 2, shape).buf


cdef view *sequences(arrays *a, object array, str name, access mode, Py_ssize_t B, Py_ssize_t T,
                     Py_ssize_t width) except NULL:
    # A (B, T, width) array.
    cdef Py_ssize_t[3] shape = [B, T, width]
    return take(a, array, name, mode, 3, shape)
