#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#endif
#include "guard.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { SLOTS = 192, MARGIN = 256, NAN_BYTE = 0xff, MARGIN_BYTE = 0xa5 };

/* Memory between two forbidden pages; kept, since asking the system for it is slow. */
static struct slot {
    unsigned char *room, *array;
    size_t capacity, bytes;
    int is_frozen;
    uint64_t hash;
} slots[SLOTS];

static size_t taken;
static int at_the_end;

void guard_at_end(int at_end) { at_the_end = at_end; }

static void reserve(struct slot *slot, size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t capacity = page;
    while (capacity < bytes) capacity *= 2;
    if (slot->capacity >= capacity) return;
    if (slot->room) munmap(slot->room - page, slot->capacity + 2 * page);
    unsigned char *all = mmap(NULL, capacity + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED, "no memory for an array of %zu bytes", bytes);
    CHECK(mprotect(all + page, capacity, PROT_READ | PROT_WRITE) == 0, "mprotect");
    slot->room = all + page;
    slot->capacity = capacity;
}

/* The margins before and after an array. */
static void find_margins(const struct slot *slot, unsigned char *from[2], size_t bytes[2]) {
    unsigned char *end = slot->array + slot->bytes;
    const size_t before = (size_t)(slot->array - slot->room), after = slot->capacity - before - slot->bytes;
    bytes[0] = before < MARGIN ? before : MARGIN;
    bytes[1] = after < MARGIN ? after : MARGIN;
    from[0] = slot->array - bytes[0];
    from[1] = end;
}

void *guard_take(size_t bytes, size_t alignment) {
    CHECK(taken < SLOTS, "too many arrays at once");
    struct slot *slot = &slots[taken++];
    reserve(slot, bytes);
    const size_t start = at_the_end ? (slot->capacity - bytes) / alignment * alignment : 0;
    slot->array = slot->room + start;
    slot->bytes = bytes;
    slot->is_frozen = 0;
    memset(slot->array, NAN_BYTE, bytes);
    unsigned char *margins[2];
    size_t sizes[2];
    find_margins(slot, margins, sizes);
    for (int i = 0; i < 2; i++) memset(margins[i], MARGIN_BYTE, sizes[i]);
    return slot->array;
}

static uint64_t hash_of(const struct slot *slot) {
    uint64_t hash = 0, word;
    size_t i = 0;
    for (; i + sizeof word <= slot->bytes; i += sizeof word) {
        memcpy(&word, slot->array + i, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    for (; i < slot->bytes; i++) hash = (hash ^ slot->array[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash;
}

void guard_freeze(const void *array) {
    for (size_t i = 0; i < taken; i++)
        if (slots[i].array == array) {
            slots[i].is_frozen = 1;
            slots[i].hash = hash_of(&slots[i]);
        }
}

void guard_release(void) {
    for (size_t i = 0; i < taken; i++) {
        unsigned char *margins[2];
        size_t sizes[2];
        find_margins(&slots[i], margins, sizes);
        for (int side = 0; side < 2; side++)
            for (size_t j = 0; j < sizes[side]; j++)
                if (margins[side][j] != MARGIN_BYTE)
                    CHECK(0, "written %s array %zu of %zu bytes", side ? "after" : "before", i, slots[i].bytes);
        if (slots[i].is_frozen)
            CHECK(hash_of(&slots[i]) == slots[i].hash, "input array %zu of %zu bytes was changed", i, slots[i].bytes);
    }
    taken = 0;
}
