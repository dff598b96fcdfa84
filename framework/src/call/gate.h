/* Counts work in flight and refuses new work once closed. Any thread; no lock where work passes. */
#ifndef WEIR_CALL_GATE_H
#define WEIR_CALL_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/component.h>
#include <weir/context.h>

struct gate;

/* At most `most` at once; 0: no limit. */
struct gate *gate_new(int64_t most);
void gate_destroy(struct gate *gate); /* nothing is in flight any more; NULL is fine */

/* UNAVAILABLE when closed, RESOURCE_EXHAUSTED when full. */
enum weir_status gate_enter(struct gate *gate);
/* `cancelled`: the work ended because it was told to. */
void gate_leave(struct gate *gate, bool cancelled);
/* The same where many threads enter: each counts in a place of its own, and who leaves, on whatever thread, says
 * which it was. */
enum weir_status gate_enter_here(struct gate *gate, uint8_t *ret_place);
void gate_leave_from(struct gate *gate, uint8_t place, bool cancelled);

/* The drain begins: accounts for what is in flight now and for what still comes (on connections that are
 * open, work is taken until they are closed: refusing it would lose requests that were sent already). */
void gate_drain(struct gate *gate);
/* Refuses from now on. */
void gate_close(struct gate *gate);
/* Work that is cancelled from now on was cut by the stop; before that, by who had asked for it: then it
 * counts as completed. */
void gate_cut(struct gate *gate);
/* The drain has begun: who leaves from now on is accounted for. */
bool gate_is_draining(const struct gate *gate);
/* Work that left as completed was cut after all: nobody got its result. `accounted`: it left while the gate was
 * draining. */
void gate_was_cut(struct gate *gate, bool accounted);
int64_t gate_in_flight(const struct gate *gate);

/* Until nothing is in flight, or `context` is over. True when empty. */
bool gate_wait_empty(struct gate *gate, struct weir_context *context);

/* What became of the work since gate_drain(): adds in_flight, completed, cancelled, stuck (still in flight).
 */
void gate_account(const struct gate *gate, struct weir_work *work);

#endif
