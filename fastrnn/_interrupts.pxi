# From status to exception, from signal to status, and what is said of single threads.

cdef int check(frnn_status status) except -1:
    if status == FRNN_OK:
        return 0
    if status == FRNN_ERR_INTERRUPTED:
        return -1  # the signal handler's exception is set
    if status == FRNN_ERR_SIZE:
        raise MemoryError(api.status_text(status).decode())
    raise ValueError(api.status_text(status).decode())


cdef set stopped = set()  # threads that are to end their calls; Python gives signals to the main thread alone


cdef int poll(void *unused) noexcept with gil:
    if stopped and PyThread_get_thread_ident() in stopped:
        PyErr_SetNone(KeyboardInterrupt)
        return 1
    return PyErr_CheckSignals()


cdef set alone = set()  # threads whose calls are not to be shared out


cdef void set_team(frnn_plan *plan) noexcept:
    # Who computes, and what they ask while they do.
    plan.threads = 1 if alone and PyThread_get_thread_ident() in alone else threads
    plan.poll = poll


def work_alone(unsigned long thread, bint yes):
    if yes:
        alone.add(thread)
    else:
        alone.discard(thread)


def stop(unsigned long thread):
    stopped.add(thread)


def may_go_on(unsigned long thread):
    stopped.discard(thread)
