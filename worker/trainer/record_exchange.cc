#include "worker/trainer/record_exchange.h"

#include <functional>
#include <memory>

#include "absl/strings/str_format.h"
#include "worker/trainer/folder.h"

namespace jenner::trainer {
namespace {

// The pieces of the first `end` bytes of a record, one a call, then "".
std::function<std::string()> PiecesOf(const Record& record, int64_t end) {
  return [&record, end, at = int64_t{0}]() mutable {
    std::string piece = record.Read(at, end);
    at += static_cast<int64_t>(piece.size());
    return piece;
  };
}

void Copy(const Record& from, int64_t end, const Record& to) {
  const auto next = PiecesOf(from, end);
  for (std::string piece; !(piece = next()).empty();) to.Append(piece);
}

}  // namespace

std::string RecordName(int rank) { return absl::StrFormat("records/%d.jsonl", rank); }

void GatherRecords(const Record& own, int64_t bytes, const std::string& folder,
                   Collective* collective) {
  const bool is_first = collective->rank() == 0;
  if (is_first) {
    MakeFolders(folder + "/records");
    Copy(own, bytes, Record(folder + "/" + RecordName(0)));
  }
  for (int rank = 1; rank < collective->size(); ++rank) {
    std::unique_ptr<Record> copy;
    if (is_first) copy = std::make_unique<Record>(folder + "/" + RecordName(rank));
    collective->Pass(rank, PiecesOf(own, bytes), [&](std::string_view piece) {
      if (copy != nullptr) copy->Append(piece);
    });
  }
}

void HandOutRecords(const std::string& folder, int saved_ranks, const Record& own,
                    Collective* collective) {
  const bool is_first = collective->rank() == 0;
  const bool as_before = saved_ranks == collective->size();
  own.Clear();
  for (int rank = 0; rank < saved_ranks; ++rank) {
    std::unique_ptr<Record> saved;
    if (is_first) saved = std::make_unique<Record>(folder + "/" + RecordName(rank));
    if (rank == 0 || !as_before) {
      if (is_first) Copy(*saved, saved->size_bytes(), own);
      continue;
    }
    std::function<std::string()> read;
    if (is_first) read = PiecesOf(*saved, saved->size_bytes());
    collective->Pass(0, read, [&](std::string_view piece) {
      if (collective->rank() == rank) own.Append(piece);
    });
  }
}

}  // namespace jenner::trainer
