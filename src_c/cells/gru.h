/* The GRU entries of the API; their contracts stand in fastrnn.h. */
#ifndef FRNN_GRU_H
#define FRNN_GRU_H

#include "fastrnn.h"

extern const frnn_cell frnn_gru;

#endif
