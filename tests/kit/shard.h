/* A program whose tests wait more than they work can be run in parts, at the same time: weir_test(... SHARDS n). */
#ifndef KIT_SHARD_H
#define KIT_SHARD_H

#include <stddef.h>

struct CMUnitTest;

/* In place of cmocka_run_group_tests(tests, NULL, NULL). KIT_SHARD=2/4 in the environment: only every fourth test,
 * beginning with the second; else all. */
#define kit_run_tests(tests) kit_run_shard(#tests, tests, sizeof(tests) / sizeof(tests)[0])
int kit_run_shard(const char *name, const struct CMUnitTest *tests, size_t count);

#endif
