// What Swift's Glibc leaves out.
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Fills `mask`, of `count` bytes, with the cores that the calling thread may run on. Bytes filled; below 0
/// on failure.
static inline long affinity_mask(void *mask, size_t count) {
  return syscall(SYS_sched_getaffinity, 0, count, mask);
}
