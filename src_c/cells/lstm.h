/* The LSTM entries of the API; their contracts stand in fastrnn.h. */
#ifndef FRNN_LSTM_H
#define FRNN_LSTM_H

#include "fastrnn.h"

extern const frnn_cell frnn_lstm;

#endif
