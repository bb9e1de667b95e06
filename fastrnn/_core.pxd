# For Cython code in other packages: the C API of the loaded library, without linking to it.
#
#     from fastrnn._cfastrnn cimport frnn_api
#     from fastrnn._core cimport get_api
#     cdef const frnn_api *fastrnn = get_api()
from fastrnn._cfastrnn cimport frnn_api

cdef const frnn_api *get_api() noexcept nogil
