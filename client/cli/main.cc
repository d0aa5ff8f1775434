// jenner: the command line. Reads flags and the environment, nothing more.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "client/cli/suggest.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

using Action = std::function<int(const Globals&)>;

void AddCreate(CLI::App* parent, Action* action) {
  auto flags = std::make_shared<CreateFlags>();
  CLI::App* verb = parent->add_subcommand(
      "create", "Submit an experiment: jenner experiment create -f spec.yaml --watch");
  verb->add_option("-f,--file", flags->file, "spec in YAML or JSON; '-' is standard input")
      ->required();
  verb->add_option("--set", flags->overrides,
                   "override a field: --set training.epochs=3 (repeatable)");
  verb->add_option("--id", flags->id, "the experiment's id; the server makes one if absent");
  verb->add_option("--request-id", flags->request_id, "makes a repetition safe; a UUID");
  verb->add_flag("--dry-run", flags->dry_run, "validate and show the jobs, create nothing");
  auto* watch =
      verb->add_flag("--watch", flags->watch, "follow it to its end; exit code is the outcome");
  verb->add_flag("--wait", flags->wait, "wait for its end in silence")->excludes(watch);
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return Create(g, *flags); }; });
}

void AddNamed(CLI::App* parent, const std::string& name, const std::string& help, Action* action,
              int (*run)(const Globals&, const std::string&)) {
  auto given = std::make_shared<std::string>();
  CLI::App* verb = parent->add_subcommand(name, help);
  verb->add_option("experiment", *given, "id or name of the experiment")->required();
  verb->callback([given, action, run] {
    *action = [given, run](const Globals& g) { return run(g, *given); };
  });
}

void AddWatch(CLI::App* parent, const std::string& name, bool quiet, const std::string& help,
              Action* action) {
  auto given = std::make_shared<std::string>();
  auto cursor = std::make_shared<std::string>();
  CLI::App* verb = parent->add_subcommand(name, help);
  verb->add_option("experiment", *given, "id or name of the experiment")->required();
  if (!quiet) verb->add_option("--cursor", *cursor, "go on after this cursor of an earlier watch");
  verb->callback(
      [=] { *action = [=](const Globals& g) { return WatchToEnd(g, *given, *cursor, quiet); }; });
}

void AddSamples(CLI::App* parent, Action* action) {
  auto flags = std::make_shared<SampleFlags>();
  CLI::App* verb = parent->add_subcommand(
      "samples", "The answers: jenner experiment samples x --arm inoculated");
  verb->add_option("experiment", flags->name, "id or name of the experiment")->required();
  verb->add_option("--arm", flags->arm, "of this arm only");
  verb->add_option("--context", flags->context, "in this context only");
  verb->add_option("--step", flags->step, "at this step only");
  verb->add_option("--limit", flags->limit, "at most so many; 0: all")
      ->check(CLI::Range(0, 10'000'000));
  verb->callback(
      [flags, action] { *action = [flags](const Globals& g) { return Samples(g, *flags); }; });
}

void AddData(CLI::App* app, const std::string& models_dir, Action* action) {
  auto flags = std::make_shared<PreviewFlags>();
  flags->models_dir = models_dir;
  CLI::App* noun = app->add_subcommand("data", "Look at data");
  noun->require_subcommand(1);
  CLI::App* verb = noun->add_subcommand(
      "preview", "Rows as the model sees them: jenner data preview -f spec.yaml --arm inoculated");
  verb->add_option("-f,--file", flags->file, "spec in YAML or JSON; '-' is standard input")
      ->required();
  verb->add_option("--set", flags->overrides, "override a field, as in experiment create");
  verb->add_option("--models-dir", flags->models_dir, "folder of base models")
      ->capture_default_str();
  verb->add_option("--arm", flags->arm, "of this arm only");
  verb->add_option("--rows", flags->num_rows, "so many rows")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
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

// What the first word or flag that is unknown may have meant; "" if nothing is near.
std::string Suggestion(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  std::vector<std::string> flags;
  std::set<std::string> with_value;
  const auto add_flags = [&](const CLI::App* of) {
    for (const CLI::Option* option : of->get_options()) {
      std::vector<std::string> names;
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      flags.insert(flags.end(), names.begin(), names.end());
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
      if (option->get_expected_max() > 0) with_value.insert(names.begin(), names.end());
    }
  };
  add_flags(at);
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.rfind('-', 0) == 0) {
      const std::string flag = word.substr(0, word.find('='));
      const bool is_long = flag.rfind("--", 0) == 0;
      if (is_long && std::find(flags.begin(), flags.end(), flag) == flags.end())
        return Nearest(flag, flags);
      if (flag == word && with_value.contains(flag)) ++i;
      continue;
    }
    std::vector<std::string> verbs;
    const CLI::App* next = nullptr;
    for (const CLI::App* verb : at->get_subcommands(nullptr)) {
      verbs.push_back(verb->get_name());
      if (verb->get_name() == word) next = verb;
    }
    if (verbs.empty()) continue;
    if (next == nullptr) return Nearest(word, verbs);
    at = next;
    add_flags(at);
  }
  return "";
}

void AddExperiment(CLI::App* app, Action* action) {
  CLI::App* noun = app->add_subcommand("experiment", "Submit, follow and read experiments");
  noun->require_subcommand(1);
  AddCreate(noun, action);
  auto limit = std::make_shared<int>(50);
  CLI::App* list = noun->add_subcommand("list", "Experiments, newest first");
  list->add_option("--limit", *limit, "at most so many; 0: all")->check(CLI::Range(0, 1'000'000));
  list->callback(
      [limit, action] { *action = [limit](const Globals& g) { return List(g, *limit); }; });
  AddNamed(noun, "get", "One experiment with its jobs; -o json shows the resolved spec", action,
           Get);
  AddWatch(noun, "watch", false, "Follow to the end; exit code is the outcome, Ctrl-C detaches",
           action);
  AddWatch(noun, "wait", true, "Wait for the end, then print the results", action);
  AddNamed(noun, "cancel", "Stop its jobs", action, Cancel);
  AddNamed(noun, "delete", "Remove an experiment that has ended, with its results", action, Delete);
  AddNamed(noun, "results", "Cells: arm x seed x step x context, traits with 95 % Wilson intervals",
           action, Results);
  AddSamples(noun, action);
}

int Run(int argc, char** argv) {
  CLI::App app(
      "jenner: inoculation-prompting studies\n\n"
      "  jenner experiment create -f examples/spanish-capitals/experiment.yaml --watch\n",
      "jenner");
  app.require_subcommand(1);
  app.fallthrough();
  Globals globals;
  if (const char* server = std::getenv("JENNER_SERVER")) globals.client.server = server;
  double timeout_seconds = 30;
  app.add_option("--server", globals.client.server,
                 "coordinator, host:port (environment: JENNER_SERVER)")
      ->capture_default_str();
  app.add_option("--timeout", timeout_seconds, "seconds for one call")
      ->check(CLI::Range(0.1, 3600.0));
  const std::map<std::string, Output> outputs = {
      {"table", Output::kTable}, {"json", Output::kJson}, {"jsonl", Output::kJsonl}};
  app.add_option("-o,--output", globals.output, "table, json or jsonl")
      ->transform(CLI::CheckedTransformer(outputs));
  bool no_progress = false;
  app.add_flag("--no-progress", no_progress, "no bars on the terminal (also: NO_COLOR)");

  Action action;
  AddExperiment(&app, &action);
  AddData(&app, DefaultModelsDir(), &action);
  CLI::App* worker = app.add_subcommand("worker", "Look at workers");
  worker->require_subcommand(1);
  worker->add_subcommand("list", "Workers, their slots and models")->callback([&] {
    action = ListWorkers;
  });
  app.add_subcommand("doctor", "Is everything fit to run an experiment?")->callback([&] {
    action = Doctor;
  });
  app.add_subcommand("version", "Print the version")->callback([&] {
    action = [](const Globals&) {
      std::cout << "jenner " JENNER_VERSION "\n";
      return kExitOk;
    };
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) == 0) return kExitOk;
    const std::string meant = Suggestion(app, argc, argv);
    if (!meant.empty()) std::cerr << "Did you mean " << meant << "?\n";
    return kExitUsage;
  }
  globals.client.timeout = absl::Seconds(timeout_seconds);
  globals.progress = isatty(STDERR_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && !no_progress &&
                     std::getenv("NO_COLOR") == nullptr;
  return action(globals);
}

}  // namespace
}  // namespace jenner::cli

int main(int argc, char** argv) { return jenner::cli::Run(argc, argv); }
