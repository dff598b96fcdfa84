/* What the files of the invariants share. */
#ifndef INVARIANTS_SEEN_H
#define INVARIANTS_SEEN_H

#include "invariants.h"

/* `rule` begins with its name, "S4: ...". Of a process that was frozen, rules about time are passed over. */
void seen_broken(struct invariants *seen, const char *rule, uint32_t part, int64_t now);

#define EXPECT(condition, rule, part)                                                                        \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            seen_broken(seen, rule ": " #condition, part, now);                                              \
    } while (0)

bool seen_has_steps(const struct plan_part *plan);
enum op seen_last_step(const struct plan_part *plan);
bool seen_had_turn(const struct seen_part *part);
bool seen_may_be_destroyed(const struct invariants *seen, uint32_t index, int64_t now);

#endif
