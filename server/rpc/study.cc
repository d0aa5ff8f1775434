#include "server/rpc/study.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/selection.h"
#include "core/sha256.h"
#include "core/status.h"
#include "core/study/screen.h"
#include "server/rpc/encode_study.h"
#include "server/rpc/prepare.h"
#include "server/rpc/scores.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr int kMaxStudies = 2;  // at a time

Resource About(const std::string& name) {
  if (!core::IdIn("experiments", name).has_value()) return {};
  return {"experiment", name};
}

// `done` on the study thread with all that is stored of the experiment named.
void WithScores(const Call& call, const std::string& name,
                std::function<void(const std::shared_ptr<Scores>&)> done) {
  const std::optional<std::string> id = core::IdIn("experiments", name);
  if (!id.has_value()) {
    return call.Finish(wire::FaultStatus(
        "name",
        absl::StrFormat("expected experiments/{experiment}; found \"%s\"", name.substr(0, 80))));
  }
  call.Ask([call, id = *id, done = std::move(done)](const View& view) {
    const auto found = view.state.experiments.find(id);
    if (found == view.state.experiments.end()) {
      return call.Finish(absl::NotFoundError("no experiment \"" + id + "\""));
    }
    // Each may hold a few hundred megabytes.
    std::atomic<int>* num_studies = call.backend->num_studies;
    if (num_studies->fetch_add(1) >= kMaxStudies) {
      num_studies->fetch_sub(1);
      return call.Finish(Busy());
    }
    const std::shared_ptr<Scores> scores(new Scores(found->second), [num_studies](Scores* given) {
      delete given;
      num_studies->fetch_sub(1);
    });
    ReadScores(call, scores, done);
  });
}

int32_t PositionOf(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? study::kNone : static_cast<int32_t>(found - names.begin());
}

// Of the set that measures the trait, the main one first.
absl::StatusOr<study::Screen> ScreenOf(const Scores& scores) {
  const core::ExperimentSpec& spec = scores.spec();
  const study::ScoreTable& table = scores.table();
  int32_t trait = study::kNone;
  for (size_t i = 0; i < table.traits.size(); ++i) {
    if (table.traits[i].name == spec.screen->trait) trait = static_cast<int32_t>(i);
  }
  if (trait == study::kNone) return absl::InternalError("the screen's trait is not measured");
  int32_t prompt_set = 0;
  const auto& main = spec.evaluation.traits;
  if (std::find(main.begin(), main.end(), spec.screen->trait) == main.end()) {
    for (const core::PromptSetSpec& set : spec.evaluation.sets) {
      if (std::find(set.traits.begin(), set.traits.end(), spec.screen->trait) == set.traits.end())
        continue;
      prompt_set = PositionOf(table.prompt_sets, set.name);
      break;
    }
  }
  std::vector<int32_t> candidates;
  for (const std::string& name : spec.screen->candidates) {
    candidates.push_back(PositionOf(table.contexts, name));
  }
  return study::MakeScreen(table, trait, prompt_set, candidates);
}

absl::Status FillStudy(const Scores& scores, v1::Study* message) {
  if (scores.table().rows.empty()) {
    return absl::FailedPreconditionError("nothing has been answered yet");
  }
  ASSIGN_OR_RETURN(const study::Study study, study::MakeStudy(scores.table()));
  *message = Encode(study);
  message->set_experiment(core::ExperimentName(scores.experiment()));
  message->set_complete(scores.is_complete());
  for (const study::GateFailure& failure :
       study::CheckGates(scores.spec().study.gates, study, scores.degenerate(), scores.Losses())) {
    *message->add_gate_failures() = Encode(failure, study);
  }
  if (scores.spec().screen) {
    ASSIGN_OR_RETURN(const study::Screen screen, ScreenOf(scores));
    *message->mutable_screen() = Encode(screen, scores.table(), scores.spec());
  }
  return absl::OkStatus();
}

absl::StatusOr<core::Selection> Select(const Scores& scores, int32_t top) {
  if (!scores.spec().screen) return absl::FailedPreconditionError("the experiment is no screen");
  if (!scores.is_complete()) {
    return absl::FailedPreconditionError("the screen has not succeeded");
  }
  ASSIGN_OR_RETURN(const study::Screen screen, ScreenOf(scores));
  core::Selection selection{scores.experiment(),         scores.spec_sha256(),
                            scores.spec().base_model,    scores.spec().screen->trait,
                            scores.spec().study.neutral, {}};
  for (const study::Candidate& candidate : screen.candidates) {
    const auto& interval = candidate.elicitation.interval;
    if (candidate.rank == 0 || !interval || !(interval->low > 0)) continue;
    if (top > 0 && selection.contexts.size() == static_cast<size_t>(top)) break;
    const std::string& name = scores.table().contexts[static_cast<size_t>(candidate.context)];
    selection.contexts.push_back({name, scores.spec().contexts.at(name),
                                  *candidate.elicitation.value, interval->low, interval->high});
  }
  if (selection.contexts.empty()) {
    return absl::FailedPreconditionError(
        "no candidate elicits the trait: no interval lies above 0");
  }
  return selection;
}

}  // namespace

grpc::ServerUnaryReactor* StudiesService::GetStudy(grpc::CallbackServerContext* context,
                                                   const v1::GetStudyRequest* request,
                                                   v1::GetStudyResponse* response) {
  const Call call(backend_, context, "Studies/GetStudy", About(request->name()));
  WithScores(call, request->name(), [call, response](const std::shared_ptr<Scores>& scores) {
    call.Finish(FillStudy(*scores, response->mutable_study()));
  });
  return call.reactor;
}

grpc::ServerUnaryReactor* StudiesService::FreezeScreen(grpc::CallbackServerContext* context,
                                                       const v1::FreezeScreenRequest* request,
                                                       v1::FreezeScreenResponse* response) {
  const Call call(backend_, context, "Studies/FreezeScreen", About(request->name()));
  if (request->top() < 0) {
    call.Finish(wire::FaultStatus("top", "expected 0 or more"));
    return call.reactor;
  }
  WithScores(call, request->name(),
             [call, response, top = request->top()](const std::shared_ptr<Scores>& scores) {
               const absl::StatusOr<core::Selection> selection = Select(*scores, top);
               if (!selection.ok()) return call.Finish(selection.status());
               response->set_json(core::ToJson(*selection));
               call.OnFileThread([call, response] {
                 const absl::Status stored = StoreBlob(response->json(), *call.backend->blobs);
                 response->set_selection(core::RefOf(response->json()));
                 call.Finish(stored);
               });
             });
  return call.reactor;
}

}  // namespace jenner::rpc
