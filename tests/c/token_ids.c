#include "token_ids.h"

#include "check.h"
#include "guard.h"

const intptr_t *random_ids(size_t B, size_t T, size_t V, const uint8_t *mask, double *one_hot) {
    intptr_t *ids = guard_take(B * T * sizeof *ids, sizeof *ids);
    for (size_t i = 0; i < B * T; i++) {
        ids[i] = mask && !mask[i] ? INTPTR_MAX / 2 : (intptr_t)random_below(V);
        if (!mask || mask[i]) one_hot[i * V + (size_t)ids[i]] = 1;
    }
    guard_freeze(ids);
    return ids;
}
