// `experiment logs`: what trainers wrote on standard error.
#include <iostream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

constexpr int kPageSize = 1000;
constexpr absl::Duration kPoll = absl::Seconds(1);

// A trainer's library may write anything; a terminal obeys some of it.
std::string Printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) c = ' ';
  }
  return text;
}

// "job/attempt/rank", but for what was asked for.
std::string Prefix(const v1::LogLine& line, const LogFlags& flags) {
  std::vector<std::string> parts;
  if (flags.job.empty()) parts.push_back(LastComponent(line.job()));
  if (flags.attempt < 0) parts.push_back(absl::StrCat(line.attempt()));
  if (flags.rank < 0) parts.push_back(absl::StrCat(line.rank()));
  return parts.empty() ? "" : absl::StrJoin(parts, "/") + "  ";
}

}  // namespace

int Logs(const Globals& globals, const LogFlags& flags) {
  client::Client client(globals.client);
  MessageList list(globals.output);
  v1::GetLogsRequest request;
  request.set_name(ExperimentName(flags.name));
  request.set_job(flags.job);
  if (flags.attempt >= 0) request.set_attempt(flags.attempt);
  if (flags.rank >= 0) request.set_rank(flags.rank);
  request.set_contains(flags.grep);
  request.set_tail(flags.tail);
  request.set_page_size(kPageSize);
  bool is_empty = true;
  for (;;) {
    const absl::StatusOr<v1::GetLogsResponse> page = client.GetLogs(request);
    if (!page.ok()) return Report(page.status());
    for (const v1::LogLine& line : page->lines()) {
      is_empty = false;
      if (globals.output == Output::kTable) {
        std::cout << Prefix(line, flags) << Printable(line.text()) << "\n";
      } else {
        list.Add(line);
      }
    }
    std::cout << std::flush;
    request.set_tail(0);
    request.set_cursor(page->cursor());
    if (page->complete() || (!flags.follow && !page->has_more())) break;
    if (page->has_more()) continue;
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(kPoll));  // tidy: allow, polling
  }
  if (globals.output != Output::kTable) {
    list.End();
  } else if (is_empty) {
    std::cerr << "jenner: no log lines\n";
  }
  return kExitOk;
}

}  // namespace jenner::cli
