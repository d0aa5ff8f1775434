// Data preview: what a training or an evaluation makes of the rows of a spec, by the very functions
// that the trainer uses (worker/text). Needs no server.
#ifndef JENNER_CLIENT_CLI_DATA_H_
#define JENNER_CLIENT_CLI_DATA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/spec_file.h"
#include "client/cli/verbs.h"

namespace jenner::cli {

struct RenderedRow {
  std::string arm;      // "" for an evaluation prompt
  std::string context;  // its name
  std::string row;      // id
  std::vector<int32_t> token_ids;
  std::vector<bool> mask;  // of each token: does it count in the loss? All false for a prompt
  bool truncated = false;
  // The text in pieces that are supervised or not, in turn.
  struct Piece {
    std::string text;
    bool supervised = false;
  };
  std::vector<Piece> pieces;
};

// The first `num_rows` rows of the training dataset for each arm that trains (only `arm`, if it is
// not ""), or, with `evaluation`, of the evaluation prompts in each context. Errors name the flag,
// file, arm or row: InvalidArgument; NotFound: no such model folder.
absl::StatusOr<std::vector<RenderedRow>> RenderRows(const SpecFile& file,
                                                    const std::string& models_dir,
                                                    const std::string& arm, int num_rows,
                                                    bool evaluation);

// For people; supervised text in colour or between "[[" and "]]".
std::string FormatRenderedRow(const RenderedRow& row, bool colour);

// What is wrong with the tokenizer or the chat template of a model folder.
absl::Status CheckModelText(const std::string& folder);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_DATA_H_
