#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

// Below share/, which is beside the folder of this program (tools/reference makes them).
const std::map<std::string, std::string> kScripts = {
    {"bash", "bash-completion/completions/jenner"},
    {"fish", "fish/vendor_completions.d/jenner.fish"},
    {"zsh", "zsh/vendor-completions/_jenner"}};

}  // namespace

int PrintCompletion(const std::string& shell) {
  const auto script = kScripts.find(shell);
  if (script == kScripts.end()) {
    return Report(
        absl::InvalidArgumentError(absl::StrCat("expected bash, fish or zsh; found ", shell)));
  }
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path path = self.parent_path().parent_path() / "share" / script->second;
  std::ifstream file(path);
  if (!file || !(std::cout << file.rdbuf())) {
    return Report(absl::NotFoundError(absl::StrCat(
        path.string(), ": cannot be read; it is installed beside the folder of jenner")));
  }
  return kExitOk;
}

}  // namespace jenner::cli
