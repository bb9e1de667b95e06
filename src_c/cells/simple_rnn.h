/* The SimpleRNN entries of the API; their contracts stand in fastrnn.h. */
#ifndef FRNN_SIMPLE_RNN_H
#define FRNN_SIMPLE_RNN_H

#include "fastrnn.h"

frnn_status frnn_simple_rnn_prepared_size(const frnn_plan *plan, size_t *bytes);
frnn_status frnn_simple_rnn_prepare(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                    void *prepared);
frnn_status frnn_simple_rnn_prepared_from(const frnn_plan *plan, const void *wx, const void *wh, const void *b,
                                          const void *prepared, int *same);
frnn_status frnn_simple_rnn_forward_scratch_size(const frnn_plan *plan, const frnn_tape *tape, size_t *bytes);
frnn_status frnn_simple_rnn_forward(const frnn_plan *plan, const frnn_tape *tape, void *h_last, void *scratch);
frnn_status frnn_simple_rnn_backward_steps(const frnn_plan *plan, size_t *steps);
frnn_status frnn_simple_rnn_backward_scratch_size(const frnn_plan *plan, const frnn_tape *tape,
                                                  const frnn_gradients *gradients, size_t *bytes);
frnn_status frnn_simple_rnn_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                     void *scratch);

/* The same as a cell like the others. */
extern const frnn_cell frnn_simple_rnn;

#endif
