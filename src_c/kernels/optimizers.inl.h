/* One step of an optimizer: one pass over the weights, their gradients and what is remembered of them. The equations stand
 * in fastrnn.h. */

#define HELD(name) F(load_some)((const REAL *)d->name + i, some)
#define HOLD(name, value) F(store_some)((REAL *)d->name + i, value, some)

/* Each vector of d->n elements: the first of them is i, and so many are `some`. */
#define EACH_VECTOR \
    for (size_t i = 0, some = F(lanes_left)(d->n, 0); i < d->n; i += some, some = F(lanes_left)(d->n, i))

static void F(sgd)(const frnn_descent *d) {
    const VEC rate = V(set1)((REAL)d->rate), decay = V(set1)((REAL)d->decay), beta = V(set1)((REAL)d->beta_1);
    EACH_VECTOR {
        const VEC down = HELD(g) * rate;
        VEC w = HELD(w);
        w = w - w * decay;
        if (d->m) {
            const VEC m = HELD(m) * beta - down;
            HOLD(m, m);
            w = d->nesterov ? w - down + m * beta : w + m;
        } else w = w - down;
        HOLD(w, w);
    }
}

static void F(rmsprop)(const frnn_descent *d) {
    const VEC rate = V(set1)((REAL)d->rate), decay = V(set1)((REAL)d->decay), epsilon = V(set1)((REAL)d->epsilon);
    const VEC beta = V(set1)((REAL)d->beta_1), rho = V(set1)((REAL)d->beta_2), rest = V(set1)((REAL)(1 - d->beta_2));
    EACH_VECTOR {
        const VEC g = HELD(g), w = HELD(w), v = HELD(v) * rho + g * g * rest;
        VEC variance = v;
        HOLD(v, v);
        if (d->a) {
            const VEC a = HELD(a) * rho + g * rest;
            HOLD(a, a);
            variance = v - a * a;
        }
        VEC down = g / V(sqrt)(variance + epsilon) * rate;
        if (d->m) {
            down = HELD(m) * beta + down;
            HOLD(m, down);
        }
        HOLD(w, w - w * decay - down);
    }
}

static void F(adam)(const frnn_descent *d) {
    const VEC rate = V(set1)((REAL)d->rate), decay = V(set1)((REAL)d->decay), epsilon = V(set1)((REAL)d->epsilon);
    const VEC of_m = V(set1)((REAL)(1 - d->beta_1)), of_v = V(set1)((REAL)(1 - d->beta_2));
    EACH_VECTOR {
        const VEC g = HELD(g), w = HELD(w), old_m = HELD(m), old_v = HELD(v);
        const VEC m = old_m + (g - old_m) * of_m;
        VEC v = old_v + (g * g - old_v) * of_v;
        HOLD(m, m);
        HOLD(v, v);
        if (d->a) {
            v = V(max)(HELD(a), v);
            HOLD(a, v);
        }
        HOLD(w, w - w * decay - m / (V(sqrt)(v) + epsilon) * rate);
    }
}

#undef HELD
#undef HOLD
#undef EACH_VECTOR
