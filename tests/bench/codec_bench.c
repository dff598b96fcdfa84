/* What the codec costs for an order of about 200 bytes of JSON, as ratios to protobuf-c's unpacking of the
 * same.
 *
 *     cmake --preset release -DWEIR_TESTS=ON && cmake --build build/release --target codec_bench
 *     build/release/tests/bench/codec_bench [OPERATION] */
#include <stdio.h>
#include <stdlib.h>

#include <weir/arena.h>
#include <weir/clock.h>
#include <weir/codec.h>

#include "shop/order/v1/order.weir.h"

#define ROUNDS 300
#define ROUND_NS INT64_C(2000000) /* short, so that some are not disturbed */

static const char order_json[] =
    "{\"orderId\":\"018f6a0e-7b5c-7cc3-98c4-dc0c0c07398f\",\"customerId\":\"customer-4711\","
    "\"items\":[{\"sku\":\"tea-assam\",\"quantity\":2},{\"sku\":\"biscuit-almond\",\"quantity\":12}],"
    "\"state\":\"ORDER_STATE_CONFIRMED\",\"total\":{\"amountMinor\":\"4250\",\"currency\":\"EUR\"},"
    "\"createdAt\":\"2026-11-22T16:29:53.120Z\"}";

struct bench {
    struct weir_bytes json, wire;
    struct weir_buffer out;
    struct weir_arena *arena;
};

static void *take(void *arena, size_t size)
{
    return weir_arena_alloc(arena, size);
}

static void give_back(void *arena, void *memory)
{
    (void)arena, (void)memory;
}

static void must(bool right)
{
    if (!right)
        abort();
}

static void check(struct bench *bench)
{
    must(weir_wire_check(&order__order__table, bench->wire, NULL, NULL) == WEIR_OK);
}

static void unpack(struct bench *bench)
{
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = bench->arena};
    must(protobuf_c_message_unpack(&order__order__descriptor, &allocator, bench->wire.size,
                                   bench->wire.data) != NULL);
    weir_arena_reset(bench->arena);
}

static void unpack_with_malloc(struct bench *bench)
{
    Order__Order *order = order__order__unpack(NULL, bench->wire.size, bench->wire.data);
    must(order != NULL);
    order__order__free_unpacked(order, NULL);
}

static void json_to_wire(struct bench *bench)
{
    weir_buffer_clear(&bench->out);
    must(weir_json_to_wire(&order__order__table, bench->json, NULL, &bench->out, NULL) == WEIR_OK);
}

static void wire_to_json(struct bench *bench)
{
    weir_buffer_clear(&bench->out);
    must(weir_wire_to_json(&order__order__table, bench->wire, NULL, &bench->out, NULL) == WEIR_OK);
}

/* The best round: the others were disturbed. */
static double measure(struct bench *bench, void (*operation)(struct bench *bench))
{
    double best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weir_now_ns(), end, count = 0;
        do {
            for (int i = 0; i < 100; i++)
                operation(bench);
            count += 100;
            end = weir_now_ns();
        } while (end - begin < ROUND_NS);
        double each = (double)(end - begin) / (double)count;
        best = each < best ? each : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct bench *bench);
    } operations[] = {
        {"unpack, into an arena", unpack},
        {"unpack, by malloc", unpack_with_malloc},
        {"check", check},
        {"JSON to wire", json_to_wire},
        {"wire to JSON", wire_to_json},
    };
    struct weir_buffer wire = {0};
    struct bench bench = {.json = weir_bytes_of_text(order_json), .arena = weir_arena_new()};
    must(weir_json_to_wire(&order__order__table, bench.json, NULL, &wire, NULL) == WEIR_OK);
    bench.wire = weir_buffer_bytes(&wire);
    printf("%zu bytes of JSON, %zu of wire\n", bench.json.size, bench.wire.size);
    double unit = 0;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (argc > 1 && strcmp(argv[1], operations[i].name) != 0)
            continue; /* for a profiler */
        double ns = measure(&bench, operations[i].run);
        unit = unit == 0 ? ns : unit;
        printf("%-24s %8.0f ns  %6.2f\n", operations[i].name, ns, ns / unit);
    }
    weir_buffer_free(&wire);
    weir_buffer_free(&bench.out);
    weir_arena_destroy(bench.arena);
    return 0;
}
