#include "runtime/sizes.h"

void *frnn_take(frnn_layout *l, size_t count, size_t size) {
    const size_t start = l->used, bytes = frnn_plus(l, frnn_times(l, count, size), FRNN_ALIGNMENT - 1);
    l->used = frnn_plus(l, start, bytes / FRNN_ALIGNMENT * FRNN_ALIGNMENT);
    return l->memory ? l->memory + start : NULL;
}
