// The verbs of the command line. Each prints its result to standard output, messages to standard
// error, and returns the exit code (docs/cli.md).
#ifndef JENNER_CLIENT_CLI_VERBS_H_
#define JENNER_CLIENT_CLI_VERBS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/client.h"

namespace jenner::cli {

enum class Output { kTable, kJson, kJsonl };

struct Globals {
  client::ClientOptions client;
  Output output = Output::kTable;
  bool progress = false;           // bars on standard error: it is a terminal
  bool colour = false;             // on standard output: it is a terminal
  std::string command = "jenner";  // with --server if that was given; for commands to copy
};

// Exit codes; docs/cli.md has the same list.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // the experiment failed, or an error of the service
inline constexpr int kExitUsage = 2;   // command line, spec or data
inline constexpr int kExitNotFound = 3;
inline constexpr int kExitDenied = 4;       // no token, an unknown one, or it may not
inline constexpr int kExitUnavailable = 5;  // no answer from the server in time
inline constexpr int kExitCancelled = 6;
inline constexpr int kExitInterrupted = 130;

// Prints "jenner: <message>", every fault of a refused input on a line of its own, and returns the
// code for `status`. REQUIRES: !status.ok().
int Report(const absl::Status& status);
// Prints what to type next, on standard error: what follows "jenner experiment", and what it does.
void PrintNext(const Globals& globals, const std::vector<std::vector<std::string>>& commands);
// The exit code of an experiment that ended in `state`.
int ExitCodeOf(v1::State state);
// "experiments/x" of "x" or "experiments/x".
std::string ExperimentName(const std::string& given);

struct CreateFlags {
  std::string file;
  std::vector<std::string> overrides;
  std::string id;
  std::string request_id;
  std::string owner;
  bool dry_run = false;
  bool watch = false;
  bool wait = false;
};
int Create(const Globals& globals, const CreateFlags& flags);
int List(const Globals& globals, int limit);
int Get(const Globals& globals, const std::string& name);
// Submits the resolved spec of experiment `name` again, with `flags.overrides`; flags.file is not
// used.
int Clone(const Globals& globals, const std::string& name, const CreateFlags& flags);
int Cancel(const Globals& globals, const std::string& name);
int Kill(const Globals& globals, const std::string& name);
int Pause(const Globals& globals, const std::string& name);
int Resume(const Globals& globals, const std::string& name);
int Delete(const Globals& globals, const std::string& name);
int Results(const Globals& globals, const std::string& name);
struct SampleFlags {
  std::string name;
  std::string arm;
  std::string prompt_set;
  std::string context;
  int step = -1;
  int limit = 50;
};
int Samples(const Globals& globals, const SampleFlags& flags);
// Every figure of the experiment with its interval.
int Study(const Globals& globals, const std::string& name);
// A screen's contexts by how much they elicit.
int RankScreen(const Globals& globals, const std::string& name);
struct FreezeFlags {
  std::string name;
  int top = 0;       // 0: all that elicit
  std::string file;  // "": none; gets the document
};
int FreezeScreen(const Globals& globals, const FreezeFlags& flags);
struct LogFlags {
  std::string name;
  std::string job;
  int attempt = -1;
  int rank = -1;
  std::string grep;
  int tail = 0;
  bool follow = false;
};
// Prints lines as they come; with `follow` until the experiment has ended.
int Logs(const Globals& globals, const LogFlags& flags);
int ListWorkers(const Globals& globals);
int Cordon(const Globals& globals, const std::string& name);
int Drain(const Globals& globals, const std::string& name);
int Uncordon(const Globals& globals, const std::string& name);

// Follows an experiment to its end, then prints its results and, unless it succeeded, why.
// `quiet`: nothing before that. As JSON the updates are printed, and the results only if `quiet`:
// the updates have the cells. Interrupting detaches: the experiment goes on.
int WatchToEnd(const Globals& globals, const std::string& name, const std::string& cursor,
               bool quiet);

struct ReportFlags {
  std::string name;
  std::string file;  // empty: NAME.html in the current folder
  int max_samples = 20'000;
  std::string export_dir;  // empty: none
};
// Writes an experiment as one HTML page and, if asked, its tables as files. What it wrote is told
// on standard error, as JSON on standard output.
int MakeReport(const Globals& globals, const ReportFlags& flags);

struct PreviewFlags {
  std::string file;
  std::vector<std::string> overrides;
  std::string models_dir;
  std::string arm;
  int num_rows = 2;
  bool evaluation = false;
};
// Shows rows as the model sees them: text, token ids, loss mask. Needs no server.
int Preview(const Globals& globals, const PreviewFlags& flags);

// Says whether server, workers, machine and the models in `models_dir` are fit to run an
// experiment. kExitFailed if not.
int Doctor(const Globals& globals, const std::string& models_dir);

// Prints the completion script that is installed for `shell`: bash, fish or zsh.
int PrintCompletion(const std::string& shell);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_VERBS_H_
