#include <fstream>
#include <iostream>

#include "client/cli/output.h"
#include "client/cli/study_table.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

namespace jenner::cli {

int Study(const Globals& globals, const std::string& name) {
  const absl::StatusOr<v1::Study> study =
      client::Client(globals.client).GetStudy(ExperimentName(name));
  if (!study.ok()) return Report(study.status());
  if (globals.output == Output::kTable) {
    std::cout << FormatStudy(*study);
  } else {
    PrintOne(globals, *study);
  }
  return kExitOk;
}

int RankScreen(const Globals& globals, const std::string& name) {
  const absl::StatusOr<v1::Study> study =
      client::Client(globals.client).GetStudy(ExperimentName(name));
  if (!study.ok()) return Report(study.status());
  if (!study->has_screen()) {
    std::cerr << "jenner: " << LastComponent(name) << " is no screen: its spec has no `screen`\n";
    return kExitUsage;
  }
  if (globals.output == Output::kTable) {
    std::cout << FormatScreen(study->screen());
  } else {
    PrintOne(globals, study->screen());
  }
  return kExitOk;
}

int FreezeScreen(const Globals& globals, const FreezeFlags& flags) {
  const absl::StatusOr<v1::FreezeScreenResponse> frozen =
      client::Client(globals.client).FreezeScreen(ExperimentName(flags.name), flags.top);
  if (!frozen.ok()) return Report(frozen.status());
  if (!flags.file.empty()) {
    std::ofstream file(flags.file);
    file << frozen->json() << "\n";
    file.close();
    if (!file) {
      std::cerr << "jenner: " << flags.file << " cannot be written\n";
      return kExitUsage;
    }
  }
  if (globals.output == Output::kTable) {
    std::cout << "selection: " << frozen->selection() << "\n";
  } else {
    PrintOne(globals, *frozen);
  }
  return kExitOk;
}

}  // namespace jenner::cli
