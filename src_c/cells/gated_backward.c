/* GRU and LSTM back through time. */
#include "cells/gated.h"
#include "cells/gated_few.h"
#include "cells/gates.h"
#include "cells/packing.h"

enum { BACK_GATES, BACK_H, BACK_C, BACK_NEXT_C, BACK_DROPOUT, BACK_DY, BACK_DH, BACK_DC, BACK_DZ, BACK_RH, BACK_LISTS };

/* Gates whose gradients stand side by side are summed together, unless dropout gives each a left-hand side of its own. */
static void lay_out_sums(frnn_gated_backward *g, const frnn_gradients *out, frnn_layout *l) {
    const frnn_gated *cell = g->cell;
    const frnn_plan *plan = g->common.plan;
    const int few = g->few.group != 0; /* then these are of x alone */
    const size_t I = plan->I, H = plan->H, N = cell->gates * H, size = plan->kernels->size, parts = g->common.parts;
    char *const db_h = out->db && cell->has_u ? (char *)out->db + N * size : NULL;
    for (size_t gate = 0, more; gate < cell->gates; gate += more) {
        more = gate >= cell->together ? cell->gates - gate : g->common.tape->dropout ? 1 : cell->together;
        const size_t columns = more * H, at = gate * H * size;
        const size_t dz_x = frnn_dz_of_x(cell, gate), dz_h = frnn_dz_of_h(cell, gate);
        char *const dwx = (char *)out->dwx + at, *const dwh = (char *)out->dwh + at;
        void *const db = out->db ? (char *)out->db + at : NULL, *const db_at = db_h ? db_h + at : NULL;
        const int accumulate = out->accumulate;
        if (few) {
            if (I)
                g->sums[g->count++] = (frnn_gated_sum){
                    frnn_lay_out_outer_sums(plan, parts, I, 0, columns, N, dwx, NULL, NULL, NULL, accumulate, l), gate,
                    dz_x};
        } else if (dz_x == dz_h) {
            g->sums[g->count++] = (frnn_gated_sum){
                frnn_lay_out_outer_sums(plan, parts, I, H, columns, N, dwx, dwh, db, db_at, accumulate, l), gate, dz_x};
        } else {
            g->sums[g->count++] = (frnn_gated_sum){
                frnn_lay_out_outer_sums(plan, parts, I, 0, columns, N, dwx, NULL, db, NULL, accumulate, l), gate, dz_x};
            g->sums[g->count++] = (frnn_gated_sum){
                frnn_lay_out_outer_sums(plan, parts, 0, H, columns, N, NULL, dwh, db_at, NULL, accumulate, l), gate,
                dz_h};
        }
    }
}

static frnn_gated_backward lay_out_backward(const frnn_gated *cell, const frnn_plan *plan, const frnn_tape *tape,
                                            const frnn_gradients *gradients, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t size = k->size, H = plan->H, width = frnn_pitch(plan, frnn_times(l, cell->dz, H));
    const size_t columns = frnn_times(l, frnn_panels(k, H), k->panel), matrix = frnn_times(l, columns, H);
    const frnn_few few = frnn_lay_out_few(cell, plan, tape, l);
    const int may_halve = few.group || frnn_are_sums_small(plan, tape, cell->gates);
    frnn_gated_backward g = {.common = frnn_lay_out_backward(plan, tape, gradients, cell->gates, width, may_halve, l),
                             .cell = cell,
                             .few = few,
                             .w = frnn_gated_weights_in(cell, plan, tape->prepared)};
    const size_t states = frnn_times(l, frnn_times(l, g.common.steps, plan->B), H);
    if (cell->has_c) g.common.dc = gradients->dc0 ? gradients->dc0 : frnn_take(l, frnn_times(l, plan->B, H), size);
    frnn_lay_out_few_sums(&g.few, cell, plan, l);
    if (g.few.group) g.common.group = g.few.group, g.common.order = g.few.order;
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

void frnn_gated_fetch_ahead(const frnn_gated_backward *g, const frnn_back_step *s, const frnn_gated_rows *rows) {
    if (rows->ahead || g->few.group) return;
    frnn_fetch_ahead(&g->common, s);
    const frnn_plan *plan = g->common.plan;
    const frnn_gated *cell = g->cell;
    const size_t size = plan->kernels->size, row = plan->H * size, together = cell->together;
    const size_t first = s->share.columns.first * size, bytes = s->share.columns.last * size - first;
    const size_t token = frnn_pitch(plan, cell->kept * plan->H) * size, step = plan->B * token;
    /* c is needed as the state before a step, too, and so one step earlier. */
    const size_t ahead = cell->has_c ? 2 : 1;
    for (size_t i = 0; i < s->n && token >= FRNN_FETCHED_BYTES; i++) {
        const size_t before = frnn_back_step_of(&g->common, s, i);
        const char *tape = rows->gates[i];
        if (before >= 1) frnn_fetch(tape - step + together * first, together * bytes);
        for (size_t part = together; part < cell->kept && before >= ahead; part++)
            frnn_fetch(tape - ahead * step + part * row + first, bytes);
    }
}

int frnn_gated_multiply_back(const frnn_gated_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                             const frnn_gated_rows *rows, size_t gate, size_t gates, const char *wh_t,
                             void *const *to) {
    if (!to && !frnn_goes_further_back(&g->common, s)) return 0;
    if (g->few.group) return frnn_few_multiply_back(g, team, member, rows, gate, gates, to);
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_range panels = s->share.panels;
    const size_t row = plan->H * k->size, dz = frnn_dz_of_h(g->cell, gate) * row;
    const int dropped = g->common.tape->dropout && !to;
    frnn_product product = {.start = to || dropped ? g->common.zeros : NULL,
                            .ahead = rows->ahead,
                            .aside = s->aside,
                            .c = to ? to : rows->dh,
                            .rows = s->n,
                            .N = plan->H,
                            .first = panels.first,
                            .last = panels.last,
                            .activation = FRNN_LINEAR,
                            .backwards = s->step % 2};
    for (size_t i = 0; i < s->n; i++) s->dz[i] = (const char *)rows->dz[i] + dz;
    if (!dropped) {
        product.term[0] = (frnn_term){.a = (const void *const *)s->dz, .b = wh_t, .K = gates * plan->H};
        return frnn_multiply(team, member, k, &product);
    }
    for (size_t i = 0; i < s->n; i++) s->to[i] = g->undropped + s->rows[i] * row;
    product.c = (void *const *)s->to;
    for (size_t j = 0; j < gates; j++) {
        product.term[0] = (frnn_term){.a = (const void *const *)s->dz,
                                      .b = wh_t + j * plan->H * k->panel * k->size, /* the gate's rows of wh^T */
                                      .K = plan->H,
                                      .apart = gates * plan->H};
        if (frnn_multiply(team, member, k, &product)) return 1;
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
    frnn_ahead a = frnn_ask_ahead(plan, s->share.rows, s->n);
    if (s->step >= 1) {
        const char *gates = (const char *)tape->gates + ((s->step - 1) * plan->B + first) * token;
        const size_t panels = frnn_panels(plan->kernels, plan->H);
        frnn_ask_for_piece(plan, s->n, gates, a.count * token, panels, g->cell->gates * plan->H, &a);
        if (out->dy) a.rows[0] = (struct frnn_ahead_rows){frnn_dy_at(out, first, s->step - 1), out->dy_batch, row};
    }
    if (s->step >= 2) {
        const char *c = (const char *)tape->gates + ((s->step - 2) * plan->B + first) * token + g->cell->gates * row;
        a.rows[1] = (struct frnn_ahead_rows){frnn_y_at(tape, first, s->step - 2), tape->y_batch, row};
        if (g->cell->has_c) a.rows[2] = (struct frnn_ahead_rows){c, (ptrdiff_t)token, row};
    }
    return a;
}

/* Lists the states before a step: those after the row's step before it, or the initial ones, zeros if there are none. */
static void list_before(const frnn_backward *g, const frnn_back_step *s, frnn_place after, const void *initial,
                        char **list) {
    const size_t row = g->plan->H * g->plan->kernels->size;
    const frnn_place first = initial ? frnn_place_at(initial, (ptrdiff_t)row, 0) : frnn_place_at(g->zeros, 0, 0);
    after.first -= after.time;
    if (!g->tape->mask) {
        frnn_list_back(g, s, s->step ? after : first, list);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        const size_t before = frnn_before(g, s->rows[i], s->steps[i]);
        list[i] = frnn_at(before ? &after : &first, s->rows[i], before);
    }
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
    const int asks = frnn_products_ask(plan, tape, s->share);
    frnn_ahead ahead;
    if (asks) ahead = ahead_of(g, s);
    const frnn_place gates = frnn_place_at(tape->gates, (ptrdiff_t)token, (ptrdiff_t)(plan->B * token));
    const frnn_place c = frnn_place_at((char *)tape->gates + cell->gates * row, gates.batch, gates.time);
#define TO(which) (lists + (which) * plan->B)
    frnn_list_back(common, s, gates, TO(BACK_GATES));
    list_before(common, s, frnn_place_of_y(tape), tape->h0, TO(BACK_H));
    if (out->dy) frnn_list_back(common, s, frnn_place_of_dy(out), TO(BACK_DY));
    frnn_list_back(common, s, frnn_place_at(common->dh, (ptrdiff_t)row, 0), TO(BACK_DH));
    frnn_list_back(common, s, frnn_chunk_of(&common->dz, s), TO(BACK_DZ));
    if (cell->has_rh) frnn_list_back(common, s, frnn_chunk_of(&g->rh, s), TO(BACK_RH));
    if (tape->dropout)
        frnn_list_back(
            common, s,
            frnn_place_at((const char *)tape->dropout + (cell->gates - 1) * plan->B * row, (ptrdiff_t)row, 0),
            TO(BACK_DROPOUT));
    if (cell->has_c) {
        for (size_t i = 0; i < s->n; i++) TO(BACK_NEXT_C)[i] = TO(BACK_GATES)[i] + cell->gates * row;
        list_before(common, s, c, tape->c0, TO(BACK_C));
        frnn_list_back(common, s, frnn_place_at(common->dc, (ptrdiff_t)row, 0), TO(BACK_DC));
    }
#undef TO
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
                            .dz_stride = plan->H,
                            .ahead = asks ? &ahead : NULL,
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
    if (t->initial == t->n || sum->sums.H == 0) return 0;
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
        if (common->parts > 1 ? frnn_add_own_parts(team, member, &some->sums, t, left, dz)
                              : frnn_add_outer_products(team, member, &some->sums, t->first, t->n, t->initial,
                                                        (const void *const *)t->x, (const void *const *)left,
                                                        (const void *const *)dz))
            return 1;
    }
    if (common->parts > 1 && g->count && frnn_barrier(team)) return 1;
    for (size_t i = 0; i < g->count && common->parts > 1; i++)
        frnn_join_parts(team, member, &g->sums[i].sums, t->parts);
    if (!g->few.group) return 0;
    if (member + 1 == frnn_team_size(team)) frnn_add_few_sums(g, t->rows);
    return frnn_barrier(team);
}

/* The order of dz begins with the candidate. */
static void turn_wx(const frnn_backward *common, frnn_range panels, frnn_use use, char *to, const void *job) {
    const frnn_gated_backward *g = job;
    const frnn_plan *plan = common->plan;
    const frnn_kernels *k = plan->kernels;
    const size_t I = plan->I, H = plan->H, all = g->cell->gates * H;
    const frnn_gated_part *w = &g->w.together, *candidate = &g->w.candidate;
    frnn_transpose_panels(k, I, w->gates_x * H, w->wx, g->order_x, all, panels, use, to);
    frnn_transpose_panels(k, I, candidate->gates_x * H, candidate->wx, NULL, all, panels, use, to);
}

static void backward_member(frnn_team *team, size_t member, void *job) {
    const frnn_gated_backward *g = job;
    const frnn_plan *plan = g->common.plan;
    const frnn_kernels *k = plan->kernels;
    const frnn_gated *cell = g->cell;
    const size_t H = plan->H, gates = cell->gates, together = cell->together * H, all = gates * H;
    const frnn_gated_part *w = &g->w.together, *candidate = &g->w.candidate;
    const frnn_share share = frnn_share_of(plan, gates, frnn_team_size(team), member, !g->common.tape->dropout);
    const size_t row = k->panel * k->size; /* of a panel */
    const int needs_wh = frnn_needs_wh(&g->common);
    if (needs_wh
        && frnn_transpose(team, member, k, H, together, w->wh, g->order_h, cell->has_rh ? together : all,
                          FRNN_USED_LATER, g->wh_t))
        return;
    if (all > together && (needs_wh || cell->has_rh)
        && frnn_transpose(team, member, k, H, all - together, candidate->wh, NULL, cell->has_rh ? all - together : all,
                          FRNN_USED_LATER, cell->has_rh ? g->wh_candidate_t : g->wh_t + together * row))
        return;
    const frnn_summed summed = g->common.parts > 1 ? FRNN_OWN_PARTS : FRNN_ALL_TOKENS;
    const frnn_way_back way = {.step = step_back,
                               .steps = g->few.group ? frnn_few_back : NULL,
                               .sum = sum,
                               .turn_wx = turn_wx,
                               .summed = g->count ? summed : FRNN_NO_TOKENS,
                               .cell = g};
    frnn_go_back(&g->common, team, member, share, &way);
}

frnn_status frnn_gated_backward_steps(const frnn_gated *cell, const frnn_plan *plan, size_t *steps) {
    if (!frnn_is_sound(plan) || !steps) return FRNN_ERR_ARGUMENT;
    *steps = frnn_backward_span(plan, frnn_pitch(plan, cell->dz * plan->H));
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
    frnn_layout l = {.memory = scratch};
    const frnn_kernels *k = plan->kernels;
    const frnn_gated_backward g = lay_out_backward(cell, plan, tape, gradients, &l);
    frnn_begin_backward(&g.common);
    frnn_begin_few(&g.few, cell, plan, tape, &g.w);
    if (g.few.group) frnn_begin_few_sums(&g);
    frnn_order_gates(k, plan->H, cell->together, g.order_h);
    frnn_order_gates(k, plan->H, g.w.together.gates_x, g.order_x);
    for (size_t n = 0; n < g.w.together.gates_x * plan->H; n++)
        g.order_x[n] = frnn_dz_of_x(cell, g.order_x[n] / plan->H) * plan->H + g.order_x[n] % plan->H;
    for (size_t i = 0; i < g.count; i++) frnn_begin_outer_sums(&g.sums[i].sums);
    const size_t members = frnn_backward_members(&g.common);
    const frnn_status status =
        frnn_run_by(plan, members, 2 * frnn_multiply_adds(plan, cell->gates), backward_member, (void *)&g);
    for (size_t i = 0; i < g.count; i++) frnn_end_outer_sums(&g.sums[i].sums);
    return status;
}
