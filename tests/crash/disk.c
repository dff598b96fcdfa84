#include "disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTHING UINT32_MAX

struct bytes {
    uint8_t *data;
    size_t size, room;
};

struct list {
    size_t *items; /* numbers of records, oldest first */
    size_t count, room;
};

struct object {
    struct bytes synced;
    struct list pending; /* writes and truncations */
};

struct name {
    char *path;
    uint32_t synced;     /* object; NOTHING: not there */
    struct list pending; /* creations and removals */
    bool folder;
};

struct disk {
    uint8_t *log;
    struct list records; /* where each begins */
    size_t now;
    struct object *objects;
    size_t object_count;
    struct name *names;
    size_t name_count;
    uint64_t chance;
};

/* ---- Small parts ---- */

static void *grown(void *memory, size_t size)
{
    void *larger = realloc(memory, size ? size : 1);
    if (!larger)
        abort();
    return larger;
}

static void list_add(struct list *list, size_t item)
{
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 16;
        list->items = grown(list->items, list->room * sizeof *list->items);
    }
    list->items[list->count++] = item;
}

/* The first `count` are done with. */
static void list_drop(struct list *list, size_t count)
{
    if (count == 0)
        return;
    memmove(list->items, list->items + count, (list->count - count) * sizeof *list->items);
    list->count -= count;
}

static void resize(struct bytes *bytes, size_t size)
{
    if (size > bytes->room) {
        bytes->room = 2 * size;
        bytes->data = grown(bytes->data, bytes->room);
    }
    if (size > bytes->size)
        memset(bytes->data + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void put(struct bytes *bytes, uint64_t at, const uint8_t *data, size_t size)
{
    if (at + size > bytes->size)
        resize(bytes, at + size);
    if (size > 0)
        memcpy(bytes->data + at, data, size);
}

/* splitmix64. */
static uint64_t chance(struct disk *disk)
{
    uint64_t z = disk->chance += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(struct disk *disk, size_t count)
{
    return count ? (size_t)(chance(disk) % count) : 0;
}

static const uint8_t *payload(const struct disk *disk, size_t at)
{
    return (const uint8_t *)(disk_record(disk, at) + 1);
}

/* ---- Loading ---- */

static uint8_t *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = grown(NULL, *ret_size);
    if (fread(data, 1, *ret_size, file) != *ret_size)
        abort();
    fclose(file);
    return data;
}

static struct name *name_of(struct disk *disk, const char *path)
{
    for (size_t i = 0; i < disk->name_count; i++)
        if (strcmp(disk->names[i].path, path) == 0)
            return &disk->names[i];
    disk->names = grown(disk->names, (disk->name_count + 1) * sizeof *disk->names);
    struct name *name = &disk->names[disk->name_count++];
    *name = (struct name){.path = grown(NULL, strlen(path) + 1), .synced = NOTHING};
    strcpy(name->path, path);
    return name;
}

static struct object *object_of(struct disk *disk, uint32_t number)
{
    while (disk->object_count <= number) {
        disk->objects = grown(disk->objects, (disk->object_count + 1) * sizeof *disk->objects);
        disk->objects[disk->object_count++] = (struct object){0};
    }
    return &disk->objects[number];
}

/* What is there before: objects of numbers that the log does not use. */
static void load_base(struct disk *disk, const char *base, uint32_t first)
{
    DIR *folder = opendir(base);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
        struct stat info;
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
            continue;
        struct object *object = object_of(disk, first);
        object->synced.data = read_file(path, &object->synced.size);
        object->synced.room = object->synced.size;
        name_of(disk, entry->d_name)->synced = first++;
    }
    if (folder)
        closedir(folder);
}

struct disk *disk_load(const char *log, const char *base)
{
    size_t size;
    uint8_t *data = read_file(log, &size);
    if (!data)
        return NULL;
    struct disk *disk = grown(NULL, sizeof *disk);
    *disk = (struct disk){.log = data};
    uint32_t objects = 0;
    for (size_t at = 0; at + sizeof(struct record) <= size;) {
        struct record head;
        memcpy(&head, data + at, sizeof head);
        if (head.length > size - at - sizeof head)
            break;
        list_add(&disk->records, at);
        objects = head.object >= objects ? head.object + 1 : objects;
        at += sizeof head + (head.length + 7) / 8 * 8;
    }
    if (base)
        load_base(disk, base, objects);
    return disk;
}

void disk_free(struct disk *disk)
{
    for (size_t i = 0; i < disk->object_count; i++) {
        free(disk->objects[i].synced.data);
        free(disk->objects[i].pending.items);
    }
    for (size_t i = 0; i < disk->name_count; i++) {
        free(disk->names[i].path);
        free(disk->names[i].pending.items);
    }
    free(disk->objects);
    free(disk->names);
    free(disk->records.items);
    free(disk->log);
    free(disk);
}

size_t disk_records(const struct disk *disk)
{
    return disk->records.count;
}

const struct record *disk_record(const struct disk *disk, size_t at)
{
    return (const struct record *)(const void *)(disk->log + disk->records.items[at]);
}

/* ---- What a cut leaves of a file ---- */

static void apply(const struct disk *disk, struct bytes *bytes, size_t at)
{
    const struct record *record = disk_record(disk, at);
    if (record->type == RECORD_TRUNCATE)
        resize(bytes, (size_t)record->at);
    else
        put(bytes, record->at, payload(disk, at), (size_t)record->length);
}

/* Any of its sectors. */
static void apply_torn(struct disk *disk, struct bytes *bytes, size_t at, size_t sector)
{
    const struct record *record = disk_record(disk, at);
    for (uint64_t from = record->at; from < record->at + record->length;) {
        uint64_t to = (from / sector + 1) * sector;
        if (to > record->at + record->length)
            to = record->at + record->length;
        if (chance(disk) & 1)
            put(bytes, from, payload(disk, at) + (from - record->at), (size_t)(to - from));
        from = to;
    }
}

static void swap(size_t *a, size_t *b)
{
    size_t other = *a;
    *a = *b;
    *b = other;
}

/* Writes between two truncations, none of which can be told to have happened before another. */
static void apply_some(struct disk *disk, struct bytes *bytes, size_t *writes, size_t count)
{
    enum { NONE, ALL, BEGINNING, CHOICE, SECTORS, PAGES, WAYS } way = (int)below(disk, WAYS);
    size_t beginning = below(disk, count + 1);
    if (way == CHOICE || way == SECTORS || way == PAGES)
        for (size_t i = count; i > 1; i--)
            swap(&writes[i - 1], &writes[below(disk, i)]);
    for (size_t i = 0; i < count; i++) {
        const struct record *record = disk_record(disk, writes[i]);
        size_t end = (size_t)(record->at + record->length), before = bytes->size;
        if (end > before && (chance(disk) & 3) == 0) { /* longer, without what belongs there */
            resize(bytes, end);
            for (size_t at = before; at < end && (writes[i] & 1); at++)
                bytes->data[at] = (uint8_t)chance(disk);
        }
        if (way == ALL || (way == BEGINNING && i < beginning) || (way == CHOICE && (chance(disk) & 1)))
            apply(disk, bytes, writes[i]);
        else if (way == SECTORS || way == PAGES)
            apply_torn(disk, bytes, writes[i], way == SECTORS ? 512 : 4096);
    }
}

/* The first `count` pending ones, as they may have got to the disk. A truncation that did has those before it behind
 * it; one that did not has nothing after it. */
static void settle(struct disk *disk, const struct object *object, size_t count, struct bytes *bytes)
{
    size_t truncations = 0;
    for (size_t i = 0; i < count; i++)
        truncations += disk_record(disk, object->pending.items[i])->type == RECORD_TRUNCATE;
    size_t kept = below(disk, truncations + 1);
    size_t *writes = grown(NULL, count * sizeof *writes), used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = object->pending.items[i];
        if (disk_record(disk, at)->type == RECORD_WRITE) {
            writes[used++] = at;
            continue;
        }
        if (kept-- == 0)
            break;
        apply_some(disk, bytes, writes, used);
        apply(disk, bytes, at);
        used = 0;
    }
    apply_some(disk, bytes, writes, used);
    free(writes);
}

/* ---- Going on ---- */

/* Of those pending, how many were there when the sync began. */
static size_t begun_before(const struct list *pending, size_t begun)
{
    size_t count = 0;
    while (count < pending->count && pending->items[count] < begun)
        count++;
    return count;
}

static void sync_object(struct disk *disk, const struct record *record)
{
    struct object *object = object_of(disk, record->object);
    size_t count = begun_before(&object->pending, (size_t)record->at);
    if (record->type == RECORD_SYNC_FAILED)
        settle(disk, object, count, &object->synced);
    for (size_t i = 0; record->type == RECORD_SYNC && i < count; i++)
        apply(disk, &object->synced, object->pending.items[i]);
    list_drop(&object->pending, count);
}

static bool is_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    if (length > 0 && (strncmp(path, folder, length) != 0 || path[length] != '/'))
        return false;
    return *path && !strchr(path + length + (length > 0), '/');
}

static uint32_t outcome(const struct disk *disk, const struct name *name, size_t pending)
{
    if (pending == 0)
        return name->synced;
    const struct record *last = disk_record(disk, name->pending.items[pending - 1]);
    return last->type == RECORD_UNLINK ? NOTHING : last->object; /* of a folder 0: not NOTHING */
}

static void sync_folder(struct disk *disk, const char *folder)
{
    for (size_t i = 0; i < disk->name_count; i++) {
        struct name *name = &disk->names[i];
        if (!is_in(name->path, folder))
            continue;
        name->synced = outcome(disk, name, name->pending.count);
        name->pending.count = 0;
    }
}

static void go_on(struct disk *disk, size_t at)
{
    const struct record *record = disk_record(disk, at);
    const char *path = (const char *)payload(disk, at);
    switch ((enum record_type)record->type) {
    case RECORD_FOUND: { /* it goes by another number from now on */
        struct name *name = name_of(disk, path);
        struct object *object = object_of(disk, record->object);
        if (name->synced != NOTHING) {
            object->synced = disk->objects[name->synced].synced;
            disk->objects[name->synced].synced = (struct bytes){0};
        }
        name->synced = record->object;
        break;
    }
    case RECORD_CREATE:
        object_of(disk, record->object);
        list_add(&name_of(disk, path)->pending, at);
        break;
    case RECORD_MKDIR:
        name_of(disk, path)->folder = true;
        list_add(&name_of(disk, path)->pending, at);
        break;
    case RECORD_UNLINK:
        list_add(&name_of(disk, path)->pending, at);
        break;
    case RECORD_WRITE:
    case RECORD_TRUNCATE:
        list_add(&object_of(disk, record->object)->pending, at);
        break;
    case RECORD_SYNC:
    case RECORD_SYNC_FAILED:
        sync_object(disk, record);
        break;
    case RECORD_SYNC_FOLDER:
        sync_folder(disk, path);
        break;
    case RECORD_NOTE:
        break;
    }
}

void disk_advance(struct disk *disk, size_t at)
{
    for (; disk->now < at && disk->now < disk->records.count; disk->now++)
        go_on(disk, disk->now);
}

/* ---- The cut ---- */

static void write_file(const char *path, const struct bytes *bytes)
{
    FILE *file = fopen(path, "wb");
    if (!file || (bytes->size > 0 && fwrite(bytes->data, bytes->size, 1, file) != 1) || fclose(file) != 0)
        abort();
}

/* Folders come before what is in them, as they were made; one that is lost takes it along. */
static void leave(struct disk *disk, const struct name *name, const char *folder)
{
    uint32_t number = outcome(disk, name, below(disk, name->pending.count + 1));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name->path);
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (number == NOTHING || access(parent, F_OK) != 0)
        return;
    if (name->folder) {
        mkdir(path, 0777);
        return;
    }
    const struct object *object = &disk->objects[number];
    struct bytes bytes = {0};
    put(&bytes, 0, object->synced.data ? object->synced.data : (const uint8_t *)"", object->synced.size);
    settle(disk, object, object->pending.count, &bytes);
    write_file(path, &bytes);
    free(bytes.data);
}

void disk_cut(struct disk *disk, uint64_t seed, const char *folder)
{
    disk->chance = seed;
    for (size_t i = 0; i < disk->name_count; i++)
        leave(disk, &disk->names[i], folder);
}
