/* What platforms that start and stop a process are told, from its plan. */
#ifndef WEIR_LIFECYCLE_PLAN_PLATFORM_H
#define WEIR_LIFECYCLE_PLAN_PLATFORM_H

#include "lifecycle/plan.h"

#define PLATFORM_LEAVE_S 2 /* the process leaves at its deadline: for the platform's own clock */

/* Rounded up. */
int64_t platform_seconds(int64_t ms);
/* From SIGTERM to SIGKILL: the deadline, and PLATFORM_LEAVE_S. */
int64_t platform_grace_s(const struct plan *plan);
/* From the start of the process until it is ready, or has given up and rolled back what had started. */
int64_t platform_start_s(const struct plan *plan);

#endif
