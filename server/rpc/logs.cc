// ExperimentsService::GetLogs.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "core/names.h"
#include "server/rpc/encode.h"
#include "server/rpc/experiments.h"
#include "server/rpc/paging.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr size_t kMaxContainsBytes = 1024;
constexpr int32_t kMaxTail = 10'000;
constexpr int64_t kMaxTailScanBytes = int64_t{64} << 20;

// What must be the same for a cursor to be taken again.
std::string BindingOf(const v1::GetLogsRequest& request) {
  return absl::StrFormat("GetLogs %s\n%s\n%s\n%s\n%s", request.name(), request.job(),
                         request.has_attempt() ? absl::StrFormat("%d", request.attempt()) : "any",
                         request.has_rank() ? absl::StrFormat("%d", request.rank()) : "any",
                         request.contains());
}

absl::StatusOr<store::LogQuery> QueryOf(const v1::GetLogsRequest& request,
                                        const std::string& binding) {
  core::Faults faults;
  store::LogQuery query;
  const std::optional<std::string> id = core::IdIn("experiments", request.name());
  if (!id.has_value()) {
    faults.push_back({"name", absl::StrFormat("expected experiments/{experiment}; found \"%s\"",
                                              request.name().substr(0, 80))});
  }
  query.experiment = id.value_or("");
  if (!request.job().empty()) query.job = request.job().substr(request.job().rfind('/') + 1);
  if (request.has_attempt()) query.attempt = request.attempt();
  if (request.has_rank()) query.rank = request.rank();
  if (query.attempt.value_or(0) < 0) faults.push_back({"attempt", "expected 0 or more"});
  if (query.rank.value_or(0) < 0) faults.push_back({"rank", "expected 0 or more"});
  if (request.contains().size() > kMaxContainsBytes) {
    faults.push_back({"contains", absl::StrFormat("expected at most %d bytes", kMaxContainsBytes)});
  }
  query.contains = request.contains();
  if (request.tail() < 0 || request.tail() > kMaxTail) {
    faults.push_back({"tail", absl::StrFormat("expected 0 to %d", kMaxTail)});
  }
  if (request.tail() > 0 && !request.cursor().empty()) {
    faults.push_back({"tail", "not together with a cursor"});
  }
  if (!faults.empty()) return wire::FaultsStatus(faults);
  query.max_bytes = kMaxPageBytes;
  ASSIGN_OR_RETURN(query.limit, PageSize(request.page_size()));
  if (request.tail() > 0) {
    query.limit = request.tail();
    query.max_scan_bytes = kMaxTailScanBytes;
  }
  const absl::StatusOr<std::vector<std::string>> position =
      PagePosition(binding, request.cursor(), 2);
  const bool is_cursor =
      position.ok() &&
      (position->empty() || (absl::SimpleAtoi(position->at(0), &query.after.seq) &&
                             absl::SimpleAtoi(position->at(1), &query.after.byte_count) &&
                             query.after.seq >= 0 && query.after.byte_count >= 0));
  if (!is_cursor) return wire::FaultStatus("cursor", "not a cursor of this call and its filters");
  return query;
}

// On the store thread.
void ReadLogs(const Call& call, const store::LogQuery& query, bool is_tail, bool is_over,
              const std::string& binding, v1::GetLogsResponse* response) {
  store::MetricStore& store = *call.backend->metric_store;
  const absl::StatusOr<store::LogPage> page =
      is_tail ? store.LogTail(query) : store.LogLines(query);
  if (!page.ok()) return call.Finish(page.status());
  for (const store::LogLine& line : page->lines) {
    *response->add_lines() = Encode(query.experiment, line);
  }
  response->set_cursor(PageToken(binding, {absl::StrFormat("%d", page->next.seq),
                                           absl::StrFormat("%d", page->next.byte_count)}));
  response->set_has_more(page->has_more);
  response->set_complete(is_over && !page->has_more);
  call.Finish(absl::OkStatus());
}

}  // namespace

grpc::ServerUnaryReactor* ExperimentsService::GetLogs(grpc::CallbackServerContext* context,
                                                      const v1::GetLogsRequest* request,
                                                      v1::GetLogsResponse* response) {
  const Call call(backend_, context, "Experiments/GetLogs", {"experiment", request->name()});
  const std::string binding = BindingOf(*request);
  absl::StatusOr<store::LogQuery> query = QueryOf(*request, binding);
  if (!query.ok()) {
    call.Finish(query.status());
    return call.reactor;
  }
  call.Ask([call, binding, is_tail = request->tail() > 0, query = *std::move(query),
            response](const View& view) {
    const auto found = view.state.experiments.find(query.experiment);
    if (found == view.state.experiments.end()) {
      return call.Finish(absl::NotFoundError("no experiment \"" + query.experiment + "\""));
    }
    if (query.job.has_value() && found->second.Find(*query.job) == nullptr) {
      return call.Finish(wire::FaultStatus("job", "no job \"" + query.job->substr(0, 80) + "\""));
    }
    // What came before the end was seen is in the store's queue before this reading.
    const bool is_over = coordinator::IsTerminal(found->second.state);
    call.OnStoreThread([call, query, is_tail, is_over, binding, response] {
      ReadLogs(call, query, is_tail, is_over, binding, response);
    });
  });
  return call.reactor;
}

}  // namespace jenner::rpc
