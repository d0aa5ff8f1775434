// Tables and messages for people.
#ifndef JENNER_CLIENT_CLI_TABLE_H_
#define JENNER_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

#include "jenner/v1/experiment.pb.h"
#include "jenner/v1/worker.pb.h"

namespace jenner::cli {

// Columns aligned by display width (UTF-8 code points), two spaces apart, header first; no trailing
// space. Rows may be shorter than the header; control characters in a cell become spaces.
std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows);

// "0.69 [0.56, 0.79]", with " of 61" when fewer than `num_samples` answers could be measured, or
// "n/a".
std::string FormatRatio(const v1::TraitRatio& trait, int num_samples);

// Not the main prompt set; a server that knows of no other tells none.
bool IsOther(const std::string& prompt_set);

// One row an (arm, seed, step, context), one column a trait; PROMPTS if there are several sets.
std::string FormatResults(const std::vector<v1::ResultRow>& rows);

// One row a sample, one column a trait. JUDGE, if a judge gave no score to some: why, cut to 60
// bytes.
std::string FormatSamples(const std::vector<v1::Sample>& samples);

std::string FormatExperiments(const std::vector<v1::Experiment>& experiments);
std::string FormatExperiment(const v1::Experiment& experiment);
// What a dry run found: the jobs that the experiment would have, and what they would take.
std::string FormatMatrix(const v1::Experiment& experiment);
std::string FormatPlan(const v1::Plan& plan);
// "alive" or "lost", and if it is cordoned that.
std::string FormatLiveness(const v1::Worker& worker);
std::string FormatWorkers(const std::vector<v1::Worker>& workers);

// "label  [####....] 12/40  loss 1.2345     678 tokens/s" in less than `columns` columns: the bar
// gives way first, then the label's end. Labels of equal length give bars that are aligned.
std::string FormatBar(const std::string& label, const v1::TrainPoint& point, int total_steps,
                      int columns);

using Names = google::protobuf::RepeatedPtrField<std::string>;
// "a/1, b/1", or "a/1, b/1 +3" where there are more than `max`.
std::string FormatArms(const Names& arms, int max);
// "CODE [blame]: message"; without the blame where it is capacity, for the code says that. Or "".
std::string FormatReason(const v1::StateReason& reason);
// "1 job", "2 jobs".
std::string Counted(int count, const std::string& noun);

// "succeeded" for STATE_SUCCEEDED.
std::string StateName(v1::State state);
// The id in "experiments/<id>"; the last component of any name.
std::string LastComponent(const std::string& name);
// "1h02m", "3m07s", "12s".
std::string FormatSeconds(double seconds);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_TABLE_H_
