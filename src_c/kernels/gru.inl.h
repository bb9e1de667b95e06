/* GRU: z, r = rec_act(x wx + b + h' wh), h = z h' + (1 - z) g.
 *
 * The tape's gates of a row are z, r and g side by side in every block; with reset_after u = h' wh + b follows. */

/* g = act(x wx + b + r u) */
FRNN_INLINE void F(gru_units)(const frnn_gated_rows *g, const int whole) {
    const VEC one = V(set1)(1);
    VEC z[AT_ONCE], r[AT_ONCE], c[AT_ONCE];
    FOR_UNITS(g, BY_BLOCKS) {
        EACH z[i] = IN(gates, GATE(3, 0)) + PRODUCT(PART(3, 0));
        F(act_units)(g->recurrent_activation, z);
        EACH r[i] = IN(gates, GATE(3, 1)) + PRODUCT(PART(3, 1));
        F(act_units)(g->recurrent_activation, r);
        EACH c[i] = V(fma)(r[i], PRODUCT(PART(3, 2)), IN(gates, GATE(3, 2)));
        F(act_units)(g->activation, c);
        EACH OUT(y, UNIT(0), V(fma)(z[i], IN(h, UNIT(0)), (one - z[i]) * c[i]));
        if (!g->keep) continue;
        EACH OUT(gates, GATE(3, 0), z[i]);
        EACH OUT(gates, GATE(3, 1), r[i]);
        EACH OUT(gates, GATE(3, 2), c[i]);
        EACH OUT(gates, UNIT(3), PRODUCT(PART(3, 2)));
    }
}

/* dz is [z r g | z r u]: the gradients of what x and what h' were multiplied to. */
FRNN_INLINE void F(gru_back_units)(const frnn_gated_rows *g, const int whole) {
    const VEC one = V(set1)(1);
    VEC d[AT_ONCE], z[AT_ONCE], r[AT_ONCE], c[AT_ONCE], dz[AT_ONCE], dr[AT_ONCE], dc[AT_ONCE];
    FOR_UNITS(g, BY_ROWS) {
        EACH d[i] = IN(dh, UNIT(0));
        if (g->dy) EACH d[i] = d[i] + IN(dy, UNIT(0));
        EACH z[i] = IN(gates, GATE(3, 0));
        EACH c[i] = IN(gates, GATE(3, 2));
        EACH dz[i] = d[i] * (IN(h, UNIT(0)) - c[i]);
        EACH dc[i] = d[i] * (one - z[i]);
        EACH OUT(dh, UNIT(0), d[i] * z[i]);
        F(act_back)(g->recurrent_activation, z, dz);
        F(act_back)(g->activation, c, dc);
        EACH r[i] = IN(gates, GATE(3, 1));
        EACH dr[i] = dc[i] * IN(gates, UNIT(3));
        F(act_back)(g->recurrent_activation, r, dr);
        EACH OUT(dz, UNIT(0), dz[i]);
        EACH OUT(dz, UNIT(1), dr[i]);
        EACH OUT(dz, UNIT(2), dc[i]);
        EACH OUT(dz, UNIT(3), dz[i]);
        EACH OUT(dz, UNIT(4), dr[i]);
        EACH OUT(dz, UNIT(5), dc[i] * r[i]);
    }
}

/* Without reset_after g needs a product of its own, of r h': first the gates, */
FRNN_INLINE void F(gru_reset_units)(const frnn_gated_rows *g, const int whole) {
    VEC z[AT_ONCE], r[AT_ONCE], h[AT_ONCE];
    FOR_UNITS(g, BY_BLOCKS) {
        EACH z[i] = IN(gates, GATE(3, 0)) + PRODUCT(PART(2, 0));
        F(act_units)(g->recurrent_activation, z);
        EACH r[i] = IN(gates, GATE(3, 1)) + PRODUCT(PART(2, 1));
        F(act_units)(g->recurrent_activation, r);
        EACH h[i] = IN(h, UNIT(0));
        if (g->dropout) EACH h[i] = h[i] * IN(dropout, UNIT(0));
        EACH OUT(gates, GATE(3, 0), z[i]);
        EACH OUT(gates, GATE(3, 1), r[i]);
        EACH OUT(rh, UNIT(0), r[i] * h[i]);
    }
}

/* then g = act(x wx + b + (r h') wh). */
FRNN_INLINE void F(gru_candidate_units)(const frnn_gated_rows *g, const int whole) {
    const VEC one = V(set1)(1);
    VEC z[AT_ONCE], c[AT_ONCE];
    FOR_UNITS(g, BY_BLOCKS) {
        EACH c[i] = IN(gates, GATE(3, 2)) + PRODUCT(PART(1, 0));
        F(act_units)(g->activation, c);
        EACH z[i] = IN(gates, GATE(3, 0));
        EACH OUT(y, UNIT(0), V(fma)(z[i], IN(h, UNIT(0)), (one - z[i]) * c[i]));
        if (g->keep) EACH OUT(gates, GATE(3, 2), c[i]);
    }
}

/* And back: dz is [z r g], of which this leaves z and g. */
FRNN_INLINE void F(gru_candidate_back_units)(const frnn_gated_rows *g, const int whole) {
    const VEC one = V(set1)(1);
    VEC d[AT_ONCE], z[AT_ONCE], c[AT_ONCE], dz[AT_ONCE], dc[AT_ONCE];
    FOR_UNITS(g, BY_ROWS) {
        EACH d[i] = IN(dh, UNIT(0));
        if (g->dy) EACH d[i] = d[i] + IN(dy, UNIT(0));
        EACH z[i] = IN(gates, GATE(3, 0));
        EACH c[i] = IN(gates, GATE(3, 2));
        EACH dz[i] = d[i] * (IN(h, UNIT(0)) - c[i]);
        EACH dc[i] = d[i] * (one - z[i]);
        EACH OUT(dh, UNIT(0), d[i] * z[i]);
        F(act_back)(g->recurrent_activation, z, dz);
        F(act_back)(g->activation, c, dc);
        EACH OUT(dz, UNIT(0), dz[i]);
        EACH OUT(dz, UNIT(2), dc[i]);
    }
}

/* rh holds the gradient of r h', and gets r h' itself. */
FRNN_INLINE void F(gru_reset_back_units)(const frnn_gated_rows *g, const int whole) {
    const VEC one = V(set1)(1);
    VEC d[AT_ONCE], r[AT_ONCE], h[AT_ONCE], dr[AT_ONCE], dh[AT_ONCE], factor[AT_ONCE];
    FOR_UNITS(g, BY_ROWS) {
        EACH factor[i] = one;
        if (g->dropout) EACH factor[i] = IN(dropout, UNIT(0));
        EACH d[i] = PRODUCT(UNIT(0));
        EACH r[i] = IN(gates, GATE(3, 1));
        EACH h[i] = IN(h, UNIT(0)) * factor[i];
        EACH dr[i] = d[i] * h[i];
        F(act_back)(g->recurrent_activation, r, dr);
        EACH dh[i] = V(fma)(d[i] * r[i], factor[i], IN(dh, UNIT(0)));
        EACH OUT(dz, UNIT(1), dr[i]);
        EACH OUT(rh, UNIT(0), r[i] * h[i]);
        EACH OUT(dh, UNIT(0), dh[i]);
    }
}

FRNN_GATED_KERNEL(gru)
FRNN_GATED_KERNEL(gru_back)
FRNN_GATED_KERNEL(gru_reset)
FRNN_GATED_KERNEL(gru_candidate)
FRNN_GATED_KERNEL(gru_candidate_back)
FRNN_GATED_KERNEL(gru_reset_back)
