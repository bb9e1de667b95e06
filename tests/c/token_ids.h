/* Tokens that come as ids. */
#ifndef TOKEN_IDS_H
#define TOKEN_IDS_H

#include <stddef.h>
#include <stdint.h>

/* Ids (B, T) below V in guarded memory, frozen; what is masked has an impossible one. `one_hot` (B, T, V), which holds
 * zeros, gets the rows that they stand for. */
const intptr_t *random_ids(size_t B, size_t T, size_t V, const uint8_t *mask, double *one_hot);

#endif
