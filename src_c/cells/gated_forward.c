/* GRU and LSTM forward: how a step's products meet the cell's equations. */
#include <string.h>

#include "cells/gated.h"
#include "cells/gated_few.h"
#include "cells/gates.h"

/* Bytes of gates that the cell's equations find in the nearest cache. */
static const size_t NEAR_BYTES = 36 * 1024;

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

/* Whether a step computes x wx, too. */
static int is_fused(const frnn_gated_forward *f) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    return f->w.together.gates_x == f->w.together.gates && !f->few.group && !tape->dropout && !tape->table
           && frnn_fusing_pays(&f->common, plan->B / frnn_most_members(plan));
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
                            .w = frnn_gated_weights_in(cell, plan, tape->prepared),
                            .few = frnn_lay_out_few(cell, plan, tape, l)};
    f.common.order = f.few.order;
    f.fused = is_fused(&f);
    /* A candidate with r h' is computed when all gates are there. */
    const int near = f.fused && !tape->gates && !cell->has_rh;
    const size_t steps = near || (f.few.group && tape->table) ? 0
                         : f.fused                            ? 1
                                                              : f.common.steps,
                 tokens = frnn_times(l, steps, plan->B);
    const size_t width = frnn_pitch(plan, frnn_times(l, cell->gates, plan->H));
    f.common.projections[0] = (frnn_projection){f.w.together.wx, f.w.start, f.w.together.gates_x};
    f.common.projections[1] = (frnn_projection){f.w.candidate.wx, f.w.candidate.b, f.w.candidate.gates_x};
    f.common.z =
        tape->gates && !f.few.group
            ? frnn_dense_place(plan, frnn_most(plan->T, 1), frnn_pitch(plan, frnn_times(l, cell->kept, plan->H)),
                               tape->gates)
            : frnn_dense_place(plan, frnn_most(steps, 1), width, frnn_take(l, frnn_times(l, tokens, width), size));
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
                            .aside = s->aside,
                            .backwards = s->step % 2};
    const int of_zeros = s->step == 0 && !f->common.tape->h0 && m->a == (void *const *)s->h; /* they add nothing */
    if (m->wx) product.term[0] = (frnn_term){.a = (const void *const *)s->x + p->row, .b = m->wx, .K = plan->I};
    if (m->wh && !of_zeros)
        product.term[m->wx ? 1 : 0] = (frnn_term){.a = (const void *const *)m->a + p->row, .b = m->wh, .K = plan->H};
    else if (!m->wx && !m->start) return 0;
    return frnn_multiply(team, member, plan->kernels, &product);
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
            if (whole && frnn_multiply(team, member, k, &product)) return 1;
            for (size_t i = 0; i < p->rows && !whole; i++) {
                char *const c = (char *)m->c[p->row + i] + begin;
                memcpy(other, c, columns * k->size);
                product.term[0] =
                    (frnn_term){.a = (const void *const *)a + i, .b = m->wh + begin * plan->H, .K = plan->H};
                product.c = (void *const[]){other};
                product.rows = 1, product.N = columns;
                product.first = 0, product.last = frnn_panels(k, columns);
                if (frnn_multiply(team, member, k, &product)) return 1;
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
    if (f->few.group) return frnn_few_multiply(f, team, member, s, rows, products, count, update);
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
            for (size_t j = 0; j < count; j++) {
                /* In every other step from the last to the first, as the panels. */
                const frnn_gated_product *m = &products[s->step % 2 ? count - 1 - j : j];
                if (m->a || !m->wh ? multiply(f, team, member, s, &p, m, rows->ahead)
                                   : multiply_dropped(f, team, member, &p, m))
                    return 1;
            }
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
    frnn_ahead a = frnn_ask_ahead(plan, s->share.rows, s->n);
    if (next == plan->T) return a;
    if (tape->gates) {
        const size_t bytes = a.count * (size_t)f->common.z.batch;
        const size_t panels = f->cell->gates * frnn_panels(plan->kernels, plan->H);
        frnn_ask_for_piece(plan, s->n, frnn_at(&f->common.z, first, next), bytes, panels,
                           plan->H + (f->fused ? plan->I : 0), &a);
    }
    a.rows[0] = (struct frnn_ahead_rows){frnn_at(&f->common.y, first, next), f->common.y.batch, plan->H * size};
    if (f->fused)
        a.rows[1] = (struct frnn_ahead_rows){frnn_x_at(plan, tape, first, next), tape->x_batch, plan->I * size};
    return a;
}

/* Multiplies the states before a step by every gate's dropout, and lists that of the candidate. */
static void drop(const frnn_gated_forward *f, size_t member, const frnn_step *s, char **dropout) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const size_t row = plan->H * plan->kernels->size, states = plan->B * row;
    for (size_t i = 0; i < s->n; i++) {
        const size_t at = frnn_row_of(&f->common, s, i) * row;
        const char *factors = (const char *)tape->dropout + at;
        for (size_t g = 0; g < f->cell->gates; g++) {
            char *to = list(f, member, DROPPED + g)[i] = f->dropped + g * states + at;
            plan->kernels->multiply(plan->H, s->h[i], factors + g * states, to);
        }
        dropout[i] = (char *)factors + (f->cell->gates - 1) * states;
    }
}

/* Lists the rows of a step and lets the cell compute it. */
static int recur(const frnn_forward *common, frnn_team *team, size_t member, const frnn_step *s, const void *job) {
    const frnn_gated_forward *f = job;
    const frnn_gated *cell = f->cell;
    const frnn_plan *plan = common->plan;
    const frnn_tape *tape = common->tape;
    const size_t row = plan->H * plan->kernels->size;
    char **gates = list(f, member, GATES), **candidate = list(f, member, CANDIDATE), **u = list(f, member, U);
    char **c = list(f, member, C), **next_c = list(f, member, NEXT_C);
    char **dropout = list(f, member, DROPOUT), **rh = list(f, member, RH), **state_c = list(f, member, STATE_C);
    const int asks = frnn_products_ask(plan, tape, s->share);
    frnn_ahead ahead;
    if (asks) ahead = ahead_of_step(f, s);
    frnn_list_rows(common, s, common->z, gates);
    for (size_t i = 0; i < s->n; i++) candidate[i] = gates[i] + cell->together * row;
    if (cell->has_u && !tape->gates) frnn_list_rows(common, s, frnn_place_at(f->u, (ptrdiff_t)row, 0), u);
    for (size_t i = 0; i < s->n && cell->has_u && tape->gates; i++) u[i] = gates[i] + cell->gates * row;
    for (size_t i = 0; i < s->n && cell->has_c; i++) {
        char **const state = state_c + (frnn_row_of(common, s, i) - s->share.rows.first);
        c[i] = *state;
        next_c[i] = *state = tape->gates ? gates[i] + cell->gates * row : *state;
    }
    if (cell->has_rh) frnn_list_rows(common, s, frnn_place_at(f->rh, (ptrdiff_t)row, 0), rh);
    if (tape->dropout) drop(f, member, s, dropout);
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
                            .ahead = asks ? &ahead : NULL};
    return cell->step(f, team, member, s, &rows);
}

/* Some rows, from the first step to the last. Nonzero: the team is stopping. */
static int forward_rows(const frnn_gated_forward *f, frnn_team *team, size_t member, frnn_share share) {
    const frnn_plan *plan = f->common.plan;
    const frnn_tape *tape = f->common.tape;
    const size_t size = plan->kernels->size, row = plan->H * size, offset = share.columns.first * size;
    const size_t bytes = (share.columns.last - share.columns.first) * size, first = share.rows.first;
    char **const c = list(f, member, STATE_C);
    for (size_t b = first; b < share.rows.last && f->cell->has_c; b++) {
        c[b - first] = f->c + b * row;
        if (tape->c0) memcpy(c[b - first] + offset, (const char *)tape->c0 + b * row + offset, bytes);
        else memset(c[b - first] + offset, 0, bytes);
    }
    if (frnn_go_forward(&f->common, team, member, share, f->fused, recur, f)) return 1;
    for (size_t b = first; b < share.rows.last && f->c_last; b++)
        memcpy((char *)f->c_last + b * row + offset, c[b - first] + offset, bytes);
    return 0;
}

static void forward_member(frnn_team *team, size_t member, void *job) {
    const frnn_gated_forward *f = job;
    const frnn_plan *plan = f->common.plan;
    const frnn_share share =
        frnn_share_of(plan, f->cell->gates, frnn_team_size(team), member, !f->common.tape->dropout);
    const size_t blocks = f->few.group ? 0 : frnn_row_blocks(&f->common, team, share);
    if (f->few.group) frnn_few_forward(f, team, member);
    for (size_t i = 0; i < blocks; i++)
        if (forward_rows(f, team, member, frnn_row_block(share, blocks, i))) return;
}

frnn_status frnn_gated_go_forward(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape, void *h_last,
                                  void *c_last, void *scratch) {
    if (!frnn_is_sound(plan) || !frnn_is_tape(plan, tape) || !scratch) return FRNN_ERR_ARGUMENT;
    frnn_layout l = {.memory = scratch};
    frnn_gated_forward f = lay_out_forward(cell, plan, tape, &l);
    f.common.h_last = h_last;
    f.c_last = cell->has_c ? c_last : NULL;
    frnn_begin_forward(&f.common);
    frnn_begin_few(&f.few, cell, plan, tape, &f.w);
    return frnn_run_by(plan, frnn_forward_members(&f.common), frnn_multiply_adds(plan, cell->gates), forward_member,
                       &f);
}
