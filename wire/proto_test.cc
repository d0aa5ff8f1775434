// Conventions of jenner.v1, read off its descriptors.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "google/api/field_behavior.pb.h"
#include "google/protobuf/descriptor.h"
#include "jenner/v1/dataset.pb.h"
#include "jenner/v1/experiment.pb.h"
#include "jenner/v1/judge.pb.h"
#include "jenner/v1/spec.pb.h"
#include "jenner/v1/worker.pb.h"

namespace jenner::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// The parts of a oneof exclude one another: none of them alone is required or optional.
bool NeedsBehavior(const FieldDescriptor& field) {
  return field.real_containing_oneof() == nullptr;
}

std::set<int> BehaviorsOf(const FieldDescriptor& field) {
  std::set<int> behaviors;
  const auto& options = field.options();
  for (int i = 0; i < options.ExtensionSize(google::api::field_behavior); ++i) {
    behaviors.insert(options.GetExtension(google::api::field_behavior, i));
  }
  return behaviors;
}

void Check(const Descriptor& message, int* num_fields) {
  if (message.options().map_entry()) return;
  const bool is_response =
      message.name().size() > 8 && message.name().substr(message.name().size() - 8) == "Response";
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    ++*num_fields;
    const std::set<int> behaviors = BehaviorsOf(field);
    EXPECT_TRUE(!behaviors.empty() || !NeedsBehavior(field)) << field.full_name();
    if (is_response && NeedsBehavior(field)) {
      EXPECT_EQ(behaviors, std::set<int>{google::api::OUTPUT_ONLY}) << field.full_name();
    }
  }
  for (int i = 0; i < message.nested_type_count(); ++i) Check(*message.nested_type(i), num_fields);
}

TEST(Proto, EveryFieldHasABehavior) {
  int num_fields = 0;
  for (const auto* file :
       {v1::Experiment::descriptor()->file(), v1::ExperimentSpec::descriptor()->file(),
        v1::Dataset::descriptor()->file(), v1::Worker::descriptor()->file(),
        v1::ScoreItem::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      Check(*file->message_type(i), &num_fields);
    }
  }
  EXPECT_GT(num_fields, 150);
}

}  // namespace
}  // namespace jenner::wire
