/* The sagas of this process: found by id, ordered by when they are due. Pure. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "data/saga/saga.h"

#define BUCKETS_FIRST 64

void saga_queue_init(struct saga_queue *queue)
{
    *queue = (struct saga_queue){.n_buckets = BUCKETS_FIRST};
    queue->buckets = memory_zalloc(queue->n_buckets * sizeof(struct saga *));
    queue->last_ready = &queue->first_ready;
}

void saga_queue_clean_up(struct saga_queue *queue)
{
    for (size_t i = 0; i < queue->n_buckets; i++)
        while (queue->buckets[i]) {
            struct saga *saga = queue->buckets[i];
            queue->buckets[i] = saga->next_of_id;
            saga_free(saga);
        }
    free(queue->buckets);
    free(queue->heap);
}

struct saga *saga_new(const struct weir_saga_type *type, const char *id)
{
    struct saga *saga = NEW(struct saga);
    saga->type = type;
    strncpy(saga->id, id, sizeof saga->id - 1);
    saga->state = saga->stored_state = WEIR_SAGA_FORWARD;
    saga->place = SAGA_RUNNING;
    for (int i = 0; i < WEIR_SAGA_STEPS_MAX; i++)
        saga->marks[i].began_ms = saga->marks[i].took_ms = saga->marks[i].undone_ms = -1;
    return saga;
}

void saga_free(struct saga *saga)
{
    for (int i = 0; i < WEIR_SAGA_STEPS_MAX; i++)
        free(saga->marks[i].error);
    free(saga->reason);
    free(saga);
}

/* FNV-1a; ids of one process differ in their middle. */
static struct saga **bucket(const struct saga_queue *queue, const struct weir_saga_type *type, const char *id)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)(uintptr_t)type;
    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * UINT64_C(1099511628211);
    return &queue->buckets[(hash >> 20) % queue->n_buckets];
}

static void grow(struct saga_queue *queue)
{
    struct saga_queue larger = {.n_buckets = queue->n_buckets * 4};
    larger.buckets = memory_zalloc(larger.n_buckets * sizeof(struct saga *));
    for (size_t i = 0; i < queue->n_buckets; i++)
        while (queue->buckets[i]) {
            struct saga *saga = queue->buckets[i];
            queue->buckets[i] = saga->next_of_id;
            struct saga **first = bucket(&larger, saga->type, saga->id);
            saga->next_of_id = *first;
            *first = saga;
        }
    free(queue->buckets);
    queue->buckets = larger.buckets;
    queue->n_buckets = larger.n_buckets;
}

struct saga *saga_queue_find(const struct saga_queue *queue, const struct weir_saga_type *type,
                             const char *id)
{
    struct saga *saga = *bucket(queue, type, id);
    while (saga && !(saga->type == type && strcmp(saga->id, id) == 0))
        saga = saga->next_of_id;
    return saga;
}

void saga_queue_add(struct saga_queue *queue, struct saga *saga)
{
    if (queue->count++ >= 2 * queue->n_buckets)
        grow(queue);
    struct saga **first = bucket(queue, saga->type, saga->id);
    saga->next_of_id = *first;
    *first = saga;
    saga->place = SAGA_RUNNING;
}

void saga_queue_remove(struct saga_queue *queue, struct saga *saga)
{
    struct saga **link = bucket(queue, saga->type, saga->id);
    while (*link != saga)
        link = &(*link)->next_of_id;
    *link = saga->next_of_id;
    queue->count--;
}

/* ---- The heap of those who wait ---- */

static void put(struct saga_queue *queue, size_t index, struct saga *saga)
{
    queue->heap[index] = saga;
    saga->heap_index = index;
}

static void sift_up(struct saga_queue *queue, struct saga *saga)
{
    size_t at = saga->heap_index;
    while (at > 0 && queue->heap[(at - 1) / 2]->due_ns > saga->due_ns) {
        put(queue, at, queue->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(queue, at, saga);
}

static void sift_down(struct saga_queue *queue, struct saga *saga)
{
    size_t at = saga->heap_index;
    for (size_t child; (child = 2 * at + 1) < queue->n_heap; at = child) {
        if (child + 1 < queue->n_heap && queue->heap[child + 1]->due_ns < queue->heap[child]->due_ns)
            child++;
        if (queue->heap[child]->due_ns >= saga->due_ns)
            break;
        put(queue, at, queue->heap[child]);
    }
    put(queue, at, saga);
}

void saga_queue_wait(struct saga_queue *queue, struct saga *saga, int64_t due_ns)
{
    if (queue->n_heap == queue->heap_size) {
        queue->heap_size = queue->heap_size ? 2 * queue->heap_size : BUCKETS_FIRST;
        queue->heap = memory_realloc(queue->heap, queue->heap_size * sizeof(struct saga *));
    }
    saga->place = SAGA_WAITING;
    saga->due_ns = due_ns;
    put(queue, queue->n_heap++, saga);
    sift_up(queue, saga);
}

static void leave_heap(struct saga_queue *queue, struct saga *saga)
{
    struct saga *last = queue->heap[--queue->n_heap];
    if (last == saga)
        return;
    put(queue, saga->heap_index, last);
    sift_up(queue, last);
    sift_down(queue, last);
}

int64_t saga_queue_due_ns(const struct saga_queue *queue)
{
    return queue->n_heap ? queue->heap[0]->due_ns : WEIR_NEVER;
}

/* ---- Those who are ready ---- */

void saga_queue_ready(struct saga_queue *queue, struct saga *saga)
{
    saga->place = SAGA_READY;
    saga->braked = false;
    saga->next_ready = NULL;
    *queue->last_ready = saga;
    queue->last_ready = &saga->next_ready;
    queue->n_ready++;
}

static void leave_ready(struct saga_queue *queue, struct saga *saga)
{
    struct saga **link = &queue->first_ready;
    while (*link != saga)
        link = &(*link)->next_ready;
    *link = saga->next_ready;
    if (queue->last_ready == &saga->next_ready)
        queue->last_ready = link;
    queue->n_ready--;
}

void saga_queue_take(struct saga_queue *queue, struct saga *saga)
{
    if (saga->place == SAGA_WAITING)
        leave_heap(queue, saga);
    else if (saga->place == SAGA_READY)
        leave_ready(queue, saga);
    saga->place = SAGA_RUNNING;
    saga->braked = false;
}

struct saga *saga_queue_take_ready(struct saga_queue *queue)
{
    struct saga *saga = queue->first_ready;
    if (saga)
        saga_queue_take(queue, saga);
    return saga;
}

void saga_queue_ripen(struct saga_queue *queue, int64_t now_ns)
{
    while (queue->n_heap && queue->heap[0]->due_ns <= now_ns) {
        struct saga *saga = queue->heap[0];
        saga_queue_take(queue, saga);
        saga_queue_ready(queue, saga);
    }
}

void saga_queue_unbrake(struct saga_queue *queue)
{
    for (size_t i = 0; i < queue->n_heap; i++)
        if (queue->heap[i]->braked) {
            queue->heap[i]->due_ns = 0;
            sift_up(queue, queue->heap[i]);
        }
}
