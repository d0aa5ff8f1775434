// What a report is made of: everything that the service has of one experiment, as its messages.
#ifndef JENNER_CLIENT_CLI_REPORT_DATA_H_
#define JENNER_CLIENT_CLI_REPORT_DATA_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/flat_table.h"
#include "client/client.h"

namespace jenner::cli {

struct PromptText {
  std::string prompt_set;
  std::string prompt_id;
  std::string text;  // the user's turn; of several turns each after its role
};

struct ReportData {
  v1::Experiment experiment;
  v1::Study study;
  std::vector<v1::ResultRow> results;
  std::vector<v1::Sample> samples;           // ordered by (job, step, set, context, prompt, sample)
  std::vector<v1::TrainPoint> train_points;  // each step of a job once, ordered by (job, step)
  std::vector<PromptText> prompts;
  std::vector<std::string> notes;  // what is missing in it
};

// Of an experiment that has not ended: what there is so far. Errors are the client's; UNIMPLEMENTED
// says that the server is too old.
absl::StatusOr<ReportData> CollectReport(client::Client* client, const std::string& name);

// At most `max_samples`, equally many of each cell, and of each the first prompts: so that cells
// can be compared.
std::vector<const v1::Sample*> ChooseSamples(const std::vector<v1::Sample>& samples,
                                             size_t max_samples);

// The document of the page (docs/formats/report.md), escaped to stand in a script element.
std::string ReportDocument(const ReportData& data, size_t max_samples, absl::Time now);

// The same as flat tables, with all samples.
std::vector<FlatTable> ReportTables(const ReportData& data);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_REPORT_DATA_H_
