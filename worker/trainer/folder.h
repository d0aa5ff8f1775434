// Durable folders: a folder of result files appears under its name complete or not at all, with a
// manifest of sizes and SHA-256 by which it can be checked later.
//   manifest.json: {"version": 1, "files": [{"name": "a/b", "bytes": 1, "sha256": "..."}, ...]}
// Failure of kStorage for every I/O error.
#ifndef JENNER_WORKER_TRAINER_FOLDER_H_
#define JENNER_WORKER_TRAINER_FOLDER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace jenner::trainer {

struct FileEntry {
  std::string name;  // relative to the folder, '/' between parts
  int64_t bytes = 0;
  std::string sha256;  // 64 lower-case hex digits
  bool operator==(const FileEntry&) const = default;
};

// Calls `fill(temporary folder)`, fsyncs and hashes what it wrote, adds manifest.json, moves the
// folder to `path` (in the place of one that is there), fsyncs its parent, and reads everything
// back against the manifest. Returns the files, manifest.json left out, sorted by name.
std::vector<FileEntry> WriteFolder(const std::string& path,
                                   const std::function<void(const std::string& folder)>& fill);

// "" if `path` holds exactly what its manifest says, else what is wrong, in words.
std::string CheckFolder(const std::string& path);

// Makes the folder and its parents.
void MakeFolders(const std::string& path);
// The names in a folder, sorted; none if there is no folder.
std::vector<std::string> ListFolder(const std::string& path);
void RemoveTree(const std::string& path);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_FOLDER_H_
