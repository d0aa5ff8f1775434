// Help texts: what it is, examples, usage, options.
#ifndef JENNER_CLIENT_CLI_HELP_H_
#define JENNER_CLIENT_CLI_HELP_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace jenner::cli {

// Of every command; those below inherit it. Examples are what Describe() was given.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_description(const CLI::App* app) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_footer(const CLI::App* app) const override;
};

// Adds a command `name` to `parent`. An example is what follows "jenner ".
CLI::App* AddCommand(CLI::App* parent, const std::string& name, const std::string& what,
                     const std::vector<std::string>& examples);
void SetExamples(CLI::App* app, const std::vector<std::string>& examples);

// Says on standard error what is wrong with the command line and what may have been meant, or, if
// it just ended too early, what there is. Returns the exit code.
int RefuseCommandLine(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_HELP_H_
