/* A program whose tests wait more than they work can be run in parts, at the same time: weir_test(... SHARDS n). */
#ifndef KIT_SHARD_H
#define KIT_SHARD_H

#include <stddef.h>

struct CMUnitTest;

/* In place of cmocka_run_group_tests(); `set_up` and `tear_down` may be NULL. KIT_SHARD=2/4 in the environment: only every fourth test,
 * beginning with the second; else all. */
#define kit_run_tests(tests, set_up, tear_down)                                                              \
    kit_run_shard(tests, sizeof(tests) / sizeof(tests)[0], set_up, tear_down)
int kit_run_shard(const struct CMUnitTest *tests, size_t count, int (*set_up)(void **state),
                  int (*tear_down)(void **state));

#endif
