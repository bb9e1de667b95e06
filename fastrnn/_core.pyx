# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, binding=False
"""The compiled core: arrays in, arrays filled, no policy.

Arrays are NumPy's, and one code serves both dtypes. A call takes hold of all its arrays, checks them against the sizes
of the weights, computes with the GIL released once, unless that would take as long as the computation, and lets go of
them.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.math cimport log, log1p
from libc.stdint cimport intptr_t, uint8_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memmove, memset

from numpy import dtype as numpy_dtype
from numpy import ndarray

from fastrnn._cfastrnn cimport *

cdef extern from "Python.h":
    # Declared without "except": an exception that a signal handler raised stays set until the call that was
    # interrupted returns to Python.
    int PyErr_CheckSignals()
    void PyErr_SetNone(object type)
    unsigned long PyThread_get_thread_ident()
    const Py_ssize_t PY_SSIZE_T_MAX

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


include "_settings.pxi"
include "_interrupts.pxi"
include "_arrays.pxi"
include "_blocks.pxi"
include "_weights.pxi"
include "_training.pxi"
include "_dense.pxi"


cdef struct call:
    frnn_plan plan
    frnn_tape tape


cdef int states(arrays *a, Weights weights, object given, str name, access mode, Py_ssize_t B,
                void **found) except -1:
    # Where the states' (B, H) arrays are; NULL for None.
    cdef Py_ssize_t i, count = 2 if weights.cell == api.lstm else 1
    found[0] = found[1] = NULL
    if given is None:
        return 0
    if len(given) != count:
        raise ValueError(f"{name} must hold {count} states, got {len(given)}")
    for i in range(count):
        found[i] = matrix(a, given[i], name, mode, B, weights.units)
    return 0


cdef void *dense(arrays *a, object array, str name, access mode, Py_ssize_t n, Py_ssize_t rows,
                 Py_ssize_t columns) except? NULL:
    # Where a dense (n, rows, columns) array lies; NULL for None.
    cdef view *v
    if array is None:
        return NULL
    v = sequences(a, array, name, mode, n, rows, columns)
    if not is_dense(v):
        raise ValueError(f"{name} must be dense")
    return v.buf


cdef int open_input(call *c, arrays *a, Weights weights, x) except -1:
    # The plan's sizes and the tape's input: x (B, T, I), or a pair of ids (B, T) and their table (V, gates * H).
    cdef view *v
    cdef Py_ssize_t[2] shape = [-1, -1]
    memset(c, 0, sizeof(c[0]))
    if isinstance(x, tuple):
        ids, table = x
        v = take(a, ids, "ids", READ, 2, shape, IDS)
        c.tape.ids = <const intptr_t *> v.buf
        c.plan = weights.plan(v.shape[0], v.shape[1])
        shape[1] = weights.cell.gates * weights.units
        v = take(a, table, "table", READ, 2, shape)
        c.tape.table, c.tape.V = v.buf, v.shape[0]
        if weights.inputs or not are_below(c.tape.V, c.plan.B * c.plan.T, c.tape.ids):
            raise ValueError(f"ids must be rows of a table of {c.tape.V}, with weights of no inputs")
    else:
        v = sequences(a, x, "x", READ, -1, -1, weights.inputs)
        c.plan = weights.plan(v.shape[0], v.shape[1])
        c.tape.x, c.tape.x_batch, c.tape.x_time = v.buf, v.strides[0], v.strides[1]
    c.tape.prepared = weights.prepared
    return 0


cdef int open_mask(call *c, arrays *a, mask, bint zero_output_for_mask) except -1:
    # A mask (B, T) of bytes, or a pair of it and an order of its rows or None; or None.
    cdef Py_ssize_t[2] tokens = [c.plan.B, c.plan.T]
    order = None
    if mask is None:
        return 0
    if isinstance(mask, tuple):
        mask, order = mask
    c.tape.mask = <const uint8_t *> take(a, mask, "mask", READ, 2, tokens, MASK).buf
    c.plan.zero_output_for_mask = zero_output_for_mask
    if order is not None:
        c.tape.order = <const size_t *> take(a, order, "order", READ, 1, tokens, IDS).buf
        if not are_below(c.plan.B, c.plan.B, <const intptr_t *> c.tape.order):
            raise ValueError(f"order must hold rows of a batch of {c.plan.B}")
    return 0


cdef bint are_below(size_t V, size_t n, const intptr_t *ids) noexcept:
    # Whether all ids are rows of a table: below 0 and beyond it, one of these numbers is negative.
    cdef size_t i
    cdef intptr_t last = <intptr_t> V - 1, signs = 0
    for i in range(n):
        signs |= ids[i] | last - ids[i]
    return signs >= 0


cdef int open_call(call *c, arrays *a, Weights weights, x, y, gates, initial, mask, dropout, access mode,
                   str activation, str recurrent_activation, bint go_backwards,
                   bint zero_output_for_mask) except -1:
    # What forward and backward have in common: the plan and the tape.
    cdef view *v
    cdef Py_ssize_t B, T
    cdef pointer[2] first
    open_input(c, a, weights, x)
    B, T = c.plan.B, c.plan.T
    c.plan.activation = ACTIVATIONS[activation]
    c.plan.recurrent_activation = ACTIVATIONS[recurrent_activation]
    c.plan.go_backwards = go_backwards
    states(a, weights, initial, "initial", READ, B, first)
    c.tape.h0, c.tape.c0 = first[0], first[1]
    if weights.cell.gates == 1:
        c.tape.dropout = matrix(a, dropout, "dropout", READ, B, weights.units)
    else:
        c.tape.dropout = dense(a, dropout, "dropout", READ, weights.cell.gates, B, weights.units)
    open_mask(c, a, mask, zero_output_for_mask)
    if y is not None:
        v = sequences(a, y, "y", mode, B, T, weights.units)
        c.tape.y, c.tape.y_batch, c.tape.y_time = v.buf, v.strides[0], v.strides[1]
    c.tape.gates = dense(a, gates, "gates", mode, T, B, weights.kept)
    return 0


cdef int run_forward(Weights weights, call *c, void *h_last, void *c_last) except -1:
    cdef scratch s
    cdef size_t bytes
    cdef frnn_status status
    check(weights.cell.forward_scratch_size(&c.plan, &c.tape, &bytes))
    take_scratch(&s, bytes)
    if is_short(&c.plan, weights.cell.gates):
        status = weights.cell.forward(&c.plan, &c.tape, h_last, c_last, s.memory)
    else:
        with nogil:
            status = weights.cell.forward(&c.plan, &c.tape, h_last, c_last, s.memory)
    give_back(&s.allocated)
    return check(status)


cdef bint is_short(const frnn_plan *plan, size_t gates) noexcept:
    # Over in some microseconds: giving the GIL away would take as long.
    cdef double tokens = <double> plan.B * <double> plan.T
    return tokens * <double> (plan.I + plan.H) * <double> plan.H * <double> gates <= SHORT


def forward(Weights weights not None, x, y, last, initial, mask, dropout, gates, str activation,
            str recurrent_activation, bint go_backwards, bint zero_output_for_mask, /):
    cdef arrays a
    cdef call c
    cdef pointer[2] final
    begin(&a, weights)
    try:
        open_call(&c, &a, weights, x, y, gates, initial, mask, dropout, WRITE, activation, recurrent_activation,
                  go_backwards, zero_output_for_mask)
        states(&a, weights, last, "last", WRITE, c.plan.B, final)
        run_forward(weights, &c, final[0], final[1])
    finally:
        release(&a)


def infer(Weights weights not None, x, mask, gates, str activation, str recurrent_activation, bint go_backwards,
          bint zero_output_for_mask, bint return_sequences, /):
    cdef arrays a
    cdef call c
    cdef view *v
    cdef Py_ssize_t B, T, H = weights.units
    cdef void *last = NULL
    if type(x) is not ndarray and not isinstance(x, tuple):
        return None
    if mask is not None and zero_output_for_mask and not return_sequences:
        return None
    begin(&a, weights)
    try:
        try:
            open_input(&c, &a, weights, x)
            open_mask(&c, &a, mask, zero_output_for_mask)
        except (TypeError, ValueError):
            return None
        B, T = c.plan.B, c.plan.T
        if B == 0 or T == 0:
            return None
        c.plan.activation = ACTIVATIONS[activation]
        c.plan.recurrent_activation = ACTIVATIONS[recurrent_activation]
        c.plan.go_backwards = go_backwards
        c.tape.gates = dense(&a, gates, "gates", WRITE, T, B, weights.kept)
        if return_sequences:
            y = empty((B, T, H), FLOAT64 if weights.code == c"d" else FLOAT32)
            v = sequences(&a, y, "y", WRITE, B, T, H)
            c.tape.y, c.tape.y_batch, c.tape.y_time = v.buf, v.strides[0], v.strides[1]
        else:
            y = empty((B, H), FLOAT64 if weights.code == c"d" else FLOAT32)
            last = matrix(&a, y, "y", WRITE, B, H)
        run_forward(weights, &c, last, NULL)
    finally:
        release(&a)
    return y


def backward_steps(Weights weights not None, Py_ssize_t batch):
    cdef frnn_plan plan = weights.plan(batch, 1)
    cdef size_t steps
    check(weights.cell.backward_steps(&plan, &steps))
    return steps


def backward(Weights weights not None, x, y not None, gates, initial, mask, dropout, str activation,
             str recurrent_activation, bint go_backwards, bint zero_output_for_mask, dy, dlast, dx,
             dinitial, list dweights not None, bint accumulate, /):
    cdef arrays a
    cdef call c
    cdef frnn_gradients g
    cdef frnn_status status
    cdef view *v
    cdef pointer[2] found
    cdef Py_ssize_t columns = weights.cell.gates * weights.units
    cdef block scratch
    cdef size_t bytes
    scratch.memory = NULL
    memset(&g, 0, sizeof(g))
    begin(&a, weights)
    try:
        open_call(&c, &a, weights, x, y, gates, initial, mask, dropout, READ, activation, recurrent_activation,
                  go_backwards, zero_output_for_mask)
        if dy is not None:
            v = sequences(&a, dy, "dy", READ, c.plan.B, c.plan.T, weights.units)
            g.dy, g.dy_batch, g.dy_time = v.buf, v.strides[0], v.strides[1]
        states(&a, weights, dlast, "dlast", READ, c.plan.B, found)
        g.dh_last, g.dc_last = found[0], found[1]
        if c.tape.table == NULL:
            g.dx = dense(&a, dx, "dx", WRITE, c.plan.B, c.plan.T, weights.inputs)
        else:
            g.dtable = matrix(&a, dx, "dx", WRITE, c.tape.V, columns)
        states(&a, weights, dinitial, "dinitial", WRITE, c.plan.B, found)
        g.dh0, g.dc0 = found[0], found[1]
        if not 2 <= len(dweights) <= 3:
            raise ValueError(f"dweights must hold 2 or 3 arrays, got {len(dweights)}")
        g.dwx = matrix(&a, dweights[0], "dweights[0]", WRITE, weights.inputs, columns)
        g.dwh = matrix(&a, dweights[1], "dweights[1]", WRITE, weights.units, columns)
        if len(dweights) > 2:
            g.db = weights.bias(&a, dweights[2], "dweights[2]", WRITE)
        g.accumulate = accumulate
        check(weights.cell.backward_scratch_size(&c.plan, &c.tape, &g, &bytes))
        allocate(&scratch, bytes)
        if is_short(&c.plan, weights.cell.gates):
            status = weights.cell.backward(&c.plan, &c.tape, &g, scratch.memory)
        else:
            with nogil:
                status = weights.cell.backward(&c.plan, &c.tape, &g, scratch.memory)
        check(status)
    finally:
        give_back(&scratch)
        release(&a)


cdef bint apart(const view *a, const view *b) noexcept:
    return a.buf + a.bytes <= b.buf or b.buf + b.bytes <= a.buf


cdef bint are_apart(const view *source, view **from_, view **to, int count) noexcept:
    # Whether what is written meets nothing but the state that it takes the place of.
    cdef int i, j
    for i in range(count):
        if not apart(source, to[i]):
            return False
        for j in range(count):
            if not (i == j and from_[i].buf == to[i].buf or apart(from_[i], to[j])):
                return False
            if j < i and not apart(to[i], to[j]):
                return False
    return True


cdef object part(object given, int i, int count):
    # One of `count` arrays given in a list, or the only one by itself; None if it is no such array.
    if type(given) is list or type(given) is tuple:
        given = given[i] if len(given) == count else None
    elif count != 1:
        return None
    return given if type(given) is ndarray else None


def step(Weights weights not None, x, before, after, str activation, str recurrent_activation, size_t most_work, /):
    cdef arrays a
    cdef call c
    cdef view *source
    cdef view_pointer[2] from_
    cdef view_pointer[2] to
    cdef Py_ssize_t[2] shape = [-1, weights.inputs]
    cdef int i, count = 2 if weights.cell == api.lstm else 1
    cdef list written = []
    if type(x) is not ndarray:
        return None
    begin(&a, weights)
    try:
        try:
            source = take(&a, x, "x", READ, 2, shape)
            shape[0], shape[1] = source.shape[0], weights.units
            for i in range(count):
                old = part(before, i, count)
                if after is None:
                    new = empty((shape[0], shape[1]), FLOAT64 if weights.code == c"d" else FLOAT32)
                else:
                    new = part(after, i, count)
                if old is None or new is None:
                    return None
                to[i] = take(&a, new, "after", WRITE, 2, shape)
                from_[i] = to[i] if old is new else take(&a, old, "before", READ, 2, shape)
                written.append(new)
        except (TypeError, ValueError):
            return None
        memset(&c, 0, sizeof(c))
        c.plan = weights.plan(shape[0], 1)
        c.plan.activation = ACTIVATIONS[activation]
        c.plan.recurrent_activation = ACTIVATIONS[recurrent_activation]
        if not are_apart(source, from_, to, count):
            return None
        if c.plan.B and (c.plan.I + c.plan.H) * c.plan.H * weights.cell.gates > most_work // c.plan.B:
            return None
        c.tape.prepared, c.tape.h0 = weights.prepared, from_[0].buf
        c.tape.c0 = from_[1].buf if count == 2 else NULL
        c.tape.x, c.tape.x_batch = source.buf, source.strides[0]
        run_forward(weights, &c, to[0].buf, to[1].buf if count == 2 else NULL)
    finally:
        release(&a)
    return written


# ---- by themselves ----

def multiply_adds(str dtype not None, size_t times):
    cdef const frnn_kernels *kernels = api.kernels(isa, FRNN_F64 if dtype == "float64" else FRNN_F32)
    cdef double done
    with nogil:
        done = api.multiply_adds(kernels, times)
    return done


def activate(str activation not None, x, out):
    cdef arrays a
    cdef void *source
    cdef void *target
    cdef Py_ssize_t n = len(x)
    cdef const frnn_kernels *kernels
    begin_like(&a, x)
    try:
        source = vector(&a, x, "x", READ, n)
        target = vector(&a, out, "out", WRITE, n)
        kernels = api.kernels(isa, FRNN_F64 if a.code == c"d" else FRNN_F32)
        check(api.activate(kernels, ACTIVATIONS[activation], n, source, target))
    finally:
        release(&a)


def mask_of_lengths(lengths, Py_ssize_t time):
    cdef arrays a
    cdef const intptr_t *counts
    cdef uint8_t *row
    cdef Py_ssize_t[2] shape = [-1, time]
    cdef Py_ssize_t b
    if type(lengths) is not ndarray:
        return None
    begin_like(&a, lengths)
    try:
        try:
            counts = <const intptr_t *> take(&a, lengths, "lengths", READ, 1, shape, IDS).buf
        except (TypeError, ValueError):
            return None
        shape[0] = a.views[0].shape[0]
        mask = empty((shape[0], time), UINT8)
        row = <uint8_t *> take(&a, mask, "mask", WRITE, 2, shape, MASK).buf
        for b in range(shape[0]):
            if not 0 <= counts[b] <= time:
                return None
            memset(row, 1, <size_t> counts[b])
            memset(row + counts[b], 0, <size_t> (time - counts[b]))
            row += time
    finally:
        release(&a)
    return mask
