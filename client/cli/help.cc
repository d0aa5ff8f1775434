#include "client/cli/help.h"

#include <algorithm>
#include <iostream>
#include <set>

#include "client/cli/suggest.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

constexpr char kGroup[] = "Commands";

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

}  // namespace

HelpFormatter::HelpFormatter() {
  label("SUBCOMMAND", "COMMAND");
  label("Positionals", "Arguments");
  column_width(28);
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return app->get_description() + "\n\n" + app->get_footer() + "\n";
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  return option->get_option_text().empty() ? "" : " " + option->get_option_text();
}

std::string HelpFormatter::make_footer(const CLI::App* app) const {
  if (app->get_parent() == nullptr) return "";
  return "Options of every command: --server, --timeout, -o, --no-progress (jenner --help)\n";
}

void SetExamples(CLI::App* app, const std::vector<std::string>& examples) {
  std::string text;
  for (const std::string& example : examples) text += "  jenner " + example + "\n";
  app->footer(text);
}

CLI::App* AddCommand(CLI::App* parent, const std::string& name, const std::string& what,
                     const std::vector<std::string>& examples) {
  CLI::App* command = parent->add_subcommand(name, what)->group(kGroup);
  SetExamples(command, examples);
  return command;
}

int RefuseCommandLine(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const std::string meant = Suggestion(app, argc, argv);
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  const bool ended_early = error.get_name() == "RequiredError" && meant.empty() &&
                           unknown.empty() &&
                           std::string(error.what()).find("ubcommand") != std::string::npos;
  if (ended_early) {
    std::cerr << app.help();
    return kExitUsage;
  }
  std::cerr << "jenner: " << (unknown.empty() ? error.what() : "unknown: " + unknown[0]) << "\n";
  if (!meant.empty()) std::cerr << "Did you mean " << meant << "?\n";
  std::cerr << "Run with --help for more.\n";
  return kExitUsage;
}

}  // namespace jenner::cli
