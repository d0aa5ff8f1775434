#include "server/rpc/experiments.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "core/names.h"
#include "server/coordinator/decide.h"
#include "server/rpc/create.h"
#include "server/rpc/encode.h"
#include "server/rpc/paging.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

absl::StatusOr<std::string> IdIn(const std::string& name) {
  const std::optional<std::string> id = core::IdIn("experiments", name);
  if (id.has_value()) return *id;
  return wire::FaultStatus(
      "name",
      absl::StrFormat("expected experiments/{experiment}; found \"%s\"", name.substr(0, 80)));
}

Resource About(const std::string& name) {
  if (!core::IdIn("experiments", name).has_value()) return {};
  return {"experiment", name};
}

absl::Status NotThere(const std::string& id) {
  return absl::NotFoundError("no experiment \"" + id + "\"");
}

// `answer` with the experiment named, on the coordinator thread; NotFound finishes the call.
void AskAbout(const Call& call, const std::string& name,
              std::function<void(const coordinator::Experiment&, const View&)> answer) {
  const absl::StatusOr<std::string> id = IdIn(name);
  if (!id.ok()) return call.Finish(id.status());
  call.Ask([call, id = *id, answer = std::move(answer)](const View& view) {
    const auto found = view.state.experiments.find(id);
    if (found == view.state.experiments.end()) return call.Finish(NotThere(id));
    answer(found->second, view);
  });
}

// Decides `verb` about the experiment named and answers what it then is.
template <typename Verb>
void DoVerb(const Call& call, const std::string& name, Verb verb, v1::Experiment* answer) {
  const absl::StatusOr<std::string> id = IdIn(name);
  if (!id.ok()) return call.Finish(id.status());
  verb.id = *id;
  call.Do(verb, [call, answer, id = *id](const View& view) {
    const auto found = view.state.experiments.find(id);
    if (found == view.state.experiments.end()) return call.Finish(NotThere(id));
    *answer = Encode(found->second, view, Detail::kFull);
    call.Finish(absl::OkStatus());
  });
}

// The jobs whose cells count for one (arm, seed), and how many steps its training has.
struct ArmPlan {
  core::ArmSeed arm;
  std::set<std::string> jobs;
  int32_t total_steps = 0;
};

std::vector<ArmPlan> PlansOf(const coordinator::Experiment& experiment) {
  std::vector<ArmPlan> plans;
  std::map<std::pair<std::string, int64_t>, size_t> index;
  for (const core::ArmSpec& arm : experiment.spec.arms) {
    for (const int64_t seed : experiment.spec.seeds) {
      index[{arm.name, seed}] = plans.size();
      plans.push_back({{arm.name, seed}, {}, 0});
    }
  }
  for (const coordinator::Job& job : experiment.jobs) {
    for (const core::ArmSeed& arm : job.plan.arms) {
      const auto found = index.find({arm.arm, arm.seed});
      if (found == index.end()) continue;
      ArmPlan& plan = plans[found->second];
      plan.jobs.insert(job.plan.id);
      plan.total_steps = std::max(plan.total_steps, job.total_steps);
    }
  }
  return plans;
}

void AddRows(const std::string& experiment, const core::CellFormat& format,
             const std::vector<ArmPlan>& plans, const std::vector<store::Cell>& cells,
             v1::GetResultsResponse* response) {
  for (const ArmPlan& plan : plans) {
    std::vector<const store::Cell*> own;
    for (const store::Cell& cell : cells) {
      if (plan.jobs.count(cell.job) > 0) own.push_back(&cell);
    }
    std::sort(own.begin(), own.end(), [](const store::Cell* a, const store::Cell* b) {
      return std::tie(a->step, a->prompt_set, a->context, a->job) <
             std::tie(b->step, b->prompt_set, b->context, b->job);
    });
    for (const store::Cell* cell : own) {
      v1::ResultRow* row = response->add_rows();
      row->set_arm(plan.arm.arm);
      row->set_seed(plan.arm.seed);
      row->set_step(cell->step);
      row->set_total_steps(plan.total_steps);
      row->set_prompt_set(cell->prompt_set);
      row->set_context(cell->context);
      *row->mutable_cell() = Encode(experiment, *cell, format);
      row->mutable_cell()->add_arms(absl::StrFormat("%s/%d", plan.arm.arm, plan.arm.seed));
    }
  }
}

std::vector<std::string> PositionOf(const store::StoredSample& stored) {
  const store::Sample& sample = stored.sample;
  return {stored.job,        absl::StrFormat("%d", sample.step),
          sample.prompt_set, sample.context,
          sample.prompt_id,  absl::StrFormat("%d", sample.sample_idx)};
}

// What `request` asks for, but for the jobs.
absl::StatusOr<store::SampleQuery> QueryOf(const v1::ListSamplesRequest& request,
                                           const std::string& binding) {
  store::SampleQuery query;
  ASSIGN_OR_RETURN(query.experiment, IdIn(request.name()));
  ASSIGN_OR_RETURN(query.limit, PageSize(request.page_size()));
  query.max_bytes = kMaxPageBytes;
  if (!request.prompt_set().empty()) query.prompt_set = request.prompt_set();
  if (!request.context().empty()) query.context = request.context();
  if (request.has_step()) query.step = std::max(request.step(), 0);
  if (request.has_step() && request.step() < 0) {
    return wire::FaultStatus("step", "expected 0 or more");
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> position,
                   PagePosition(binding, request.page_token(), 6));
  if (position.empty()) return query;
  store::SampleQuery::Position after{position[0], 0, position[2], position[3], position[4], 0};
  if (!absl::SimpleAtoi(position[1], &after.step) ||
      !absl::SimpleAtoi(position[5], &after.sample_idx)) {
    return wire::FaultStatus("page_token", "not a token of this call");
  }
  query.after = after;
  return query;
}

using ArmsOfJobs = std::map<std::string, std::vector<std::string>>;

void ReadSamples(const Call& call, const store::SampleQuery& query, const ArmsOfJobs& arms,
                 const std::string& binding, v1::ListSamplesResponse* response) {
  const absl::StatusOr<store::SamplePage> page = call.backend->metric_store->Samples(query);
  if (!page.ok()) return call.Finish(page.status());
  for (const store::StoredSample& stored : page->samples) {
    v1::Sample* sample = response->add_samples();
    *sample = Encode(query.experiment, stored);
    const auto found = arms.find(stored.job);
    if (found == arms.end()) continue;
    for (const std::string& arm : found->second) sample->add_arms(arm);
  }
  if (page->has_more) {
    response->set_next_page_token(PageToken(binding, PositionOf(page->samples.back())));
  }
  call.Finish(absl::OkStatus());
}

}  // namespace

grpc::ServerUnaryReactor* ExperimentsService::CreateExperiment(
    grpc::CallbackServerContext* context, const v1::CreateExperimentRequest* request,
    v1::CreateExperimentResponse* response) {
  const Call call(backend_, context, "Experiments/CreateExperiment", {}, request->request_id());
  Create(call, request, response);
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::GetExperiment(grpc::CallbackServerContext* context,
                                                            const v1::GetExperimentRequest* request,
                                                            v1::GetExperimentResponse* response) {
  const Call call(backend_, context, "Experiments/GetExperiment", About(request->name()));
  AskAbout(call, request->name(),
           [call, response](const coordinator::Experiment& experiment, const View& view) {
             *response->mutable_experiment() = Encode(experiment, view, Detail::kFull);
             call.Finish(absl::OkStatus());
           });
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::ListExperiments(
    grpc::CallbackServerContext* context, const v1::ListExperimentsRequest* request,
    v1::ListExperimentsResponse* response) {
  const Call call(backend_, context, "Experiments/ListExperiments");
  static constexpr char kBinding[] = "ListExperiments";
  const absl::StatusOr<int32_t> size = PageSize(request->page_size());
  const absl::StatusOr<std::vector<std::string>> position =
      PagePosition(kBinding, request->page_token(), 1);
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!size.ok() || !position.ok()) {
    call.Finish(size.ok() ? position.status() : size.status());
    return call.reactor;
  }
  if (!position->empty() && !absl::SimpleAtoi(position->front(), &before)) before = 0;
  call.Ask([call, response, before, limit = *size](const View& view) {
    std::vector<const coordinator::Experiment*> found;
    for (const auto& [id, experiment] : view.state.experiments) {
      if (experiment.order < before) found.push_back(&experiment);
    }
    std::sort(found.begin(), found.end(),
              [](const auto* a, const auto* b) { return a->order > b->order; });
    size_t num_bytes = 0;
    for (const coordinator::Experiment* experiment : found) {
      const bool is_full =
          response->experiments_size() == limit || num_bytes >= static_cast<size_t>(kMaxPageBytes);
      if (is_full) break;
      *response->add_experiments() = Encode(*experiment, view, Detail::kListed);
      num_bytes += response->experiments(response->experiments_size() - 1).ByteSizeLong();
    }
    const auto shown = static_cast<size_t>(response->experiments_size());
    if (shown > 0 && shown < found.size()) {
      response->set_next_page_token(
          PageToken(kBinding, {absl::StrFormat("%d", found[shown - 1]->order)}));
    }
    call.Finish(absl::OkStatus());
  });
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::CancelExperiment(
    grpc::CallbackServerContext* context, const v1::CancelExperimentRequest* request,
    v1::CancelExperimentResponse* response) {
  const Call call(backend_, context, "Experiments/CancelExperiment", About(request->name()));
  DoVerb(call, request->name(), coordinator::CancelExperiment{"", request->kill()},
         response->mutable_experiment());
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::PauseExperiment(
    grpc::CallbackServerContext* context, const v1::PauseExperimentRequest* request,
    v1::PauseExperimentResponse* response) {
  const Call call(backend_, context, "Experiments/PauseExperiment", About(request->name()));
  DoVerb(call, request->name(), coordinator::PauseExperiment{}, response->mutable_experiment());
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::ResumeExperiment(
    grpc::CallbackServerContext* context, const v1::ResumeExperimentRequest* request,
    v1::ResumeExperimentResponse* response) {
  const Call call(backend_, context, "Experiments/ResumeExperiment", About(request->name()));
  DoVerb(call, request->name(), coordinator::ResumeExperiment{}, response->mutable_experiment());
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::DeleteExperiment(
    grpc::CallbackServerContext* context, const v1::DeleteExperimentRequest* request,
    v1::DeleteExperimentResponse*) {
  const Call call(backend_, context, "Experiments/DeleteExperiment", About(request->name()));
  // The rows first: what fails can be repeated for as long as the experiment is there, and a new
  // one of the same name never sees them. Rows that came before are in the store's queue already,
  // and of a terminal experiment no later ones are taken.
  AskAbout(
      call, request->name(), [call](const coordinator::Experiment& experiment, const View& view) {
        const coordinator::DeleteExperiment command{experiment.id};
        const absl::Status decided = coordinator::Decide(view.state, command, view.now).status();
        if (!decided.ok()) return call.Finish(decided);
        call.OnStoreThread([call, command] {
          const absl::Status removed = call.backend->metric_store->DeleteExperiment(command.id);
          if (!removed.ok()) return call.Finish(removed);
          call.Do(command, [call](const View&) { call.Finish(absl::OkStatus()); });
        });
      });
  return call.reactor;
}

grpc::ServerWriteReactor<v1::WatchExperimentResponse>* ExperimentsService::WatchExperiment(
    grpc::CallbackServerContext* context, const v1::WatchExperimentRequest* request) {
  return MakeWatch(backend_, snapshots_, context, *request);
}

grpc::ServerUnaryReactor* ExperimentsService::GetResults(grpc::CallbackServerContext* context,
                                                         const v1::GetResultsRequest* request,
                                                         v1::GetResultsResponse* response) {
  const Call call(backend_, context, "Experiments/GetResults", About(request->name()));
  AskAbout(call, request->name(),
           [call, response](const coordinator::Experiment& experiment, const View&) {
             call.OnStoreThread([call, response, id = experiment.id, plans = PlansOf(experiment),
                                 format = core::CellFormat(experiment.spec.evaluation)] {
               const auto cells = call.backend->metric_store->Cells(id);
               if (cells.ok()) AddRows(id, format, plans, *cells, response);
               call.Finish(cells.status());
             });
           });
  return call.reactor;
}

grpc::ServerUnaryReactor* ExperimentsService::ListSamples(grpc::CallbackServerContext* context,
                                                          const v1::ListSamplesRequest* request,
                                                          v1::ListSamplesResponse* response) {
  const Call call(backend_, context, "Experiments/ListSamples", About(request->name()));
  const std::string step = request->has_step() ? absl::StrFormat("%d", request->step()) : "any";
  const std::string binding =
      absl::StrFormat("ListSamples %s\n%s\n%s\n%s\n%s", request->name(), request->arm(),
                      request->prompt_set(), request->context(), step);
  absl::StatusOr<store::SampleQuery> query = QueryOf(*request, binding);
  if (!query.ok()) {
    call.Finish(query.status());
    return call.reactor;
  }
  AskAbout(call, request->name(),
           [call, response, binding, arm = request->arm(), query = *std::move(query)](
               const coordinator::Experiment& experiment, const View&) mutable {
             ArmsOfJobs arms;
             for (const coordinator::Job& job : experiment.jobs) {
               const auto& owners = job.plan.arms;
               const bool is_asked = arm.empty() || std::any_of(owners.begin(), owners.end(),
                                                                [&](const core::ArmSeed& one) {
                                                                  return one.arm == arm;
                                                                });
               if (!is_asked) continue;
               arms[job.plan.id] = ArmNames(job);
               if (!arm.empty()) query.jobs.push_back(job.plan.id);
             }
             if (arms.empty()) {
               return call.Finish(wire::FaultStatus("arm", "no arm \"" + arm.substr(0, 80) + "\""));
             }
             call.OnStoreThread([call, response, binding, query, arms] {
               ReadSamples(call, query, arms, binding, response);
             });
           });
  return call.reactor;
}

}  // namespace jenner::rpc
