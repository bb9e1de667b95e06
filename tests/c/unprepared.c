#include "unprepared.h"

#include <string.h>

#include "check.h"
#include "guard.h"
#include "kernels/kernels.h"

void check_unprepared(const frnn_cell *cell, const frnn_plan *plan, const void *prepared, const void *wx,
                      const void *wh, const void *b) {
    const size_t size = plan->kernels->size, row = cell->gates * plan->H * size;
    const size_t of_b = plan->reset_after && cell->gates == 3 ? 2 * row : row;
    void *wx_out = guard_take(plan->I * row, size), *wh_out = guard_take(plan->H * row, size);
    void *b_out = b ? guard_take(of_b, size) : NULL;
    CHECK(cell->unprepare(plan, prepared, wx_out, wh_out, b_out) == FRNN_OK, "unprepare");
    CHECK(memcmp(wx_out, wx, plan->I * row) == 0, "unprepare gives another wx");
    CHECK(memcmp(wh_out, wh, plan->H * row) == 0, "unprepare gives another wh");
    CHECK(!b || memcmp(b_out, b, of_b) == 0, "unprepare gives another b");
}
