#include "cells/backward.h"

#include <string.h>

#include "cells/aside.h"
#include "cells/outer_sums.h"

/* Rows go through a chunk's steps and sums in blocks of equal size: with more, what the steps leave would have gone from
 * the caches when the sums need it. */
static size_t row_blocks(size_t B) { return (B + FRNN_MOST_ROWS - 1) / FRNN_MOST_ROWS; }

/* Steps, in whole chunks, that a block of rows goes through before the next one does: its states and what was asked for ahead
 * are in cache as long. */
enum { LEAST_STEPS = 16 };

/* Rows, bytes of gradients, and tokens of a chunk for every row of a table, at which two parts pay; fewer rows if the halves
 * are equal. */
enum { HALVED_ROWS = 6, HALVED_BYTES = 1024 * 1024, TOKENS_PER_ROW = 2 };

/* What a single row's steps leave of dz is used so often for the gradients, at which it pays to send it to other members. */
enum { LEAST_USES = 64 };

/* Multiply-adds with zeros that cost more than to list those tokens apart. */
enum { LEFT_OUT = 4096 };

/* Panels of wx^T that stay in the second-level cache between being turned around and being used, no more than a row's tile has
 * at one time; and tokens that do so beside them. */
enum { LATE_BYTES = 512 * 1024, LATE_PANELS = 4, LATE_TOKENS_BYTES = 128 * 1024 };

/* Steps of a chunk that has one part. */
static size_t steps_of_part(const frnn_plan *plan, size_t width) {
    const size_t blocks = frnn_most(row_blocks(plan->B), 1), rows = (plan->B + blocks - 1) / blocks;
    /* As many tokens as fill the sums' blocks, but not a few more: those would be a block that takes as long. */
    const size_t room = frnn_chunk_tokens(plan, plan->I + plan->H + width) / FRNN_USUAL_BLOCK * FRNN_MOST_BLOCK;
    return frnn_most(frnn_most(room, FRNN_MOST_BLOCK) / frnn_most(rows, 1), 1);
}

static size_t most_parts(const frnn_plan *plan) {
    const int has_equal_halves = plan->B > 0 && plan->B % 2 == 0;
    return plan->B >= HALVED_ROWS || has_equal_halves ? FRNN_MOST_PARTS : 1;
}

/* None of this may depend on T: cutting time must not change a bit. */
static size_t parts_of(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients, size_t width,
                       int may_halve) {
    const size_t tokens = steps_of_part(plan, width) * plan->B, rows = gradients->dtable ? tape->V : 0;
    return may_halve && rows <= tokens / TOKENS_PER_ROW ? most_parts(plan) : 1;
}

size_t frnn_backward_span(const frnn_plan *plan, size_t width) {
    const size_t chunk = steps_of_part(plan, width) * most_parts(plan);
    return row_blocks(plan->B) > 1 ? (LEAST_STEPS + chunk - 1) / chunk * chunk : chunk;
}

/* Parts of some rows in a chunk. Those who share one part's sums read each other's tokens, and of two parts one is added to
 * the other, which a few rows or a single step may not be worth. A few tokens are added as one sum. */
static size_t parts_in(const frnn_backward *g, frnn_range steps, frnn_range rows) {
    const size_t count = steps.last - steps.first, tokens = count * (rows.last - rows.first);
    const double left = (double)g->plan->I + (double)g->plan->H, right = (double)g->gates * (double)g->plan->H;
    const int are_many = g->plan->B >= HALVED_ROWS && count > 1;
    const int pay = are_many || (double)tokens * (left + right) > left * right;
    return pay && tokens > FRNN_FEW_OUTER ? g->parts : 1;
}

/* Panels of wx^T that are turned around right before a product of all tokens needs them, if there is one such product. Written for
 * all, they would go to the third-level cache and back. */
static size_t late_panels(const frnn_backward *g) {
    const frnn_plan *plan = g->plan;
    const double row = (double)g->gates * (double)plan->H * (double)plan->kernels->size;
    const double panel = row * (double)plan->kernels->panel;
    const int is_one_chunk = plan->T <= g->steps && row_blocks(plan->B) <= 1;
    if (!is_one_chunk || (g->aside && plan->T > 1) || (double)plan->T * (double)plan->B * row > LATE_TOKENS_BYTES
        || parts_in(g, (frnn_range){0, plan->T}, (frnn_range){0, plan->B}) > 1)
        return 0;
    size_t panels = LATE_PANELS;
    while (panels > 1 && (double)panels * panel > LATE_BYTES) panels--;
    return panels;
}

frnn_backward frnn_lay_out_backward(const frnn_plan *plan, const frnn_tape *tape, const frnn_gradients *gradients,
                                    size_t gates, size_t width, int may_halve, frnn_layout *l) {
    const frnn_kernels *k = plan->kernels;
    const size_t size = k->size, threads = frnn_most_members(plan);
    const size_t parts = parts_of(plan, tape, gradients, width, may_halve);
    const size_t steps = frnn_most(frnn_least(steps_of_part(plan, width) * parts, plan->T), 1);
    const size_t h_columns = frnn_times(l, frnn_panels(k, plan->H), k->panel);
    const size_t x_columns = frnn_times(l, frnn_panels(k, plan->I), k->panel);
    const size_t tokens = frnn_times(l, steps, plan->B), pointers = frnn_times(l, threads, tokens);
    const size_t wx_rows = frnn_times(l, gates, plan->H);
    frnn_backward g = {.plan = plan, .tape = tape, .gradients = gradients, .gates = gates, .group = 1, .steps = steps};
    g.span = frnn_backward_span(plan, width);
    g.parts = parts;
    /* Who has no row computes dx, too, which gains more if it is no smaller than the steps. */
    const int shares_dx = threads > 1 && !frnn_share_of(plan, gates, threads, 0, !tape->dropout).together;
    g.aside =
        gradients->dx && !(shares_dx && plan->I >= plan->H) && frnn_goes_aside(plan, tape, gates, plan->H, threads);
    if (parts > 1 && gradients->dtable)
        g.tables = frnn_take(l, frnn_times(l, parts * gates, frnn_times(l, tape->V, plan->H)), size);
    g.zeros = frnn_take(l, frnn_most(h_columns, x_columns), size);
    g.late_panels = gradients->dx ? late_panels(&g) : 0;
    const size_t columns = g.late_panels ? frnn_times(l, threads, g.late_panels * k->panel) : x_columns;
    g.wx_t = frnn_take(l, gradients->dx ? frnn_times(l, columns, wx_rows) : 0, size);
    g.dh = gradients->dh0 ? gradients->dh0 : frnn_take(l, frnn_times(l, plan->B, plan->H), size);
    g.dz = frnn_place_by_sequence(plan, steps, width, frnn_take(l, frnn_times(l, tokens, width), size));
    g.seats = frnn_lay_out_seats(plan, tape, steps, l);
    g.rows = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *g.rows);
    g.dz_rows = frnn_take(l, pointers, sizeof *g.dz_rows);
    g.x_rows = frnn_take(l, pointers, sizeof *g.x_rows);
    g.h_rows = frnn_take(l, pointers, sizeof *g.h_rows);
    g.to = frnn_take(l, pointers, sizeof *g.to);
    return g;
}

int frnn_are_sums_small(const frnn_plan *plan, const frnn_tape *tape, size_t gates) {
    const double elements = (double)gates * (double)plan->H * ((double)plan->I + (double)plan->H);
    /* Dropout gives the tokens other left-hand sides, which members make for each other. */
    return !tape->dropout && elements * (double)plan->kernels->size <= HALVED_BYTES;
}

static frnn_own_parts own_parts(const frnn_tokens *t, const frnn_team *team, size_t member) {
    return frnn_own_parts_of(t->parts, frnn_team_size(team), member);
}

int frnn_add_own_parts(frnn_team *team, size_t member, const frnn_outer_sums *sums, const frnn_tokens *t,
                       const char *const *h, const char *const *dz) {
    const frnn_own_parts mine = own_parts(t, team, member);
    for (size_t i = mine.parts.first; i < mine.parts.last; i++) {
        const struct frnn_tokens_of_part *part = &t->part[i];
        if (frnn_add_part(team, member, mine.crew, sums, i, t->first, part->n, part->initial,
                          (const void *const *)t->x + part->first, h ? (const void *const *)h + part->first : NULL,
                          (const void *const *)dz + part->first))
            return 1;
    }
    return 0;
}

size_t frnn_backward_members(const frnn_backward *g) {
    const frnn_plan *plan = g->plan;
    const size_t members = frnn_most_members(plan);
    const frnn_share share = frnn_share_of(plan, g->gates, members, 0, !g->tape->dropout);
    const size_t uses = plan->H + (g->gradients->dx ? 2 : 1) * plan->I;
    return plan->B > 1 || share.together || uses > LEAST_USES ? members : 1;
}

void frnn_begin_backward(const frnn_backward *g) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t columns = frnn_most(frnn_panels(k, g->plan->H), frnn_panels(k, g->plan->I)) * k->panel;
    memset(g->zeros, 0, columns * k->size);
}

size_t frnn_batch_row(const frnn_backward *g, const char *dz) {
    return (size_t)(dz - g->dz.first) / (size_t)g->dz.batch;
}

static char *dx_at(const frnn_backward *g, size_t b, size_t step) {
    const frnn_plan *plan = g->plan;
    return (char *)g->gradients->dx + (b * plan->T + frnn_time_of(plan, step)) * plan->I * plan->kernels->size;
}

void frnn_fetch_ahead(const frnn_backward *g, const frnn_back_step *s) {
    const size_t size = g->plan->kernels->size, offset = s->share.columns.first * size;
    const size_t bytes = (s->share.columns.last - s->share.columns.first) * size;
    if (bytes < FRNN_FETCHED_BYTES) return;
    for (size_t i = 0; i < s->n; i++) {
        const size_t b = s->rows[i], step = frnn_back_step_of(g, s, i);
        if (step >= 1 && g->gradients->dy) frnn_fetch(frnn_dy_at(g->gradients, b, step - 1) + offset, bytes);
        if (step >= 2) frnn_fetch(frnn_y_at(g->tape, b, step - 2) + offset, bytes);
    }
}

typedef struct token {
    int exists;
    size_t row, step;
} token;

/* The first row's token some steps later: perhaps at the next rows, of which as many are meant. */
static token later(const frnn_back_step *s, size_t steps) {
    const size_t left = s->step - s->span.first, rows = s->share.rows.last - s->share.rows.first;
    if (steps <= left) return (token){1, s->share.rows.first, s->step - steps};
    steps -= left;
    return (token){s->next_steps >= steps && s->next.last >= rows, s->next.last - rows, s->next_steps - steps};
}

void frnn_ask_for_next(const frnn_backward *g, const frnn_back_step *s, frnn_ahead *a) {
    const frnn_gradients *out = g->gradients;
    const size_t row = g->plan->H * g->plan->kernels->size;
    const token next = later(s, 1), second = later(s, 2);
    if (next.exists && out->dy)
        a->rows[0] = (struct frnn_ahead_rows){frnn_dy_at(out, next.row, next.step), out->dy_batch, row};
    if (second.exists)
        a->rows[1] = (struct frnn_ahead_rows){frnn_y_at(g->tape, second.row, second.step), g->tape->y_batch, row};
}

/* Clears dx of the tokens that take no part: their x is not used. */
static void clear_masked(const frnn_backward *g, frnn_range steps, frnn_range rows) {
    const frnn_plan *plan = g->plan;
    const size_t bytes = plan->I * plan->kernels->size;
    for (size_t place = rows.first; place < rows.last; place++) {
        const size_t b = frnn_row_in(g->order, place);
        for (size_t step = steps.first, run; step < steps.last; step += run) {
            run = frnn_mask_run(plan, g->tape, b, step, steps.last - step, 0);
            if (frnn_is_active(plan, g->tape, b, step)) continue;
            memset(dx_at(g, b, plan->go_backwards ? step + run - 1 : step), 0, run * bytes);
        }
    }
}

/* A masked step's output repeats the one before: adds the gradients of all such outputs. */
static void add_repeated(const frnn_backward *g, frnn_share share, size_t b, frnn_range steps) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t row = g->plan->H * k->size, offset = share.columns.first * k->size;
    k->add(share.columns.last - share.columns.first, steps.last - steps.first,
           frnn_dy_at(g->gradients, b, steps.last - 1) + offset, -g->gradients->dy_time, g->dh + b * row + offset);
}

/* Has idle seats' rows skip what is masked, or leave. */
static void fill_seats(const frnn_backward *g, frnn_back_step *s) {
    frnn_seats *const seats = &s->seats;
    const int repeats = g->gradients->dy && !g->plan->zero_output_for_mask;
    for (size_t i = 0; (i = frnn_idle_seat(seats, i)) < seats->n;) {
        const size_t b = seats->row[i];
        const frnn_range skipped = frnn_skip(seats, i);
        if (repeats && skipped.first < skipped.last) add_repeated(g, s->share, b, skipped);
        if (frnn_is_idle(seats, i)) frnn_next_row(seats, i);
    }
    s->n = seats->n;
}

void frnn_move_list(const frnn_back_step *s, const frnn_place *place, char **list) {
    if (s->step > 0 && place->time) frnn_move_rows(list, s->n, -place->time);
    for (size_t j = 0; j < s->seats.changes; j++) {
        const size_t i = s->seats.changed[j];
        if (i < s->n) list[i] = frnn_at(place, s->rows[i], s->steps[i]);
    }
}

/* Tokens of a chunk whose dx is computed aside: those of the last steps, in whole groups, after which there are others. */
static size_t tokens_aside(const frnn_backward *g, frnn_range steps) {
    const size_t group = g->plan->kernels->aside;
    size_t n = 0;
    if (!g->aside) return 0;
    for (size_t step = steps.first; step < steps.last; step++) n += (size_t)frnn_is_active(g->plan, g->tape, 0, step);
    return n ? (n - 1) / group * group : 0;
}

/* A chunk's dx of a single row, as far as it is computed aside. */
typedef struct dx_aside {
    frnn_work_aside work;
    size_t left;                     /* tokens that are still to go aside */
    size_t n, gone[FRNN_MOST_ASIDE]; /* steps behind us that wait to be a whole group */
} dx_aside;

static void begin_aside(const frnn_backward *g, frnn_range steps, dx_aside *dx) {
    dx->left = tokens_aside(g, steps), dx->n = 0;
}

/* Puts dx of the steps that wait aside. */
static void put_dx_aside(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                         dx_aside *dx) {
    const frnn_plan *plan = g->plan;
    const frnn_kernels *k = plan->kernels;
    const size_t panels = frnn_panels(k, plan->I);
    dx->work.count = 0;
    for (size_t i = 0; i < dx->n; i++) {
        dx->work.a[i] = frnn_at(&g->dz, 0, dx->gone[i]);
        dx->work.c[0][i] = dx_at(g, 0, dx->gone[i]);
    }
    frnn_put_aside(&dx->work, k, g->wx_t, g->gates * plan->H, plan->I, g->zeros,
                   s->share.together ? frnn_part(panels, frnn_team_size(team), member) : (frnn_range){0, panels});
    dx->left -= dx->n;
}

/* After a step: when there is another group of them, the one before has had its time. */
static int go_on_aside(const frnn_backward *g, frnn_team *team, size_t member, frnn_back_step *s, dx_aside *dx) {
    if (!g->aside) return 0;
    dx->gone[dx->n++] = frnn_back_step_of(g, s, 0);
    if (dx->n < g->plan->kernels->aside) return 0;
    if (s->aside && frnn_finish_aside(team, member, g->plan->kernels, &dx->work)) return 1;
    s->aside = dx->left ? &dx->work.aside : NULL;
    if (s->aside) put_dx_aside(g, team, member, s, dx);
    dx->n = 0;
    return 0;
}

static int end_aside(const frnn_backward *g, frnn_team *team, size_t member, frnn_back_step *s, dx_aside *dx) {
    if (s->aside && frnn_finish_aside(team, member, g->plan->kernels, &dx->work)) return 1;
    s->aside = NULL;
    return 0;
}

/* A member's steps of a chunk with a mask. */
static int go_through_seats(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_back_step *s,
                            const frnn_way_back *way) {
    s->seats = frnn_take_seats(&g->seats, member, s->share.rows, steps, 1);
    dx_aside dx;
    begin_aside(g, steps, &dx);
    s->rows = s->seats.row, s->steps = s->seats.step, s->step = 0;
    for (fill_seats(g, s); s->n; s->step++) {
        if (way->step(g, team, member, s, way->cell) || go_on_aside(g, team, member, s, &dx)) return 1;
        if (frnn_go_step(&s->seats)) fill_seats(g, s);
    }
    return end_aside(g, team, member, s, &dx);
}

/* Asks for what the sums of the chunk after this one read and write of a step. */
static void fetch_next_chunk(const frnn_backward *g, const frnn_back_step *s) {
    const size_t bytes = g->plan->I * g->plan->kernels->size;
    if (s->step < g->steps || !frnn_are_streams(g->plan, s->n)) return;
    for (size_t i = 0, step = s->step - g->steps; i < s->n; i++) {
        if (g->tape->x) frnn_fetch_row(frnn_x_at(g->plan, g->tape, s->rows[i], step), bytes);
        if (g->gradients->dx) frnn_fetch_row(dx_at(g, s->rows[i], step), bytes);
    }
}

/* And without. */
static int go_through_steps(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_back_step *s,
                            const frnn_way_back *way) {
    size_t *const rows = g->rows + member * g->plan->B;
    s->n = 0, s->rows = rows;
    for (size_t b = s->share.rows.first; b < s->share.rows.last; b++) rows[s->n++] = b;
    dx_aside dx;
    begin_aside(g, steps, &dx);
    for (s->step = steps.last; s->step-- > steps.first;) {
        if (way->step(g, team, member, s, way->cell)) return 1;
        fetch_next_chunk(g, s);
        if (s->n && go_on_aside(g, team, member, s, &dx)) return 1;
    }
    return end_aside(g, team, member, s, &dx);
}

/* All tokens, those of the very first step, which have no state before, or the others. */
typedef enum listed { ALL, INITIAL, LATER } listed;

/* Adds some rows' tokens to the lists, with their rows of a table or NULL. */
static void list_tokens(const frnn_backward *g, frnn_range steps, frnn_range rows, listed which, char *table,
                        frnn_tokens *t) {
    const frnn_plan *plan = g->plan;
    const ptrdiff_t way = plan->go_backwards ? -1 : 1, x_time = way * g->tape->x_time;
    const ptrdiff_t dx_time = way * (ptrdiff_t)(plan->I * plan->kernels->size);
    for (size_t place = rows.first; place < rows.last; place++) {
        const size_t b = frnn_row_in(g->order, place);
        for (size_t step = steps.first, run; step < steps.last; step += run) {
            run = g->tape->mask ? frnn_mask_run(plan, g->tape, b, step, steps.last - step, 0) : steps.last - step;
            if (!frnn_is_active(plan, g->tape, b, step)) continue;
            const char *h = frnn_h_before(g, b, step);
            const size_t initial = which != ALL && step == 0, n = t->n;
            size_t from = step, count = run;
            if (which == INITIAL) count = initial;
            else if (initial) h = frnn_y_at(g->tape, b, from++), count--;
            if (count == 0) continue;
            frnn_list_strided(frnn_at(&g->dz, b, from), g->dz.time, count, (char **)t->dz + n);
            frnn_list_strided(frnn_x_at(plan, g->tape, b, from), x_time, count, (char **)t->x + n);
            frnn_list_strided(frnn_y_at(g->tape, b, from), g->tape->y_time, count - 1, (char **)t->h + n + 1);
            t->h[n] = h;
            if (g->gradients->dx) frnn_list_strided(dx_at(g, b, from), dx_time, count, t->dx + n);
            for (size_t i = 0; table && i < count; i++)
                t->dx[n + i] = frnn_row_of_token(plan, g->tape, g->gates, table, b, from + i);
            t->n += count;
        }
    }
}

/* wx^T, by all members. */
static int turn_wx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_way_back *way) {
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

/* dx = dz wx^T for the first n tokens */
static int multiply_dx(const frnn_backward *g, frnn_team *team, size_t member, const frnn_back_step *s,
                       const frnn_tokens *t, size_t n, const frnn_way_back *way, int own) {
    const frnn_plan *plan = g->plan;
    if (g->late_panels) return multiply_dx_late(g, team, member, t, way);
    const int asks = way->dx_asks && frnn_products_ask_back(g, s->share);
    frnn_ahead ahead = asks ? frnn_ask_ahead(plan, s->share.rows, s->n) : (frnn_ahead){0};
    if (asks) frnn_ask_for_next(g, s, &ahead);
    const frnn_crew crew = own ? own_parts(t, team, member).crew : (frnn_crew){frnn_team_size(team), member};
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

static size_t table_bytes(const frnn_backward *g) {
    return g->tape->V * g->gates * g->plan->H * g->plan->kernels->size;
}

/* Where a part of the rows adds to. */
static char *table_of_part(const frnn_backward *g, size_t part) {
    return g->parts > 1 ? g->tables + part * table_bytes(g) : g->gradients->dtable;
}

/* Lists where the tokens from `first` on add to, and adds them. */
static void add_to_table(const frnn_backward *g, const frnn_tokens *t, size_t first) {
    const frnn_kernels *k = g->plan->kernels;
    const size_t N = g->gates * g->plan->H, turned = g->turned * g->plan->H;
    const void *const *dz = (const void *const *)t->dz + first;
    void *const *rows = (void *const *)t->dx + first;
    k->add_rows(t->n - first, N - turned, dz, turned, rows, 0);
    if (turned) k->add_rows(t->n - first, turned, dz, 0, rows, N - turned);
}

/* Whether tokens without a state before are listed apart. With a mask there may be others later, but where time is cut
 * these have a state, of zeros, and must come in the same order. */
static int leaves_initial_out(const frnn_backward *g, frnn_range steps) {
    return !g->tape->h0 && steps.first == 0 && g->gates * g->plan->H * g->plan->H >= LEFT_OUT;
}

/* The tokens of a block that a member needs, and its parts of them to the table. */
static void list_and_add(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_range rows,
                         frnn_tokens *t, frnn_summed needed) {
    t->parts = parts_in(g, steps, rows);
    const frnn_own_parts mine = own_parts(t, team, member);
    for (size_t part = 0; part < t->parts; part++) {
        const frnn_range some = frnn_part_of_groups(rows.last - rows.first, g->group, t->parts, part);
        const size_t first = t->n;
        const int own = mine.parts.first <= part && part < mine.parts.last;
        const int adds = own && mine.crew.place == 0 && g->gradients->dtable;
        t->part[part] = (struct frnn_tokens_of_part){.first = first};
        if (!adds && !(own && needed == FRNN_OWN_PARTS) && needed != FRNN_ALL_TOKENS) continue;
        char *const table = adds ? table_of_part(g, part) : NULL;
        if (adds && g->parts > 1) memset(table, 0, table_bytes(g));
        const frnn_range of_part = {rows.first + some.first, rows.first + some.last};
        const int leaves_out = leaves_initial_out(g, steps);
        if (leaves_out) list_tokens(g, steps, of_part, INITIAL, table, t);
        t->part[part].initial = t->n - first;
        list_tokens(g, steps, of_part, leaves_out ? LATER : ALL, table, t);
        t->part[part].n = t->n - first;
        if (adds) add_to_table(g, t, first);
    }
    t->initial = t->part[0].initial; /* without parts */
}

/* One member's rows of a table in bytes. */
static frnn_range table_rows(const frnn_backward *g, frnn_team *team, size_t member) {
    const size_t row = g->gates * g->plan->H * g->plan->kernels->size;
    const frnn_range rows = frnn_part(g->tape->V, frnn_team_size(team), member);
    return (frnn_range){rows.first * row, rows.last * row};
}

/* Zeros, before any tokens are added. */
static void clear_table(const frnn_backward *g, frnn_team *team, size_t member) {
    const frnn_range mine = table_rows(g, team, member);
    if (!g->gradients->accumulate) memset((char *)g->gradients->dtable + mine.first, 0, mine.last - mine.first);
}

/* And after a chunk what the parts of it have added to tables of their own. */
static void join_tables(const frnn_backward *g, frnn_team *team, size_t member, size_t parts) {
    const frnn_range mine = table_rows(g, team, member);
    const frnn_kernels *k = g->plan->kernels;
    for (size_t part = 0; part < parts; part++)
        k->add((mine.last - mine.first) / k->size, 1, table_of_part(g, part) + mine.first, 0,
               (char *)g->gradients->dtable + mine.first);
}

/* The gradient of the last states, from where it goes back to the initial ones. */
static void begin_states(const frnn_backward *g, frnn_share share, const void *last, char *states) {
    const size_t size = g->plan->kernels->size, row = g->plan->H * size, offset = share.columns.first * size;
    const size_t bytes = (share.columns.last - share.columns.first) * size;
    for (size_t b = share.rows.first; b < share.rows.last; b++) {
        char *to = states + b * row + offset;
        if (last) memmove(to, (const char *)last + b * row + offset, bytes);
        else memset(to, 0, bytes);
    }
}

/* A member's rows of a block. */
static frnn_range own_rows(const frnn_backward *g, frnn_team *team, size_t member, frnn_range rows) {
    const frnn_range part = frnn_part_of_groups(rows.last - rows.first, g->group, frnn_team_size(team), member);
    return (frnn_range){rows.first + part.first, rows.first + part.last};
}

/* Every member's share of a block of rows, for the steps of a chunk, and then for the sums over its tokens. */
static int go_through_block(const frnn_backward *g, frnn_team *team, size_t member, frnn_range steps, frnn_range rows,
                            frnn_back_step *s, frnn_tokens *t, const frnn_way_back *way) {
    const frnn_range own = own_rows(g, team, member, rows);
    s->share.rows = s->share.together ? rows : own;
    s->first = steps.first;
    if (g->tape->mask && g->gradients->dx) clear_masked(g, steps, own);
    if (way->steps ? way->steps(g, team, member, steps, own, way->cell)
                   : (g->tape->mask ? go_through_seats : go_through_steps)(g, team, member, steps, s, way))
        return 1;
    if (frnn_barrier(team)) return 1; /* dz of all rows must be there */
    const frnn_summed needed = g->gradients->dx && way->summed == FRNN_NO_TOKENS ? FRNN_ALL_TOKENS : way->summed;
    t->n = 0, t->rows = rows;
    list_and_add(g, team, member, steps, rows, t, needed);
    s->step = steps.first;
    const size_t n = t->n - tokens_aside(g, steps);
    if (g->gradients->dx && multiply_dx(g, team, member, s, t, n, way, needed == FRNN_OWN_PARTS)) return 1;
    if (way->sum(g, team, member, t, way->cell)) return 1;
    if (g->gradients->dtable && g->parts > 1) join_tables(g, team, member, t->parts);
    return 0;
}

int frnn_go_back(const frnn_backward *g, frnn_team *team, size_t member, frnn_share share, const frnn_way_back *way) {
    const frnn_plan *plan = g->plan;
    const frnn_gradients *out = g->gradients;
    const size_t tokens = member * g->steps * plan->B, blocks = row_blocks(plan->B);
    frnn_tokens t = {.dz = g->dz_rows + tokens,
                     .x = g->x_rows + tokens,
                     .h = g->h_rows + tokens,
                     .dx = g->to + tokens,
                     .parts = g->parts};
    frnn_back_step s = {.share = share, .dz = t.dz, .y = t.x, .dy = t.h, .to = t.dx};

    if (out->dx && !g->late_panels && turn_wx(g, team, member, way)) return 1;
    if (out->dtable) clear_table(g, team, member);
    begin_states(g, share, out->dh_last, g->dh);
    if (g->dc) begin_states(g, share, out->dc_last, g->dc);
    if (frnn_barrier(team)) return 1;

    t.first = 1;
    if (plan->T == 0 || plan->B == 0) return way->sum(g, team, member, &t, way->cell); /* the sums are zeros */
    for (frnn_range span = {0, plan->T}; span.last > 0; span.last = span.first) {
        span.first = (span.last - 1) / g->span * g->span;
        for (size_t i = 0; i < blocks; i++) {
            const frnn_range rows = frnn_part_of_groups(plan->B, g->group, blocks, i);
            const int more = i + 1 < blocks;
            s.span = span;
            s.next = own_rows(g, team, member, frnn_part_of_groups(plan->B, g->group, blocks, more ? i + 1 : 0));
            s.next_steps = more ? span.last : span.first;
            for (frnn_range steps = span; steps.last > span.first; steps.last = steps.first, t.first = 0) {
                steps.first = (steps.last - 1) / g->steps * g->steps;
                if (go_through_block(g, team, member, steps, rows, &s, &t, way)) return 1;
            }
        }
    }
    return 0;
}
