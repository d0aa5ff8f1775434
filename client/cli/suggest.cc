#include "client/cli/suggest.h"

#include <algorithm>

namespace jenner::cli {
namespace {

constexpr int kMaxEdits = 2;

}  // namespace

int EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::vector<int>> distance(a.size() + 1, std::vector<int>(b.size() + 1, 0));
  for (size_t i = 0; i <= a.size(); ++i) distance[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) distance[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitution = a[i - 1] == b[j - 1] ? 0 : 1;
      int least = std::min(distance[i - 1][j], distance[i][j - 1]) + 1;
      least = std::min(least, distance[i - 1][j - 1] + substitution);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        least = std::min(least, distance[i - 2][j - 2] + 1);
      }
      distance[i][j] = least;
    }
  }
  return distance[a.size()][b.size()];
}

std::string Nearest(const std::string& given, const std::vector<std::string>& known) {
  std::string nearest;
  int least = kMaxEdits + 1;
  for (const std::string& one : known) {
    const int edits = EditDistance(given, one);
    if (edits >= least || 2 * edits >= static_cast<int>(given.size())) continue;
    least = edits;
    nearest = one;
  }
  return nearest;
}

}  // namespace jenner::cli
