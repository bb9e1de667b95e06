# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, binding=False
"""The compiled core: arrays in, arrays filled, no policy.

Arrays come through Python's buffer protocol, the one beneath memoryviews: one code serves both dtypes, and nothing here
depends on NumPy's headers. A call takes all its buffers, checks them against the sizes of the weights, computes with
the GIL released once, and gives the buffers back.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uint8_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset

from fastrnn._cfastrnn cimport *

cdef extern from "Python.h":
    # Declared without "except": an exception that a signal handler raised stays set until the call that was
    # interrupted returns to Python.
    int PyErr_CheckSignals()
    const Py_ssize_t PY_SSIZE_T_MAX

cdef extern from "stdlib.h":
    void *aligned_alloc(size_t alignment, size_t size)

cdef extern from *:
    """
    #if defined(__clang__)
    #define FRNN_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define FRNN_COMPILER "gcc " __VERSION__
    #else
    #define FRNN_COMPILER "unknown"
    #endif
    """
    const char *FRNN_COMPILER

cdef const frnn_api *api = frnn_get_api()
C_API = PyCapsule_New(<void *> api, b"fastrnn._core.C_API", NULL)

cdef dict ACTIVATIONS = {"linear": FRNN_LINEAR, "relu": FRNN_RELU, "tanh": FRNN_TANH, "sigmoid": FRNN_SIGMOID}


cdef const frnn_api *get_api() noexcept nogil:
    return api


# ---- settings of the process ----

cdef bytes isa = api.isa_name(0)  # the default is chosen below
cdef size_t threads = 1


def compiled_isas():
    names = []
    while api.isa_name(len(names)) != NULL:
        names.append(api.isa_name(len(names)).decode())
    return tuple(names)


def isas():
    return tuple([name for name in compiled_isas() if api.kernels(<bytes> name.encode(), FRNN_F32) != NULL])


def get_isa():
    return isa.decode()


def set_isa(str name not None):
    global isa
    if name not in isas():
        raise ValueError(f"isa must be one of {', '.join(isas())} on this machine, got {name!r}")
    isa = name.encode()


def get_num_threads():
    return threads


def set_num_threads(size_t n):
    global threads
    if n == 0:
        raise ValueError("n must be at least 1, got 0")
    threads = n


def compiler():
    return FRNN_COMPILER.decode()


set_isa(isas()[len(isas()) - 1])


# ---- from status to exception, and from signal to status ----

cdef int check(frnn_status status) except -1:
    if status == FRNN_OK:
        return 0
    if status == FRNN_ERR_INTERRUPTED:
        return -1  # the signal handler's exception is set
    if status == FRNN_ERR_SIZE:
        raise MemoryError(api.status_text(status).decode())
    raise ValueError(api.status_text(status).decode())


cdef int poll(void *unused) noexcept with gil:
    return PyErr_CheckSignals()


# ---- arrays ----

cdef enum:
    MOST_ARRAYS = 16

cdef enum access:
    READ = 0
    WRITE = PyBUF_WRITABLE

cdef struct arrays:
    # The buffers that a call holds. All have one element type; only masks are bytes.
    int count
    char code  # "f" or "d"
    Py_ssize_t size
    Py_buffer views[MOST_ARRAYS]


cdef void release(arrays *a) noexcept:
    while a.count:
        a.count -= 1
        PyBuffer_Release(&a.views[a.count])


cdef arrays like(SimpleRNNWeights weights) noexcept:
    # No arrays yet, to be of the weights' type.
    cdef arrays a
    a.count, a.code, a.size = 0, weights.code, weights.size
    return a


cdef bint has_type(Py_buffer *view, char code, Py_ssize_t size) noexcept:
    if view.format == NULL or view.format[0] == 0 or view.format[1] != 0 or view.itemsize != size:
        return False
    return view.format[0] == code or (code == c"?" and view.format[0] == c"B")


cdef object shape_of(Py_buffer *view):
    return tuple([view.shape[i] for i in range(view.ndim)])


cdef Py_buffer *take(arrays *a, object array, str name, access mode, int ndim, const Py_ssize_t *shape,
                     bint mask=False) except NULL:
    # The array's buffer, checked: this shape (-1 stands for any), no gaps in C order, except that the first two of
    # three axes may have any strides.
    cdef Py_buffer *view = &a.views[a.count]
    cdef Py_ssize_t size = 1 if mask else a.size, stride = size
    cdef char code = c"?" if mask else a.code
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


cdef void *allocate(size_t bytes) except NULL:
    # Also nothing at all gets an address.
    cdef void *memory
    if bytes > <size_t> PY_SSIZE_T_MAX - 64:
        raise MemoryError(f"could not allocate {bytes} bytes")
    memory = aligned_alloc(64, (bytes // 64 + 1) * 64)
    if memory == NULL:
        raise MemoryError(f"could not allocate {bytes} bytes")
    return memory


def address(array):
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    try:
        return <uintptr_t> view.buf
    finally:
        PyBuffer_Release(&view)


def activate(str activation not None, x, out):
    cdef arrays a
    cdef void *source
    cdef void *target
    cdef Py_ssize_t n = len(x)
    cdef const frnn_kernels *kernels
    a.count = 0
    a.code = c"d" if memoryview(x).format == "d" else c"f"
    a.size = 8 if a.code == c"d" else 4
    try:
        source = vector(&a, x, "x", READ, n)
        target = vector(&a, out, "out", WRITE, n)
        kernels = api.kernels(isa, FRNN_F64 if a.code == c"d" else FRNN_F32)
        check(api.activate(kernels, ACTIVATIONS[activation], n, source, target))
    finally:
        release(&a)


# ---- SimpleRNN ----

cdef class SimpleRNNWeights:
    cdef const frnn_kernels *kernels
    cdef void *prepared
    cdef readonly Py_ssize_t inputs
    cdef readonly Py_ssize_t units
    cdef readonly str isa
    cdef char code
    cdef Py_ssize_t size
    cdef bint biased

    def __cinit__(self, kernel, recurrent_kernel, bias=None):
        cdef arrays a
        cdef frnn_plan plan
        cdef frnn_status status
        cdef size_t bytes
        cdef const void *wx
        cdef const void *wh
        cdef const void *b
        self.code = c"d" if memoryview(kernel).format == "d" else c"f"
        self.size = 8 if self.code == c"d" else 4
        self.kernels = api.kernels(isa, FRNN_F64 if self.code == c"d" else FRNN_F32)
        self.isa = isa.decode()
        self.biased = bias is not None
        self.inputs, self.units = kernel.shape
        plan = self.plan(0, 0)
        a = like(self)
        try:
            wx = matrix(&a, kernel, "kernel", READ, self.inputs, self.units)
            wh = matrix(&a, recurrent_kernel, "recurrent_kernel", READ, self.units, self.units)
            b = vector(&a, bias, "bias", READ, self.units)
            check(api.simple_rnn_prepared_size(&plan, &bytes))
            self.prepared = allocate(bytes)
            with nogil:
                status = api.simple_rnn_prepare(&plan, wx, wh, b, self.prepared)
            check(status)
        finally:
            release(&a)

    def __dealloc__(self):
        free(self.prepared)

    @property
    def dtype(self):
        return "float64" if self.code == c"d" else "float32"

    def matches(self, kernel, recurrent_kernel, bias):
        cdef arrays a = like(self)
        cdef frnn_plan plan = self.plan(0, 0)
        cdef const void *wx
        cdef const void *wh
        cdef const void *b
        cdef int same = 0
        if (bias is not None) != self.biased:
            return False
        try:
            wx = matrix(&a, kernel, "kernel", READ, self.inputs, self.units)
            wh = matrix(&a, recurrent_kernel, "recurrent_kernel", READ, self.units, self.units)
            b = vector(&a, bias, "bias", READ, self.units)
            check(api.simple_rnn_prepared_from(&plan, wx, wh, b, self.prepared, &same))
        finally:
            release(&a)
        return same != 0

    cdef frnn_plan plan(self, Py_ssize_t B, Py_ssize_t T) noexcept:
        cdef frnn_plan plan
        memset(&plan, 0, sizeof(plan))
        plan.kernels = self.kernels
        plan.B, plan.T, plan.I, plan.H = B, T, self.inputs, self.units
        plan.threads = threads
        plan.poll = poll
        return plan


cdef struct simple_rnn_call:
    frnn_plan plan
    frnn_simple_rnn_tape tape


cdef int open_call(simple_rnn_call *c, arrays *a, SimpleRNNWeights weights, x, y, h0, mask, dropout, access y_mode,
                   str activation, bint go_backwards, bint zero_output_for_mask) except -1:
    # What forward and backward have in common: the plan and the tape.
    cdef Py_buffer *view = sequences(a, x, "x", READ, -1, -1, weights.inputs)
    cdef Py_ssize_t B = view.shape[0], T = view.shape[1]
    cdef Py_ssize_t[2] tokens = [B, T]
    c.plan = weights.plan(B, T)
    c.plan.activation = ACTIVATIONS[activation]
    c.plan.go_backwards = go_backwards
    c.plan.zero_output_for_mask = zero_output_for_mask
    c.tape.prepared = weights.prepared
    c.tape.x, c.tape.x_batch, c.tape.x_time = view.buf, view.strides[0], view.strides[1]
    c.tape.h0 = matrix(a, h0, "h0", READ, B, weights.units)
    c.tape.dropout = matrix(a, dropout, "dropout", READ, B, weights.units)
    c.tape.mask = NULL
    if mask is not None:
        c.tape.mask = <const uint8_t *> take(a, mask, "mask", READ, 2, tokens, mask=True).buf
    c.tape.y, c.tape.y_batch, c.tape.y_time = NULL, 0, 0
    if y is not None:
        view = sequences(a, y, "y", y_mode, B, T, weights.units)
        c.tape.y, c.tape.y_batch, c.tape.y_time = view.buf, view.strides[0], view.strides[1]
    return 0


def simple_rnn_forward(SimpleRNNWeights weights not None, x, y, h_last, h0, mask, dropout, str activation,
                       bint go_backwards, bint zero_output_for_mask):
    cdef arrays a = like(weights)
    cdef simple_rnn_call c
    cdef frnn_status status
    cdef void *last
    cdef void *scratch = NULL
    cdef size_t bytes
    try:
        open_call(&c, &a, weights, x, y, h0, mask, dropout, WRITE, activation, go_backwards, zero_output_for_mask)
        last = matrix(&a, h_last, "h_last", WRITE, c.plan.B, weights.units)
        check(api.simple_rnn_forward_scratch_size(&c.plan, &c.tape, &bytes))
        scratch = allocate(bytes)
        with nogil:
            status = api.simple_rnn_forward(&c.plan, &c.tape, last, scratch)
        check(status)
    finally:
        free(scratch)
        release(&a)


cdef bint apart(Py_buffer *a, Py_buffer *b) noexcept:
    return <char *> a.buf + a.len <= <char *> b.buf or <char *> b.buf + b.len <= <char *> a.buf


def simple_rnn_step(SimpleRNNWeights weights not None, x, h0, out, str activation, size_t most_work):
    cdef arrays a = like(weights)
    cdef simple_rnn_call c
    cdef frnn_status status
    cdef Py_buffer *source
    cdef Py_buffer *state
    cdef Py_buffer *target
    cdef Py_ssize_t[2] shape = [-1, weights.inputs]
    cdef void *scratch = NULL
    cdef size_t bytes
    memset(&c, 0, sizeof(c))
    try:
        try:
            source = take(&a, x, "x", READ, 2, shape)
            shape[0], shape[1] = source.shape[0], weights.units
            target = take(&a, out, "out", WRITE, 2, shape)
            state = target if h0 is out else take(&a, h0, "h0", READ, 2, shape)
        except (BufferError, TypeError, ValueError):
            return False
        c.plan = weights.plan(shape[0], 1)
        c.plan.activation = ACTIVATIONS[activation]
        if not (apart(source, target) and (state.buf == target.buf or apart(state, target))):
            return False
        if c.plan.B and (c.plan.I + c.plan.H) * c.plan.H > most_work // c.plan.B:
            return False
        c.tape.prepared, c.tape.h0 = weights.prepared, state.buf
        c.tape.x, c.tape.x_batch = source.buf, source.strides[0]
        check(api.simple_rnn_forward_scratch_size(&c.plan, &c.tape, &bytes))
        scratch = allocate(bytes)
        with nogil:
            status = api.simple_rnn_forward(&c.plan, &c.tape, target.buf, scratch)
        check(status)
    finally:
        free(scratch)
        release(&a)
    return True


def simple_rnn_backward(SimpleRNNWeights weights not None, x, y not None, h0, mask, dropout, str activation,
                        bint go_backwards, bint zero_output_for_mask, dy, dh_last, dx, dh0 not None,
                        dkernel not None, drecurrent not None, dbias):
    cdef arrays a = like(weights)
    cdef simple_rnn_call c
    cdef frnn_simple_rnn_gradients g
    cdef frnn_status status
    cdef Py_buffer *view
    cdef void *scratch = NULL
    cdef size_t bytes
    memset(&g, 0, sizeof(g))
    try:
        open_call(&c, &a, weights, x, y, h0, mask, dropout, READ, activation, go_backwards, zero_output_for_mask)
        if dy is not None:
            view = sequences(&a, dy, "dy", READ, c.plan.B, c.plan.T, weights.units)
            g.dy, g.dy_batch, g.dy_time = view.buf, view.strides[0], view.strides[1]
        g.dh_last = matrix(&a, dh_last, "dh_last", READ, c.plan.B, weights.units)
        if dx is not None:
            view = sequences(&a, dx, "dx", WRITE, c.plan.B, c.plan.T, weights.inputs)
            if not PyBuffer_IsContiguous(view, c"C"):
                raise ValueError("dx must be dense")
            g.dx = view.buf
        g.dh0 = matrix(&a, dh0, "dh0", WRITE, c.plan.B, weights.units)
        g.dwx = matrix(&a, dkernel, "dkernel", WRITE, weights.inputs, weights.units)
        g.dwh = matrix(&a, drecurrent, "drecurrent", WRITE, weights.units, weights.units)
        g.db = vector(&a, dbias, "dbias", WRITE, weights.units)
        check(api.simple_rnn_backward_scratch_size(&c.plan, &c.tape, &g, &bytes))
        scratch = allocate(bytes)
        with nogil:
            status = api.simple_rnn_backward(&c.plan, &c.tape, &g, scratch)
        check(status)
    finally:
        free(scratch)
        release(&a)
