/* Rows of a masked batch by the number of their active steps. */
#ifndef FRNN_CELLS_ORDER_H
#define FRNN_CELLS_ORDER_H

#include "fastrnn.h"

/* An entry of the API; its contract stands in fastrnn.h. */
frnn_status frnn_order_rows(size_t B, size_t T, const uint8_t *mask, size_t *order, size_t *scratch, int *pays);

#endif
