/* Intrusive list that ends in itself. */
#ifndef WEIR_ENGINES_GRPC_CORE_LINK_H
#define WEIR_ENGINES_GRPC_CORE_LINK_H

#include <stdbool.h>
#include <stddef.h>

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct link {
    struct link *previous, *next;
};

static inline void link_init(struct link *list)
{
    list->previous = list->next = list;
}

static inline void link_append(struct link *list, struct link *item)
{
    item->previous = list->previous;
    item->next = list;
    list->previous->next = item;
    list->previous = item;
}

/* Leaves it empty; fine for one that is in no list, when it was initialised. */
static inline void link_remove(struct link *item)
{
    item->previous->next = item->next;
    item->next->previous = item->previous;
    link_init(item);
}

static inline bool link_is_empty(const struct link *list)
{
    return list->next == list;
}

#endif
