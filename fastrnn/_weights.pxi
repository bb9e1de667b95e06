# Weights as the kernels want them, a class for each cell.

cdef class Weights:
    cdef const frnn_cell *cell
    cdef const frnn_kernels *kernels
    cdef block memory
    cdef void *prepared
    cdef readonly Py_ssize_t inputs
    cdef readonly Py_ssize_t units
    cdef readonly Py_ssize_t kept
    cdef readonly str isa
    cdef char code
    cdef Py_ssize_t size
    cdef bint biased
    cdef bint _reset_after

    def __cinit__(self, *args, **kwargs):
        if type(self) is Weights:
            raise TypeError("Weights are made by the class of a layer, as SimpleRNNWeights")

    cdef int prepare(self, const frnn_cell *cell, kernel, recurrent_kernel, bias, bint reset_after) except -1:
        cdef arrays a
        cdef frnn_plan plan
        cdef frnn_status status
        cdef size_t bytes
        cdef const_pointer[3] from_
        self.cell = cell
        self.size = kernel.itemsize
        self.code = c"d" if self.size == 8 else c"f"
        self.kernels = api.kernels(isa, FRNN_F64 if self.code == c"d" else FRNN_F32)
        self.isa = isa.decode()
        self.biased = bias is not None
        self._reset_after = reset_after
        self.inputs, self.units = kernel.shape[0], recurrent_kernel.shape[0]
        plan = self.plan(0, 0)
        begin(&a, self)
        try:
            self.take(&a, kernel, recurrent_kernel, bias, READ, from_)
            check(cell.prepared_size(&plan, &bytes))
            allocate(&self.memory, bytes)
            self.prepared = self.memory.memory
            with nogil:
                status = cell.prepare(&plan, from_[0], from_[1], from_[2], self.prepared)
            check(status)
            check(cell.kept(&plan, &bytes))
            self.kept = bytes
        finally:
            release(&a)
        return 0

    def __dealloc__(self):
        give_back(&self.memory)

    @property
    def gates(self):
        return self.cell.gates

    @property
    def states(self):
        return 2 if self.cell == api.lstm else 1

    @property
    def dtype(self):
        return "float64" if self.code == c"d" else "float32"

    def matches(self, kernel, recurrent_kernel, bias):
        cdef arrays a
        cdef frnn_plan plan = self.plan(0, 0)
        cdef const_pointer[3] from_
        cdef int same = 0
        begin(&a, self)
        if (bias is not None) != self.biased:
            return False
        try:
            self.take(&a, kernel, recurrent_kernel, bias, READ, from_)
            check(self.cell.prepared_from(&plan, from_[0], from_[1], from_[2], self.prepared, &same))
        finally:
            release(&a)
        return same != 0

    def unpack(self, kernel, recurrent_kernel, bias, /):
        cdef arrays a
        cdef frnn_plan plan = self.plan(0, 0)
        cdef pointer[3] to
        begin(&a, self)
        try:
            self.take(&a, kernel, recurrent_kernel, bias, WRITE, <const void **> to)
            check(self.cell.unprepare(&plan, self.prepared, to[0], to[1], to[2]))
        finally:
            release(&a)

    def new_gradients(self, x, bint need_dx, bint need_dinitial, bint need_db, /):
        cdef object columns = self.cell.gates * self.units
        dtype = FLOAT64 if self.code == c"d" else FLOAT32
        dx, dinitial, batch = None, (), len(x[0]) if isinstance(x, tuple) else len(x)
        dweights = [empty((self.inputs, columns), dtype), empty((self.units, columns), dtype)]
        if need_db:
            dweights.append(empty((2, columns) if self._reset_after else (columns,), dtype))
        if need_dx:
            dx = empty((x[1] if isinstance(x, tuple) else x).shape, dtype)
        if need_dinitial:
            state = (batch, self.units)
            dinitial = (empty(state, dtype), empty(state, dtype)) if self.cell == api.lstm else (empty(state, dtype),)
        return dx, dinitial, dweights

    def order(self, mask):
        cdef arrays a
        cdef view *v
        cdef Py_ssize_t[2] shape = [-1, -1]
        cdef int pays
        if self.cell == api.simple_rnn:
            return None
        begin(&a, self)
        try:
            v = take(&a, mask, "mask", READ, 2, shape, MASK)
            shape[0], shape[1] = v.shape[0], v.shape[0] + v.shape[1] + 1
            order, scratch = empty((shape[0],), INTP), empty((shape[1],), INTP)
            check(api.order_rows(
                v.shape[0], v.shape[1], <const uint8_t *> v.buf,
                <size_t *> take(&a, order, "order", WRITE, 1, &shape[0], IDS).buf,
                <size_t *> take(&a, scratch, "scratch", WRITE, 1, &shape[1], IDS).buf, &pays,
            ))
        finally:
            release(&a)
        return order if pays else None

    cdef int take(self, arrays *a, kernel, recurrent_kernel, bias, access mode, const void **at) except -1:
        # Where the user's matrices are.
        cdef Py_ssize_t columns = self.cell.gates * self.units
        at[0] = matrix(a, kernel, "kernel", mode, self.inputs, columns)
        at[1] = matrix(a, recurrent_kernel, "recurrent_kernel", mode, self.units, columns)
        at[2] = self.bias(a, bias, "bias", mode)
        return 0

    cdef void *bias(self, arrays *a, object array, str name, access mode) except? NULL:
        # Where the bias or its gradient is; NULL for None.
        cdef Py_ssize_t columns = self.cell.gates * self.units
        return matrix(a, array, name, mode, 2, columns) if self._reset_after else vector(a, array, name, mode, columns)

    cdef frnn_plan plan(self, Py_ssize_t B, Py_ssize_t T) noexcept:
        cdef frnn_plan plan
        memset(&plan, 0, sizeof(plan))
        plan.kernels = self.kernels
        plan.B, plan.T, plan.I, plan.H = B, T, self.inputs, self.units
        set_team(&plan)
        plan.reset_after = self._reset_after
        return plan


@cython.final
cdef class SimpleRNNWeights(Weights):
    def __cinit__(self, kernel, recurrent_kernel, bias=None):
        self.prepare(api.simple_rnn, kernel, recurrent_kernel, bias, False)


@cython.final
cdef class GRUWeights(Weights):
    def __cinit__(self, kernel, recurrent_kernel, bias=None, bint reset_after=True):
        self.prepare(api.gru, kernel, recurrent_kernel, bias, reset_after)

    @property
    def reset_after(self):
        return self._reset_after


@cython.final
cdef class LSTMWeights(Weights):
    def __cinit__(self, kernel, recurrent_kernel, bias=None):
        self.prepare(api.lstm, kernel, recurrent_kernel, bias, False)


cdef void begin(arrays *a, Weights weights) noexcept:
    # No arrays yet, to be of the weights' type.
    a.count, a.code, a.size = 0, weights.code, weights.size
