// Tables and messages for people.
#ifndef JENNER_CLIENT_CLI_TABLE_H_
#define JENNER_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

#include "jenner/v1/experiment.pb.h"
#include "jenner/v1/worker.pb.h"

namespace jenner::cli {

// Columns aligned by display width (UTF-8 code points), two spaces apart, header first; no trailing
// space. Rows may be shorter than the header.
std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows);

// "0.69 [0.56, 0.79]", with " of 61" when fewer than `num_samples` answers could be measured, or
// "n/a".
std::string FormatRatio(const v1::TraitRatio& trait, int num_samples);

// One row an (arm, seed, step, context), one column a trait.
std::string FormatResults(const std::vector<v1::ResultRow>& rows);

std::string FormatExperiments(const std::vector<v1::Experiment>& experiments);
std::string FormatExperiment(const v1::Experiment& experiment);
std::string FormatWorkers(const std::vector<v1::Worker>& workers);

// "succeeded" for STATE_SUCCEEDED.
std::string StateName(v1::State state);
// The id in "experiments/<id>"; the last component of any name.
std::string LastComponent(const std::string& name);
// "1h02m", "3m07s", "12s".
std::string FormatSeconds(double seconds);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_TABLE_H_
