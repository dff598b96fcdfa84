/* The critical path of a stop: its parts add up to the stop's length. */
#ifndef WEIR_LIFECYCLE_REPORT_PATH_H
#define WEIR_LIFECYCLE_REPORT_PATH_H

#include "lifecycle/engine.h"

struct path_part {
    uint32_t part; /* PLAN_NONE: pre_drain, or at the end destroy */
    enum op op;    /* OP_NONE: pre_drain */
    int64_t used;
    bool abandoned;
};

struct path {
    struct path_part *parts;
    uint32_t count;
};

/* Parts of no length are left out. */
void path_find(const struct engine *engine, struct path *ret_path);
void path_free(struct path *path);
/* "pre_drain", "rest drain", "destroy" */
void path_name(const struct engine *engine, const struct path_part *part, struct weir_buffer *out);

#endif
