// Abseil as distributions build it records who holds which mutex, to find deadlocks: a tenth of all that the
// core does.
#include <absl/synchronization/mutex.h>

extern "C" void grpc_core_quiet_mutex(void);

void grpc_core_quiet_mutex(void)
{
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}
