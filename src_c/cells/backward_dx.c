/* dx = dz wx^T: after a chunk's steps for its tokens, or of a single row beside its steps. */
#include <string.h>

#include "cells/backward_inner.h"

void frnn_clear_dx(const frnn_backward *g, frnn_range steps, frnn_range rows) {
    const frnn_plan *plan = g->plan;
    const size_t bytes = plan->I * plan->kernels->size;
    for (size_t place = rows.first; place < rows.last; place++) {
        const size_t b = frnn_row_in(g->order, place);
        for (size_t step = steps.first, run; step < steps.last; step += run) {
            run = frnn_mask_run(plan, g->tape, b, step, steps.last - step, 0);
            if (frnn_is_active(plan, g->tape, b, step)) continue;
            memset(frnn_dx_at(g, b, plan->go_backwards ? step + run - 1 : step), 0, run * bytes);
        }
    }
}

size_t frnn_tokens_aside(const frnn_backward *g, frnn_range steps) {
    const size_t group = g->plan->kernels->aside;
    size_t n = 0;
    if (!g->aside) return 0;
    for (size_t step = steps.first; step < steps.last; step++) n += (size_t)frnn_is_active(g->plan, g->tape, 0, step);
    return n ? (n - 1) / group * group : 0;
}

void frnn_begin_dx_aside(const frnn_backward *g, frnn_range steps, frnn_dx_aside *dx) {
    dx->left = frnn_tokens_aside(g, steps), dx->n = 0;
}

/* Puts dx of the steps that wait aside. */
static void put_dx_aside(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                         frnn_dx_aside *dx) {
    const frnn_plan *plan = g->plan;
    const frnn_kernels *k = plan->kernels;
    const size_t panels = frnn_panels(k, plan->I);
    dx->work.count = 0;
    for (size_t i = 0; i < dx->n; i++) {
        dx->work.a[i] = frnn_at(&g->dz, 0, dx->gone[i]);
        dx->work.c[0][i] = frnn_dx_at(g, 0, dx->gone[i]);
    }
    frnn_put_aside(&dx->work, k, g->wx_t, g->gates * plan->H, plan->I, g->zeros,
                   s->share.together ? frnn_part(panels, frnn_team_size(team), member) : (frnn_range){0, panels});
    dx->left -= dx->n;
}

/* After a step: when there is another group of them, the one before has had its time. */
int frnn_go_on_dx_aside(const frnn_backward *g, frnn_team *team, size_t member, frnn_back_step *s, frnn_dx_aside *dx) {
    if (!g->aside) return 0;
    dx->gone[dx->n++] = frnn_back_step_of(g, s, 0);
    if (dx->n < g->plan->kernels->aside) return 0;
    if (s->aside && frnn_finish_aside(team, member, g->plan->kernels, &dx->work)) return 1;
    s->aside = dx->left ? &dx->work.aside : NULL;
    if (s->aside) put_dx_aside(g, team, member, s, dx);
    dx->n = 0;
    return 0;
}

int frnn_end_dx_aside(const frnn_backward *g, frnn_team *team, size_t member, frnn_back_step *s, frnn_dx_aside *dx) {
    if (s->aside && frnn_finish_aside(team, member, g->plan->kernels, &dx->work)) return 1;
    s->aside = NULL;
    return 0;
}

int frnn_turn_wx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_way_back *way) {
    const frnn_kernels *k = g->plan->kernels;
    const frnn_range panels = frnn_part(frnn_panels(k, g->plan->I), frnn_team_size(team), member);
    const size_t panel = g->gates * g->plan->H * k->panel;
    for (size_t i = panels.first; i < panels.last; i++) {
        way->turn_wx(g, (frnn_range){i, i + 1}, FRNN_USED_LATER, g->wx_t + i * panel * k->size, way->cell);
        if (frnn_worked(team, member, (double)panel)) return 1;
    }
    return 0;
}

/* dx = dz wx^T for all tokens, a member's columns of it, with panels of wx^T that are turned around now */
static int multiply_dx_late(const frnn_backward *g, frnn_team *team, size_t member, const frnn_tokens *t,
                            const frnn_way_back *way) {
    const frnn_plan *plan = g->plan;
    const frnn_kernels *k = plan->kernels;
    const size_t K = g->gates * plan->H, panel_row = k->panel * k->size;
    const frnn_range mine = frnn_part(frnn_panels(k, plan->I), frnn_team_size(team), member);
    char *const wx_t = g->wx_t + member * g->late_panels * K * panel_row;
    frnn_product product = {.term = {{.a = (const void *const *)t->dz, .b = wx_t, .K = K}},
                            .start = g->zeros,
                            .c = (void *const *)t->dx,
                            .rows = t->n,
                            .activation = FRNN_LINEAR,
                            .c_is_far = 1};
    frnn_move_rows(t->dx, t->n, (ptrdiff_t)(mine.first * panel_row));
    for (size_t first = mine.first; first < mine.last; first += product.last) {
        product.N = plan->I - first * k->panel;
        product.last = frnn_least(g->late_panels, mine.last - first);
        way->turn_wx(g, (frnn_range){first, first + product.last}, FRNN_USED_NOW, wx_t, way->cell);
        if (frnn_multiply(team, member, k, &product)) return 1;
        frnn_move_rows(t->dx, t->n, (ptrdiff_t)(product.last * panel_row));
    }
    return 0;
}

int frnn_multiply_dx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                     const frnn_tokens *t, size_t n, const frnn_way_back *way, int own) {
    const frnn_plan *plan = g->plan;
    if (g->late_panels) return multiply_dx_late(g, team, member, t, way);
    const int asks = way->dx_asks && frnn_products_ask_back(g, s->share);
    frnn_ahead ahead = asks ? frnn_ask_ahead(plan, s->share.rows, s->n) : (frnn_ahead){0};
    if (asks) frnn_ask_for_next(g, s, &ahead);
    const frnn_crew crew =
        own ? frnn_own_parts_of_tokens(t, team, member).crew : (frnn_crew){frnn_team_size(team), member};
    const frnn_range mine = frnn_part(n, crew.size, crew.place);
    const frnn_term term = {.a = (const void *const *)t->dz + mine.first, .b = g->wx_t, .K = g->gates * plan->H};
    return frnn_multiply(team, member, plan->kernels,
                         &(frnn_product){.term = {term},
                                         .start = g->zeros,
                                         .c = (void *const *)t->dx + mine.first,
                                         .rows = mine.last - mine.first,
                                         .N = plan->I,
                                         .first = 0,
                                         .last = frnn_panels(plan->kernels, plan->I),
                                         .activation = FRNN_LINEAR,
                                         .c_is_far = 1,
                                         .ahead = asks ? &ahead : NULL});
}
