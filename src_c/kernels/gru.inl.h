/* GRU: z, r = rec_act(x wx + b + h' wh), h = z h' + (1 - z) g.
 *
 * The tape's gates of a row are z and r side by side in every block, then g, and with reset_after u = h' wh + b. */

/* g = act(x wx + b + r u) */
FRNN_INLINE void F(gru_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    const VEC one = V(set1)(1);
    VEC zr[2 * F(UNITS)], c[F(UNITS)];
    F(act_gates)(g->recurrent_activation, u, n, vectors, 0, 2, zr);
    EACH_UNIT c[i] = V(fma)(ACTIVE(1, zr[2 * i + 1]), IN(u, 0), IN(candidate, 0));
    F(act_vectors)(g->activation, n * vectors, c);
    EACH_UNIT {
        const VEC z = ACTIVE(0, zr[2 * i]);
        OUT(y, 0, V(fma)(z, IN(h, 0), (one - z) * c[i]));
        if (!g->keep) continue;
        KEEP(0, z);
        KEEP(1, zr[2 * i + 1]);
        OUT(candidate, 0, c[i]);
    }
}

/* dz is [g z r u]: of x, the gradients of what it was multiplied to are g, z and r; of h', z, r and u. */
FRNN_INLINE void F(gru_back_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    const VEC one = V(set1)(1);
    VEC d[F(UNITS)];
    EACH_UNIT {
        d[i] = IN(dh, 0);
        if (g->dy) d[i] = d[i] + IN(dy, 0);
    }
    EACH_UNIT {
        const VEC z = GATE(0), r = GATE(1), c = IN(gates, 2);
        OUT(dh, 0, d[i] * z);
        const VEC dz = F(act_gradient)(g->recurrent_activation, z, d[i] * (IN(h, 0) - c));
        const VEC dc = F(act_gradient)(g->activation, c, d[i] * (one - z));
        const VEC dr = F(act_gradient)(g->recurrent_activation, r, dc * IN(gates, 3));
        OUT_DZ(0, dc);
        OUT_DZ(1, dz);
        OUT_DZ(2, dr);
        OUT_DZ(3, dc * r);
    }
}

/* Without reset_after g needs a product of its own, of r h': first the gates, */
FRNN_INLINE void F(gru_reset_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    VEC z[2 * F(UNITS)], *const r = z + n * vectors;
    EACH_UNIT {
        z[i] = GATE(0);
        r[i] = GATE(1);
    }
    F(act_vectors)(g->recurrent_activation, 2 * n * vectors, z);
    EACH_UNIT {
        VEC h = IN(h, 0);
        if (g->dropout) h = h * IN(dropout, 0);
        SET_GATE(0, z[i]);
        SET_GATE(1, r[i]);
        OUT(rh, 0, r[i] * h);
    }
}

/* then g = act(x wx + b + (r h') wh). */
FRNN_INLINE void F(gru_candidate_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    const VEC one = V(set1)(1);
    VEC c[F(UNITS)];
    EACH_UNIT c[i] = IN(candidate, 0);
    F(act_vectors)(g->activation, n * vectors, c);
    EACH_UNIT {
        const VEC z = GATE(0);
        OUT(y, 0, V(fma)(z, IN(h, 0), (one - z) * c[i]));
        if (g->keep) OUT(candidate, 0, c[i]);
    }
}

/* And back: dz is [g z r], of which this leaves g and z. */
FRNN_INLINE void F(gru_candidate_back_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    const VEC one = V(set1)(1);
    VEC d[F(UNITS)];
    EACH_UNIT {
        d[i] = IN(dh, 0);
        if (g->dy) d[i] = d[i] + IN(dy, 0);
    }
    EACH_UNIT {
        const VEC z = GATE(0), c = IN(gates, 2);
        OUT(dh, 0, d[i] * z);
        OUT_DZ(0, F(act_gradient)(g->activation, c, d[i] * (one - z)));
        OUT_DZ(1, F(act_gradient)(g->recurrent_activation, z, d[i] * (IN(h, 0) - c)));
    }
}

/* rh holds the gradient of r h', and gets r h' itself. */
FRNN_INLINE void F(gru_reset_back_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    VEC d[F(UNITS)], dh[F(UNITS)];
    EACH_UNIT {
        d[i] = IN(rh, 0);
        dh[i] = IN(dh, 0);
    }
    EACH_UNIT {
        const VEC factor = g->dropout ? IN(dropout, 0) : V(set1)(1);
        const VEC r = GATE(1), h = IN(h, 0) * factor;
        OUT_DZ(2, F(act_gradient)(g->recurrent_activation, r, d[i] * h));
        OUT(rh, 0, r * h);
        OUT(dh, 0, V(fma)(d[i] * r, factor, dh[i]));
    }
}

FRNN_GATED_KERNEL(gru, BY_BLOCKS, 2, VECTORS)
FRNN_GATED_KERNEL(gru_back, BY_ROWS, 2, VECTORS)
FRNN_GATED_KERNEL(gru_reset, BY_BLOCKS, 2, 1)
FRNN_GATED_KERNEL(gru_candidate, BY_BLOCKS, 2, 1)
FRNN_GATED_KERNEL(gru_candidate_back, BY_ROWS, 2, 1)
FRNN_GATED_KERNEL(gru_reset_back, BY_ROWS, 2, 1)
