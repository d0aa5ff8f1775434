// Serve: what Place() and PendingReasons do with each job in its turn. Internal to them.
#ifndef JENNER_SERVER_COORDINATOR_SERVE_H_
#define JENNER_SERVER_COORDINATOR_SERVE_H_

#include <string>
#include <vector>

#include "server/coordinator/queue.h"
#include "server/coordinator/rooms.h"

namespace jenner::coordinator {

struct Served {
  std::vector<std::string> workers;  // rank by rank; empty: it has to wait
  bool is_over_quota = false;
};

// Serves the job that *queue gave last with what *rooms has.
Served Serve(const Waiting& next, Queue* queue, Rooms* rooms);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_SERVE_H_
