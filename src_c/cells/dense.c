/* y = act(x w + b): what stands beside recurrent layers, a head or the table of an embedding.
 *
 * Back, dz = dy act'(z), dx = dz w^T, dw = x^T dz and db = the sum of dz. Members own rows; the gradients of the weights
 * are shared out by their elements, as those of recurrent layers are. */
#include "cells/dense.h"

#include <string.h>

#include "cells/gates.h"
#include "cells/outer_sums.h"
#include "cells/packing.h"
#include "cells/sequence.h"

/* Rows that are multiplied with w as it stands: packing it would take longer than reading it so often. */
enum { FEW_ROWS = 3 };
/* And rows of it between two looks at whether to stop. */
enum { ROWS_AT_ONCE = 64 };

typedef struct job {
    const frnn_plan *plan;
    const frnn_dense *dense;
    char *w, *w_t, *b; /* packed, its packed transpose, and with padding; w_t if dx is wanted */
    char *dz;          /* (B, H), unless it is dy */
    char *zeros;       /* whole panels over I */
    const char **x;    /* (B,): rows */
    char **y, **to;
    const char **dz_rows;
    frnn_outer_sums sums;
} job;

static size_t padded(const frnn_kernels *k, size_t columns, frnn_layout *l) {
    return frnn_times(l, frnn_panels(k, columns), k->panel);
}

static int is_backward(const frnn_dense *dense) { return dense->dw != NULL; }

static int are_few(const frnn_plan *plan) { return plan->B <= FEW_ROWS; }

static job lay_out(const frnn_plan *plan, const frnn_dense *dense, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const int back = is_backward(dense), differs = plan->activation != FRNN_LINEAR;
    const int packs = back ? dense->dx != NULL : !are_few(plan);
    job j = {.plan = plan, .dense = dense};
    j.w = frnn_take(l, packs ? frnn_times(l, padded(k, plan->H, l), plan->I) : 0, k->size);
    j.x = frnn_take(l, plan->B, sizeof *j.x);
    if (!back) {
        j.b = frnn_take(l, packs ? padded(k, plan->H, l) : 0, k->size);
        j.y = frnn_take(l, plan->B, sizeof *j.y);
        return j;
    }
    j.w_t = frnn_take(l, dense->dx ? frnn_times(l, padded(k, plan->I, l), plan->H) : 0, k->size);
    j.zeros = frnn_take(l, dense->dx ? padded(k, plan->I, l) : 0, k->size);
    j.y = frnn_take(l, differs ? plan->B : 0, sizeof *j.y);
    j.to = frnn_take(l, plan->B, sizeof *j.to);
    j.dz_rows = frnn_take(l, plan->B, sizeof *j.dz_rows);
    j.dz = frnn_take(l, differs ? frnn_times(l, plan->B, plan->H) : 0, k->size);
    j.sums = frnn_lay_out_outer_sums(plan, 1, plan->I, 0, plan->H, plan->H, dense->dw, NULL, dense->db, NULL, 0, l);
    return j;
}

/* A member's part of w. */
static void pack(const job *j, const frnn_team *team, size_t member) {
    const frnn_plan *plan = j->plan;
    const frnn_gate_matrix w = {j->dense->w, plan->I, plan->H, 1, plan->H, j->w};
    frnn_pack_gates(team, member, plan->kernels, &w, FRNN_USED_NOW);
}

/* x w + start for some rows. */
static int multiply(const job *j, frnn_team *team, size_t member, frnn_range rows, const char **x, size_t K,
                    const void *w, const void *start, char **to, size_t N, frnn_activation activation) {
    const frnn_kernels *k = j->plan->kernels;
    const frnn_term term = {.a = (const void *const *)x + rows.first, .b = w, .K = K};
    return frnn_multiply(team, member, k,
                         &(frnn_product){.term = {term},
                                         .start = start,
                                         .c = (void *const *)to + rows.first,
                                         .rows = rows.last - rows.first,
                                         .N = N,
                                         .last = frnn_panels(k, N),
                                         .activation = activation});
}

static void list(const void *array, size_t row, frnn_range rows, const char **list) {
    for (size_t i = rows.first; i < rows.last; i++) list[i] = (const char *)array + i * row;
}

/* Few rows: members share the columns. */
static void forward_columns(frnn_team *team, size_t member, void *given) {
    const job *j = given;
    const frnn_plan *plan = j->plan;
    const frnn_dense *dense = j->dense;
    const frnn_kernels *k = plan->kernels;
    const frnn_range columns = frnn_part_of_groups(plan->H, k->panel, frnn_team_size(team), member);
    const size_t n = columns.last - columns.first, offset = columns.first * k->size;
    const char *const w = (const char *)dense->w + offset;
    for (size_t i = 0; i < plan->B; i++) {
        const char *const x = (const char *)dense->x + i * plan->I * k->size;
        char *const y = (char *)dense->y + i * plan->H * k->size + offset;
        if (dense->b) memcpy(y, (const char *)dense->b + offset, n * k->size);
        else memset(y, 0, n * k->size);
        for (size_t first = 0, last; first < plan->I; first = last) {
            last = frnn_least(first + ROWS_AT_ONCE, plan->I);
            k->combine(n, last - first, x + first * k->size, w + first * plan->H * k->size, plan->H, y);
            if (frnn_worked(team, member, (double)n * (double)(last - first))) return;
        }
        k->activate(plan->activation, n, y, y);
    }
}

static void forward_rows(frnn_team *team, size_t member, void *given) {
    const job *j = given;
    const frnn_plan *plan = j->plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_range rows = frnn_part(plan->B, frnn_team_size(team), member);
    pack(j, team, member);
    list(j->dense->x, plan->I * k->size, rows, j->x);
    list(j->dense->y, plan->H * k->size, rows, (const char **)j->y);
    if (frnn_barrier(team)) return;
    multiply(j, team, member, rows, j->x, plan->I, j->w, j->b, j->y, plan->H, plan->activation);
}

static void backward_member(frnn_team *team, size_t member, void *given) {
    const job *j = given;
    const frnn_plan *plan = j->plan;
    const frnn_dense *dense = j->dense;
    const frnn_kernels *k = plan->kernels;
    const size_t row = plan->H * k->size;
    const frnn_range rows = frnn_part(plan->B, frnn_team_size(team), member);
    list(dense->x, plan->I * k->size, rows, j->x);
    list(dense->dy, row, rows, j->dz_rows);
    if (plan->activation != FRNN_LINEAR) {
        const size_t first = rows.first;
        list(dense->y, row, rows, (const char **)j->y);
        list(j->dz, row, rows, (const char **)j->to);
        k->differentiate(plan->activation, rows.last - first, 0, plan->H, (const void *const *)j->dz_rows + first, NULL,
                         (const void *const *)j->y + first, (void *const *)j->to + first);
        list(j->dz, row, rows, j->dz_rows);
    }
    if (dense->dx) {
        pack(j, team, member);
        if (frnn_barrier(team)) return;
        if (frnn_transpose(team, member, k, plan->I, plan->H, j->w, NULL, plan->H, FRNN_USED_NOW, j->w_t)) return;
        list(dense->dx, plan->I * k->size, rows, (const char **)j->to);
    }
    if (frnn_barrier(team)) return;
    if (dense->dx
        && multiply(j, team, member, rows, j->dz_rows, plan->H, j->w_t, j->zeros, j->to, plan->I, FRNN_LINEAR))
        return;
    frnn_add_outer_products(team, member, &j->sums, 1, plan->B, plan->B, (const void *const *)j->x, NULL,
                            (const void *const *)j->dz_rows);
}

frnn_status frnn_dense_scratch_size(const frnn_plan *plan, const frnn_dense *dense, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !dense || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out(plan, dense, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

/* y is needed either way, but for the way back through a linear activation. */
static int is_complete(const frnn_plan *plan, const frnn_dense *d) {
    if (!d || (plan->I && (!d->w || (plan->B && !d->x)))) return 0;
    return !plan->B || d->y || (is_backward(d) && plan->activation == FRNN_LINEAR);
}

static double work(const frnn_plan *plan) { return (double)plan->B * (double)plan->I * (double)plan->H; }

frnn_status frnn_dense_forward(const frnn_plan *plan, const frnn_dense *dense, void *scratch) {
    if (!frnn_is_sound(plan) || !is_complete(plan, dense) || dense->dw || !scratch) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    job j = lay_out(plan, dense, &l);
    if (are_few(plan)) return frnn_run(plan, work(plan), forward_columns, &j);
    const size_t size = plan->kernels->size, columns = frnn_panels(plan->kernels, plan->H) * plan->kernels->panel;
    memset(j.b, 0, columns * size);
    if (dense->b) memcpy(j.b, dense->b, plan->H * size);
    return frnn_run(plan, work(plan), forward_rows, &j);
}

frnn_status frnn_dense_backward(const frnn_plan *plan, const frnn_dense *dense, void *scratch) {
    if (!frnn_is_sound(plan) || !is_complete(plan, dense) || !scratch) return FRNN_ERR_ARGUMENT;
    if (!dense->dw || (plan->B && !dense->dy)) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    job j = lay_out(plan, dense, &l);
    const size_t size = plan->kernels->size, columns = frnn_panels(plan->kernels, plan->I) * plan->kernels->panel;
    if (dense->dx) memset(j.zeros, 0, columns * size);
    frnn_begin_outer_sums(&j.sums);
    const frnn_status status = frnn_run(plan, (dense->dx ? 2 : 1) * work(plan), backward_member, &j);
    frnn_end_outer_sums(&j.sums);
    return status;
}
