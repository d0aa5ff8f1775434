#include "worker/text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "nlohmann/json.hpp"
#include "worker/text/ffi.h"
#include "worker/text/jenner_text.h"
#include "worker/text/model_files.h"

namespace jenner::text {
namespace {

// The ids under "eos_token_id"; none if the key is absent or null.
absl::StatusOr<std::vector<int32_t>> EosIds(const nlohmann::json& config, const std::string& path,
                                            int32_t vocab_size) {
  const auto value = config.find("eos_token_id");
  if (value == config.end() || value->is_null()) return std::vector<int32_t>();
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  std::vector<int32_t> ids;
  for (const nlohmann::json& item : list) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() >= static_cast<uint64_t>(vocab_size)) {
      return absl::DataLossError(absl::StrFormat(
          "%s: eos_token_id: %s expected a token id in [0, %d)", path,
          item.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), vocab_size));
    }
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

}  // namespace

void Tokenizer::Free::operator()(JennerTokenizer* handle) const {
  jenner_text_tokenizer_free(handle);
}

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::string& model_dir) {
  const std::string path = model_dir + "/tokenizer.json";
  ASSIGN_OR_RETURN(const std::string json, ReadModelFile(path, kMaxTokenizerBytes));
  JennerTokenizer* handle = nullptr;
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_tokenizer_new(json.data(), json.size(), &handle, &error);
  const absl::Status parsed = TakeStatus(code, error);
  if (absl::IsInvalidArgument(parsed)) {
    return Annotate(absl::DataLossError(parsed.message()), path);
  }
  RETURN_IF_ERROR(Annotate(parsed, path));
  Tokenizer tokenizer;
  tokenizer.handle_.reset(handle);
  if (jenner_text_tokenizer_vocab_size(handle) > std::numeric_limits<int32_t>::max()) {
    return absl::DataLossError(absl::StrFormat("%s: token ids beyond 31 bits", path));
  }
  RETURN_IF_ERROR(tokenizer.LoadEos(model_dir));
  return tokenizer;
}

absl::Status Tokenizer::LoadEos(const std::string& model_dir) {
  for (const char* name : {"/generation_config.json", "/config.json"}) {
    ASSIGN_OR_RETURN(const nlohmann::json config, ReadOptionalJsonObject(model_dir + name));
    ASSIGN_OR_RETURN(eos_ids_, EosIds(config, model_dir + name, vocab_size()));
    if (!eos_ids_.empty()) return absl::OkStatus();
  }
  const std::string path = model_dir + "/tokenizer_config.json";
  ASSIGN_OR_RETURN(const nlohmann::json config, ReadOptionalJsonObject(path));
  const std::string piece = SpecialToken(config, "eos_token");
  if (piece.empty()) {
    return absl::DataLossError(absl::StrFormat(
        "%s: no end token: generation_config.json and config.json have no eos_token_id, "
        "tokenizer_config.json has no eos_token",
        model_dir));
  }
  const std::optional<int32_t> id = IdOf(piece);
  if (!id.has_value()) {
    return absl::DataLossError(
        absl::StrFormat("%s: eos_token: \"%s\" is not in the vocabulary", path, piece));
  }
  eos_ids_ = {*id};
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Token>> Tokenizer::EncodeWithOffsets(std::string_view text) const {
  JennerTextTokens encoded = {};
  JennerTextBuffer error = {};
  const int32_t code =
      jenner_text_tokenizer_encode(handle_.get(), text.data(), text.size(), &encoded, &error);
  RETURN_IF_ERROR(TakeStatus(code, error));
  std::vector<Token> tokens;
  tokens.reserve(encoded.size);
  for (size_t i = 0; i < encoded.size; ++i) {
    const JennerTextToken& token = encoded.data[i];
    tokens.push_back({static_cast<int32_t>(token.id), token.begin, token.end});
  }
  jenner_text_tokens_free(encoded);
  return tokens;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text) const {
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, EncodeWithOffsets(text));
  std::vector<int32_t> ids;
  ids.reserve(tokens.size());
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

absl::StatusOr<std::string> Tokenizer::Decode(const std::vector<int32_t>& ids,
                                              bool skip_special) const {
  for (const int32_t id : ids) {
    if (id >= 0) continue;
    return absl::InvalidArgumentError(absl::StrFormat("token id %d is not in the vocabulary", id));
  }
  const std::vector<uint32_t> unsigned_ids(ids.begin(), ids.end());
  JennerTextBuffer text = {};
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_tokenizer_decode(
      handle_.get(), unsigned_ids.data(), unsigned_ids.size(), skip_special ? 1 : 0, &text, &error);
  RETURN_IF_ERROR(TakeStatus(code, error));
  return TakeBuffer(text);
}

absl::StatusOr<std::string> Tokenizer::TokenText(int32_t id) const { return Decode({id}, false); }

std::optional<int32_t> Tokenizer::IdOf(std::string_view piece) const {
  const int64_t id = jenner_text_tokenizer_id(handle_.get(), piece.data(), piece.size());
  if (id < 0) return std::nullopt;
  return static_cast<int32_t>(id);
}

bool Tokenizer::IsEos(int32_t id) const {
  return std::find(eos_ids_.begin(), eos_ids_.end(), id) != eos_ids_.end();
}

int32_t Tokenizer::vocab_size() const {
  return static_cast<int32_t>(jenner_text_tokenizer_vocab_size(handle_.get()));
}

}  // namespace jenner::text
