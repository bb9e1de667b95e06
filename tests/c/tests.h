/* The groups of checks. Each runs on one instruction set's kernels for one element type. */
#ifndef TESTS_H
#define TESTS_H

#include "fastrnn.h"

extern const frnn_api *api;

static inline const char *type_name(frnn_dtype dtype) { return dtype == FRNN_F32 ? "float" : "double"; }

static inline const char *activation_name(frnn_activation activation) {
    static const char *const names[] = {"linear", "relu", "tanh", "sigmoid"};
    return names[activation];
}

static inline size_t type_size(frnn_dtype dtype) { return dtype == FRNN_F32 ? sizeof(float) : sizeof(double); }

static inline double get(frnn_dtype dtype, const void *array, size_t i) {
    return dtype == FRNN_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

static inline void put(frnn_dtype dtype, void *array, size_t i, double value) {
    if (dtype == FRNN_F32) ((float *)array)[i] = (float)value;
    else ((double *)array)[i] = value;
}

typedef enum effort { QUICK, FULL } effort;

void test_tables(void); /* the only group that is not about one instruction set */
void test_activations(const frnn_kernels *kernels, effort effort);
void test_arguments(const frnn_kernels *kernels);
void test_sizes(const frnn_kernels *kernels);
/* Results, bits and memory, with one thread. */
void test_simple_rnn(const frnn_kernels *kernels, effort effort);
/* The same with several, with callers at the same time, in a forked child. */
void test_threads(const frnn_kernels *kernels, effort effort);
void test_interruption(const frnn_kernels *kernels);
/* The same three of GRU and LSTM. */
void test_gated(const frnn_kernels *kernels, effort effort);
void test_gated_threads(const frnn_kernels *kernels, effort effort);
void test_gated_interruption(const frnn_kernels *kernels);
void test_dense(const frnn_kernels *kernels, effort effort);
void test_dense_threads(const frnn_kernels *kernels, effort effort);

#endif
