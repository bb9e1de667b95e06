#include "cells/aside.h"

#include "cells/gates.h"

/* Of wh: smaller ones are in the nearest cache. */
static const double LEAST_BYTES = 16 * 1024;
/* Of a member's columns: fewer do not make the widest tile. */
enum { LEAST_PANELS = 4 };

int frnn_goes_aside(const frnn_plan *plan, const frnn_tape *tape, size_t gates) {
    const frnn_kernels *k = plan->kernels;
    const double row = (double)gates * (double)plan->H * (double)k->size;
    if (k->aside == 0 || plan->B != 1 || plan->T <= k->aside || plan->I == 0 || tape->mask || tape->table) return 0;
    return frnn_panels(k, plan->H) * gates / frnn_most_members(plan) >= LEAST_PANELS
           && (double)plan->H * row > LEAST_BYTES && (double)(plan->I + plan->H) * row <= (double)k->aside_bytes;
}

int frnn_begin_aside(const frnn_forward *f, const frnn_share *share, size_t step, frnn_next_chunk *next) {
    const frnn_plan *plan = f->plan;
    const frnn_kernels *k = plan->kernels;
    const size_t steps = frnn_least(plan->T - step, f->chunk);
    size_t count = 0, column = 0;
    if (2 * steps < f->chunk) return 0;
    for (size_t i = 0; i < f->chunk; i++) next->x[i] = frnn_x_at(plan, f->tape, 0, step + frnn_least(i, steps - 1));
    for (const frnn_projection *p = f->projections; p < f->projections + 2 && p->gates; p++, count++) {
        const size_t columns = p->gates * plan->H;
        const frnn_range panels = frnn_gate_panels(k, plan->H, p->gates, share->panels);
        void **const z = next->z[count];
        for (size_t i = 0; i < f->chunk; i++)
            z[i] = (i < steps ? frnn_at(&f->z, 0, step + i) : f->no_z) + column * k->size;
        next->products[count] = (frnn_product){.term = {{next->x, p->wx, plan->I}},
                                               .start = p->start,
                                               .c = z,
                                               .rows = f->chunk,
                                               .N = columns,
                                               .first = panels.first,
                                               .last = frnn_least(panels.last, columns / k->panel),
                                               .activation = FRNN_LINEAR};
        next->last[count] = panels.last;
        column += columns;
    }
    next->aside = (frnn_aside){.product = next->products, .end = next->products + count};
    return 1;
}

/* The rest of a panel of which so many k are done. */
static int finish_panel(frnn_team *team, size_t member, const frnn_kernels *k, const frnn_product *product,
                        size_t done) {
    const frnn_term *whole = product->term;
    const void *x[FRNN_MOST_ASIDE];
    frnn_product rest = *product;
    for (size_t i = 0; i < rest.rows; i++) x[i] = (const char *)whole->a[i] + done * k->size;
    rest.term[0] = (frnn_term){
        .a = x, .b = (const char *)whole->b + done * k->panel * k->size, .K = whole->K - done, .apart = whole->K};
    rest.last = rest.first + 1;
    rest.start = NULL;
    return frnn_multiply(team, member, k, &rest);
}

int frnn_finish_aside(const frnn_forward *f, frnn_team *team, size_t member, frnn_next_chunk *next) {
    const frnn_kernels *k = f->plan->kernels;
    const frnn_aside *aside = &next->aside;
    if (aside->k > 0 && finish_panel(team, member, k, aside->product, aside->k)) return 1;
    if (aside->k > 0) aside->product->first++;
    for (frnn_product *p = next->products; p < aside->end; p++) {
        p->last = next->last[p - next->products];
        if (p->first < p->last && frnn_multiply(team, member, k, p)) return 1;
    }
    return 0;
}
