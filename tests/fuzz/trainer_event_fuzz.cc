// Lines of a trainer's event stream, as its agent and the server read them.
#include <sstream>

#include "server/store/trainer_event.h"
#include "tests/fuzz/target.h"
#include "worker/agent/facts.h"

JENNER_FUZZ_TARGET(trainer_event) {
  jenner::agent::RankFacts facts;
  std::istringstream lines(input);
  for (std::string line; std::getline(lines, line);) {
    jenner::agent::IsTelemetry(line);
    jenner::agent::Learn(line, &facts);
    const auto event = jenner::store::ParseTrainerEvent(line);
    if (!event.ok()) {
      JENNER_CHECK(absl::IsInvalidArgument(event.status()));
    } else if (const auto* sample = std::get_if<jenner::store::Sample>(&event->body)) {
      const std::string scores = jenner::store::ScoresToJson(sample->scores);
      JENNER_CHECK(jenner::store::ScoresFromJson(scores) == sample->scores);
    }
  }
  jenner::store::ScoresFromJson(input);
  jenner::agent::DatasetsOf(input);
  jenner::agent::OutcomeOf(input.size() % 256, false, facts, input);
  JENNER_CHECK(jenner::agent::ToUtf8(input, 100).size() <= 100);
}
