/* The arithmetic that every instruction set offers, as a table of functions and the contract of each.
 *
 * Matrices reach a kernel as arrays of row pointers, so that rows may lie anywhere: batch-major tensors are used in
 * place, and a step of a masked batch lists its active rows only. The right-hand matrix of a product is *packed*:
 * cut into panels of `panel` columns, each stored row after row, the last one padded with zeros. With at most half a
 * panel's columns it may be *interleaved* instead: groups of two or four rows, column by column, padded to whole vectors.
 * Products add one term after the other in the order of k (interleaved: every second or fourth one, then these sums),
 * whatever the tile: the bits of a row do not depend on the rows beside it. Preconditions are asserted; kernels cannot fail. */
#ifndef FRNN_KERNELS_H
#define FRNN_KERNELS_H

#include "fastrnn.h"

/* One matrix product, a b. */
typedef struct frnn_term {
    const void *const *a; /* rows x K */
    const void *b;        /* K x N, packed */
    size_t K;             /* may be 0 */
    size_t apart;         /* rows of b from one panel's first to the next one's; 0: K */
} frnn_term;

static inline size_t frnn_apart(const frnn_term *term) { return term->apart ? term->apart : term->K; }

/* Memory that will be needed after some products, and that these ask for while they compute. If it were asked for at one
 * time, the queues of the caches would be full, and most requests dropped. */
typedef struct frnn_ahead {
    const char *next, *end; /* in one piece: */
    size_t step;            /* so many bytes with every row of b */
    struct frnn_ahead_rows {
        const char *first;
        ptrdiff_t stride;
        size_t bytes;
    } rows[3];         /* in rows: some of them after every tile */
    size_t row, count; /* the next of them, and how many there are */
    size_t some;       /* so many after a tile: a step's tiles must come to all of them */
} frnn_ahead;

/* Bytes of b that a second cache keeps, whatever else goes through it. */
enum { FRNN_KEPT_BYTES = 512 * 1024 };

struct frnn_product;

/* Products that are computed little by little, while one of a single row waits for its b. They have `aside` rows each, at most
 * FRNN_MOST_ASIDE, one term and no activation. */
enum { FRNN_MOST_ASIDE = 8 };

typedef struct frnn_aside {
    struct frnn_product *product, *end; /* what is left of them: of each the panels from `first` on, whole ones only */
    size_t k;                           /* of the next panel so many k are there already */
} frnn_aside;

/* c = act(start + a b + a' b') for the panels first <= p < last of b */
typedef struct frnn_product {
    frnn_term term[2];         /* the second may be absent: K = 0 */
    void *const *c;            /* rows x N; must not overlap any a */
    const void *start;         /* (N rounded up to panels,) added to every row; or NULL: */
    const void *const *starts; /* rows x N, each added to its row; NULL: start from what c holds */
    size_t rows;               /* may be 0 */
    size_t N;
    size_t first, last; /* panels */
    frnn_activation activation;
    frnn_ahead *ahead;  /* or NULL */
    frnn_aside *aside;  /* or NULL; for products of one row, without a second term */
    int c_is_far;       /* not in the caches, and only written */
    int backwards;      /* from the last panel to the first: what the last product used of b is still in cache */
    size_t interleaved; /* b's rows in a group, if it is; then there is one term, one panel and no activation */
} frnn_product;

/* c += a^T b for one tile of rows and one panel of columns: the sum over n of outer products. */
typedef struct frnn_outer {
    size_t n;                  /* how many outer products, may be 0 */
    size_t rows, columns;      /* of this tile of c: at most `tile`, at most `panel` */
    const void *const *a_rows; /* n rows that hold a from a_column on; NULL: `a` holds it */
    size_t a_column;
    void *a;                   /* n x tile, packed; memory for that if there are a_rows */
    int keep;                  /* leave a there, packed */
    const void *const *b_rows; /* n rows that hold b from b_column on; NULL: `b` holds it */
    size_t b_column;
    const void *b; /* n x panel, one packed panel */
    void *c;       /* rows x columns */
    size_t stride; /* elements from one row of c to the next */
    int fresh;     /* c = a^T b instead */
} frnn_outer;

/* So few outer products that most of their time goes by in moving c. */
enum { FRNN_FEW_OUTER = 4 };

/* c += a b^T, each of its elements being a vector, for the lanes of a and b by themselves: they are to be added in the end. a
 * and b are like panels, (rows, panel) and (columns, panel). */
typedef struct frnn_correlation {
    size_t rows, columns;  /* of c */
    size_t n;              /* of each row of a and b; the rest of the last vector is 0 */
    size_t steps;          /* so many matrices a and b, */
    size_t a_step, b_step; /* so many elements apart */
    const void *a, *b;
    void *c;
    size_t stride; /* vectors from one row of c to the next */
} frnn_correlation;

/* Some rows of a gated cell at one step, and the units of some blocks: block p is `panel` units from p * panel on, fewer at
 * the end. Arrays of row pointers, indexed from 0; what a kernel does not need may be missing. All but `gates` hold H
 * units, dz several times. In `gates` those gates of a block's units that one product makes stand side by side, as the
 * panels of the weights do; then come the others and what else the tape keeps, H units each. */
typedef struct frnn_gated_rows {
    size_t row, rows;                /* the first row, how many */
    size_t H, first, last;           /* blocks first <= p < last */
    void *const *gates;              /* x wx + b + h' wh, to become the activated gates */
    void *const *candidate;          /* the first gate there that stands by itself */
    void *const *u;                  /* h' wh + b, GRU with reset_after */
    const void *const *h, *const *c; /* states before the step */
    const void *const *dropout;      /* factors of h' in the product, or NULL */
    void *const *y, *const *next_c;  /* and after it */
    void *const *rh;                 /* r h', GRU without reset_after */
    const void *const *dy;           /* or NULL for zeros */
    void *const *dh, *const *dc;     /* of the states after the step, to become those before it */
    void *const *dz;                 /* gate after gate, */
    size_t dz_stride;                /* so many elements apart */
    frnn_activation activation, recurrent_activation;
    int keep;          /* forward: the activated gates must stay */
    frnn_ahead *ahead; /* for the step's products, or NULL */
} frnn_gated_rows;

struct frnn_kernels {
    const char *isa;
    frnn_dtype dtype;
    size_t size;     /* bytes of an element */
    size_t lanes;    /* elements of a vector */
    size_t panel;    /* columns of a packed panel */
    size_t tile;     /* rows of a register tile */
    size_t pair_k;   /* with up to so many k, tiles have half of them and twice the columns; 0: never */
    int asks_evenly; /* whether all tiles of a large product ask for some of the next panel, not only the last ones */
    size_t aside;    /* rows of a product that is computed beside another; 0: there are none */
    size_t strip; /* tiles of outer products' left-hand rows that had better be packed together; 1: each on the way */

    size_t (*aside_bytes)(void); /* most bytes of both products' b that `aside` pays for on this processor; 0: none */

    void (*product)(const frnn_product *product);
    void (*outer)(const frnn_outer *outer);
    /* The same for one to FRNN_FEW_OUTER outer products of any size, row after row of c. a_rows and b_rows are given. */
    void (*outer_rows)(const frnn_outer *outer);
    /* Columns first <= i < end of n rows as tiles (n, tile), one after the other with room for n + 1 rows each; `columns` is how
     * many the rows have. Missing ones of the last tile are zeros. */
    void (*pack_tiles)(size_t n, const void *const *rows, size_t first, size_t end, size_t columns, void *packed);

    /* Rows k0 .. k0+count-1 of a packed K x N matrix from row pointers, panels first <= p < last. */
    void (*pack)(size_t count, const void *const *rows, size_t k0, size_t K, size_t N, size_t first, size_t last,
                 void *packed);
    /* Some rows of whole panels, `step` elements from one to the next, from rows `stride` elements apart that lie in memory as
     * one dense matrix. It may go past the caches. */
    void (*pack_whole)(size_t rows, size_t panels, const void *from, size_t stride, void *to, size_t step,
                       int past_caches);
    /* Some columns of a panel's rows, from rows `stride` elements apart. */
    void (*pack_some)(size_t rows, size_t columns, const void *from, size_t stride, void *to);
    /* The transpose of a packed K x N matrix, among others in a packed rows x K matrix, of which `transposed` has the panels
     * first <= p < last. Column n becomes row order[n], or n if order is NULL. It may go past the caches. */
    void (*transpose)(size_t K, size_t N, const void *packed, const size_t *order, size_t rows, size_t first,
                      size_t last, int past_caches, void *transposed);
    /* to (columns, rows) is the transpose of from (rows, columns). */
    void (*turn)(size_t rows, size_t columns, const void *const *from, void *const *to);
    /* sum (panel,) += the sum of the n rows of one packed panel. */
    void (*sum)(size_t n, const void *panel, void *sum);

    /* y = act(x) elementwise; x may be y. */
    void (*activate)(frnn_activation activation, size_t n, const void *x, void *y);
    /* dz = (dh + dy) * act'(z), from y = act(z): columns `column` .. `column + n - 1` of some rows. dy may be NULL for
     * zeros, dz may be dh. */
    void (*differentiate)(frnn_activation activation, size_t rows, size_t column, size_t n, const void *const *dh,
                          const void *const *dy, const void *const *y, void *const *dz);
    void (*multiply)(size_t n, const void *a, const void *b, void *c); /* c = a * b; may overlap exactly */
    void (*repeat)(size_t n, size_t rows, const void *a, void *c, ptrdiff_t stride); /* c = a for some rows; bytes */
    /* c += a, for the rows a one after the other; stride: bytes */
    void (*add)(size_t n, size_t rows, const void *a, ptrdiff_t stride, void *c);
    /* c += a for n columns of some rows, from these columns on; one row after the other, as c may hold one twice. */
    void (*add_rows)(size_t rows, size_t n, const void *const *a, size_t a_column, void *const *c, size_t c_column);
    /* c += a b for one row a and a matrix b as it stands, n columns of it, with `stride` elements from one row to the next:
     * the bits that a product has. */
    void (*combine)(size_t n, size_t rows, const void *a, const void *b, size_t stride, void *c);
    void (*correlate)(const frnn_correlation *correlation);
    /* to = from in those of the n columns that are not active. */
    void (*restore)(size_t rows, size_t n, const uint8_t *active, const void *const *from, void *const *to);

    /* One step of a gated cell and the way back; the equations stand in gru.inl.h and lstm.inl.h. */
    void (*gru)(const frnn_gated_rows *rows); /* reset_after */
    void (*gru_back)(const frnn_gated_rows *rows);
    void (*gru_reset)(const frnn_gated_rows *rows); /* without it: in two parts */
    void (*gru_candidate)(const frnn_gated_rows *rows);
    void (*gru_candidate_back)(const frnn_gated_rows *rows);
    void (*gru_reset_back)(const frnn_gated_rows *rows);
    void (*lstm)(const frnn_gated_rows *rows);
    void (*lstm_back)(const frnn_gated_rows *rows);

    /* One step of an optimizer. */
    void (*sgd)(const frnn_descent *descent);
    void (*rmsprop)(const frnn_descent *descent);
    void (*adam)(const frnn_descent *descent);

    /* Does `times` times the multiply-adds of a full tile, in registers, and returns how many scalar ones that were:
     * what the processor can do at most. */
    double (*multiply_adds)(size_t times);
};

#endif
