#include "core/steps.h"

#include <gtest/gtest.h>

#include <utility>

namespace jenner::core {
namespace {

TEST(TotalSteps, KeepsThePartialBatchAndTheBound) {
  TrainingSpec settings;
  settings.batch_size = 8;
  settings.epochs = 3;
  EXPECT_EQ(TotalSteps(settings, 17), 9);
  EXPECT_EQ(TotalSteps(settings, 16), 6);
  EXPECT_EQ(TotalSteps(settings, 1), 3);
  settings.max_steps = 5;
  EXPECT_EQ(TotalSteps(settings, 17), 5);
  settings.max_steps = 50;
  EXPECT_EQ(TotalSteps(settings, 17), 9);
}

std::vector<int64_t> StepsAt(std::vector<double> at, int64_t total_steps) {
  JobEvaluation evaluation;
  evaluation.at = std::move(at);
  return EvaluationSteps(evaluation, total_steps);
}

TEST(EvaluationSteps, PowersOfTwoAndEveryNthEndWithTheLast) {
  JobEvaluation evaluation;
  evaluation.at = {0};
  evaluation.at_powers_of_two = true;
  EXPECT_EQ(EvaluationSteps(evaluation, 9), (std::vector<int64_t>{0, 1, 2, 4, 8, 9}));
  evaluation.at_powers_of_two = false;
  evaluation.at_every = 4;
  EXPECT_EQ(EvaluationSteps(evaluation, 9), (std::vector<int64_t>{0, 4, 8, 9}));
}

TEST(EvaluationSteps, AreRoundedAndDistinct) {
  EXPECT_EQ(StepsAt({0, 0.5, 1}, 9), (std::vector<int64_t>{0, 5, 9}));
  EXPECT_EQ(StepsAt({0.6, 0.9, 1}, 2), (std::vector<int64_t>{1, 2}));
}

// Step 0 is the base model's, whose own job evaluates it.
TEST(EvaluationSteps, AFractionAboveZeroIsAStepAfterTheFirst) {
  EXPECT_EQ(StepsAt({0.01, 1}, 9), (std::vector<int64_t>{1, 9}));
  EXPECT_EQ(StepsAt({0, 0.01}, 9), (std::vector<int64_t>{0, 1}));
}

TEST(LastEvaluationStep, IsTheLastOfThem) {
  for (const std::vector<double>& at : {std::vector<double>{0}, {0, 0.01}, {0.3, 0.6}, {1}}) {
    for (const int32_t every : {0, 2, 4}) {
      JobEvaluation evaluation;
      evaluation.at = at;
      evaluation.at_every = every;
      for (const int64_t total_steps : {1, 9, 30}) {
        EXPECT_EQ(LastEvaluationStep(evaluation, total_steps),
                  EvaluationSteps(evaluation, total_steps).back());
      }
    }
  }
}

TEST(TooManyEvaluations, TellsHowMany) {
  JobEvaluation evaluation;
  EXPECT_EQ(TooManyEvaluations(evaluation, 1'000'000'000), "");
  evaluation.at_every = 2;
  EXPECT_EQ(TooManyEvaluations(evaluation, 20'001), "");
  EXPECT_EQ(TooManyEvaluations(evaluation, 20'002),
            "10001 evaluations of 20002 steps; at most 10000");
}

}  // namespace
}  // namespace jenner::core
