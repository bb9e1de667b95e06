#include "cells/forward.h"

#include <string.h>

#include "cells/aside.h"
#include "cells/gates.h"

/* Steps of a chunk that may as well be up to half as many more. */
enum { LONG_CHUNK = 16 };

/* Multiply-adds of a chunk's projection that are worth two barriers. */
static const double HELPED_WORK = 500e3;

/* Of a second-level cache; and rows that are worth a way through the weights of their own. */
static const size_t CACHE_BYTES = 1024 * 1024;
enum { LEAST_ROWS = 32 };

/* Rows and bytes of weights with which a step does without a projection. */
enum { FUSED_ROWS = 4 };
static const size_t FUSED_BYTES = 896 * 1024;

/* The nearest cache has as many places for all lines that are a multiple of this apart as it has ways, 8 at least: enough
 * for low tiles, the weights and the outputs, not for high ones. With few columns a row is not used often enough for a copy
 * to pay. */
enum { MEETING = 4096, WAYS = 8, BESIDE_ROWS = 2, MEETING_COLUMNS = 512 };

/* Whether rows of a step so many bytes apart had better be copied before they are multiplied. */
static int meet(const frnn_plan *plan, ptrdiff_t stride, size_t width, size_t columns) {
    const frnn_kernels *k = plan->kernels;
    return k->tile + BESIDE_ROWS > WAYS && width > k->pair_k && columns >= MEETING_COLUMNS
           && plan->B / frnn_most_members(plan) >= 8 && stride % MEETING == 0;
}

/* Whether members without rows could help the others to project: a chunk must be worth the wait for each other. */
static int can_be_helped(const frnn_forward *f, size_t size, frnn_share share) {
    const frnn_plan *plan = f->plan;
    const double tokens = (double)frnn_least(f->chunk, plan->T) * (double)plan->B;
    return size > plan->B && !share.together && !f->tape->table
           && tokens * (double)plan->I * (double)f->gates * (double)plan->H >= HELPED_WORK;
}

frnn_forward frnn_lay_out_forward(const frnn_plan *plan, const frnn_tape *tape, size_t gates, frnn_layout *l) {
    const size_t size = plan->kernels->size, threads = frnn_most_members(plan);
    const size_t columns = frnn_times(l, gates, plan->H);
    const frnn_share share = frnn_share_of(plan, gates, threads, 0, !tape->dropout);
    const size_t rows = frnn_most(share.together ? plan->B : plan->B / threads, 1); /* of a member */
    frnn_forward f = {.plan = plan, .tape = tape, .gates = gates};
    f.steps = (frnn_most(frnn_chunk_tokens(plan, frnn_least(plan->I, columns) + columns), FRNN_LEAST_TOKENS) + rows - 1)
              / rows;
    f.chunk = f.steps;
    if (f.steps >= LONG_CHUNK) { /* no small one is left over, which would take as long to read the weights */
        const size_t chunks = frnn_most(plan->T / f.steps + (plan->T % f.steps > f.steps / 2), 1);
        f.chunk = plan->T / chunks + (plan->T % chunks != 0);
        f.steps += f.steps / 2 + 1;
    }
    /* Who helps gains more, if the projection is no smaller than the steps. */
    f.aside = !(plan->I >= plan->H && can_be_helped(&f, threads, share))
              && frnn_goes_aside(plan, tape, gates, columns, share.together ? threads : 1);
    if (f.aside) f.chunk = plan->kernels->aside, f.steps = frnn_most(f.steps, 2 * f.chunk);
    f.steps = frnn_most(frnn_least(f.steps, plan->T), 1);
    const size_t tokens = frnn_times(l, f.steps, plan->B);
    f.no_z = frnn_take(l, f.aside ? columns : 0, size);
    f.zeros = frnn_take(l, plan->H, size);
    f.h = frnn_take(l, tape->y ? 0 : frnn_times(l, plan->B, plan->H), size);
    const size_t kept = f.aside ? f.steps : frnn_least(f.chunk, f.steps);
    f.y = tape->y
              ? (frnn_place){tape->y, tape->y_batch, tape->y_time, frnn_most(plan->T, 1)}
              : frnn_dense_place(plan, frnn_most(kept, 1), plan->H, frnn_take(l, frnn_times(l, tokens, plan->H), size));
    f.x = frnn_take(l, frnn_times(l, threads, tokens), sizeof *f.x);
    f.to = frnn_take(l, frnn_times(l, threads, tokens), sizeof *f.to);
    f.hidden = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *f.hidden);
    f.state = frnn_take(l, frnn_times(l, threads, plan->B), sizeof *f.state);
    const size_t x_apart = tape->x && meet(plan, tape->x_batch, plan->I, columns) ? tokens : 0;
    const size_t h_apart = meet(plan, f.y.batch, plan->H, columns) ? plan->B : 0;
    f.x_apart = frnn_take(l, frnn_times(l, x_apart, frnn_pitch(plan, plan->I)), size);
    f.h_apart = frnn_take(l, frnn_times(l, h_apart, frnn_pitch(plan, plan->H)), size);
    if (!x_apart) f.x_apart = NULL;
    if (!h_apart) f.h_apart = NULL;
    f.seats = frnn_lay_out_seats(plan, tape, tape->y ? plan->T : f.steps, l);
    f.z = f.y;
    return f;
}

/* Whether the members that have no rows help to project those of the others. */
static int is_helped(const frnn_forward *f, size_t size, frnn_share share) {
    return !f->aside && can_be_helped(f, size, share);
}

size_t frnn_row_blocks(const frnn_forward *f, const frnn_team *team, frnn_share share) {
    if (is_helped(f, frnn_team_size(team), share)) return 1;
    /* Rows that are a large power of two apart meet in the same few places of a cache. */
    const size_t stride = (size_t)f->y.batch, meeting = stride & (~stride + 1);
    const size_t most = frnn_most(LEAST_ROWS, CACHE_BYTES / frnn_most(meeting, CACHE_BYTES / FRNN_MOST_ROWS));
    return share.together ? 1 : (share.rows.last - share.rows.first + most - 1) / most;
}

size_t frnn_forward_members(const frnn_forward *f) {
    const frnn_plan *plan = f->plan;
    const size_t members = frnn_most_members(plan);
    const frnn_share share = frnn_share_of(plan, f->gates, members, 0, !f->tape->dropout);
    return plan->B > 1 || share.together || is_helped(f, members, share) ? members : 1;
}

void frnn_begin_forward(const frnn_forward *f) { memset(f->zeros, 0, f->plan->H * f->plan->kernels->size); }

/* Like memcpy, for rows so short that a call for each would count. */
static void copy(char *to, const char *from, size_t bytes) {
    for (; bytes >= 32; bytes -= 32, to += 32, from += 32) memcpy(to, from, 32);
    for (; bytes >= 4; bytes -= 4, to += 4, from += 4) memcpy(to, from, 4);
}

/* One member's share of a token's row of the table, its gates side by side as in the panels. */
static void copy_gates(const frnn_forward *f, const frnn_share *share, const char *row, char *z) {
    const size_t H = f->plan->H, size = f->plan->kernels->size, panel = f->plan->kernels->panel;
    for (const frnn_projection *p = f->projections; p < f->projections + 2 && p->gates; p++) {
        for (size_t unit = share->columns.first; unit < share->columns.last; unit += panel) {
            const size_t width = frnn_least(panel, H - unit), runs = width == H ? 1 : p->gates;
            const size_t bytes = width * p->gates / runs * size;
            for (size_t i = 0; i < runs; i++)
                copy(z + p->gates * unit * size + i * bytes, row + (i * H + unit) * size, bytes);
        }
        row += p->gates * H * size, z += p->gates * H * size;
    }
}

/* The table's rows for the chunk's active tokens, where their projections would be. */
static void look_up(const frnn_forward *f, frnn_range steps, const frnn_step *s) {
    const frnn_range rows = s->share.rows;
    for (size_t step = steps.first; step < steps.last; step++) {
        char *z = frnn_at(&f->z, rows.first, step);
        for (size_t b = rows.first; b < rows.last; b++, z += f->z.batch)
            if (frnn_is_active(f->plan, f->tape, b, step))
                copy_gates(f, &s->share, frnn_row_of_token(f->plan, f->tape, f->gates, f->tape->table, b, step), z);
    }
}

/* Copies some rows of a member's to where they do not meet, `first` rows from there on, and lists those instead; unless
 * there is no such place. Members that all need all rows would write to the same one. */
static void move_apart(const frnn_plan *plan, const frnn_share *share, size_t n, size_t width, char *apart,
                       size_t first, const char **rows) {
    if (!apart || share->together) return;
    const size_t size = plan->kernels->size, pitch = frnn_pitch(plan, width) * size;
    char *to = apart + first * pitch;
    for (size_t i = 0; i < n; i++, to += pitch) {
        memcpy(to, rows[i], width * size);
        rows[i] = to;
    }
}

int frnn_project(const frnn_forward *f, frnn_team *team, size_t member, frnn_range steps, const frnn_step *s) {
    const frnn_kernels *k = f->plan->kernels;
    const frnn_range rows = s->share.rows;
    size_t n = 0;
    for (size_t step = steps.first; step < steps.last; step++) {
        const char *x = frnn_x_at(f->plan, f->tape, 0, step);
        char *z = frnn_at(&f->z, 0, step);
        for (size_t place = rows.first; place < rows.last; place++) {
            const size_t b = frnn_row_in(f->order, place);
            if (frnn_is_active(f->plan, f->tape, b, step)) {
                s->x[n] = x + (ptrdiff_t)b * f->tape->x_batch;
                s->outputs[n++] = z + (ptrdiff_t)b * f->z.batch;
            }
        }
    }
    move_apart(f->plan, &s->share, n, f->plan->I, f->x_apart, rows.first * f->steps, s->x);
    for (const frnn_projection *p = f->projections; p < f->projections + 2 && p->gates; p++) {
        const size_t columns = p->gates * f->plan->H;
        const frnn_range panels = frnn_gate_panels(k, f->plan->H, p->gates, s->share.panels);
        if (frnn_multiply(team, member, k,
                          &(frnn_product){.term = {{(const void *const *)s->x, p->wx, f->plan->I}},
                                          .start = p->start,
                                          .c = (void *const *)s->outputs,
                                          .rows = n,
                                          .N = columns,
                                          .first = panels.first,
                                          .last = panels.last,
                                          .activation = FRNN_LINEAR,
                                          .c_is_far = 1,
                                          .interleaved = f->interleaved}))
            return 1;
        for (size_t i = 0; i < n; i++) s->outputs[i] += columns * k->size;
    }
    return 0;
}

/* The same for a member's part of the steps and all rows of the batch, then waits for the others. */
static int project_part(const frnn_forward *f, frnn_team *team, size_t member, frnn_range steps, const frnn_step *s) {
    const frnn_range part = frnn_part(steps.last - steps.first, frnn_team_size(team), member);
    frnn_step mine = *s;
    mine.share.rows = (frnn_range){0, f->plan->B};
    return frnn_project(f, team, member, (frnn_range){steps.first + part.first, steps.first + part.last}, &mine)
           || frnn_barrier(team);
}

/* Puts the projection of the chunk aside that begins with this step. It may have fewer tokens, if it is the last one or masked; but
 * with less than half of them there is nothing aside. */
static int project_aside(const frnn_forward *f, const frnn_share *share, size_t step, frnn_work_aside *work) {
    const frnn_plan *plan = f->plan;
    const size_t end = frnn_least(step + f->chunk, plan->T);
    size_t n = 0, steps[FRNN_MOST_ASIDE], column = 0;
    if (!f->aside) return 0;
    for (; step < end; step++)
        if (frnn_is_active(plan, f->tape, 0, step)) steps[n++] = step;
    if (2 * n < f->chunk) return 0;
    for (size_t i = 0; i < f->chunk; i++) work->a[i] = frnn_x_at(plan, f->tape, 0, steps[frnn_least(i, n - 1)]);
    work->count = 0;
    for (const frnn_projection *p = f->projections; p < f->projections + 2 && p->gates; p++) {
        for (size_t i = 0; i < f->chunk; i++)
            work->c[work->count][i] = (i < n ? frnn_at(&f->z, 0, steps[i]) : f->no_z) + column * plan->kernels->size;
        frnn_put_aside(work, plan->kernels, p->wx, plan->I, p->gates * plan->H, p->start,
                       frnn_gate_panels(plan->kernels, plan->H, p->gates, share->panels));
        column += p->gates * plan->H;
    }
    return 1;
}

/* Lists the tokens' rows of the table in place of their x. */
static void list_table(const frnn_forward *f, const frnn_step *s) {
    for (size_t i = 0; i < s->n; i++)
        s->x[i] =
            frnn_row_of_token(f->plan, f->tape, f->gates, f->tape->table, frnn_row_of(f, s, i), frnn_step_of(f, s, i));
}

/* The outputs of some steps that a row with state h skips: that one again, or zeros. */
static void repeat_output(const frnn_forward *f, frnn_share share, size_t b, frnn_range steps, const char *h) {
    const frnn_kernels *k = f->plan->kernels;
    const size_t offset = share.columns.first * k->size, n = share.columns.last - share.columns.first;
    const char *output = f->plan->zero_output_for_mask ? f->zeros : h;
    k->repeat(n, steps.last - steps.first, output + offset, frnn_at(&f->y, b, steps.first) + offset, f->y.time);
}

/* Has idle seats' rows skip what is masked, or leave. */
static void fill_seats(const frnn_forward *f, frnn_step *s, frnn_seats *seats) {
    for (size_t i = 0; (i = frnn_idle_seat(seats, i)) < seats->n;) {
        const size_t b = seats->row[i];
        const frnn_range skipped = frnn_skip(seats, i);
        char **const state = s->state - s->share.rows.first;
        if (f->tape->y && skipped.first < skipped.last) repeat_output(f, s->share, b, skipped, s->h[i]);
        if (!frnn_is_idle(seats, i)) {
            s->x[i] = frnn_x_at(f->plan, f->tape, b, seats->step[i]);
            s->y[i] = frnn_at(&f->y, b, seats->step[i]);
            continue;
        }
        state[b] = s->h[i];
        if (frnn_next_row(seats, i)) s->h[i] = state[seats->row[i]];
        else s->x[i] = s->x[seats->n], s->h[i] = s->h[seats->n], s->y[i] = s->y[seats->n];
    }
    s->n = seats->n;
}

static void begin_seats(const frnn_forward *f, frnn_step *s, frnn_seats *seats) {
    s->rows = seats->row, s->steps = seats->step;
    for (size_t i = 0; i < seats->n; i++) s->h[i] = s->state[seats->row[i] - s->share.rows.first];
    fill_seats(f, s, seats);
}

/* Lists the rows of the next step: what this one wrote are their states. */
static void go_on(const frnn_forward *f, frnn_step *s, frnn_seats *seats) {
    const ptrdiff_t x_time = f->plan->go_backwards ? -f->tape->x_time : f->tape->x_time;
    char **const written = s->y;
    s->y = s->h, s->h = written;
    for (size_t i = 0; i < s->n; i++) s->y[i] = written[i] + f->y.time;
    frnn_move_rows((char **)s->x, s->n, x_time);
    if (frnn_go_step(seats)) fill_seats(f, s, seats);
}

/* The same without a mask. */
static void list_all(const frnn_forward *f, frnn_step *s, const char *x, char *y) {
    const ptrdiff_t x_stride = f->tape->x_batch, y_stride = f->y.batch;
    const size_t n = s->share.rows.last - s->share.rows.first;
    char **const next = s->h;
    s->h = s->state;
    s->y = s->state = next;
    s->n = n;
    frnn_list_strided(x, x_stride, n, (char **)s->x);
    frnn_list_strided(y, y_stride, n, next);
}

/* Asks for what the next chunk's projection will read and write of a step. */
static void fetch_next_chunk(const frnn_forward *f, const frnn_step *s) {
    const frnn_plan *plan = f->plan;
    const size_t size = plan->kernels->size, step = s->step + f->chunk;
    const frnn_range rows = s->share.rows;
    if (step >= plan->T || !frnn_are_streams(plan, rows.last - rows.first)) return;
    for (size_t b = rows.first; b < rows.last; b++) {
        if (f->tape->x) frnn_fetch_row(frnn_x_at(plan, f->tape, b, step), plan->I * size);
        frnn_fetch_row(frnn_at(&f->z, b, step), f->gates * plan->H * size);
    }
}

/* There are half as many tiles, each twice as long; and all weights come from the second-level cache in every step. */
int frnn_fusing_pays(const frnn_forward *f, size_t rows) {
    const frnn_plan *plan = f->plan;
    const double row = (double)f->gates * (double)plan->H * (double)plan->kernels->size;
    /* A step that asks for its places on a tape at one time had better not be the first to do so, if they are far. */
    const int asks_at_once = f->tape->gates && !frnn_are_many_lines(plan, f->tape, rows);
    if (asks_at_once && row * (double)rows * (double)plan->T > 2 * (double)CACHE_BYTES) return 0;
    return rows >= FUSED_ROWS && row * ((double)plan->I + (double)plan->H) <= (double)FUSED_BYTES;
}

int frnn_go_forward(const frnn_forward *f, frnn_team *team, size_t member, frnn_share share, int fused,
                    frnn_step_function recur, const void *cell) {
    const frnn_plan *plan = f->plan;
    const frnn_tape *tape = f->tape;
    const size_t size = plan->kernels->size, row = plan->H * size;
    const size_t first = share.rows.first, rows = share.rows.last - first;
    const size_t offset = share.columns.first * size, bytes = (share.columns.last - share.columns.first) * size;
    frnn_step s = {.share = share,
                   .fused = fused,
                   .x = f->x + member * f->steps * plan->B,
                   .h = f->hidden + member * plan->B,
                   .state = f->state + member * plan->B,
                   .y = f->to + member * f->steps * plan->B,
                   .outputs = f->to + member * f->steps * plan->B};
    frnn_work_aside aside;
    const int helped = is_helped(f, frnn_team_size(team), share);
    const size_t chunk = fused && tape->y ? plan->T : f->chunk; /* there is nothing to project or to save */
    for (size_t i = 0; i < rows; i++) s.state[i] = tape->h0 ? (char *)tape->h0 + (first + i) * row : f->zeros;
    for (frnn_range steps = {0, 0}; steps.first < plan->T; steps.first = steps.last) {
        steps.last = frnn_least(steps.first + chunk, plan->T);
        if (helped) {
            if (project_part(f, team, member, steps, &s)) return 1;
        } else if (s.aside) {
            if (frnn_finish_aside(team, member, plan->kernels, &aside)) return 1;
        } else if (!fused && tape->table) look_up(f, steps, &s);
        else if (!fused && frnn_project(f, team, member, steps, &s)) return 1;
        s.aside = project_aside(f, &share, steps.last, &aside) ? &aside.aside : NULL;
        frnn_seats seats;
        if (tape->mask) {
            seats = frnn_take_seats(&f->seats, member, share.rows, steps, 0);
            begin_seats(f, &s, &seats);
        }
        for (; rows && (tape->mask ? s.n > 0 : s.step < steps.last); s.step++) {
            if (!tape->mask) list_all(f, &s, frnn_x_at(plan, tape, first, s.step), frnn_at(&f->y, first, s.step));
            if (fused && tape->table) list_table(f, &s);
            move_apart(plan, &share, s.n, plan->H, f->h_apart, first, (const char **)s.h);
            if (fused && !tape->mask) move_apart(plan, &share, s.n, plan->I, f->x_apart, first, s.x);
            if (recur(f, team, member, &s, cell)) return 1;
            if (!fused && !tape->mask && !f->aside) fetch_next_chunk(f, &s);
            if (share.together) {
                if (frnn_barrier(team)) return 1;
                frnn_fetch_rows((const char *const *)s.y, s.n, row);
            }
            if (tape->mask) go_on(f, &s, &seats);
        }
        if (helped && frnn_barrier(team)) return 1; /* which is projected to the same places */
        if (tape->y) continue;
        /* The next chunk uses the same memory. */
        for (size_t i = 0; i < rows; i++) {
            char *h = f->h + (first + i) * row;
            if (s.state[i] != h) memcpy(h + offset, s.state[i] + offset, bytes);
            s.state[i] = h;
        }
        if (share.together && frnn_barrier(team)) return 1;
    }
    if (!f->h_last) return 0;
    for (size_t i = 0; i < rows; i++)
        memmove((char *)f->h_last + (first + i) * row + offset, s.state[i] + offset, bytes);
    return 0;
}
