// A channel with a connection of its own, as another process would have.
#ifndef JENNER_TESTS_BENCH_LOAD_CHANNEL_H_
#define JENNER_TESTS_BENCH_LOAD_CHANNEL_H_

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

namespace jenner::load {

inline std::shared_ptr<grpc::Channel> MakeOwnChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace jenner::load

#endif  // JENNER_TESTS_BENCH_LOAD_CHANNEL_H_
