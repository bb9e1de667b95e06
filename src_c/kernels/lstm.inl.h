/* LSTM: i, f, o = rec_act(x wx + b + h' wh), g = act(x wx + b + h' wh), c = f c' + i g, h = o act(c).
 *
 * The tape's gates of a row are i, f, g and o side by side in every block; c follows. */

FRNN_INLINE void F(lstm_units)(const frnn_gated_rows *g, const int whole) {
    VEC in[AT_ONCE], forget[AT_ONCE], c[AT_ONCE], out[AT_ONCE];
    FOR_UNITS(g, BY_BLOCKS) {
        EACH in[i] = IN(gates, GATE(4, 0)) + PRODUCT(PART(4, 0));
        F(act_units)(g->recurrent_activation, in);
        EACH forget[i] = IN(gates, GATE(4, 1)) + PRODUCT(PART(4, 1));
        F(act_units)(g->recurrent_activation, forget);
        EACH c[i] = IN(gates, GATE(4, 2)) + PRODUCT(PART(4, 2));
        F(act_units)(g->activation, c);
        EACH out[i] = IN(gates, GATE(4, 3)) + PRODUCT(PART(4, 3));
        F(act_units)(g->recurrent_activation, out);
        if (g->keep) {
            EACH OUT(gates, GATE(4, 0), in[i]);
            EACH OUT(gates, GATE(4, 1), forget[i]);
            EACH OUT(gates, GATE(4, 2), c[i]);
            EACH OUT(gates, GATE(4, 3), out[i]);
        }
        EACH c[i] = V(fma)(forget[i], IN(c, UNIT(0)), in[i] * c[i]);
        EACH OUT(next_c, UNIT(0), c[i]);
        F(act_units)(g->activation, c);
        EACH OUT(y, UNIT(0), out[i] * c[i]);
    }
}

/* dz is [i f g o]. Nothing of dh is left: h' counts through the products only. */
FRNN_INLINE void F(lstm_back_units)(const frnn_gated_rows *g, const int whole) {
    VEC d[AT_ONCE], dc[AT_ONCE], a[AT_ONCE], b[AT_ONCE], e[AT_ONCE];
    FOR_UNITS(g, BY_ROWS) {
        EACH d[i] = IN(dh, UNIT(0));
        if (g->dy) EACH d[i] = d[i] + IN(dy, UNIT(0));
        EACH a[i] = IN(next_c, UNIT(0));
        F(act_units)(g->activation, a); /* h = o a */
        EACH b[i] = IN(gates, GATE(4, 3));
        EACH e[i] = d[i] * a[i];
        F(act_back)(g->recurrent_activation, b, e);
        EACH OUT(dz, UNIT(3), e[i]);
        EACH OUT(dh, UNIT(0), V(set1)(0));
        EACH d[i] = d[i] * b[i];
        F(act_back)(g->activation, a, d);
        EACH dc[i] = IN(dc, UNIT(0)) + d[i];
        EACH a[i] = IN(gates, GATE(4, 0));
        EACH b[i] = IN(gates, GATE(4, 2));
        EACH d[i] = dc[i] * a[i];
        EACH e[i] = dc[i] * b[i];
        F(act_back)(g->activation, b, d);
        F(act_back)(g->recurrent_activation, a, e);
        EACH OUT(dz, UNIT(0), e[i]);
        EACH OUT(dz, UNIT(2), d[i]);
        EACH a[i] = IN(gates, GATE(4, 1));
        EACH e[i] = dc[i] * IN(c, UNIT(0));
        F(act_back)(g->recurrent_activation, a, e);
        EACH OUT(dz, UNIT(1), e[i]);
        EACH OUT(dc, UNIT(0), dc[i] * a[i]);
    }
}

FRNN_GATED_KERNEL(lstm)
FRNN_GATED_KERNEL(lstm_back)
