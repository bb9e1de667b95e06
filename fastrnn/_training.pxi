# What training does to arrays element by element: new values, the steps of optimizers, and the loss that takes most
# operations.

ctypedef fused real:
    float
    double

cdef dict OPTIMIZERS = {"sgd": FRNN_SGD, "rmsprop": FRNN_RMSPROP, "adam": FRNN_ADAM}


cdef view *flat(arrays *a, object array, str name, access mode, Py_ssize_t bytes) except NULL:
    # A dense array of any shape, checked: so many bytes, or any number if negative.
    cdef view *v = hold(a, array, name, mode, NUMBERS)
    if not is_dense(v) or (bytes >= 0 and v.bytes != bytes):
        raise ValueError(f"{name} must be dense, with as many elements as the others, got shape {shape_of(v)}")
    return v


cdef void *flat_or_none(arrays *a, object array, str name, Py_ssize_t bytes) except? NULL:
    return NULL if array is None else flat(a, array, name, WRITE, bytes).buf


cdef void begin_like(arrays *a, object array):
    # No arrays yet, to be of this one's type.
    a.count, a.size = 0, array.itemsize
    a.code = c"d" if a.size == 8 else c"f"


def assign(list to not None, list values not None, bint copy, /):
    # Copies values into arrays, if they are arrays like these, and says whether they are; otherwise nothing is changed.
    cdef arrays a
    cdef view *new
    cdef view *value
    cdef int i, count = len(to)
    if count != len(values) or not 0 < 2 * count <= MOST_ARRAYS:
        return False
    begin_like(&a, to[0])
    try:
        for i in range(count):
            if type(values[i]) is not ndarray:
                return False
            new = flat(&a, to[i], "to", WRITE, -1)
            value = flat(&a, values[i], "values", READ, new.bytes)
            if value.ndim != new.ndim or memcmp(value.shape, new.shape, new.ndim * sizeof(Py_ssize_t)):
                return False
        if copy:
            for i in range(count):
                memmove(a.views[2 * i].buf, a.views[2 * i + 1].buf, a.views[2 * i].bytes)
    except (TypeError, ValueError):
        return False
    finally:
        release(&a)
    return True


def descend(str optimizer not None, w not None, g not None, m, v, a, double rate, double decay, double beta_1,
            double beta_2, double epsilon, bint nesterov, /):
    cdef arrays held
    cdef frnn_descent d
    cdef frnn_status status
    cdef view *of_w
    cdef Py_ssize_t bytes
    cdef frnn_optimizer which = OPTIMIZERS[optimizer]
    cdef const frnn_kernels *kernels
    begin_like(&held, w)
    try:
        of_w = flat(&held, w, "w", WRITE, -1)
        bytes = of_w.bytes
        d.w, d.g = of_w.buf, flat(&held, g, "g", READ, bytes).buf
        d.m = flat_or_none(&held, m, "m", bytes)
        d.v = flat_or_none(&held, v, "v", bytes)
        d.a = flat_or_none(&held, a, "a", bytes)
        d.n = bytes // held.size
        d.rate, d.decay, d.beta_1, d.beta_2, d.epsilon, d.nesterov = rate, decay, beta_1, beta_2, epsilon, nesterov
        kernels = api.kernels(isa, FRNN_F64 if held.code == c"d" else FRNN_F32)
        if bytes <= SHORT:
            status = api.descend(kernels, which, &d)
        else:
            with nogil:
                status = api.descend(kernels, which, &d)
        check(status)
    finally:
        release(&held)


cdef void crossentropy(Py_ssize_t n, const real *t, const real *p, real *loss, real *dp, double epsilon) noexcept nogil:
    # loss = -t log(q) - (1 - t) log(1 - q); q is p, but no closer than epsilon to 0 and 1. Clipping has no gradient.
    cdef Py_ssize_t i
    cdef real q, least = <real> epsilon, most = <real> (1 - epsilon)
    cdef double yes, no, chance, value, slope
    for i in range(n):
        q = least if p[i] < least else most if p[i] > most else p[i]
        yes, no, chance, value = t[i], 1 - <double> t[i], q, 0
        slope = (chance - yes) / (chance * (1 - chance))
        if yes != 0:  # most truths are 0 or 1, and logarithms are dear
            value -= yes * log(chance)
        if no != 0:
            value -= no * log1p(-chance)
        loss[i] = <real> value
        dp[i] = 0 if q < p[i] or q > p[i] else <real> slope


def binary_crossentropy(truth not None, p not None, loss not None, dp not None, double epsilon):
    cdef arrays a
    cdef view *of_p
    cdef const void *t
    cdef void *values
    cdef void *slopes
    cdef Py_ssize_t bytes
    begin_like(&a, p)
    try:
        of_p = flat(&a, p, "p", READ, -1)
        bytes = of_p.bytes
        t = flat(&a, truth, "truth", READ, bytes).buf
        values, slopes = flat(&a, loss, "loss", WRITE, bytes).buf, flat(&a, dp, "dp", WRITE, bytes).buf
        with nogil:
            if a.code == c"d":
                crossentropy[double](bytes // 8, <const double *> t, <const double *> of_p.buf, <double *> values,
                                     <double *> slopes, epsilon)
            else:
                crossentropy[float](bytes // 4, <const float *> t, <const float *> of_p.buf, <float *> values,
                                    <float *> slopes, epsilon)
    finally:
        release(&a)
