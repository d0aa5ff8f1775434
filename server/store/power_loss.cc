#include "server/store/power_loss.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <random>
#include <utility>

namespace jenner::store {
namespace {

constexpr char kName[] = "power-loss";
constexpr size_t kSectorBytes = 512;

Recorder* recorder = nullptr;
sqlite3_vfs* base = nullptr;
int autocheckpoint = 0;

// In front of the file of the VFS below, in the memory that SQLite gives for both.
struct ShimFile {
  sqlite3_file header;
  std::string* path;
};

sqlite3_file* Below(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(ShimFile));
}
const std::string& PathOf(sqlite3_file* file) { return *reinterpret_cast<ShimFile*>(file)->path; }

int Close(sqlite3_file* file) {
  const int code = Below(file)->pMethods->xClose(Below(file));
  delete reinterpret_cast<ShimFile*>(file)->path;
  return code;
}
int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
  return Below(file)->pMethods->xRead(Below(file), to, size, offset);
}
int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  const int code = Below(file)->pMethods->xWrite(Below(file), from, size, offset);
  if (code == SQLITE_OK) {
    recorder->Note({DiskOp::Kind::kWrite, PathOf(file), offset,
                    std::string(static_cast<const char*>(from), static_cast<size_t>(size))});
  }
  return code;
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int code = Below(file)->pMethods->xTruncate(Below(file), size);
  if (code == SQLITE_OK) recorder->Note({DiskOp::Kind::kTruncate, PathOf(file), size, ""});
  return code;
}
int Sync(sqlite3_file* file, int) {
  // This process will not lose power: that the sync was asked for is all that matters.
  recorder->Note({DiskOp::Kind::kSync, PathOf(file), 0, ""});
  return SQLITE_OK;
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return Below(file)->pMethods->xFileSize(Below(file), size);
}
int Lock(sqlite3_file* file, int level) { return Below(file)->pMethods->xLock(Below(file), level); }
int Unlock(sqlite3_file* file, int level) {
  return Below(file)->pMethods->xUnlock(Below(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* out) {
  return Below(file)->pMethods->xCheckReservedLock(Below(file), out);
}
int FileControl(sqlite3_file* file, int op, void* argument) {
  return Below(file)->pMethods->xFileControl(Below(file), op, argument);
}
int SectorSize(sqlite3_file* file) { return Below(file)->pMethods->xSectorSize(Below(file)); }
int Characteristics(sqlite3_file* file) {
  return Below(file)->pMethods->xDeviceCharacteristics(Below(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return Below(file)->pMethods->xShmMap(Below(file), page, size, extend, out);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return Below(file)->pMethods->xShmLock(Below(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) { Below(file)->pMethods->xShmBarrier(Below(file)); }
int ShmUnmap(sqlite3_file* file, int remove) {
  return Below(file)->pMethods->xShmUnmap(Below(file), remove);
}

// Version 2: with shared memory for the WAL, without memory-mapped reads.
const sqlite3_io_methods kMethods = {2,
                                     Close,
                                     Read,
                                     Write,
                                     Truncate,
                                     Sync,
                                     FileSize,
                                     Lock,
                                     Unlock,
                                     CheckReservedLock,
                                     FileControl,
                                     SectorSize,
                                     Characteristics,
                                     ShmMap,
                                     ShmLock,
                                     ShmBarrier,
                                     ShmUnmap,
                                     nullptr,
                                     nullptr};

int Open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  const int code = base->xOpen(base, path, Below(file), flags, out_flags);
  if (code != SQLITE_OK) return code;
  reinterpret_cast<ShimFile*>(file)->path = new std::string(path == nullptr ? "" : path);
  file->pMethods = &kMethods;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* path, int) {
  const int code = base->xDelete(base, path, 0);
  if (code == SQLITE_OK) recorder->Note({DiskOp::Kind::kDelete, path, 0, ""});
  return code;
}

sqlite3_vfs MakeVfs() {
  sqlite3_vfs vfs = *base;
  vfs.zName = kName;
  vfs.pNext = nullptr;
  vfs.szOsFile = static_cast<int>(sizeof(ShimFile)) + base->szOsFile;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  return vfs;
}

int SetAutocheckpoint(sqlite3* handle, char**, const struct sqlite3_api_routines*) {
  return sqlite3_wal_autocheckpoint(handle, autocheckpoint);
}

void Put(const DiskOp& op, std::string* content) {
  const auto offset = static_cast<size_t>(op.offset);
  if (op.kind == DiskOp::Kind::kTruncate) {
    content->resize(offset);
    return;
  }
  if (content->size() < offset + op.bytes.size()) content->resize(offset + op.bytes.size());
  content->replace(offset, op.bytes.size(), op.bytes);
}

// `op` as a disk that loses power in the middle of it may have it: some of its sectors.
std::vector<DiskOp> Tear(const DiskOp& op, std::minstd_rand* random) {
  std::vector<DiskOp> kept;
  for (size_t at = 0; at < op.bytes.size();) {
    const size_t sector_end =
        (static_cast<size_t>(op.offset) + at) / kSectorBytes * kSectorBytes + kSectorBytes;
    const size_t size =
        std::min(op.bytes.size() - at, sector_end - static_cast<size_t>(op.offset) - at);
    if ((*random)() % 2 == 0) {
      kept.push_back(
          {op.kind, op.path, op.offset + static_cast<int64_t>(at), op.bytes.substr(at, size)});
    }
    at += size;
  }
  if (op.kind == DiskOp::Kind::kTruncate && (*random)() % 2 == 0) kept.push_back(op);
  return kept;
}

}  // namespace

Recorder::Recorder(int autocheckpoint_pages) {
  recorder = this;
  base = sqlite3_vfs_find(nullptr);
  autocheckpoint = autocheckpoint_pages;
  static sqlite3_vfs vfs = MakeVfs();
  if (base == nullptr || sqlite3_vfs_register(&vfs, /*makeDflt=*/1) != SQLITE_OK ||
      sqlite3_auto_extension(reinterpret_cast<void (*)()>(SetAutocheckpoint)) != SQLITE_OK) {
    std::abort();
  }
}

Recorder::~Recorder() {
  sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(SetAutocheckpoint));
  sqlite3_vfs_unregister(sqlite3_vfs_find(kName));
  sqlite3_vfs_register(base, /*makeDflt=*/1);
}

void Recorder::Stop() { is_recording_ = false; }

void Disk::Apply(const DiskOp& op) {
  File& file = files_[op.path];
  if (op.kind != DiskOp::Kind::kSync) {
    file.pending.push_back(op);
    return;
  }
  const auto is_deletion = [](const DiskOp& one) { return one.kind == DiskOp::Kind::kDelete; };
  const bool is_new = !file.durable.has_value() ||
                      std::any_of(file.pending.begin(), file.pending.end(), is_deletion);
  if (is_new) {
    // The folder is synced, and with it that other names are gone.
    for (auto& [path, other] : files_) {
      const auto last = std::find_if(other.pending.rbegin(), other.pending.rend(), is_deletion);
      if (path == op.path || last == other.pending.rend()) continue;
      other.durable.reset();
      other.pending.erase(other.pending.begin(), last.base());
    }
  }
  std::string content = file.durable.value_or("");
  for (const DiskOp& one : file.pending) {
    if (one.kind == DiskOp::Kind::kDelete) {
      content.clear();
    } else {
      Put(one, &content);
    }
  }
  file.durable = std::move(content);
  file.pending.clear();
}

std::map<std::string, std::string> Disk::Image(Unsynced unsynced, uint32_t seed) const {
  std::minstd_rand random(seed + 1);
  std::map<std::string, std::string> image;
  for (const auto& [path, file] : files_) {
    std::optional<std::string> content = file.durable;
    for (const DiskOp& op : file.pending) {
      if (unsynced == Unsynced::kLost) break;
      if (op.kind == DiskOp::Kind::kDelete) {
        // Names are kept in order: what came before a deletion that is lost is that file's, still.
        if (unsynced == Unsynced::kTorn && random() % 2 == 0) break;
        content.reset();
        continue;
      }
      if (!content.has_value()) content = "";
      if (unsynced == Unsynced::kKept) {
        Put(op, &*content);
      } else {
        for (const DiskOp& part : Tear(op, &random)) Put(part, &*content);
      }
    }
    if (content.has_value()) image[path] = *std::move(content);
  }
  return image;
}

}  // namespace jenner::store
