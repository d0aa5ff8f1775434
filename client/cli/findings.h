// What a doctor found, printed as it comes; as one JSON list at the end.
#ifndef JENNER_CLIENT_CLI_FINDINGS_H_
#define JENNER_CLIENT_CLI_FINDINGS_H_

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "client/cli/verbs.h"

namespace jenner::cli {

class Findings {
 public:
  explicit Findings(Output output) : output_(output) {}

  void Good(const std::string& text) { Add("ok", text, ""); }
  void Note(const std::string& text) { Add("note", text, ""); }
  // Works, and may not for long.
  void Warn(const std::string& text, const std::string& remedy) { Add("warn", text, remedy); }
  void Bad(const std::string& text, const std::string& remedy) {
    Add("fail", text, remedy);
    failed_ = true;
  }
  void End() const {
    if (output_ == Output::kJson) std::cout << list_.dump(1) << "\n";
  }
  bool failed() const { return failed_; }

 private:
  void Add(const std::string& result, const std::string& text, const std::string& remedy) {
    const nlohmann::json finding = {{"result", result}, {"text", text}, {"remedy", remedy}};
    if (output_ == Output::kTable) {
      std::cout << absl::StrFormat("%-4s  %s\n", result == "fail" ? "FAIL" : result, text);
      if (!remedy.empty()) std::cout << "      " << remedy << "\n";
      std::cout << std::flush;
    } else if (output_ == Output::kJsonl) {
      std::cout << finding.dump() << "\n";
    }
    list_.push_back(finding);
  }

  const Output output_;
  nlohmann::json list_ = nlohmann::json::array();
  bool failed_ = false;
};

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_FINDINGS_H_
