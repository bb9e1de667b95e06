# What holds for the whole process: instruction set and number of threads.

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
