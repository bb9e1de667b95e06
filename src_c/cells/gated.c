#include "cells/gated.h"

#include <string.h>

#include "cells/gates.h"
#include "cells/packing.h"

/* Bytes of gates that the cell's equations find in the nearest cache. */
static const size_t NEAR_BYTES = 20 * 1024;
/* Weights that a step can go through without the help of a projection. */
static const size_t FUSED_BYTES = 512 * 1024;

/* ---- prepared weights ---- */

static size_t padded_columns(const frnn_kernels *k, size_t columns, frnn_layout *l) {
    return frnn_times(l, frnn_panels(k, columns), k->panel);
}

static frnn_gated_part lay_out_part(const frnn_plan *plan, size_t gates_x, size_t gates, frnn_layout *l) {
    const size_t row_x = padded_columns(plan->kernels, frnn_times(l, gates_x, plan->H), l);
    const size_t row = padded_columns(plan->kernels, frnn_times(l, gates, plan->H), l), size = plan->kernels->size;
    frnn_gated_part p = {.gates_x = gates_x, .gates = gates};
    p.b = frnn_take(l, row_x, size);
    p.b_h = frnn_take(l, row, size);
    p.wx = frnn_take(l, frnn_times(l, row_x, plan->I), size);
    p.wh = frnn_take(l, frnn_times(l, row, plan->H), size);
    return p;
}

static frnn_gated_weights lay_out_weights(const frnn_gated *cell, const frnn_plan *plan, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t together_x = plan->H <= k->panel ? cell->gates : cell->together;
    frnn_gated_weights w;
    w.together = lay_out_part(plan, together_x, cell->together, l);
    w.candidate = lay_out_part(plan, cell->gates - together_x, cell->gates - cell->together, l);
    w.start = frnn_take(l, padded_columns(k, frnn_times(l, together_x, plan->H), l), k->size);
    return w;
}

static frnn_gated_weights weights_in(const frnn_gated *cell, const frnn_plan *plan, const void *prepared) {
    frnn_layout l = {.memory = (char *)prepared};
    return lay_out_weights(cell, plan, &l);
}

/* The user's matrices and where they are packed. */
enum { MATRICES = 8 };
typedef struct matrices {
    frnn_gate_matrix from[MATRICES];
    char *packed[MATRICES];
} matrices;

static matrices matrices_of(const frnn_gated *cell, const frnn_plan *plan, const char *wx, const char *wh,
                            const char *b, const void *prepared) {
    const frnn_gated_weights w = weights_in(cell, plan, prepared);
    const size_t H = plan->H, columns = cell->gates * H, size = plan->kernels->size;
    const char *const b_h = b && cell->has_u ? b + columns * size : NULL;
    matrices m;
    for (int i = 0; i < MATRICES; i += MATRICES / 2) {
        const frnn_gated_part part = i ? w.candidate : w.together;
        const size_t at = i ? cell->together * H * size : 0;
        m.from[i] = (frnn_gate_matrix){b ? b + at : NULL, 1, H, part.gates_x, columns}, m.packed[i] = part.b;
        m.from[i + 1] = (frnn_gate_matrix){b_h ? b_h + at : NULL, 1, H, part.gates, columns},
                   m.packed[i + 1] = part.b_h;
        m.from[i + 2] = (frnn_gate_matrix){wx ? wx + at : NULL, plan->I, H, part.gates_x, columns};
        m.packed[i + 2] = part.wx;
        m.from[i + 3] = (frnn_gate_matrix){wh + at, H, H, part.gates, columns}, m.packed[i + 3] = part.wh;
    }
    return m;
}

frnn_status frnn_gated_prepared_size(const frnn_gated *cell, const frnn_plan *plan, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_weights(cell, plan, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

frnn_status frnn_gated_prepare(const frnn_gated *cell, const frnn_plan *plan, const void *wx, const void *wh,
                               const void *b, void *prepared) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared) return FRNN_ERR_ARGUMENT;
    const matrices m = matrices_of(cell, plan, wx, wh, b, prepared);
    const frnn_gated_weights w = weights_in(cell, plan, prepared);
    const frnn_kernels *k = plan->kernels;
    for (int i = 0; i < MATRICES; i++) frnn_pack_gates(k, &m.from[i], m.packed[i]);
    memcpy(w.start, w.together.b, frnn_panels(k, w.together.gates_x * plan->H) * k->panel * k->size);
    k->add(cell->together * plan->H, 1, w.together.b_h, 0, w.start); /* the others come after these */
    return FRNN_OK;
}

frnn_status frnn_gated_prepared_from(const frnn_gated *cell, const frnn_plan *plan, const void *wx, const void *wh,
                                     const void *b, const void *prepared, int *same) {
    if (!frnn_is_sound(plan) || (!wx && plan->I) || !wh || !prepared || !same) return FRNN_ERR_ARGUMENT;
    const matrices m = matrices_of(cell, plan, wx, wh, b, prepared);
    *same = 1;
    for (int i = 0; i < MATRICES && *same; i++)
        *same = frnn_are_gates_packed_from(plan->kernels, &m.from[i], m.packed[i]);
    return FRNN_OK;
}

/* ---- forward ---- */

frnn_status frnn_gated_kept(const frnn_gated *cell, const frnn_plan *plan, size_t *elements) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !elements) return FRNN_ERR_ARGUMENT;
    *elements = frnn_pitch(plan, frnn_times(&l, cell->kept, plan->H));
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

/* A member's lists of rows. */
enum { GATES, CANDIDATE, U, C, NEXT_C, STATE_C, DROPOUT, RH, DROPPED, FORWARD_LISTS = DROPPED + FRNN_MOST_GATES };

static char **list(const frnn_gated_forward *f, size_t member, size_t which) {
    return f->lists + (member * FORWARD_LISTS + which) * f->common.plan->B;
}

/* The gates of one block of units in one row. */
static size_t block_elements(const frnn_gated *cell, const frnn_plan *plan) {
    return (cell->gates + (size_t)cell->has_u) * plan->kernels->panel;
}

/* Whether a step computes x wx too, which halves the tiles and makes each twice as long. Pays when a step's rows fill a
 * tile and all weights stay in the second-level cache. */
static int is_fused(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape) {
    const size_t room = FUSED_BYTES / plan->kernels->size / cell->gates / plan->H;
    const frnn_gated_part w = weights_in(cell, plan, NULL).together;
    return plan->B / frnn_most_members(plan) >= plan->kernels->tile && plan->I <= room && plan->H <= room - plan->I
           && w.gates_x == w.gates && !tape->dropout && !tape->table;
}

/* Elements of the gates that are computed together. */
static size_t near_elements(const frnn_gated *cell, const frnn_plan *plan) {
    return frnn_most(NEAR_BYTES / plan->kernels->size, block_elements(cell, plan));
}

static frnn_gated_forward lay_out_forward(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                          frnn_layout *l) {
    const size_t size = plan->kernels->size, threads = frnn_most_members(plan);
    const size_t states = frnn_times(l, plan->B, plan->H);
    frnn_gated_forward f = {.common = frnn_lay_out_forward(plan, tape, cell->gates, l),
                            .cell = cell,
                            .w = weights_in(cell, plan, tape->prepared),
                            .fused = is_fused(cell, plan, tape)};
    /* A candidate with r h' is computed when all gates are there. */
    const int near = f.fused && !tape->gates && !cell->has_rh;
    const size_t steps = near ? 0 : f.fused ? 1 : f.common.steps, tokens = frnn_times(l, steps, plan->B);
    const size_t width = frnn_pitch(plan, frnn_times(l, cell->gates, plan->H));
    f.common.projections[0] = (frnn_projection){f.w.together.wx, f.w.start, f.w.together.gates_x};
    f.common.projections[1] = (frnn_projection){f.w.candidate.wx, f.w.candidate.b, f.w.candidate.gates_x};
    f.common.z = tape->gates ? frnn_dense_place(plan, frnn_most(plan->T, 1),
                                                frnn_pitch(plan, frnn_times(l, cell->kept, plan->H)), tape->gates)
                             : frnn_dense_place(plan, frnn_most(steps, 1), width,
                                                frnn_take(l, frnn_times(l, tokens, width), size));
    f.c = frnn_take(l, cell->has_c ? states : 0, size);
    f.dropped = frnn_take(l, tape->dropout ? frnn_times(l, cell->gates, states) : 0, size);
    f.rh = frnn_take(l, cell->has_rh ? states : 0, size);
    f.u = frnn_take(l, cell->has_u && !tape->gates && !near ? states : 0, size);
    if (near) f.near = frnn_take(l, frnn_times(l, threads, near_elements(cell, plan)), size);
    f.other = frnn_take(l, tape->dropout ? frnn_times(l, threads, block_elements(cell, plan)) : 0, size);
    f.lists = frnn_take(l, frnn_times(l, frnn_times(l, threads, FORWARD_LISTS), plan->B), sizeof *f.lists);
    return f;
}

frnn_status frnn_gated_forward_scratch_size(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                            size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !tape || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_forward(cell, plan, tape, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

/* Some rows and blocks of a step. */
typedef struct piece {
    size_t row, rows, first, last;
} piece;

/* A product for the piece. */
static int multiply(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s, const piece *p,
                    const frnn_gated_product *m, frnn_ahead *ahead) {
    const frnn_plan *plan = f->common.plan;
    const frnn_range panels = frnn_gate_panels(plan->kernels, plan->H, m->gates, (frnn_range){p->first, p->last});
    frnn_product product = {.start = m->start,
                            .ahead = ahead,
                            .c = m->c + p->row,
                            .rows = p->rows,
                            .N = m->gates * plan->H,
                            .first = panels.first,
                            .last = panels.last,
                            .activation = FRNN_LINEAR,
                            .backwards = s->step % 2};
    const int of_zeros = s->step == 0 && !f->common.tape->h0 && m->a == (void *const *)s->h; /* they add nothing */
    if (m->wx) product.term[0] = (frnn_term){(const void *const *)s->x + p->row, m->wx, plan->I};
    if (m->wh && !of_zeros)
        product.term[m->wx ? 1 : 0] = (frnn_term){(const void *const *)m->a + p->row, m->wh, plan->H};
    else if (!m->wx && !m->start) return 0;
    return frnn_multiply(team, member, plan->kernels, product);
}

/* The same where each gate has left-hand rows of its own: panel by panel, and in a last block, where panels hold parts of
 * several gates, all of them for every gate, of which only its own columns are used. */
static int multiply_dropped(const frnn_gated_forward *f, frnn_team *team, size_t member, const piece *p,
                            const frnn_gated_product *m) {
    const frnn_plan *plan = f->common.plan;
    const frnn_kernels *k = plan->kernels;
    for (size_t j = 0; j < m->gates; j++)
        for (size_t block = p->first; block < p->last; block++) {
            const size_t width = frnn_least(plan->H - block * k->panel, k->panel), first = block * m->gates;
            const int whole = width == k->panel || m->gates == 1;
            const size_t columns = m->gates * width, begin = first * k->panel * k->size;
            void *const *const a = (void *const *)list(f, member, DROPPED + m->gate + j) + p->row;
            char *const other = f->other + member * block_elements(f->cell, plan) * k->size;
            frnn_product product = {.term = {{(const void *const *)a, m->wh, plan->H}},
                                    .start = m->start,
                                    .c = m->c + p->row,
                                    .rows = p->rows,
                                    .N = m->gates * plan->H,
                                    .first = first + j,
                                    .last = first + j + 1,
                                    .activation = FRNN_LINEAR};
            if (whole && frnn_multiply(team, member, k, product)) return 1;
            for (size_t i = 0; i < p->rows && !whole; i++) {
                char *const c = (char *)m->c[p->row + i] + begin;
                memcpy(other, c, columns * k->size);
                product.term[0] = (frnn_term){(const void *const *)a + i, m->wh + begin * plan->H, plan->H};
                product.c = (void *const[]){other};
                product.rows = 1, product.N = columns;
                product.first = 0, product.last = frnn_panels(k, columns);
                if (frnn_multiply(team, member, k, product)) return 1;
                memcpy(c + j * width * k->size, other + j * width * k->size, width * k->size);
            }
        }
    return 0;
}

static void claim(char *to, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(to + i, 1, 3);
}

/* Asks for the places where products and equations will write: outputs and, unless it is scratch memory, the tape. */
static void claim_rows(const frnn_gated_forward *f, const piece *p, const frnn_gated_rows *rows) {
    const frnn_plan *plan = f->common.plan;
    const size_t size = plan->kernels->size, together = f->cell->together, row = plan->H * size;
    const size_t first = p->first * plan->kernels->panel * size;
    const size_t bytes = frnn_least(p->last * plan->kernels->panel * size, row) - first;
    for (size_t i = p->row; i < p->row + p->rows; i++) {
        claim((char *)rows->y[i] + first, bytes);
        if (!rows->keep) continue;
        claim((char *)rows->gates[i] + together * first, together * bytes);
        for (size_t part = together; part < f->cell->kept; part++)
            claim((char *)rows->gates[i] + part * row + first, bytes);
    }
}

frnn_gated_product frnn_gated_together(const frnn_gated_forward *f, const frnn_step *s, const frnn_gated_rows *rows) {
    const frnn_gated_part *w = &f->w.together;
    return (frnn_gated_product){.gates = f->cell->together,
                                .wx = f->fused ? w->wx : NULL,
                                .wh = w->wh,
                                .a = f->common.tape->dropout ? NULL : (void *const *)s->h,
                                .c = rows->gates,
                                .start = f->fused ? f->w.start : NULL};
}

frnn_gated_product frnn_gated_candidate(const frnn_gated_forward *f, const frnn_gated_rows *rows) {
    const frnn_gated_part *w = &f->w.candidate;
    return (frnn_gated_product){.gate = f->cell->together,
                                .gates = f->cell->gates - f->cell->together,
                                .wx = f->fused ? w->wx : NULL,
                                .c = rows->candidate,
                                .start = f->fused ? w->b : NULL};
}

/* Where a piece's gates are, if nothing of them is needed later: over and over again in the same near memory. */
static void use_near(const frnn_gated_forward *f, size_t member, const piece *p) {
    const frnn_plan *plan = f->common.plan;
    const frnn_gated *cell = f->cell;
    const size_t size = plan->kernels->size, first = p->first * plan->kernels->panel * size;
    const size_t width = frnn_least(p->last * plan->kernels->panel, plan->H) * size - first;
    const size_t row = block_elements(cell, plan) * (p->last - p->first) * size;
    char *at = f->near + member * near_elements(cell, plan) * size;
    /* Rows of the lists begin with the first unit of all. */
    for (size_t i = p->row; i < p->row + p->rows; i++, at += row) {
        list(f, member, GATES)[i] = at - cell->together * first;
        list(f, member, CANDIDATE)[i] = at + cell->together * width - first;
        list(f, member, U)[i] = at + cell->gates * width - first;
    }
}

int frnn_gated_multiply(const frnn_gated_forward *f, frnn_team *team, size_t member, const frnn_step *s,
                        frnn_gated_rows *rows, const frnn_gated_product *products, size_t count,
                        void (*update)(const frnn_gated_rows *rows)) {
    const frnn_plan *plan = f->common.plan;
    const frnn_range blocks = s->share.panels;
    const size_t block = block_elements(f->cell, plan), all_blocks = blocks.last - blocks.first;
    const size_t elements = near_elements(f->cell, plan);
    size_t some_rows = s->n, some_blocks = all_blocks, groups = 1;
    if (s->n * all_blocks * block > elements) {
        const size_t most_rows = elements / block, parts = (s->n + most_rows - 1) / most_rows;
        some_rows = (s->n + parts - 1) / parts;
        some_blocks = frnn_least(elements / (some_rows * block), all_blocks);
        groups = (all_blocks + some_blocks - 1) / some_blocks;
    }
    for (size_t i = 0; i < groups; i++) {
        piece p = {.first = blocks.first + (s->step % 2 ? groups - 1 - i : i) * some_blocks};
        p.last = frnn_least(p.first + some_blocks, blocks.last);
        for (; p.row < s->n; p.row += p.rows) {
            p.rows = frnn_least(some_rows, s->n - p.row);
            if (f->near) use_near(f, member, &p);
            if (!rows->ahead) claim_rows(f, &p, rows);
            for (const frnn_gated_product *m = products; m < products + count; m++)
                if (m->a || !m->wh ? multiply(f, team, member, s, &p, m, rows->ahead)
                                   : multiply_dropped(f, team, member, &p, m))
                    return 1;
            rows->row = p.row, rows->rows = p.rows, rows->first = p.first, rows->last = p.last;
            update(rows);
        }
    }
    return 0;
}

/* What the products of a step are to ask for: the places where the next one leaves its tape and y, and its x. */
static frnn_ahead ahead_of_step(const frnn_gated_forward *f, const frnn_step *s) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const size_t size = plan->kernels->size, first = s->share.rows.first, next = s->step + 1;
    frnn_ahead a = {.count = s->share.rows.last - first};
    if (next == plan->T) return a;
    a.next = frnn_at(&f->common.z, first, next), a.end = a.next + (ptrdiff_t)a.count * f->common.z.batch;
    a.rows[0] = (struct frnn_ahead_rows){frnn_at(&f->common.y, first, next), f->common.y.batch, plan->H * size};
    if (f->fused)
        a.rows[1] = (struct frnn_ahead_rows){frnn_x_at(plan, tape, first, next), tape->x_batch, plan->I * size};
    return a;
}

/* Lists the rows of a step and lets the cell compute it. */
static int recur(const frnn_forward *common, frnn_team *team, size_t member, const frnn_step *s, const void *job) {
    const frnn_gated_forward *f = job;
    const frnn_gated *cell = f->cell;
    const frnn_plan *plan = common->plan;
    const frnn_tape *tape = common->tape;
    const size_t row = plan->H * plan->kernels->size, states = plan->B * row;
    char **gates = list(f, member, GATES), **candidate = list(f, member, CANDIDATE), **u = list(f, member, U);
    char **c = list(f, member, C), **next_c = list(f, member, NEXT_C);
    char **dropout = list(f, member, DROPOUT), **rh = list(f, member, RH), **state_c = list(f, member, STATE_C);
    char *const z = frnn_at(&common->z, 0, s->step);
    frnn_ahead ahead = ahead_of_step(f, s);
    for (size_t i = 0; i < s->n; i++) {
        const size_t b = frnn_row_of(common, s, i);
        gates[i] = z + (ptrdiff_t)b * common->z.batch;
        candidate[i] = gates[i] + cell->together * row;
        if (cell->has_u) u[i] = tape->gates ? gates[i] + cell->gates * row : f->u + b * row;
        if (cell->has_c) {
            char **const state = state_c + (b - s->share.rows.first);
            c[i] = *state;
            next_c[i] = *state = tape->gates ? gates[i] + cell->gates * row : *state;
        }
        if (cell->has_rh) rh[i] = f->rh + b * row;
        if (!tape->dropout) continue;
        dropout[i] = (char *)tape->dropout + b * row;
        for (size_t g = 0; g < cell->gates; g++) {
            char *to = list(f, member, DROPPED + g)[i] = f->dropped + g * states + b * row;
            plan->kernels->multiply(plan->H, s->h[i], dropout[i] + g * states, to);
        }
        dropout[i] += (cell->gates - 1) * states; /* of the candidate */
    }
    frnn_gated_rows rows = {.H = plan->H,
                            .gates = (void *const *)gates,
                            .candidate = (void *const *)candidate,
                            .u = (void *const *)u,
                            .h = (const void *const *)s->h,
                            .c = (const void *const *)c,
                            .dropout = tape->dropout ? (const void *const *)dropout : NULL,
                            .y = (void *const *)s->y,
                            .next_c = (void *const *)next_c,
                            .rh = (void *const *)rh,
                            .activation = plan->activation,
                            .recurrent_activation = plan->recurrent_activation,
                            .keep = tape->gates != NULL,
                            .ahead = tape->gates && s->n > plan->kernels->tile && !s->share.together ? &ahead : NULL};
    return cell->step(f, team, member, s, &rows);
}

static void forward_member(frnn_team *team, size_t member, void *job) {
    const frnn_gated_forward *f = job;
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const frnn_share share = frnn_share_of(plan, f->cell->gates, frnn_team_size(team), member, !tape->dropout);
    const size_t size = plan->kernels->size, row = plan->H * size, offset = share.columns.first * size;
    const size_t bytes = (share.columns.last - share.columns.first) * size, first = share.rows.first;
    char **const c = list(f, member, STATE_C);
    for (size_t b = first; b < share.rows.last && f->cell->has_c; b++) {
        c[b - first] = f->c + b * row;
        if (tape->c0) memcpy(c[b - first] + offset, (const char *)tape->c0 + b * row + offset, bytes);
        else memset(c[b - first] + offset, 0, bytes);
    }
    if (frnn_go_forward(&f->common, team, member, share, f->fused, recur, f)) return;
    for (size_t b = first; b < share.rows.last && f->c_last; b++)
        memcpy((char *)f->c_last + b * row + offset, c[b - first] + offset, bytes);
}

frnn_status frnn_gated_go_forward(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, void *h_last,
                                  void *c_last, void *scratch) {
    if (!frnn_is_sound(plan) || !frnn_is_tape(plan, tape) || !scratch) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    frnn_gated_forward f = lay_out_forward(cell, plan, tape, &l);
    f.common.h_last = h_last;
    f.c_last = cell->has_c ? c_last : NULL;
    frnn_begin_forward(&f.common);
    return frnn_run(plan, frnn_multiply_adds(plan, cell->gates), forward_member, &f);
}

/* ---- backward ---- */

enum { BACK_GATES, BACK_H, BACK_C, BACK_NEXT_C, BACK_DROPOUT, BACK_DY, BACK_DH, BACK_DC, BACK_DZ, BACK_RH, BACK_LISTS };

/* Gates whose gradients stand side by side are summed together, unless dropout gives each a left-hand side of its own. */
static void lay_out_sums(frnn_gated_backward *g, const frnn_gradients *out, frnn_layout *l) {
    const frnn_gated *cell = g->cell;
    const frnn_plan *plan = g->common.plan;
    const size_t I = plan->I, H = plan->H, N = cell->gates * H, size = plan->kernels->size;
    char *const db_h = out->db && cell->has_u ? (char *)out->db + N * size : NULL;
    for (size_t gate = 0, more; gate < cell->gates; gate += more) {
        more = gate >= cell->together ? cell->gates - gate : g->common.tape->dropout ? 1 : cell->together;
        const size_t columns = more * H, at = gate * H * size;
        const size_t dz_x = frnn_dz_of_x(cell, gate), dz_h = frnn_dz_of_h(cell, gate);
        char *const dwx = (char *)out->dwx + at, *const dwh = (char *)out->dwh + at;
        void *const db = out->db ? (char *)out->db + at : NULL, *const db_at = db_h ? db_h + at : NULL;
        const int accumulate = out->accumulate;
        if (dz_x == dz_h) {
            g->sums[g->count++] = (frnn_gated_sum){
                frnn_lay_out_outer_sums(plan, I, H, columns, N, dwx, dwh, db, db_at, accumulate, l), gate, dz_x};
        } else {
            g->sums[g->count++] = (frnn_gated_sum){
                frnn_lay_out_outer_sums(plan, I, 0, columns, N, dwx, NULL, db, NULL, accumulate, l), gate, dz_x};
            g->sums[g->count++] = (frnn_gated_sum){
                frnn_lay_out_outer_sums(plan, 0, H, columns, N, NULL, dwh, db_at, NULL, accumulate, l), gate, dz_h};
        }
    }
}

static frnn_gated_backward lay_out_backward(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                            const frnn_gradients *gradients, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t size = k->size, H = plan->H, width = frnn_pitch(plan, frnn_times(l, cell->dz, H));
    const size_t columns = frnn_times(l, frnn_panels(k, H), k->panel), matrix = frnn_times(l, columns, H);
    frnn_gated_backward g = {.common = frnn_lay_out_backward(plan, tape, gradients, cell->gates, width, l),
                             .cell = cell,
                             .w = weights_in(cell, plan, tape->prepared)};
    const size_t states = frnn_times(l, frnn_times(l, g.common.steps, plan->B), H);
    g.common.turned = cell->gates - cell->together;
    g.order_x = frnn_take(l, frnn_times(l, g.w.together.gates_x, H), sizeof *g.order_x);
    g.order_h = frnn_take(l, frnn_times(l, cell->together, H), sizeof *g.order_h);
    g.wh_t = frnn_take(l, frnn_times(l, matrix, cell->has_rh ? cell->together : cell->gates), size);
    g.wh_candidate_t = frnn_take(l, cell->has_rh ? matrix : 0, size);
    g.rh = frnn_place_by_sequence(plan, g.common.steps, H, frnn_take(l, cell->has_rh ? states : 0, size));
    g.dropped = frnn_take(l, tape->dropout ? states : 0, size);
    g.undropped = frnn_take(l, tape->dropout ? frnn_times(l, plan->B, H) : 0, size);
    g.lists = frnn_take(l, frnn_times(l, frnn_times(l, frnn_most_members(plan), BACK_LISTS), plan->B), sizeof *g.lists);
    g.left =
        frnn_take(l, frnn_times(l, frnn_most_members(plan), frnn_times(l, g.common.steps, plan->B)), sizeof *g.left);
    lay_out_sums(&g, gradients, l);
    return g;
}

/* Asks for what some units need of a row's token in the tape, a step before they do. Of c, which is needed as the state
 * before a step too, that is one step earlier. */
static void fetch_token(const frnn_gated_backward *g, frnn_range columns, size_t step, size_t b) {
    const frnn_plan *plan = g->common.plan;
    const frnn_gated *cell = g->cell;
    const size_t size = plan->kernels->size, row = plan->H * size,
                 token = frnn_pitch(plan, cell->kept * plan->H) * size;
    const size_t first = columns.first * size, bytes = (columns.last - columns.first) * size;
    const size_t ahead = cell->has_c ? 2 : 1, together = cell->together;
    const char *tape = g->common.tape->gates;
    if (step >= 1) frnn_fetch(tape + ((step - 1) * plan->B + b) * token + together * first, together * bytes);
    for (size_t part = together; part < cell->kept && step >= ahead; part++)
        frnn_fetch(tape + ((step - ahead) * plan->B + b) * token + part * row + first, bytes);
}

void frnn_gated_fetch_ahead(const frnn_gated_backward *g, const frnn_back_step *s, const frnn_gated_rows *rows) {
    if (rows->ahead) return;
    frnn_fetch_ahead(&g->common, s->share, s->step);
    for (size_t i = 0; i < s->n; i++) fetch_token(g, s->share.columns, s->step, s->rows[i]);
}

int frnn_gated_multiply_back(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                             const frnn_gated_rows *rows, size_t gate, size_t gates, const char *wh_t,
                             void *const *to) {
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_range panels = s->share.panels;
    const size_t row = plan->H * k->size, dz = frnn_dz_of_h(g->cell, gate) * row;
    const int dropped = g->common.tape->dropout && !to;
    frnn_product product = {.start = to || dropped ? g->common.zeros : NULL,
                            .ahead = rows->ahead,
                            .c = to ? to : rows->dh,
                            .rows = s->n,
                            .N = plan->H,
                            .first = panels.first,
                            .last = panels.last,
                            .activation = FRNN_LINEAR,
                            .backwards = s->step % 2};
    for (size_t i = 0; i < s->n; i++) s->dz[i] = (const char *)rows->dz[i] + dz;
    if (!dropped) {
        product.term[0] = (frnn_term){(const void *const *)s->dz, wh_t, gates * plan->H};
        return frnn_multiply(team, member, k, product);
    }
    for (size_t i = 0; i < s->n; i++) s->to[i] = g->undropped + s->rows[i] * row;
    product.c = (void *const *)s->to;
    for (size_t j = 0; j < gates; j++) {
        /* The gate's rows of wh^T, panel by panel. */
        for (size_t panel = panels.first; panel < panels.last; panel++) {
            const size_t skipped = (panel * (gates - 1) + j) * plan->H;
            product.term[0] = (frnn_term){(const void *const *)s->dz, wh_t + skipped * k->panel * k->size, plan->H};
            product.first = panel, product.last = panel + 1;
            if (frnn_multiply(team, member, k, product)) return 1;
        }
        const char *factors = (const char *)g->common.tape->dropout + (gate + j) * plan->B * row;
        for (size_t i = 0; i < s->n; i++) {
            k->multiply(plan->H, s->to[i], factors + s->rows[i] * row, s->to[i]);
            k->add(plan->H, 1, s->to[i], 0, rows->dh[i]);
            s->dz[i] += row;
        }
    }
    return 0;
}

/* The same for products to ask for. */
static frnn_ahead ahead_of(const frnn_gated_backward *g, const frnn_back_step *s) {
    const frnn_plan *plan = g->common.plan;
    const frnn_gradients *out = g->common.gradients;
    const frnn_tape *tape = g->common.tape;
    const size_t size = plan->kernels->size, row = plan->H * size, first = s->share.rows.first;
    const size_t token = frnn_pitch(plan, g->cell->kept * plan->H) * size;
    frnn_ahead a = {.count = s->share.rows.last - first};
    if (s->step >= 1) {
        a.next = (const char *)tape->gates + ((s->step - 1) * plan->B + first) * token,
        a.end = a.next + a.count * token;
        if (out->dy) a.rows[0] = (struct frnn_ahead_rows){frnn_dy_at(out, first, s->step - 1), out->dy_batch, row};
    }
    if (s->step >= 2) {
        const char *c = (const char *)tape->gates + ((s->step - 2) * plan->B + first) * token + g->cell->gates * row;
        a.rows[1] = (struct frnn_ahead_rows){frnn_y_at(tape, first, s->step - 2), tape->y_batch, row};
        if (g->cell->has_c) a.rows[2] = (struct frnn_ahead_rows){c, (ptrdiff_t)token, row};
    }
    return a;
}

static int step_back(const frnn_backward *common, frnn_team *team, size_t member, const frnn_back_step *s,
                     const void *job) {
    const frnn_gated_backward *g = job;
    const frnn_gated *cell = g->cell;
    const frnn_plan *plan = common->plan;
    const frnn_tape *tape = common->tape;
    const frnn_gradients *out = common->gradients;
    const size_t row = plan->H * plan->kernels->size,
                 token = frnn_pitch(plan, cell->kept * plan->H) * plan->kernels->size;
    char **const lists = g->lists + member * BACK_LISTS * plan->B;
    frnn_ahead ahead = ahead_of(g, s);
    char *const gates_of_step = (char *)tape->gates + s->step * plan->B * token;
    char *const dz = frnn_at(&common->dz, 0, s->step), *const rh = frnn_at(&g->rh, 0, s->step);
    for (size_t i = 0; i < s->n; i++) {
        const size_t b = s->rows[i];
        char **const at = lists + i;
        char *const gates = gates_of_step + b * token;
        at[BACK_GATES * plan->B] = gates;
        at[BACK_H * plan->B] = (char *)frnn_h_before(common, b, s->step);
        at[BACK_DY * plan->B] = (char *)frnn_dy_at(out, b, s->step);
        at[BACK_DH * plan->B] = (char *)out->dh0 + b * row;
        at[BACK_DZ * plan->B] = dz + (ptrdiff_t)b * common->dz.batch;
        at[BACK_RH * plan->B] = rh + (ptrdiff_t)b * g->rh.batch;
        if (tape->dropout) at[BACK_DROPOUT * plan->B] = (char *)tape->dropout + ((cell->gates - 1) * plan->B + b) * row;
        if (!cell->has_c) continue;
        const size_t before = frnn_before(common, b, s->step), c = cell->gates * row;
        at[BACK_NEXT_C * plan->B] = gates + c;
        at[BACK_C * plan->B] = before     ? (char *)tape->gates + ((before - 1) * plan->B + b) * token + c
                               : tape->c0 ? (char *)tape->c0 + b * row
                                          : common->zeros;
        at[BACK_DC * plan->B] = (char *)out->dc0 + b * row;
    }
#define LIST(which) ((void *const *)(lists + (which) * plan->B))
#define INPUT(which) ((const void *const *)(lists + (which) * plan->B))
    frnn_gated_rows rows = {.rows = s->n,
                            .H = plan->H,
                            .first = s->share.panels.first,
                            .last = s->share.panels.last,
                            .gates = LIST(BACK_GATES),
                            .h = INPUT(BACK_H),
                            .c = INPUT(BACK_C),
                            .dropout = tape->dropout ? INPUT(BACK_DROPOUT) : NULL,
                            .next_c = LIST(BACK_NEXT_C),
                            .rh = LIST(BACK_RH),
                            .dy = out->dy ? INPUT(BACK_DY) : NULL,
                            .dh = LIST(BACK_DH),
                            .dc = LIST(BACK_DC),
                            .dz = LIST(BACK_DZ),
                            .ahead = s->n > plan->kernels->tile && !s->share.together ? &ahead : NULL,
                            .activation = plan->activation,
                            .recurrent_activation = plan->recurrent_activation};
#undef LIST
#undef INPUT
    return cell->step_back(g, team, member, s, &rows);
}

/* What a chunk's tokens multiplied some gates' wh by: h', r h', or h' times the dropout of a gate. NULL: zeros. */
static int list_left(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_gated_sum *sum,
                     const frnn_tokens *t, const char ***left) {
    const frnn_plan *plan = g->common.plan;
    const size_t row = plan->H * plan->kernels->size;
    const char *dropout = g->common.tape->dropout;
    *left = NULL;
    if (!t->later || sum->sums.H == 0) return 0;
    if (!(sum->gate >= g->cell->together && g->cell->has_rh) && !dropout) {
        *left = t->h;
        return 0;
    }
    *left = g->left + member * g->common.steps * plan->B;
    if (sum->gate >= g->cell->together && g->cell->has_rh) {
        for (size_t i = 0; i < t->n; i++)
            (*left)[i] = g->rh.first + (t->dz[i] - g->common.dz.first) / g->common.dz.time * g->rh.time;
        return 0;
    }
    const frnn_range mine = frnn_part(t->n, frnn_team_size(team), member);
    for (size_t i = mine.first; i < mine.last; i++) {
        const char *factors = dropout + (sum->gate * plan->B + frnn_batch_row(&g->common, t->dz[i])) * row;
        plan->kernels->multiply(plan->H, t->h[i], factors, g->dropped + i * row);
    }
    for (size_t i = 0; i < t->n; i++) (*left)[i] = g->dropped + i * row;
    return frnn_barrier(team);
}

static int sum(const frnn_backward *common, frnn_team *team, size_t member, const frnn_tokens *t, const void *job) {
    const frnn_gated_backward *g = job;
    const size_t row = common->plan->H * common->plan->kernels->size;
    const char **const dz = (const char **)t->dx; /* no longer needed */
    for (const frnn_gated_sum *some = g->sums; some < g->sums + g->count; some++) {
        const char **left;
        if (list_left(g, team, member, some, t, &left)) return 1;
        for (size_t j = 0; j < t->n; j++) dz[j] = t->dz[j] + some->dz * row;
        if (frnn_add_outer_products(team, member, &some->sums, t->first, t->n, (const void *const *)t->x,
                                    (const void *const *)left, (const void *const *)dz))
            return 1;
    }
    return 0;
}

static void backward_member(frnn_team *team, size_t member, void *job) {
    const frnn_gated_backward *g = job;
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_gated *cell = g->cell;
    const size_t I = plan->I, H = plan->H, gates = cell->gates, together = cell->together * H, all = gates * H;
    const frnn_gated_part *w = &g->w.together, *candidate = &g->w.candidate;
    const frnn_share share = frnn_share_of(plan, gates, frnn_team_size(team), member, !g->common.tape->dropout);
    const size_t row = k->panel * k->size; /* of a panel */
    if (frnn_transpose(team, member, k, H, together, w->wh, g->order_h, cell->has_rh ? together : all, g->wh_t)) return;
    if (all > together
        && frnn_transpose(team, member, k, H, all - together, candidate->wh, NULL, cell->has_rh ? all - together : all,
                          cell->has_rh ? g->wh_candidate_t : g->wh_t + together * row))
        return;
    if (g->common.gradients->dx) {
        char *const wx_t = g->common.wx_t; /* in the order of dz, which begins with the candidate */
        if (frnn_transpose(team, member, k, I, w->gates_x * H, w->wx, g->order_x, all, wx_t)) return;
        if (frnn_transpose(team, member, k, I, candidate->gates_x * H, candidate->wx, NULL, all, wx_t)) return;
    }
    frnn_go_back(&g->common, team, member, share, &(frnn_way_back){step_back, sum, g});
}

frnn_status frnn_gated_backward_steps(const frnn_gated *cell, const frnn_plan *plan, size_t *steps) {
    if (!frnn_is_sound(plan) || !steps) return FRNN_ERR_ARGUMENT;
    *steps = frnn_backward_chunk(plan, frnn_pitch(plan, cell->dz * plan->H));
    return FRNN_OK;
}

frnn_status frnn_gated_backward_scratch_size(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                             const frnn_gradients *gradients, size_t *bytes) {
    frnn_layout l = {0};
    if (!frnn_is_sound(plan) || !tape || !gradients || !bytes) return FRNN_ERR_ARGUMENT;
    lay_out_backward(cell, plan, tape, gradients, &l);
    *bytes = l.used;
    return frnn_fits(&l) ? FRNN_OK : FRNN_ERR_SIZE;
}

frnn_status frnn_gated_go_back(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                               const frnn_gradients *gradients, void *scratch) {
    if (!frnn_is_sound(plan) || !frnn_is_tape(plan, tape) || !frnn_are_gradients(plan, tape, gradients) || !scratch)
        return FRNN_ERR_ARGUMENT;
    if (plan->B && plan->T && (!tape->y || !tape->gates)) return FRNN_ERR_ARGUMENT;
    if (plan->B && cell->has_c && !gradients->dc0) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    const frnn_kernels *k = plan->kernels;
    const frnn_gated_backward g = lay_out_backward(cell, plan, tape, gradients, &l);
    frnn_begin_backward(&g.common);
    frnn_order_gates(k, plan->H, cell->together, g.order_h);
    frnn_order_gates(k, plan->H, g.w.together.gates_x, g.order_x);
    for (size_t n = 0; n < g.w.together.gates_x * plan->H; n++)
        g.order_x[n] = frnn_dz_of_x(cell, g.order_x[n] / plan->H) * plan->H + g.order_x[n] % plan->H;
    for (size_t i = 0; i < g.count; i++) frnn_begin_outer_sums(&g.sums[i].sums);
    const frnn_status status = frnn_run(plan, 2 * frnn_multiply_adds(plan, cell->gates), backward_member, (void *)&g);
    for (size_t i = 0; i < g.count; i++) frnn_end_outer_sums(&g.sums[i].sums);
    return status;
}
