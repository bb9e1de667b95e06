/* LSTM: i, f, o = rec_act(x wx + b + h' wh), g = act(x wx + b + h' wh), c = f c' + i g, h = o act(c).
 *
 * The tape's gates of a row are i, f, g and o side by side in every block; c follows. */

FRNN_INLINE void F(lstm_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    VEC in_forget[2 * F(UNITS)], candidate[F(UNITS)], out[F(UNITS)], before[F(UNITS)], c[F(UNITS)];
    EACH_UNIT before[i] = IN(c, 0);
    F(act_gates)(g->recurrent_activation, u, n, vectors, 0, 2, in_forget);
    F(act_gates)(g->activation, u, n, vectors, 2, 1, candidate);
    F(act_gates)(g->recurrent_activation, u, n, vectors, 3, 1, out);
    EACH_UNIT {
        const VEC in = ACTIVE(0, in_forget[2 * i]), forget = ACTIVE(1, in_forget[2 * i + 1]);
        const VEC new = ACTIVE(2, candidate[i]);
        if (g->keep) {
            KEEP(0, in);
            KEEP(1, forget);
            KEEP(2, new);
            KEEP(3, out[i]);
        }
        c[i] = V(fma)(forget, before[i], in * new);
        OUT(next_c, 0, c[i]);
    }
    F(act_vectors)(g->activation, n * vectors, c);
    EACH_UNIT OUT(y, 0, ACTIVE(3, out[i]) * c[i]);
}

/* dz is [i f g o]. Nothing of dh is left: h' counts through the products only. */
FRNN_INLINE void F(lstm_back_units)(const frnn_gated_rows *g, const F(units) * u, int n, int vectors) {
    VEC a[F(UNITS)], d[F(UNITS)], dc[F(UNITS)];
    EACH_UNIT {
        a[i] = IN(next_c, 0);
        d[i] = IN(dh, 0);
        if (g->dy) d[i] = d[i] + IN(dy, 0);
        dc[i] = IN(dc, 0);
    }
    F(act_vectors)(g->activation, n * vectors, a); /* h = o a */
    EACH_UNIT {
        const VEC in = GATE(0), forget = GATE(1), c = GATE(2), out = GATE(3);
        OUT(dh, 0, V(set1)(0));
        OUT_DZ(3, F(act_gradient)(g->recurrent_activation, out, d[i] * a[i]));
        const VEC d_c = dc[i] + F(act_gradient)(g->activation, a[i], d[i] * out);
        OUT_DZ(0, F(act_gradient)(g->recurrent_activation, in, d_c * c));
        OUT_DZ(1, F(act_gradient)(g->recurrent_activation, forget, d_c * IN(c, 0)));
        OUT_DZ(2, F(act_gradient)(g->activation, c, d_c * in));
        OUT(dc, 0, d_c * forget);
    }
}

FRNN_GATED_KERNEL(lstm, BY_BLOCKS, 4, VECTORS)
FRNN_GATED_KERNEL(lstm_back, BY_ROWS, 4, VECTORS)
