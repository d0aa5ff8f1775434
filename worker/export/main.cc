// jenner-export: a base model and a PEFT adapter of it become one model folder, which needs no
// PEFT.
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "core/status.h"
#include "worker/model/model_folder.h"
#include "worker/model/peft.h"
#include "worker/model/transformer.h"

namespace jenner {
namespace {

struct Flags {
  std::string model_dir;
  std::string adapter_dir;
  std::string out_dir;
  std::string dtype = "float32";
};

// Without "." and a slash at the end; links stay, for a model is called as its link is.
std::filesystem::path Plain(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

absl::Status Run(const Flags& flags) {
  std::error_code error;
  const std::string out = Plain(flags.out_dir);
  if (std::filesystem::exists(out, error))
    return absl::AlreadyExistsError("--out: " + out + " is there already");
  const auto transformer = model::Transformer::Load(flags.model_dir, core::Dtype::kFloat32);
  RETURN_IF_ERROR(transformer.status());
  const std::string name = Plain(flags.model_dir).filename();
  auto adapter = model::ReadAdapter(flags.adapter_dir, (*transformer)->config(), name);
  RETURN_IF_ERROR(adapter.status());
  (*transformer)->AttachAdapter(*std::move(adapter));
  (*transformer)->MergeAdapter();
  const core::Dtype dtype =
      flags.dtype == "float32" ? core::Dtype::kFloat32 : core::Dtype::kBfloat16;
  // Under its name only when it is whole.
  const std::string part = out + ".part";
  std::filesystem::remove_all(part, error);
  RETURN_IF_ERROR(model::WriteModelFolder(**transformer, dtype, flags.model_dir, part));
  std::filesystem::rename(part, out, error);
  if (error) return absl::UnavailableError(out + ": " + error.message());
  return absl::OkStatus();
}

}  // namespace
}  // namespace jenner

int main(int argc, char** argv) {
  jenner::Flags flags;
  CLI::App app{"Merges a PEFT adapter into its base model and writes the model folder."};
  app.add_option("--model", flags.model_dir, "folder of the base model")->required();
  app.add_option("--adapter", flags.adapter_dir, "folder with adapter_config.json")->required();
  app.add_option("--out", flags.out_dir, "folder to make")->required();
  app.add_option("--dtype", flags.dtype, "of the weights that are written")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  app.set_version_flag("--version", "jenner-export " JENNER_VERSION);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = jenner::Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "jenner-export: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? EX_DATAERR : EX_IOERR;
}
