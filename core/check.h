// CHECK: for broken invariants of our own code only, never reachable from input, file or network.
// Prints file, line and the expression to stderr and aborts; the event log replays at the restart.
#ifndef JENNER_CORE_CHECK_H_
#define JENNER_CORE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define JENNER_CHECK(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

#endif  // JENNER_CORE_CHECK_H_
