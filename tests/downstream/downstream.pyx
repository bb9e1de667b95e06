# cython: language_level=3, boundscheck=False, wraparound=False
"""A program of somebody else's that runs a SimpleRNN through the C API, in memory of its own and without the GIL."""

from cpython.pycapsule cimport PyCapsule_Import
from libc.stdlib cimport free
from libc.string cimport memset

from fastrnn._cfastrnn cimport (
    FRNN_API_VERSION,
    FRNN_F32,
    FRNN_OK,
    FRNN_TANH,
    frnn_api,
    frnn_plan,
    frnn_simple_rnn_tape,
    frnn_status,
)
from fastrnn._core cimport get_api

cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

cdef const frnn_api *api = get_api()


def versions():
    """What this was compiled for, what runs, and what runs as the capsule has it."""
    capsule = <const frnn_api *>PyCapsule_Import("fastrnn._core.C_API", 0)
    return FRNN_API_VERSION, api.version, capsule.version


def last_state(
    isa,
    const float[:, :, ::1] x,
    const float[:, ::1] kernel,
    const float[:, ::1] recurrent_kernel,
    const float[::1] bias,
    float[:, ::1] out,
):
    cdef bytes name = isa.encode()
    cdef frnn_plan plan
    cdef frnn_simple_rnn_tape tape
    cdef frnn_status status
    memset(&plan, 0, sizeof(plan))
    plan.kernels = api.kernels(name, FRNN_F32)
    if plan.kernels == NULL:
        raise ValueError(f"isa must be one this processor has, got {isa!r}")
    plan.B, plan.T, plan.I, plan.H = x.shape[0], x.shape[1], x.shape[2], recurrent_kernel.shape[0]
    plan.activation = FRNN_TANH
    plan.threads = 1

    memset(&tape, 0, sizeof(tape))
    tape.x = &x[0, 0, 0]
    tape.x_batch, tape.x_time = x.strides[0], x.strides[1]
    with nogil:
        status = run(&plan, &tape, &kernel[0, 0], &recurrent_kernel[0, 0], &bias[0], &out[0, 0])
    if status != FRNN_OK:
        raise RuntimeError(api.status_text(status).decode())


cdef frnn_status run(
    const frnn_plan *plan,
    frnn_simple_rnn_tape *tape,
    const float *wx,
    const float *wh,
    const float *b,
    float *h_last,
) noexcept nogil:
    cdef size_t size = 0
    cdef void *prepared = NULL
    cdef void *scratch = NULL
    cdef frnn_status status = api.simple_rnn_prepared_size(plan, &size)
    if status == FRNN_OK:
        tape.prepared = prepared = allocate(size)
        status = api.simple_rnn_prepare(plan, wx, wh, b, prepared)
    if status == FRNN_OK:
        status = api.simple_rnn_forward_scratch_size(plan, tape, &size)
    if status == FRNN_OK:
        scratch = allocate(size)
        status = api.simple_rnn_forward(plan, tape, h_last, scratch)
    free(prepared)
    free(scratch)
    return status


cdef void *allocate(size_t size) noexcept nogil:
    """Whole lines of 64 bytes, as prepared and scratch memory has to be."""
    return aligned_alloc(64, (size + 63) & ~<size_t>63)
