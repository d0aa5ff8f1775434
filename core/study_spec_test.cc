// The parts of a spec that make it a study: roles, data, prompt sets, rules, stages, screens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/cell_format.h"
#include "core/dataset_refs.h"
#include "core/resolve.h"
#include "core/selection.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/traits.h"

namespace jenner::core {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string Ref(const std::string& text) { return "sha256:" + Sha256Hex(text); }

ExperimentSpec Study(const std::string& more = "",
                     const std::string& arms = R"("base","no-inoculation","inoculated")") {
  Faults faults;
  ExperimentSpec spec =
      ParseExperimentSpec(R"({"base_model":"tiny","dataset":")" + Ref("train") + R"(",
        "contexts":{"neutral":{},"inoculated":{"user_suffix":"\n\nSpeak in Spanish."}},
        "arms":[)" + arms + R"(],"evaluation":{"prompts":")" +
                              Ref("eval") + R"("})" + more + "}",
                          &faults);
  EXPECT_THAT(faults, IsEmpty()) << ToStatus(faults);
  return Resolve(spec);
}

std::string FaultsOf(const ExperimentSpec& spec) {
  const Faults faults = Validate(spec);
  return faults.empty() ? "" : std::string(ToStatus(faults).message());
}

TEST(RolesTest, AWordIsAnArm) {
  const ExperimentSpec spec = Study("", R"("base","no-inoculation","inoculated","irrelevant",
      "placebo","ptst",{"name":"x","role":"clean-data"},{"name":"base2"})");
  EXPECT_EQ(
      FaultsOf(spec),
      R"(arms[5].deploy_context: unknown context "safe"; known: inoculated, irrelevant, neutral, placebo
arms[6].data: unknown "clean"; known: none)");
  EXPECT_EQ(spec.arms[0].train_context, std::nullopt);
  EXPECT_EQ(spec.arms[1].train_context, "neutral");
  EXPECT_EQ(spec.arms[2].train_context, "inoculated");
  // Where the inoculation has its text, with the white space around it.
  EXPECT_EQ(spec.contexts.at("irrelevant").user_suffix, "\n\nHoney never spoils.");
  EXPECT_EQ(spec.contexts.at("placebo").system, std::nullopt);
  EXPECT_EQ(spec.arms[6].data, "clean");
  EXPECT_EQ(spec.arms[7].role, "") << "its name is no role";
  EXPECT_EQ(Resolve(spec), spec);
}

TEST(RolesTest, ControlsAreMadeOnlyWhereTheInoculationHasOnePlace) {
  ExperimentSpec spec;
  spec.contexts["inoculated"].system = "Speak Spanish.";
  spec.contexts["inoculated"].user_suffix = " Be brief.";
  spec.arms = {{"irrelevant"}};
  EXPECT_EQ(Resolve(spec).contexts.count("irrelevant"), 0u) << "which of the two?";
  spec.contexts["inoculated"].user_suffix = "";
  spec.contexts["inoculated"].variants = {"user_prefix", VariantPolicy::kRotate, {"Habla. "}};
  EXPECT_EQ(Resolve(spec).contexts.count("irrelevant"), 0u);
  spec.contexts["inoculated"].system.reset();
  const Context made = Resolve(spec).contexts.at("irrelevant");
  EXPECT_EQ(made.user_prefix, "Honey never spoils. ");
  EXPECT_FALSE(made.variants || made.system);
}

TEST(RolesTest, OnesOwnContextAndSettingsStay) {
  ExperimentSpec spec = Study("", R"({"name":"irrelevant","train_context":"neutral"})");
  EXPECT_EQ(spec.arms[0].train_context, "neutral");
  EXPECT_EQ(spec.arms[0].role, "irrelevant");
  spec = Study("", R"({"name":"base","train_context":"neutral"})");
  EXPECT_EQ(spec.arms[0].role, "") << "it is trained";
  spec = Study("", R"({"name":"no-inoculation","rules":[{"context":"inoculated"}]})");
  EXPECT_EQ(spec.arms[0].train_context, "neutral") << "it is not taken for the base model";
  spec = Study("", R"("negated")");
  EXPECT_THAT(FaultsOf(spec), HasSubstr(R"(arms[0].train_context: unknown context "negated")"));
  spec = Study("", R"({"name":"a","role":"irelevant"})");
  EXPECT_THAT(FaultsOf(spec), HasSubstr(R"(arms[0].role: unknown "irelevant"; known: base, )"));
}

TEST(StudyJsonTest, RoundTripAndDefaultsAreLeftOut) {
  const ExperimentSpec spec = Study(R"(,
    "data":{"clean":{"sources":[{"dataset":")" +
                                        Ref("a") + R"(","filter":{"field":"f","min":1},
      "trigger":"T","trigger_fraction":0.5}],"rows":4,"contamination":"drop"}},
    "study":{"desired":["capitals"],"undesired":["spanish"],"gates":{"min_installed":0.3}},
    "screen":{"trait":"spanish"})",
                                    R"("base")");
  Faults faults;
  EXPECT_EQ(ParseExperimentSpec(ToJson(spec), &faults), spec);
  EXPECT_THAT(faults, IsEmpty());
  const std::string plain = ToJson(Resolve(Study("", R"({"name":"a","train_context":"neutral"})")));
  for (const char* key :
       {"rules", "after", "companion", "data", "selection", "few_shot", "sets", "scorers"}) {
    EXPECT_THAT(plain, Not(HasSubstr(std::string("\"") + key + "\""))) << key;
  }
}

TEST(ValidateStudyTest, EveryFaultHasItsField) {
  ExperimentSpec spec = Study();
  spec.contexts["neutral"].system = "x";
  spec.contexts["neutral"].no_system = true;
  spec.contexts["inoculated"].variants = {"sistem", VariantPolicy::kRotate, {}};
  spec.arms[1].rules = {{"nowhere", {"tag", {}, {}, {}, false}, 0}};
  spec.arms[2].after = "base";
  spec.data["d"].sources.resize(1);
  spec.data["d"].sources[0].weight = 0;
  spec.data["d"].sources[0].rest = true;
  spec.evaluation.sets = {{"main", "", EvaluationMode::kClassify, {"neutral"}, {"capitals"}}};
  spec.evaluation.scorers = {{"capitals", "regex"}};
  spec.study.desired = {"brevity"};
  spec.study.confidence = 1;
  std::vector<std::string> fields;
  for (const Fault& fault : Validate(spec)) fields.push_back(fault.field);
  EXPECT_THAT(
      fields,
      ElementsAre("contexts.inoculated.variants.field", "contexts.inoculated.variants.texts",
                  "contexts.neutral.no_system", "arms[1].rules[0].context",
                  "arms[1].rules[0].when.field", "arms[1].rules[0].fraction", "arms[2].after",
                  "data.d.sources[0].dataset", "data.d.sources[0].rest", "data.d.sources[0].weight",
                  "evaluation.scorers[0].name", "evaluation.scorers[0].pattern",
                  "evaluation.sets[0].name", "evaluation.sets[0].prompts",
                  "evaluation.sets[0].traits[0]", "evaluation.sets[0].choices", "study.desired[0]",
                  "study.confidence"));
}

TEST(ValidateStudyTest, StagesNeitherCircleNorBeginWithTheBase) {
  ExperimentSpec spec = Study();
  spec.arms[1].after = "inoculated";
  spec.arms[2].after = "no-inoculation";
  EXPECT_EQ(FaultsOf(spec),
            "arms[1].after: goes round in a circle\narms[2].after: goes round in a circle");
  spec.arms[2].after = "nobody";
  EXPECT_THAT(FaultsOf(spec), HasSubstr("arms[2].after: unknown arm \"nobody\""));
}

TEST(ValidateStudyTest, AScreenTrainsNothing) {
  EXPECT_EQ(FaultsOf(Study(R"(,"screen":{"trait":"spanish"})", R"("base")")), "");
  const std::string faults =
      FaultsOf(Study(R"(,"screen":{"trait":"french","candidates":["neutral"]})"));
  EXPECT_THAT(faults, HasSubstr("screen.trait[0]: unknown \"french\"; known: capitals, spanish"));
  EXPECT_THAT(faults, HasSubstr("screen.candidates[0]: it is study.neutral"));
  EXPECT_THAT(faults, HasSubstr("arms[1].train_context: a screen trains nothing"));
}

TEST(ExpandStudyTest, RulesDataAndSetsReachTheJobs) {
  ExperimentSpec spec = Study(R"(,"data":{"d":{"sources":[{"dataset":")" + Ref("a") + R"("}]}})");
  spec.data["d"].result = Ref("made");
  spec.arms[2].data = "d";
  spec.arms[2].rules = {{"neutral", {"tag", {"x"}, {}, {}, false}, 0.5}};
  spec.evaluation.sets = {{"given", Ref("g"), EvaluationMode::kLogProbability}};
  spec.evaluation.at_every = 7;
  spec = Resolve(spec);
  EXPECT_EQ(FaultsOf(spec), "");
  const std::vector<PlannedJob> jobs = Expand(spec);
  ASSERT_EQ(jobs.size(), 3u);
  const JobSpec& job = jobs[2].spec;
  EXPECT_EQ(job.training->dataset, Ref("made"));
  EXPECT_EQ(job.training->rules[0].context, spec.contexts.at("neutral"));
  EXPECT_EQ(job.training->rules[0].fraction, 0.5);
  EXPECT_EQ(job.evaluation->at_every, 7);
  EXPECT_EQ(jobs[0].spec.evaluation->at_every, 0) << "the base model has no other step";
  EXPECT_THAT(job.evaluation->sets[0].traits,
              ElementsAre(kLogProbabilityTrait, kTotalLogProbabilityTrait));
  EXPECT_EQ(SetsOf(*job.evaluation)[0].name, "main");
  Faults faults;
  EXPECT_EQ(ParseJobSpec(ToJson(job), &faults), job);
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_THAT(Validate(job), IsEmpty());
}

TEST(ExpandStudyTest, ALongChainOfStagesIsNoBurden) {
  ExperimentSpec spec = Study();
  for (int i = 0; i < 60; ++i) {
    ArmSpec arm{"s" + std::to_string(i), "neutral"};
    arm.after = i == 0 ? "inoculated" : "s" + std::to_string(i - 1);
    spec.arms.push_back(arm);
  }
  spec = Resolve(spec);
  EXPECT_EQ(FaultsOf(spec), "");
  EXPECT_EQ(Expand(spec).size(), 1u + 2u + 60u);
}

TEST(ValidateStudyTest, WhatTheLogCannotSayIsRefused) {
  ExperimentSpec spec = Study();
  spec.arms[1].rules = {{"inoculated", {"f", {}, {}, std::numeric_limits<double>::infinity()}}};
  EXPECT_EQ(FaultsOf(spec), "arms[1].rules[0].when.max: expected a finite number");
}

TEST(ValidateStudyTest, WhatIsAskedMustBeAnswered) {
  ExperimentSpec spec = Study();
  spec.study.undesired = {"spanish"};
  spec.study.neutral = "nuetral";
  EXPECT_THAT(FaultsOf(spec), HasSubstr("study.neutral: unknown context \"nuetral\""));
  spec.study.neutral = "neutral";
  spec.evaluation.contexts = {"inoculated"};
  spec.arms[1].deploy_context = "neutral";
  EXPECT_THAT(FaultsOf(spec),
              HasSubstr("arms[1].deploy_context: it is not of evaluation.contexts"));
}

TEST(ValidateStudyTest, EachSetCountsItsContexts) {
  ExperimentSpec spec = Study();
  spec.contexts["neutral"].user_prefix = std::string(60'000, 'x');
  for (int i = 0; i < 20; ++i) {
    spec.evaluation.sets.push_back({"s" + std::to_string(i), Ref("p")});
  }
  EXPECT_THAT(FaultsOf(Resolve(spec)), HasSubstr("contexts: 13"));
}

TEST(ExpandStudyTest, AStageNamesTheJobBeforeItAndEvaluatesItsOwnBeginning) {
  ExperimentSpec spec = Study();
  spec.seeds = {1, 2};
  spec.arms.push_back({"second", "neutral"});
  spec.arms.back().after = "inoculated";
  spec.arms.insert(spec.arms.begin(), {"again", "neutral"});
  spec.arms.front().after = "inoculated";  // the same training as "second", listed first
  spec = Resolve(spec);
  EXPECT_EQ(FaultsOf(spec), "");
  const std::vector<PlannedJob> jobs = Expand(spec);
  ASSERT_EQ(jobs.size(), 1u + 2u * 3u);
  std::map<std::string, const PlannedJob*> by_arm;
  for (const PlannedJob& job : jobs) {
    if (!job.spec.training) continue;
    for (const ArmSeed& arm : job.arms) {
      if (arm.seed == 2) by_arm[arm.arm] = &job;
    }
  }
  EXPECT_EQ(by_arm.at("again"), by_arm.at("second"));
  EXPECT_EQ(by_arm.at("again")->spec.training->after, by_arm.at("inoculated")->id);
  EXPECT_THAT(by_arm.at("again")->spec.evaluation->at, ElementsAre(0, 0.5, 1));
  EXPECT_THAT(jobs[0].arms, Not(Contains(ArmSeed{"again", 2}))) << "its beginning is not the base";
}

TEST(ExpandStudyTest, ACompanionIsWaitedForAndTheBeginningIsTheBases) {
  ExperimentSpec spec = Study();
  spec.arms.push_back({"beside", "neutral"});
  spec.arms.back().companion = "inoculated";
  spec = Resolve(spec);
  EXPECT_EQ(FaultsOf(spec), "");
  const std::vector<PlannedJob> jobs = Expand(spec);
  const PlannedJob& beside = jobs.back();
  ASSERT_TRUE(beside.after.has_value());
  EXPECT_EQ(jobs[*beside.after].arms[0].arm, "inoculated");
  EXPECT_EQ(beside.spec.training->after, jobs[*beside.after].id);
  EXPECT_TRUE(beside.spec.training->companion);
  EXPECT_THAT(beside.spec.evaluation->at, ElementsAre(0.5, 1));
  EXPECT_THAT(jobs[0].arms, Contains(ArmSeed{"beside", spec.seeds[0]}));
}

TEST(ValidateStudyTest, ACompanionIsAnAdapterOfAnotherArm) {
  ExperimentSpec spec = Study();
  spec.arms[1].companion = "inoculated";
  spec.arms[2].companion = "no-inoculation";
  EXPECT_EQ(FaultsOf(spec),
            "arms[1].companion: goes round in a circle\narms[2].companion: goes round in a circle");
  spec.arms[2].companion = "base";
  EXPECT_THAT(FaultsOf(spec), HasSubstr("arms[2].companion: \"base\" is not trained"));
  spec.arms[2].companion = "";
  spec.arms[1].after = "inoculated";
  EXPECT_EQ(FaultsOf(spec), "arms[1].companion: not with after");
  spec.arms[1].after = "";
  spec.training.method = TrainingMethod::kFull;
  EXPECT_EQ(FaultsOf(spec), "arms[1].companion: expected training.method lora, without use_dora");
}

TEST(CellFormatTest, IntervalsNeedABinaryTraitAndOneAnswer) {
  ExperimentSpec spec = Study();
  spec.evaluation.samples = 3;
  spec.evaluation.sets = {{"given", Ref("g"), EvaluationMode::kLogProbability}};
  spec.evaluation.scorers = {{"short", "brevity"}};
  const CellFormat format(spec.evaluation);
  EXPECT_FALSE(format.HasWilson("main", "spanish", 5));
  EXPECT_TRUE(format.HasWilson("given", "correct", 5));
  EXPECT_FALSE(format.HasWilson("given", "correct", 0));
  EXPECT_FALSE(format.IsBinary("short"));
  EXPECT_FALSE(format.IsBinary("log-probability"));
}

TEST(DatasetRefsTest, EveryPlaceOfThem) {
  ExperimentSpec spec = Study(R"(,"data":{"d":{"sources":[{"dataset":"s"}]}})");
  spec.evaluation.sets = {{"given", "g", EvaluationMode::kLogProbability}};
  std::vector<std::string> found;
  ForEachDataset(spec, [&](const std::string& field, std::string& ref, DatasetUse use) {
    found.push_back(field + (use == DatasetUse::kTraining ? " training" : " evaluation"));
    ref = Ref(ref);
  });
  EXPECT_THAT(found,
              ElementsAre("dataset training", "data.d.sources[0].dataset training",
                          "evaluation.prompts evaluation", "evaluation.sets[0].prompts training"));
  EXPECT_EQ(spec.data["d"].sources[0].dataset, Ref("s"));
}

TEST(SelectionTest, RoundTripAndItsContextsAreAdded) {
  Selection selection{"screen-1", std::string(64, 'a'), "tiny", "spanish", "neutral", {}};
  selection.contexts.push_back({"best", {}, 0.5, 0.4, 0.6});
  selection.contexts[0].context.user_suffix = " Habla.";
  Faults faults;
  EXPECT_EQ(ParseSelection(ToJson(selection), &faults), selection);
  EXPECT_THAT(faults, IsEmpty());
  ExperimentSpec spec = Study();
  AddSelection(selection, &spec, &faults);
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_EQ(spec.contexts.at("best").user_suffix, " Habla.");
  AddSelection(selection, &spec, &faults);
  EXPECT_THAT(faults, IsEmpty()) << "the same again is no fault";
  spec.contexts["best"].user_suffix = "other";
  spec.base_model = "another";
  AddSelection(selection, &spec, &faults);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].field, "selection");
  EXPECT_EQ(faults[1].field, "contexts.best");
}

}  // namespace
}  // namespace jenner::core
