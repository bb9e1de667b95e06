#include "cells/team.h"

#include "runtime/sizes.h"

/* Bytes of the left-hand rows that stay in the second-level cache while the panels pass by. */
static const size_t ROW_BLOCK_BYTES = 512 * 1024;
/* Where left-hand rows are longer than this, and many of them, sums are made in parts of at most so many bytes, for at most so
 * many rows at a time: the rows' parts and a panel's stay in that cache while they meet. */
static const size_t LONG_BYTES = 12 * 1024, PART_BYTES = 8 * 1024, MANY_BYTES = 256 * 1024;
enum { LONG_ROWS = 64 };
/* Multiply-adds between two looks at whether to stop. */
static const size_t PIECE = (size_t)1 << 22;

frnn_range frnn_part(size_t n, size_t size, size_t member) {
    const size_t each = n / size, more = n % size;
    const size_t first = member * each + frnn_least(member, more);
    return (frnn_range){first, first + each + (member < more)};
}

frnn_range frnn_part_of_groups(size_t n, size_t group, size_t size, size_t member) {
    const frnn_range groups = frnn_part(n / group + (n % group != 0), size, member);
    return (frnn_range){frnn_least(groups.first * group, n), frnn_least(groups.last * group, n)};
}

frnn_own_parts frnn_own_parts_of(size_t parts, size_t size, size_t member) {
    if (size <= parts) return (frnn_own_parts){frnn_part(parts, size, member), {1, 0}};
    size_t part = 0, first = 0;
    for (;;) {
        const size_t next = (part + 1) * size / parts;
        if (member < next) return (frnn_own_parts){{part, part + 1}, {next - first, member - first}};
        first = next, part++;
    }
}

/* Multiply-adds that take as long as a barrier, for each element of a step's gates as what the members read that others have
 * just written, and those of a member's step that pay for both. */
static const double BARRIER_WORK = 15e3, EXCHANGE_WORK = 4.5, STEP_WORK = 14e3;

/* A tile of few rows takes as long as one of `floor` rows: it waits for the weights to arrive from their cache.
 * Splitting the columns shares that wait, at the price of a barrier and of an exchange per step. */
static int columns_pay(const frnn_plan *plan, size_t gates, size_t size) {
    const double row = (double)gates * (double)plan->H * (double)plan->H; /* multiply-adds */
    const size_t floor = row * (double)plan->kernels->size > 1024 * 1024 ? 4 : 2;
    const size_t panels = frnn_panels(plan->kernels, plan->H), most_panels = (panels + size - 1) / size;
    const double by_rows = (double)frnn_most((plan->B + size - 1) / size, floor) * row;
    const double by_columns = (double)frnn_most(plan->B, floor) * row * (double)most_panels / (double)panels;
    const double price = BARRIER_WORK + EXCHANGE_WORK * (double)plan->B * (double)gates * (double)plan->H;
    return panels >= size && by_columns + price < by_rows && (double)plan->B * row / (double)size > STEP_WORK;
}

frnn_share frnn_share_of(const frnn_plan *plan, size_t gates, size_t size, size_t member, int may_split_columns) {
    const size_t panels = frnn_panels(plan->kernels, plan->H), panel = plan->kernels->panel;
    frnn_share share = {.rows = {0, plan->B}, .panels = {0, panels}};
    share.together = size > 1 && may_split_columns && columns_pay(plan, gates, size);
    if (share.together) share.panels = frnn_part(panels, size, member);
    else share.rows = frnn_part(plan->B, size, member);
    share.columns.first = frnn_least(share.panels.first * panel, plan->H);
    share.columns.last = frnn_least(share.panels.last * panel, plan->H);
    return share;
}

/* Few rows have wide tiles, which reuse nothing that could stay. */
static int has_long_sums(const frnn_kernels *k, const frnn_product *p, size_t row_bytes) {
    return row_bytes > LONG_BYTES && p->rows > k->tile && p->rows * row_bytes > MANY_BYTES && !p->interleaved;
}

/* c holds the sums from one part to the next, so the bits are those of a sum in one piece. */
static void multiply_long(const frnn_kernels *kernels, const frnn_product *whole) {
    const void *a[LONG_ROWS];
    frnn_product product = *whole;
    product.term[1] = (frnn_term){0};
    product.activation = FRNN_LINEAR;
    for (const frnn_term *t = whole->term; t < whole->term + 2; t++) {
        const size_t parts = (t->K * kernels->size + PART_BYTES - 1) / PART_BYTES;
        const int ends = t > whole->term || whole->term[1].K == 0; /* with this term */
        for (size_t i = 0; i < parts; i++) {
            const frnn_range k = frnn_part(t->K, parts, i);
            if (ends && i + 1 == parts) product.activation = whole->activation;
            for (size_t r = 0; r < whole->rows; r++) a[r] = (const char *)t->a[r] + k.first * kernels->size;
            const char *b = (const char *)t->b + k.first * kernels->panel * kernels->size;
            product.term[0] = (frnn_term){.a = a, .b = b, .K = k.last - k.first, .apart = frnn_apart(t)};
            kernels->product(&product);
            product.start = NULL, product.starts = NULL;
        }
    }
}

int frnn_multiply(frnn_team *team, size_t member, const frnn_kernels *kernels, const frnn_product *whole) {
    const size_t K = whole->term[0].K + whole->term[1].K, row_work = K * kernels->panel, row_bytes = K * kernels->size;
    const double work = (double)whole->rows * (double)row_work * (double)(whole->last - whole->first);
    if (whole->rows * row_bytes <= ROW_BLOCK_BYTES && work <= (double)PIECE) { /* the usual case, in one piece */
        kernels->product(whole);
        return frnn_worked(team, member, work);
    }
    frnn_product product = *whole;
    const int is_long = has_long_sums(kernels, whole, row_bytes);
    const size_t rows = frnn_most(ROW_BLOCK_BYTES / frnn_most(row_bytes, 1), 4 * kernels->tile);
    const size_t block = is_long ? LONG_ROWS : rows;
    for (size_t row = 0; row < whole->rows; row += product.rows) {
        /* Blocks of equal size: no small one is left over. */
        const size_t left = whole->rows - row, blocks = (left + block - 1) / block;
        product.rows = (left + blocks - 1) / blocks;
        for (int t = 0; t < 2; t++)
            if (whole->term[t].K) product.term[t].a = whole->term[t].a + row;
        if (whole->starts) product.starts = whole->starts + row;
        product.c = whole->c + row;
        const size_t panel_work = frnn_most(product.rows * row_work, 1), piece = frnn_most(PIECE / panel_work, 4);
        for (product.first = whole->first; product.first < whole->last; product.first = product.last) {
            product.last = frnn_least(product.first + piece, whole->last);
            if (is_long) multiply_long(kernels, &product);
            else kernels->product(&product);
            if (frnn_worked(team, member, (double)panel_work * (double)(product.last - product.first))) return 1;
        }
    }
    return 0;
}
