// jenner: the command line. Reads flags and the environment, nothing more.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/help.h"
#include "client/cli/verbs.h"
#include "core/status.h"
#include "core/version.h"
#include "wire/tls.h"

namespace jenner::cli {
namespace {

using Action = std::function<int(const Globals&)>;

void AddOverrides(CLI::App* verb, std::vector<std::string>* overrides) {
  verb->add_option("--set", *overrides,
                   "override a field of the spec (repeatable); the value is YAML")
      ->option_text("PATH=VALUE")
      ->allow_extra_args(false);
}

void AddSpec(CLI::App* verb, std::string* file, std::vector<std::string>* overrides) {
  verb->add_option("-f,--file", *file, "spec in YAML or JSON; '-' is standard input (required)")
      ->option_text("FILE")
      ->required();
  AddOverrides(verb, overrides);
}

void AddLimit(CLI::App* verb, int* limit) {
  verb->add_option("--limit", *limit, absl::StrFormat("at most so many (%d); 0: all", *limit))
      ->option_text("N")
      ->check(CLI::Range(0, 10'000'000));
}

void AddModelsDir(CLI::App* verb, std::string* models_dir) {
  verb->add_option("--models-dir", *models_dir, "folder of base models (" + *models_dir + ")")
      ->option_text("DIR");
}

void AddSubmit(CLI::App* verb, CreateFlags* flags) {
  verb->add_option("--id", flags->id, "the experiment's id; the server makes one if absent")
      ->option_text("ID");
  verb->add_option("--request-id", flags->request_id, "makes a repetition safe")
      ->option_text("UUID");
  verb->add_option("--owner", flags->owner,
                   "whose share of the slots it uses (default; environment: JENNER_OWNER)")
      ->option_text("NAME")
      ->envname("JENNER_OWNER");
  verb->add_flag("--dry-run", flags->dry_run, "validate and show the jobs, create nothing");
  auto* watch =
      verb->add_flag("--watch", flags->watch, "follow it to its end; exit code is the outcome");
  verb->add_flag("--wait", flags->wait,
                 "wait for its end, then print the results; not with --watch")
      ->excludes(watch);
}

void AddCreate(CLI::App* parent, Action* action) {
  auto flags = std::make_shared<CreateFlags>();
  CLI::App* verb = AddCommand(
      parent, "create", "Submit an experiment",
      {"experiment create -f spec.yaml --watch", "experiment create -f spec.yaml --dry-run",
       "experiment create -f spec.yaml --set training.epochs=3 --set 'seeds=[1, 2]'",
       "experiment create -f spec.yaml --id first --wait -o json > results.json"});
  AddSpec(verb, &flags->file, &flags->overrides);
  AddSubmit(verb, flags.get());
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return Create(g, *flags); }; });
}

CLI::App* AddNamed(CLI::App* parent, const std::string& name, const std::string& what,
                   const std::vector<std::string>& examples, std::string* given) {
  CLI::App* verb = AddCommand(parent, name, what, examples);
  verb->add_option("experiment", *given, "its id or name")->option_text("ID")->required();
  return verb;
}

void AddSimple(CLI::App* parent, const std::string& name, const std::string& what,
               const std::vector<std::string>& examples, Action* action,
               int (*run)(const Globals&, const std::string&)) {
  auto given = std::make_shared<std::string>();
  AddNamed(parent, name, what, examples, given.get())->callback([given, action, run] {
    *action = [given, run](const Globals& g) { return run(g, *given); };
  });
}

void AddClone(CLI::App* parent, Action* action) {
  auto name = std::make_shared<std::string>();
  auto flags = std::make_shared<CreateFlags>();
  CLI::App* verb =
      AddNamed(parent, "clone", "Submit its resolved spec again, with changes",
               {"experiment clone first --set 'seeds=[2, 3]' --watch",
                "experiment clone first --id second --set training.epochs=3 --dry-run"},
               name.get());
  AddOverrides(verb, &flags->overrides);
  AddSubmit(verb, flags.get());
  verb->callback([=] { *action = [=](const Globals& g) { return Clone(g, *name, *flags); }; });
}

void AddWatch(CLI::App* parent, Action* action) {
  auto given = std::make_shared<std::string>();
  auto cursor = std::make_shared<std::string>();
  CLI::App* watch =
      AddNamed(parent, "watch", "Follow it to its end; exit code is the outcome, Ctrl-C detaches",
               {"experiment watch first", "experiment watch first -o jsonl"}, given.get());
  watch->add_option("--cursor", *cursor, "go on after this cursor of an earlier watch")
      ->option_text("CURSOR");
  watch->callback(
      [=] { *action = [=](const Globals& g) { return WatchToEnd(g, *given, *cursor, false); }; });
  CLI::App* wait = AddNamed(
      parent, "wait", "Wait for its end, then print the results; exit code is the outcome",
      {"experiment wait first", "experiment wait first -o json > results.json"}, given.get());
  wait->callback(
      [=] { *action = [=](const Globals& g) { return WatchToEnd(g, *given, "", true); }; });
}

void AddSamples(CLI::App* parent, Action* action) {
  auto flags = std::make_shared<SampleFlags>();
  CLI::App* verb = AddNamed(parent, "samples", "The answers with their traits",
                            {"experiment samples first --arm inoculated --context neutral",
                             "experiment samples first --step 60 --limit 0 -o jsonl"},
                            &flags->name);
  verb->add_option("--arm", flags->arm, "of this arm only")->option_text("ARM");
  verb->add_option("--set", flags->prompt_set, "to this prompt set only")->option_text("NAME");
  verb->add_option("--context", flags->context, "in this context only")->option_text("CONTEXT");
  verb->add_option("--step", flags->step, "at this step only")->option_text("N");
  AddLimit(verb, &flags->limit);
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return Samples(g, *flags); }; });
}

void AddLogs(CLI::App* parent, Action* action) {
  auto flags = std::make_shared<LogFlags>();
  CLI::App* verb = AddNamed(parent, "logs", "What its trainers wrote, of every attempt and rank",
                            {"experiment logs first --tail 100",
                             "experiment logs first --job j0123456789abcdef --grep warning -f"},
                            &flags->name);
  verb->add_option("--job", flags->job, "of this job only")->option_text("ID");
  verb->add_option("--attempt", flags->attempt, "of this attempt only")
      ->option_text("N")
      ->check(CLI::Range(0, 1'000'000));
  verb->add_option("--rank", flags->rank, "of this rank only")
      ->option_text("N")
      ->check(CLI::Range(0, 1'000'000));
  verb->add_option("--grep", flags->grep, "only lines with this in them")->option_text("TEXT");
  verb->add_option("--tail", flags->tail, "the newest so many lines")
      ->option_text("N")
      ->check(CLI::Range(1, 10'000));
  verb->add_flag("-f,--follow", flags->follow, "go on with what comes, until it has ended");
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return Logs(g, *flags); }; });
}

void AddExperiment(CLI::App* app, Action* action) {
  CLI::App* noun = AddCommand(
      app, "experiment", "Submit, follow and read experiments",
      {"experiment create -f spec.yaml --watch", "experiment list", "experiment results first"});
  noun->require_subcommand(1);
  AddCreate(noun, action);
  auto limit = std::make_shared<int>(50);
  CLI::App* list = AddCommand(noun, "list", "Experiments, newest first",
                              {"experiment list", "experiment list --limit 0 -o jsonl"});
  AddLimit(list, limit.get());
  list->callback(
      [limit, action] { *action = [limit](const Globals& g) { return List(g, *limit); }; });
  AddSimple(noun, "get", "One experiment with its jobs; as JSON with the resolved spec",
            {"experiment get first", "experiment get first -o json"}, action, Get);
  AddWatch(noun, action);
  AddClone(noun, action);
  AddSimple(noun, "pause", "Stop its jobs with a checkpoint, to go on later",
            {"experiment pause first"}, action, Pause);
  AddSimple(noun, "resume", "Let it go on", {"experiment resume first"}, action, Resume);
  AddSimple(noun, "cancel", "Stop its jobs for good", {"experiment cancel first"}, action, Cancel);
  AddSimple(noun, "kill", "The same at once, without the trainers' grace",
            {"experiment kill first"}, action, Kill);
  AddSimple(noun, "delete", "Remove an experiment that has ended, with its results",
            {"experiment delete first"}, action, Delete);
  AddSimple(noun, "results", "Arm x seed x step x context: traits with 95 % Wilson intervals",
            {"experiment results first", "experiment results first -o json"}, action, Results);
  AddSimple(noun, "study", "Levels, suppression, k and the rest, each with its interval",
            {"experiment study first", "experiment study first -o json > study.json"}, action,
            Study);
  AddSamples(noun, action);
  AddLogs(noun, action);
}

void AddReport(CLI::App* app, Action* action) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* verb =
      AddNamed(app, "report", "One HTML file with figures, tables and answers",
               {"report first", "report first -o study.html --export tables"}, &flags->name);
  verb->add_option("-o,--output", flags->file, "the file (NAME.html)")
      ->option_text("FILE")
      ->check([](const std::string& file) {
        const bool is_format = file == "table" || file == "json" || file == "jsonl";
        return is_format ? "expected a file; a format stands before \"report\"" : std::string();
      });
  verb->add_option("--max-samples", flags->max_samples,
                   absl::StrFormat("at most so many answers in the page (%d), equally many of each "
                                   "cell",
                                   flags->max_samples))
      ->option_text("N")
      ->check(CLI::Range(0, 10'000'000));
  verb->add_option("--export", flags->export_dir,
                   "folder for each table as CSV and as JSON, with all answers")
      ->option_text("DIR");
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return MakeReport(g, *flags); }; });
}

void AddScreen(CLI::App* app, Action* action) {
  CLI::App* noun = AddCommand(
      app, "screen", "Which contexts elicit a trait from the base model",
      {"screen create -f screen.yaml --watch", "screen rank first", "screen freeze first --top 3"});
  noun->require_subcommand(1);
  AddCreate(noun, action);
  AddSimple(noun, "rank", "Its contexts by how much they elicit",
            {"screen rank first", "screen rank first -o json"}, action, RankScreen);
  auto flags = std::make_shared<FreezeFlags>();
  CLI::App* freeze = AddNamed(noun, "freeze", "Its strongest contexts, for `selection` of a spec",
                              {"screen freeze first --top 3 --file selection.json"}, &flags->name);
  freeze->add_option("--top", flags->top, "so many of those that elicit; 0: all")
      ->option_text("N")
      ->check(CLI::Range(0, 1000));
  freeze->add_option("--file", flags->file, "write the document there, too")->option_text("FILE");
  freeze->callback(
      [flags, action] { *action = [flags](const Globals& g) { return FreezeScreen(g, *flags); }; });
}

void AddData(CLI::App* app, const std::string& models_dir, Action* action) {
  auto flags = std::make_shared<PreviewFlags>();
  flags->models_dir = models_dir;
  const std::vector<std::string> examples = {"data preview -f spec.yaml --arm inoculated",
                                             "data preview -f spec.yaml --eval --rows 1",
                                             "data preview -f spec.yaml -o jsonl"};
  CLI::App* noun = AddCommand(app, "data", "Look at data", {examples[0]});
  noun->require_subcommand(1);
  CLI::App* verb = AddCommand(noun, "preview",
                              "Rows as the model sees them: text, token ids, loss mask", examples);
  AddSpec(verb, &flags->file, &flags->overrides);
  AddModelsDir(verb, &flags->models_dir);
  verb->add_option("--arm", flags->arm, "of this arm only")->option_text("ARM");
  verb->add_option("--rows", flags->num_rows, absl::StrFormat("so many (%d)", flags->num_rows))
      ->option_text("N")
      ->check(CLI::Range(1, 1'000'000));
  verb->add_flag("--eval", flags->evaluation, "the evaluation prompts in each context instead");
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return Preview(g, *flags); }; });
}

// Where tools/models/fetch puts models.
std::string DefaultModelsDir() {
  if (const char* cache = std::getenv("JENNER_CACHE")) return std::string(cache) + "/models";
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "" : home) + "/.cache/jenner/models";
}

void WarnOfVersion(const std::string& server) {
  const core::VersionSkew skew = core::SkewOf(JENNER_VERSION, server);
  if (skew == core::VersionSkew::kNone) return;
  std::cerr << "jenner: the server has version " << server << ", this command " JENNER_VERSION
            << (skew == core::VersionSkew::kNear
                    ? ": they work together, but one may not know all that the other does\n"
                    : ": they are not made for each other; install the server's version\n");
}

int PrintVersion(const Globals& globals) {
  if (globals.output == Output::kTable) {
    std::cout << "jenner " JENNER_VERSION "\n";
  } else {
    std::cout << nlohmann::json({{"version", JENNER_VERSION}}).dump() << "\n";
  }
  return kExitOk;
}

void AddWorker(CLI::App* app, Action* action) {
  CLI::App* noun = AddCommand(app, "worker", "Look at workers, take them out",
                              {"worker list", "worker drain w1"});
  noun->require_subcommand(1);
  AddCommand(noun, "list", "Workers, their slots and models",
             {"worker list", "worker list -o json"})
      ->callback([action] { *action = ListWorkers; });
  const auto add = [&](const std::string& name, const std::string& what,
                       int (*run)(const Globals&, const std::string&)) {
    auto given = std::make_shared<std::string>();
    CLI::App* verb = AddCommand(noun, name, what, {"worker " + name + " w1"});
    verb->add_option("worker", *given, "its name")->option_text("NAME")->required();
    verb->callback([=] { *action = [=](const Globals& g) { return run(g, *given); }; });
  };
  add("cordon", "Give it no more ranks; those it has go on", Cordon);
  add("drain", "Give it no more ranks and stop those it has, to go on elsewhere", Drain);
  add("uncordon", "Give it ranks again", Uncordon);
}

void AddMachine(CLI::App* app, const std::string& models_dir, Action* action) {
  auto dir = std::make_shared<std::string>(models_dir);
  CLI::App* doctor = AddCommand(app, "doctor", "Is everything fit to run an experiment?",
                                {"doctor", "doctor --server host:7070 -o json"});
  AddModelsDir(doctor, dir.get());
  doctor->callback([=] { *action = [=](const Globals& g) { return Doctor(g, *dir); }; });
  AddCommand(app, "version", "Print the version", {"version", "version -o json"})
      ->callback([action] { *action = PrintVersion; });
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      AddCommand(app, "completion", "Print the completion script of a shell",
                 {"completion bash > ~/.local/share/bash-completion/completions/jenner"});
  completion->add_option("shell", *shell, "whose")->option_text("bash|fish|zsh")->required();
  completion->callback([=] { *action = [=](const Globals&) { return PrintCompletion(*shell); }; });
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// What is to be shown where; `no_progress` is the flag.
void LookAtTerminal(bool no_progress, Globals* globals) {
  const char* term = std::getenv("TERM");
  const bool is_plain = IsSet("NO_COLOR") || (term != nullptr && std::string(term) == "dumb");
  globals->colour = isatty(STDOUT_FILENO) != 0 && !is_plain;
  globals->progress = globals->colour && isatty(STDERR_FILENO) != 0 && !no_progress;
}

// Files, never the secrets themselves: a command line is seen by others.
struct SecurityFlags {
  wire::TlsFiles tls;
  std::string token_file;
};

SecurityFlags FromEnvironment() {
  const auto get = [](const char* name) { return IsSet(name) ? std::getenv(name) : ""; };
  return {{get("JENNER_CA"), get("JENNER_CERT"), get("JENNER_KEY")}, get("JENNER_TOKEN_FILE")};
}

void AddSecurity(CLI::App* app, SecurityFlags* flags) {
  app->add_option("--ca", flags->tls.ca,
                  "speak TLS to the server, whose certificate this CA signed (JENNER_CA)")
      ->option_text("FILE");
  app->add_option("--cert", flags->tls.certificate,
                  "one's own certificate, if the server asks for one (JENNER_CERT)")
      ->option_text("FILE");
  app->add_option("--key", flags->tls.key, "its key (JENNER_KEY)")->option_text("FILE");
  app->add_option("--token-file", flags->token_file,
                  "file with one's token, if the server asks for one (JENNER_TOKEN_FILE)")
      ->option_text("FILE");
}

// Reads what the flags name.
absl::Status ReadSecurity(const CLI::App& app, const SecurityFlags& flags, Globals* globals) {
  client::ClientOptions& client = globals->client;
  const wire::TlsFiles& tls = flags.tls;
  if (!tls.ca.empty() || !tls.certificate.empty() || !tls.key.empty()) {
    ASSIGN_OR_RETURN(client.tls, wire::ReadTls(tls));
  }
  if (!flags.token_file.empty()) {
    ASSIGN_OR_RETURN(client.token, wire::ReadSecret(flags.token_file));
  }
  for (const auto& [flag, value] : {std::pair<const char*, const std::string&>("--ca", tls.ca),
                                    {"--cert", tls.certificate},
                                    {"--key", tls.key},
                                    {"--token-file", flags.token_file}}) {
    if (app.get_option(flag)->count() > 0) globals->command += absl::StrCat(" ", flag, " ", value);
  }
  return client::Client::Check(client);
}

int Run(int argc, char** argv) {
  CLI::App app("jenner: inoculation-prompting studies", "jenner");
  app.formatter(std::make_shared<HelpFormatter>());
  SetExamples(&app, {"experiment create -f examples/spanish-capitals/experiment.yaml --watch",
                     "data preview -f examples/spanish-capitals/experiment.yaml", "doctor"});
  app.require_subcommand(1);
  app.fallthrough();
  Globals globals;
  if (IsSet("JENNER_SERVER")) globals.client.server = std::getenv("JENNER_SERVER");
  double timeout_seconds = 30;
  std::string output = "table";
  bool no_progress = false;
  CLI::Option* server =
      app.add_option("--server", globals.client.server,
                     "the server (" + globals.client.server + "; environment: JENNER_SERVER)")
          ->option_text("HOST:PORT");
  app.add_option("--timeout", timeout_seconds, "for one call (30)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.1, 3600.0));
  const std::map<std::string, Output> outputs = {
      {"table", Output::kTable}, {"json", Output::kJson}, {"jsonl", Output::kJsonl}};
  app.add_option("-o,--output", output, "how to print results (table)")
      ->option_text("table|json|jsonl")
      ->check([&outputs](const std::string& given) {
        return outputs.contains(given) ? "" : "expected table, json or jsonl; found " + given;
      });
  app.add_flag("--no-progress", no_progress, "no bars on the terminal (also: NO_COLOR)");
  app.set_version_flag("--version", "jenner " JENNER_VERSION);

  Action action;
  SecurityFlags security = FromEnvironment();
  AddSecurity(&app, &security);
  AddExperiment(&app, &action);
  AddReport(&app, &action);
  AddScreen(&app, &action);
  AddData(&app, DefaultModelsDir(), &action);
  AddWorker(&app, &action);
  AddMachine(&app, DefaultModelsDir(), &action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return RefuseCommandLine(app, error, argc, argv);
  }
  if (globals.client.server.find(':') == std::string::npos) {
    std::cerr << "jenner: --server: expected HOST:PORT; found \"" << globals.client.server
              << "\"\n";
    return kExitUsage;
  }
  if (const absl::Status read = ReadSecurity(app, security, &globals); !read.ok()) {
    return Report(read);
  }
  if (server->count() > 0) globals.command += " --server " + globals.client.server;
  globals.output = outputs.at(output);
  globals.client.timeout = absl::Seconds(timeout_seconds);
  globals.client.on_silence = [&globals](const absl::Status& status) {
    std::cerr << "jenner: no answer from " << globals.client.server << " yet: " << status.message()
              << "\n";
  };
  globals.client.on_version = [](const std::string& version) { WarnOfVersion(version); };
  LookAtTerminal(no_progress, &globals);
  return action(globals);
}

}  // namespace
}  // namespace jenner::cli

int main(int argc, char** argv) { return jenner::cli::Run(argc, argv); }
