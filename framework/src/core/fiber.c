#include "core/fiber.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/memory.h"
#include "core/parker.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#define GUARD_SIZE ((size_t)64 << 10)

#if defined(__x86_64__)

/* What the System V ABI has a function keep: six registers and two control words. Written here because
 * swapcontext(3) makes two system calls. */
void fiber_switch(void **ret_from, void *to);
__asm__(".text\n"
        ".globl fiber_switch\n"
        ".hidden fiber_switch\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch, .-fiber_switch\n");

struct first_frame {
    uint32_t mxcsr;
    uint16_t control, unused;
    void *registers[6];
    void (*entry)(void); /* where the first switch returns to */
    void *nobody;        /* the end of a backtrace */
};

static void *first_stack_pointer(void *top, void (*entry)(void))
{
    struct first_frame *frame = (struct first_frame *)top - 1;
    memset(frame, 0, sizeof *frame);
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(frame->mxcsr), "=m"(frame->control));
    frame->entry = entry;
    return frame;
}

bool fibers_available(void)
{
    return true;
}

#else

static void fiber_switch(void **ret_from, void *to)
{
    (void)ret_from, (void)to;
    abort();
}

static void *first_stack_pointer(void *top, void (*entry)(void))
{
    (void)top, (void)entry;
    return NULL;
}

bool fibers_available(void)
{
    return false;
}

#endif

/* ---- Who runs here. Functions of their own: a fiber must not keep the address of a thread's variable. ---- */

static __thread struct fiber *running;

__attribute__((noinline)) struct fiber *fiber_self(void)
{
    return running;
}

__attribute__((noinline)) static void set_running(struct fiber *fiber)
{
    running = fiber;
}

/* ---- Switching, and telling the sanitizers. What is called in between must be inlined: ThreadSanitizer notes each function's
 * begin on the stack that runs then, and its end on the one that runs by then. ---- */

#define INLINED static inline __attribute__((always_inline))

INLINED void leave_carrier(struct fiber *fiber)
{
    (void)fiber;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fiber->carrier_fake_stack, fiber->stack, fiber->stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
    fiber->sanitizer_carrier = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->sanitizer_fiber, 0);
#endif
}

INLINED void arrive_on_fiber(struct fiber *fiber)
{
    (void)fiber;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &fiber->carrier_bottom, &fiber->carrier_size);
#endif
}

INLINED void leave_fiber(struct fiber *fiber)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fiber->fake_stack, fiber->carrier_bottom, fiber->carrier_size);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(fiber->sanitizer_carrier, 0);
#endif
    fiber_switch(&fiber->stack_pointer, fiber->carrier_stack_pointer);
    arrive_on_fiber(fiber);
}

INLINED void arrive_on_carrier(struct fiber *fiber)
{
    (void)fiber;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fiber->carrier_fake_stack, NULL, NULL);
#endif
}

/* The first function on a fiber's stack; never returns. One task after the other. */
static void begin(void)
{
    struct fiber *fiber = fiber_self();
    arrive_on_fiber(fiber);
    for (;;) {
        fiber->run(fiber->arg);
        fiber->waits = false;
        leave_fiber(fiber);
    }
}

/* ---- Life ---- */

static size_t default_stack_size(void)
{
    pthread_attr_t attributes;
    size_t size = (size_t)8 << 20;
    pthread_attr_init(&attributes);
    pthread_attr_getstacksize(&attributes, &size);
    pthread_attr_destroy(&attributes);
    return size;
}

struct fiber *fiber_new(struct fiber_host *host)
{
    size_t size = default_stack_size() + GUARD_SIZE;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    mprotect(memory, GUARD_SIZE, PROT_NONE);
    struct fiber *fiber = NEW(struct fiber);
    fiber->host = host;
    fiber->stack = memory + GUARD_SIZE;
    fiber->stack_size = size - GUARD_SIZE;
    fiber->stack_pointer = first_stack_pointer(memory + size, begin);
#if defined(__SANITIZE_THREAD__)
    fiber->sanitizer_fiber = __tsan_create_fiber(0);
#endif
    return fiber;
}

void fiber_destroy(struct fiber *fiber)
{
    if (!fiber)
        return;
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(fiber->sanitizer_fiber);
#endif
    munmap((char *)fiber->stack - GUARD_SIZE, fiber->stack_size + GUARD_SIZE);
    free(fiber);
}

/* ---- Running and waiting ---- */

bool fiber_resume(struct fiber *fiber)
{
    set_running(fiber);
    leave_carrier(fiber);
    fiber_switch(&fiber->carrier_stack_pointer, fiber->stack_pointer);
    arrive_on_carrier(fiber);
    set_running(NULL);
    return !fiber->waits;
}

void fiber_wait(struct parker *parker, int64_t until_ns)
{
    struct fiber *fiber = fiber_self();
    fiber->parker = parker;
    fiber->until_ns = until_ns;
    fiber->waits = true;
    leave_fiber(fiber);
}

bool fiber_stays(struct fiber *fiber)
{
    return parker_park(fiber->parker, fiber);
}

bool fiber_overdue(struct fiber *fiber)
{
    return parker_unpark(fiber->parker);
}
