# The dense layer.

cdef int run_dense(frnn_plan *plan, const frnn_dense *dense) except -1:
    cdef scratch s
    cdef size_t bytes
    cdef frnn_status status
    cdef frnn_status (*run)(const frnn_plan *, const frnn_dense *, void *) noexcept nogil
    run = api.dense_forward if dense.dw == NULL else api.dense_backward
    check(api.dense_scratch_size(plan, dense, &bytes))
    take_scratch(&s, bytes)
    if <double> plan.B * <double> plan.I * <double> plan.H <= SHORT:
        status = run(plan, dense, s.memory)
    else:
        with nogil:
            status = run(plan, dense, s.memory)
    give_back(&s.allocated)
    return check(status)


cdef int open_dense(frnn_plan *plan, frnn_dense *dense, arrays *a, x, w, y, access mode, str activation) except -1:
    # What both ways have in common. The types and sizes are those of w.
    cdef Py_ssize_t[2] shape = [-1, -1]
    cdef view *v
    memset(plan, 0, sizeof(plan[0]))
    memset(dense, 0, sizeof(dense[0]))
    v = take(a, w, "w", READ, 2, shape)
    dense.w, plan.I, plan.H = v.buf, v.shape[0], v.shape[1]
    shape[1] = plan.I
    v = take(a, x, "x", READ, 2, shape)
    dense.x, plan.B = v.buf, v.shape[0]
    dense.y = matrix(a, y, "y", mode, plan.B, plan.H)
    plan.kernels = api.kernels(isa, FRNN_F64 if a.code == c"d" else FRNN_F32)
    plan.activation = ACTIVATIONS[activation]
    set_team(plan)
    return 0


def dense_forward(x not None, w not None, b, y not None, str activation):
    cdef arrays a
    cdef frnn_plan plan
    cdef frnn_dense dense
    begin_like(&a, w)
    try:
        open_dense(&plan, &dense, &a, x, w, y, WRITE, activation)
        dense.b = vector(&a, b, "b", READ, plan.H)
        run_dense(&plan, &dense)
    finally:
        release(&a)


def dense_backward(x not None, w not None, y, dy not None, dx, dw not None, db, str activation):
    cdef arrays a
    cdef frnn_plan plan
    cdef frnn_dense dense
    begin_like(&a, w)
    try:
        open_dense(&plan, &dense, &a, x, w, y, READ, activation)
        dense.dy = matrix(&a, dy, "dy", READ, plan.B, plan.H)
        dense.dx = matrix(&a, dx, "dx", WRITE, plan.B, plan.I)
        dense.dw = matrix(&a, dw, "dw", WRITE, plan.I, plan.H)
        dense.db = vector(&a, db, "db", WRITE, plan.H)
        run_dense(&plan, &dense)
    finally:
        release(&a)
