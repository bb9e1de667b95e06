#include "cells/seats.h"

#include <string.h>

#include "cells/runs.h"

enum { WORD = 64 };

/* Factors that gather the lowest bits of a word's bytes in the highest one: the first byte's lowest, or the last one's. */
static const uint64_t FIRST_FIRST = 0x0102040810204080, LAST_FIRST = 0x8040201008040201;

frnn_seats frnn_lay_out_seats(const frnn_plan *plan, const frnn_tape *tape, size_t steps, frnn_layout *l) {
    frnn_seats s = {.plan = plan, .tape = tape, .words = steps / WORD + 1};
    if (!tape->mask) return s;
    const size_t members = frnn_most_members(plan), rows = frnn_times(l, members, plan->B);
    s.row = frnn_take(l, rows, sizeof *s.row);
    s.step = frnn_take(l, rows, sizeof *s.step);
    s.end = frnn_take(l, rows, sizeof *s.end);
    s.changed = frnn_take(l, rows, sizeof *s.changed);
    s.queue = frnn_take(l, rows, sizeof *s.queue);
    s.counts = frnn_take(l, frnn_times(l, members, s.words * WORD), sizeof *s.counts);
    s.bits = frnn_take(l, frnn_times(l, rows, s.words), sizeof *s.bits);
    return s;
}

/* The bits of n steps, at most 64, the first or the last byte's lowest. */
static uint64_t gather(const uint8_t *mask, size_t n, int falls) {
    const uint64_t factor = falls ? LAST_FIRST : FIRST_FIRST;
    uint64_t bits = 0;
    size_t p = 0;
    for (; p + 8 <= n; p += 8) bits |= frnn_eight_steps(mask + (falls ? n - p - 8 : p)) * factor >> 56 << p;
    for (; p < n; p++) bits |= (uint64_t)(mask[falls ? n - p - 1 : p] != 0) << p;
    return bits;
}

/* The bits of a row, and how many of them are set. */
static size_t gather_row(const frnn_seats *s, size_t b, uint64_t *bits) {
    const frnn_plan *plan = s->plan;
    const size_t count = s->steps.last - s->steps.first;
    const int falls = plan->go_backwards != s->back;
    const uint8_t *mask = s->tape->mask + b * plan->T;
    mask += frnn_time_of(plan, plan->go_backwards ? s->steps.last - 1 : s->steps.first);
    size_t active = 0;
    for (size_t first = 0; first <= count; first += WORD) {
        const size_t n = frnn_least(count - first, WORD);
        const uint64_t word = gather(mask + (falls ? count - first - n : first), n, falls);
        active += (size_t)__builtin_popcountll(word);
        bits[first / WORD] = word;
    }
    return active;
}

/* The row's first step, and no run. */
static void sit_down(frnn_seats *s, size_t i) {
    s->row[i] = s->queue[s->called++];
    s->step[i] = s->back ? s->steps.last - 1 : s->steps.first;
    s->end[i] = s->now;
}

/* Active steps of a row in the queue, before anybody sits. */
static size_t length(const frnn_seats *s, size_t i) { return s->end[s->queue[i] - s->rows.first]; }

/* As many seats as keep all busy until the longest row is done, or one less if that takes hardly more time. */
static size_t seats_for(size_t total, size_t longest) {
    const size_t seats = total / longest;
    return frnn_most(seats + (total - seats * longest > total / 16), 1);
}

frnn_seats frnn_take_seats(const frnn_seats *all, size_t member, frnn_range rows, frnn_range steps, int back) {
    const size_t first = member * all->plan->B, n = rows.last - rows.first, count = steps.last - steps.first;
    frnn_seats s = *all;
    s.row += first, s.step += first, s.end += first, s.changed += first, s.queue += first, s.bits += first * s.words;
    s.counts += member * s.words * WORD;
    s.rows = rows, s.steps = steps, s.back = back, s.next = SIZE_MAX;
    memset(s.counts, 0, (count + 1) * sizeof *s.counts);
    size_t total = 0, longest = 1;
    for (size_t i = 0; i < n; i++) {
        const size_t active = s.end[i] = gather_row(&s, rows.first + i, s.bits + i * s.words);
        s.counts[active]++, total += active, longest = frnn_most(longest, active);
    }
    for (size_t active = count + 1, before = 0; active-- > 0;) {
        const size_t same = s.counts[active];
        s.counts[active] = before, before += same;
    }
    for (size_t i = 0; i < n; i++) s.queue[s.counts[s.end[i]]++] = rows.first + i;
    s.n = frnn_least(seats_for(total, longest), n);
    /* Of one row more than there are seats, two share one: they must not take much longer than the longest. */
    while (s.n < n && length(&s, s.n - 1) + length(&s, s.n) > longest + longest / 16) s.n++;
    while (s.called < s.n) sit_down(&s, s.called);
    return s;
}

size_t frnn_idle_seat(frnn_seats *s, size_t i) {
    const size_t n = s->n, now = s->now, *const end = s->end;
    size_t next = s->next;
    for (; i < n && end[i] > now; i++) next = frnn_least(next, end[i]);
    s->next = next;
    return i;
}

/* The first of a row's bits from p on that is not equal to those of `others`; `count` if there is none. */
static size_t find(const uint64_t *bits, size_t p, size_t count, uint64_t others) {
    for (; p < count; p += WORD - p % WORD) {
        const uint64_t word = (bits[p / WORD] ^ others) >> p % WORD;
        if (word) return frnn_least(p + (size_t)__builtin_ctzll(word), count);
    }
    return count;
}

frnn_range frnn_skip(frnn_seats *s, size_t i) {
    if (!s->changes || s->changed[s->changes - 1] != i) s->changed[s->changes++] = i;
    const frnn_range steps = s->steps;
    const uint64_t *bits = s->bits + (s->row[i] - s->rows.first) * s->words;
    const size_t count = steps.last - steps.first, p = s->back ? steps.last - 1 - s->step[i] : s->step[i] - steps.first;
    const size_t begin = find(bits, p, count, 0);
    s->end[i] = s->now + find(bits, begin, count, UINT64_MAX) - begin;
    s->step[i] = s->back ? steps.last - 1 - begin : steps.first + begin;
    return s->back ? (frnn_range){steps.last - begin, steps.last - p}
                   : (frnn_range){steps.first + p, steps.first + begin};
}

int frnn_next_row(frnn_seats *s, size_t i) {
    if (s->called < s->rows.last - s->rows.first) {
        sit_down(s, i);
        return 1;
    }
    s->n--;
    s->row[i] = s->row[s->n], s->step[i] = s->step[s->n], s->end[i] = s->end[s->n];
    return 0;
}

int frnn_go_step(frnn_seats *s) {
    const size_t n = s->n, way = s->back ? (size_t)-1 : 1;
    size_t *const step = s->step;
    for (size_t i = 0; i < n; i++) step[i] += way;
    s->changes = 0;
    if (++s->now < s->next) return 0;
    s->next = SIZE_MAX;
    return 1;
}
