// What somebody meant who mistyped a verb or a flag. Pure.
#ifndef JENNER_CLIENT_CLI_SUGGEST_H_
#define JENNER_CLIENT_CLI_SUGGEST_H_

#include <string>
#include <vector>

namespace jenner::cli {

// Insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`: the optimal
// string alignment distance (Boytsov 2011, "Indexing methods for approximate dictionary
// searching", 2.2).
int EditDistance(const std::string& a, const std::string& b);

// The nearest of `known` (the first of several), if it is near enough to have been meant: at most 2
// edits and fewer than half of the letters of `given`. "": none.
std::string Nearest(const std::string& given, const std::vector<std::string>& known);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_SUGGEST_H_
