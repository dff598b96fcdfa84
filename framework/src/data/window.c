#include "data/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define BYTES_MAX (16u << 20)

/* ---- Rows ---- */

/* FNV-1a; never 0. */
static uint64_t hash_of(struct weir_bytes key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001b3);
    return key.size == 0 ? 0 : hash ? hash : 1;
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const void *copy_to(char **at, const void *data, size_t size)
{
    if (size == 0)
        return NULL;
    void *copy = *at;
    memcpy(copy, data, size);
    *at += size;
    return copy;
}

struct row *row_new(int64_t id, const struct weir_record *record)
{
    size_t size = sizeof(struct row) + record->key.size + record->value.size + text_size(record->topic) +
                  text_size(record->message_id) + text_size(record->type) + text_size(record->traceparent) +
                  text_size(record->principal);
    struct row *row = memory_alloc(size);
    char *at = (char *)(row + 1);
    *row = (struct row){.id = id, .bytes = size, .record = *record, .key_hash = hash_of(record->key)};
    row->record.topic = copy_to(&at, record->topic, text_size(record->topic));
    row->record.key.data = copy_to(&at, record->key.data, record->key.size);
    row->record.value.data = copy_to(&at, record->value.data, record->value.size);
    row->record.message_id = copy_to(&at, record->message_id, text_size(record->message_id));
    row->record.type = copy_to(&at, record->type, text_size(record->type));
    row->record.traceparent = copy_to(&at, record->traceparent, text_size(record->traceparent));
    row->record.principal = copy_to(&at, record->principal, text_size(record->principal));
    return row;
}

/* ---- Lists ---- */

static void list_append(struct row_list *list, struct row *row)
{
    row->next_in_list = NULL;
    *list->last = row;
    list->last = &row->next_in_list;
}

static void list_prepend(struct row_list *list, struct row *row)
{
    row->next_in_list = list->first;
    list->first = row;
    if (!row->next_in_list)
        list->last = &row->next_in_list;
}

static struct row *list_take(struct row_list *list)
{
    struct row *row = list->first;
    if (!row)
        return NULL;
    list->first = row->next_in_list;
    if (!list->first)
        list->last = &list->first;
    return row;
}

/* ---- The window ---- */

void window_init(struct window *window, int64_t capacity)
{
    uint64_t buckets = 64;
    while (buckets < (uint64_t)capacity * 2)
        buckets *= 2;
    *window = (struct window){
        .ring = memory_zalloc((size_t)capacity * sizeof(struct row *)),
        .capacity = capacity,
        .buckets = memory_zalloc(buckets * sizeof(struct row *)),
        .bucket_mask = buckets - 1,
    };
    window->ready.last = &window->ready.first;
    window->failed.last = &window->failed.first;
}

void window_clear(struct window *window)
{
    assert(window->sent == 0);
    for (int64_t i = 0; i < window->count; i++)
        free(window->ring[(window->head + i) % window->capacity]);
    memset(window->buckets, 0, (window->bucket_mask + 1) * sizeof(struct row *));
    window->head = window->count = 0;
    window->bytes = 0;
    window->ready = (struct row_list){.last = &window->ready.first};
    window->failed = (struct row_list){.last = &window->failed.first};
}

void window_clean_up(struct window *window)
{
    if (!window->ring)
        return;
    window_clear(window);
    free(window->ring);
    free(window->buckets);
    window->ring = NULL;
}

int64_t window_room(const struct window *window)
{
    return window->bytes >= BYTES_MAX ? 0 : window->capacity - window->count;
}

static struct row **bucket_of(struct window *window, uint64_t hash)
{
    return &window->buckets[hash & window->bucket_mask];
}

/* Where the last row of the key is linked; where NULL is, when it has none. */
static struct row **last_of_key(struct window *window, uint64_t hash)
{
    struct row **link = bucket_of(window, hash);
    while (*link && (*link)->key_hash != hash)
        link = &(*link)->next_in_bucket;
    return link;
}

static void make_ready(struct window *window, struct row *row)
{
    row->state = ROW_READY;
    list_append(&window->ready, row);
}

void window_add(struct window *window, struct row *row)
{
    assert(window->count < window->capacity);
    window->ring[(window->head + window->count++) % window->capacity] = row;
    window->bytes += row->bytes;
    if (row->key_hash == 0) {
        make_ready(window, row);
        return;
    }
    struct row **link = last_of_key(window, row->key_hash);
    struct row *predecessor = *link;
    *link = row;
    if (!predecessor) {
        make_ready(window, row);
        return;
    }
    row->state = ROW_WAITING;
    row->next_in_bucket = predecessor->next_in_bucket;
    predecessor->next_of_key = row;
}

struct row *window_take(struct window *window)
{
    struct row *row = list_take(&window->ready);
    if (!row)
        return NULL;
    row->state = ROW_SENT;
    window->sent++;
    return row;
}

void window_put_back(struct window *window, struct row *row)
{
    window->sent--;
    row->state = ROW_READY;
    list_prepend(&window->ready, row);
}

void window_done(struct window *window, struct row *row)
{
    window->sent--;
    row->state = ROW_DONE;
    if (row->key_hash == 0)
        return;
    if (row->next_of_key) {
        make_ready(window, row->next_of_key);
        return;
    }
    struct row **link = last_of_key(window, row->key_hash);
    assert(*link == row);
    *link = row->next_in_bucket;
}

void window_failed(struct window *window, struct row *row)
{
    window->sent--;
    row->state = ROW_FAILED;
    list_append(&window->failed, row);
}

void window_retry(struct window *window)
{
    struct row_list failed = {.last = &failed.first};
    for (struct row *row; (row = list_take(&window->failed));)
        list_append(&failed, row);
    for (struct row *row; (row = list_take(&failed));)
        if (row->rejected)
            list_append(&window->failed, row);
        else
            make_ready(window, row);
}

struct row *window_take_rejected(struct window *window)
{
    struct row *row = window->failed.first;
    struct row **link = &window->failed.first;
    while (row && !row->rejected) {
        link = &row->next_in_list;
        row = row->next_in_list;
    }
    if (!row)
        return NULL;
    *link = row->next_in_list;
    if (!*link)
        window->failed.last = link;
    row->state = ROW_SENT;
    window->sent++;
    return row;
}

int64_t window_pop(struct window *window)
{
    int64_t id = 0;
    while (window->count > 0 && window->ring[window->head]->state == ROW_DONE) {
        struct row *row = window->ring[window->head];
        id = row->id;
        window->bytes -= row->bytes;
        window->head = (window->head + 1) % window->capacity;
        window->count--;
        free(row);
    }
    return id;
}

const struct row *window_oldest(const struct window *window)
{
    return window->count > 0 ? window->ring[window->head] : NULL;
}
