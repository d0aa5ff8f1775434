// `jenner report`: an experiment as one HTML file, and its tables as files.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/report_data.h"
#include "client/cli/report_page.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "core/status.h"

namespace jenner::cli {
namespace {

// Whole or not at all: written beside it, then renamed. What is there already is replaced.
absl::Status WriteFile(const std::string& path, const std::vector<std::string_view>& parts) {
  const std::string temporary = absl::StrCat(path, ".", getpid(), ".part");
  errno = 0;
  std::ofstream file(temporary, std::ios::binary);
  for (const std::string_view part : parts) file << part;
  file.close();
  std::error_code error;
  if (!file) {
    error = std::error_code(errno == 0 ? EIO : errno, std::generic_category());
  } else {
    std::filesystem::rename(temporary, path, error);
  }
  if (!error) return absl::OkStatus();
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  return absl::FailedPreconditionError(absl::StrCat("cannot write ", path, ": ", error.message()));
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot make the folder ", folder, ": ", error.message()));
}

// Names of the files, without their folder.
absl::StatusOr<std::vector<std::string>> Export(const std::string& folder, const ReportData& data) {
  RETURN_IF_ERROR(MakeFolder(folder));
  std::vector<std::string> names;
  for (const FlatTable& table : ReportTables(data)) {
    for (const auto& [ending, text] : {std::pair<const char*, std::string>(".csv", ToCsv(table)),
                                       {".json", ToJsonRows(table)}}) {
      names.push_back(table.name + ending);
      RETURN_IF_ERROR(WriteFile(absl::StrCat(folder, "/", names.back()), {text}));
    }
  }
  return names;
}

absl::Status WriteReport(const Globals& globals, const ReportFlags& flags) {
  const std::string file =
      flags.file.empty() ? LastComponent(ExperimentName(flags.name)) + ".html" : flags.file;
  client::Client client(globals.client);
  ASSIGN_OR_RETURN(const ReportData data, CollectReport(&client, ExperimentName(flags.name)));
  const std::string document =
      ReportDocument(data, static_cast<size_t>(flags.max_samples), absl::Now());
  const std::vector<std::string_view> parts = {kReportPageHead, document, kReportPageTail};
  size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  RETURN_IF_ERROR(WriteFile(file, parts));
  std::vector<std::string> exported;
  if (!flags.export_dir.empty()) {
    ASSIGN_OR_RETURN(exported, Export(flags.export_dir, data));
  }
  const size_t shown = ChooseSamples(data.samples, static_cast<size_t>(flags.max_samples)).size();
  if (globals.output != Output::kTable) {
    std::cout << nlohmann::ordered_json({{"file", file},
                                         {"size_bytes", size},
                                         {"num_samples", data.samples.size()},
                                         {"num_samples_in_page", shown},
                                         {"export_dir", flags.export_dir},
                                         {"exported", exported}})
                     .dump()
              << "\n";
    return absl::OkStatus();
  }
  std::cerr << absl::StreamFormat("jenner: wrote %s: %.1f MB, %d of %d answers\n", file,
                                  static_cast<double>(size) / 1e6, shown, data.samples.size());
  if (!exported.empty()) {
    std::cerr << "jenner: wrote " << exported.size() << " files to " << flags.export_dir << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

int MakeReport(const Globals& globals, const ReportFlags& flags) {
  const absl::Status status = WriteReport(globals, flags);
  return status.ok() ? kExitOk : Report(status);
}

}  // namespace jenner::cli
