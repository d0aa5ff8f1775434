// What gRPC and protobuf have to say goes to our log (logging/log.h), so that each line of it is
// one of ours.
#ifndef JENNER_WIRE_LOG_SINK_H_
#define JENNER_WIRE_LOG_SINK_H_

namespace jenner::wire {

// Once, before there are other threads.
void LogLibraries();

}  // namespace jenner::wire

#endif  // JENNER_WIRE_LOG_SINK_H_
