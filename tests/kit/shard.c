#include "shard.h"

#include "test.h"

#include <stdio.h>

#define TESTS_MAX 256

int kit_run_shard(const struct CMUnitTest *tests, size_t count, int (*set_up)(void **state),
                  int (*tear_down)(void **state))
{
    size_t shard = 1, shards = 1, wanted = 0;
    const char *text = getenv("KIT_SHARD");
    if (text && (sscanf(text, "%zu/%zu", &shard, &shards) != 2 || shard < 1 || shard > shards)) {
        fprintf(stderr, "KIT_SHARD: expected for example 2/4, found \"%s\"\n", text);
        return 1;
    }
    struct CMUnitTest subset[TESTS_MAX];
    for (size_t i = shard - 1; i < count && wanted < TESTS_MAX; i += shards)
        subset[wanted++] = tests[i];
    return _cmocka_run_group_tests("tests", subset, wanted, set_up, tear_down);
}
