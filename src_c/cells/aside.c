#include "cells/aside.h"

/* Of wh: smaller ones are in the nearest cache. */
static const double LEAST_BYTES = 16 * 1024;
/* Of a member's columns: fewer do not make the widest tile. */
enum { LEAST_PANELS = 4 };

int frnn_goes_aside(const frnn_plan *plan, const frnn_tape *tape, size_t gates, size_t columns, size_t members) {
    const frnn_kernels *k = plan->kernels;
    const double row = (double)gates * (double)plan->H * (double)k->size;
    if (k->aside == 0 || plan->B != 1 || plan->T <= k->aside || plan->I == 0 || tape->table) return 0;
    return frnn_panels(k, columns) / members >= LEAST_PANELS && (double)plan->H * row > LEAST_BYTES
           && (double)(plan->I + plan->H) * row <= (double)k->aside_bytes();
}

void frnn_put_aside(frnn_work_aside *work, const frnn_kernels *k, const void *b, size_t K, size_t N, const void *start,
                    frnn_range panels) {
    const size_t i = work->count++;
    work->products[i] = (frnn_product){.term = {{work->a, b, K}},
                                       .start = start,
                                       .c = work->c[i],
                                       .rows = k->aside,
                                       .N = N,
                                       .first = panels.first,
                                       .last = frnn_most(panels.first, frnn_least(panels.last, N / k->panel)),
                                       .activation = FRNN_LINEAR};
    work->last[i] = panels.last;
    work->aside = (frnn_aside){.product = work->products, .end = work->products + work->count};
}

/* The rest of a panel of which so many k are done. */
static int finish_panel(frnn_team *team, size_t member, const frnn_kernels *k, const frnn_product *product,
                        size_t done) {
    const frnn_term *whole = product->term;
    const void *a[FRNN_MOST_ASIDE];
    frnn_product rest = *product;
    for (size_t i = 0; i < rest.rows; i++) a[i] = (const char *)whole->a[i] + done * k->size;
    rest.term[0] = (frnn_term){
        .a = a, .b = (const char *)whole->b + done * k->panel * k->size, .K = whole->K - done, .apart = whole->K};
    rest.last = rest.first + 1;
    rest.start = NULL;
    return frnn_multiply(team, member, k, &rest);
}

int frnn_finish_aside(frnn_team *team, size_t member, const frnn_kernels *k, frnn_work_aside *work) {
    const frnn_aside *aside = &work->aside;
    if (aside->k > 0 && finish_panel(team, member, k, aside->product, aside->k)) return 1;
    if (aside->k > 0) aside->product->first++;
    for (size_t i = 0; i < work->count; i++) {
        frnn_product *product = &work->products[i];
        product->last = work->last[i];
        if (product->first < product->last && frnn_multiply(team, member, k, product)) return 1;
    }
    return 0;
}
