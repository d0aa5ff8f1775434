// What tests of jenner-server as a process share.
#ifndef JENNER_TESTS_INTEGRATION_SERVER_PROCESS_H_
#define JENNER_TESTS_INTEGRATION_SERVER_PROCESS_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>

#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {

// Of its first line; "": it says something else.
inline std::string AddressIn(const std::string& line) {
  const std::string prefix = "listening on ";
  return line.rfind(prefix, 0) == 0 ? line.substr(prefix.size(), line.find(',') - prefix.size())
                                    : "";
}

// Of the base model alone.
inline v1::CreateExperimentRequest SmallRequest(const std::string& id) {
  v1::CreateExperimentRequest request;
  request.set_experiment_id(id);
  v1::ExperimentSpec* spec = request.mutable_spec();
  spec->set_base_model("tiny");
  (*spec->mutable_contexts())["neutral"];
  spec->add_arms()->set_name("base");
  spec->mutable_evaluation()->set_prompts("sha256:" + core::Sha256Hex(kPrompts));
  return request;
}

// Every experiment "e0", "e1", ... of the *num_answered answered ones is there; then creates more
// until the server is gone, which another thread sees to after the one that makes them `until`.
inline void CreateUntilKilled(
    const Process& server, const Stubs& stubs,
    const std::function<v1::CreateExperimentRequest(const std::string& id)>& request, int until,
    int* num_answered) {
  for (int i = 0; i < *num_answered; ++i) {
    ASSERT_TRUE(stubs.Get(absl::StrFormat("experiments/e%d", i)).ok()) << "e" << i;
  }
  std::thread killer;
  for (;;) {
    const absl::Status made = stubs.Create(request(absl::StrFormat("e%d", *num_answered))).status();
    if (!made.ok() && !absl::IsAlreadyExists(made)) break;
    if (++*num_answered == until) killer = std::thread([&] { server.Kill(SIGKILL); });
  }
  killer.join();
}

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_SERVER_PROCESS_H_
