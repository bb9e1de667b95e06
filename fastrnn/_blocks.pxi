# Blocks of memory for a call's results and scratch.
#
# Fresh memory is dear: the system clears it page by page when it is first touched, which may take longer than computing
# what is written there. So large blocks lie on large pages, where there are any, and some freed blocks wait for the
# next call, which mostly wants the very sizes of the last. The caller holds the GIL.

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/mman.h>
    static void prefer_large_pages(void *memory, size_t bytes) { madvise(memory, bytes, MADV_HUGEPAGE); }
    #else
    static void prefer_large_pages(void *memory, size_t bytes) { (void)memory, (void)bytes; }
    #endif
    """
    void prefer_large_pages(void *memory, size_t bytes)

cdef extern from "stdlib.h":
    int posix_memalign(void **memory, size_t alignment, size_t bytes)

cdef struct block:
    void *memory
    size_t bytes

cdef enum:
    CACHE_LINE = 64
    LARGE_PAGE = 2 * 1024 * 1024
    LEAST_SPARE = 32 * 1024  # smaller blocks are malloc's own business, and smaller arrays NumPy's
    SPARE = 16  # blocks kept,
    MOST_AXES = 32

cdef size_t MOST_SPARE = 256 * 1024 * 1024  # and bytes in all

cdef block[SPARE] spare  # the one that has waited longest comes first
cdef int spares = 0
cdef size_t spare_bytes = 0


cdef block take_spare(int i) noexcept:
    global spares, spare_bytes
    cdef block taken = spare[i]
    spares -= 1
    spare_bytes -= taken.bytes
    memmove(&spare[i], &spare[i + 1], (spares - i) * sizeof(block))
    return taken


cdef bint find_memory(block *b) noexcept:
    # NULL if there is none.
    b.memory = NULL
    if b.bytes > <size_t> PY_SSIZE_T_MAX - LARGE_PAGE:
        return False
    if posix_memalign(&b.memory, LARGE_PAGE if b.bytes >= LARGE_PAGE else CACHE_LINE, b.bytes):
        b.memory = NULL
        return False
    if b.bytes >= LARGE_PAGE:
        prefer_large_pages(b.memory, b.bytes)
    return True


def free_spare():
    freed = spare_bytes
    while spares:
        free(take_spare(0).memory)
    return freed


cdef int allocate(block *b, size_t bytes) except -1:
    # Also nothing at all gets an address.
    cdef int i, best = -1
    for i in range(spares):
        if bytes <= spare[i].bytes <= 2 * bytes and (best < 0 or spare[i].bytes < spare[best].bytes):
            best = i
    if best >= 0:
        b[0] = take_spare(best)
        return 0
    b.bytes = bytes + 1
    if not find_memory(b) and (free_spare() == 0 or not find_memory(b)):
        raise MemoryError(f"could not allocate {bytes} bytes")
    return 0


cdef void give_back(block *b) noexcept:
    global spares, spare_bytes
    if b.memory == NULL or b.bytes < LEAST_SPARE or b.bytes > MOST_SPARE // 2:
        free(b.memory)
        return
    while spares == SPARE or spare_bytes + b.bytes > MOST_SPARE:
        free(take_spare(0).memory)
    spare[spares] = b[0]
    spares += 1
    spare_bytes += b.bytes


cdef enum:
    ROOM = 512  # words on the stack

cdef struct scratch:
    # Memory for a call: on the stack, if it is little.
    size_t[ROOM] room
    block allocated
    void *memory


cdef int take_scratch(scratch *s, size_t bytes) except -1:
    s.allocated.memory = NULL
    s.memory = <void *> ((<uintptr_t> s.room + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)
    if bytes > sizeof(s.room) - CACHE_LINE:
        allocate(&s.allocated, bytes)
        s.memory = s.allocated.memory
    return 0


@cython.final
cdef class Memory:
    cdef block block
    cdef Py_ssize_t bytes

    def __cinit__(self, Py_ssize_t bytes):
        if bytes < 0:
            raise ValueError(f"bytes must not be negative, got {bytes}")
        self.bytes = bytes
        allocate(&self.block, bytes)

    def __dealloc__(self):
        give_back(&self.block)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.block.memory, self.bytes, False, flags)


cpdef object empty(tuple shape, dtype):
    # One that is not small starts with a cache line, so that vectors do not straddle two.
    cdef Py_ssize_t n, bytes = dtype.itemsize
    cdef Py_ssize_t[MOST_AXES] sizes
    cdef int axes = 0
    if len(shape) > MOST_AXES:
        raise ValueError(f"an array of shape {shape} has too many axes")
    for n in shape:
        if n > 0 and bytes > PY_SSIZE_T_MAX // n:
            raise MemoryError(f"could not allocate an array of shape {shape}")
        bytes *= n
        sizes[axes] = n
        axes += 1
    return PyArray_SimpleNew(axes, sizes, dtype.num) if bytes < LEAST_SPARE else ndarray(shape, dtype, Memory(bytes))
