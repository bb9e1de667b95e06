/* Opening and closing a region of code compiled for more than the base architecture. System headers must be
 * included before a region opens. Usage: FRNN_REGION_BEGIN("avx2,fma") ... FRNN_REGION_END */
#ifndef FRNN_REGION_H
#define FRNN_REGION_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"

#define FRNN_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FRNN_REGION_BEGIN(features) \
    FRNN_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define FRNN_REGION_END FRNN_PRAGMA(clang attribute pop)
#else
#define FRNN_REGION_BEGIN(features) FRNN_PRAGMA(GCC push_options) FRNN_PRAGMA(GCC target(features))
#define FRNN_REGION_END FRNN_PRAGMA(GCC pop_options)
#endif

#endif
