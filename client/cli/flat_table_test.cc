#include "client/cli/flat_table.h"

#include <gtest/gtest.h>

#include <limits>

#include "jenner/v1/experiment.pb.h"

namespace jenner::cli {
namespace {

std::vector<std::string> Names(const std::vector<FlatTable::Column>& columns) {
  std::vector<std::string> names;
  for (const FlatTable::Column& column : columns) names.push_back(column.name + ":" + column.type);
  return names;
}

v1::ResultRow Row(const std::string& arm) {
  v1::ResultRow row;
  row.set_arm(arm);
  row.set_seed(int64_t{1} << 60);
  row.mutable_cell()->add_arms("a/1");
  row.mutable_cell()->add_arms("b/1");
  v1::TraitRatio* trait = row.mutable_cell()->add_traits();
  trait->set_trait("capitals");
  trait->set_ratio(0.1);
  row.mutable_cell()->add_traits()->set_trait("spanish");
  return row;
}

TEST(FlatTable, ColumnsAreTheFieldsInTheirOrder) {
  EXPECT_EQ(Names(ColumnsOf(*v1::ResultRow::descriptor())),
            (std::vector<std::string>{
                "arm:string", "seed:int64", "step:int64", "total_steps:int64", "context:string",
                "cell.job:string", "cell.attempt:int64", "cell.arms:string", "cell.step:int64",
                "cell.context:string", "cell.num_samples:int64", "cell.num_truncated:int64",
                "cell.prompt_set:string", "cell.num_degenerate:int64", "prompt_set:string"}));
  EXPECT_EQ(ListsOf(*v1::ResultRow::descriptor()), std::vector<std::string>{"cell.traits"});
}

TEST(FlatTable, ARowHasAValueAColumn) {
  v1::Job job;
  job.set_name("j");
  job.set_state(v1::STATE_FAILED);
  job.mutable_start_time()->set_seconds(1'700'000'000);
  job.mutable_start_time()->set_nanos(250'000'000);
  const FlatTable table = Flatten("jobs", *v1::Job::descriptor(), {&job});
  ASSERT_EQ(table.rows.size(), 1u);
  ASSERT_EQ(table.rows[0].size(), table.columns.size());
  const auto at = [&](const std::string& name) {
    for (size_t i = 0; i < table.columns.size(); ++i) {
      if (table.columns[i].name == name) return table.rows[0][i].dump();
    }
    return std::string("no such column");
  };
  EXPECT_EQ(at("state"), "\"STATE_FAILED\"");
  EXPECT_EQ(at("start_time"), "\"2023-11-14T22:13:20.25Z\"");
  EXPECT_EQ(at("end_time"), "null");
  EXPECT_EQ(at("state_reason.code"), "null");  // of a message that is unset
  EXPECT_EQ(at("arms"), "\"\"");
  EXPECT_EQ(at("stopping"), "false");
}

TEST(FlatTable, EachIsARowAnEntryOfTheList) {
  const v1::ResultRow first = Row("x");
  const v1::ResultRow none;  // has no entry
  const FlatTable table =
      Flatten("results", *v1::ResultRow::descriptor(), {&first, &none}, "cell.traits");
  ASSERT_EQ(table.rows.size(), 2u);
  const size_t own = ColumnsOf(*v1::ResultRow::descriptor()).size();
  EXPECT_EQ(table.columns[own].name, "traits.trait");
  EXPECT_EQ(table.rows[0][1], int64_t{1} << 60);
  EXPECT_EQ(table.rows[0][own], "capitals");
  EXPECT_EQ(table.rows[1][own], "spanish");
  EXPECT_EQ(table.columns[own + 4].name, "traits.ratio");
  EXPECT_EQ(table.rows[0][own + 4], 0.1);
  EXPECT_TRUE(table.rows[1][own + 4].is_null());
}

TEST(FlatTable, CsvQuotesWhatNeedsIt) {
  const FlatTable table{
      "t",
      {{"a", "string"}, {"b", "float64"}},
      {{"plain", 0.1}, {"a \"b\", c\r\nd", 3}, {"", nullptr}, {"\xc3\xa9", -1e-300}}};
  EXPECT_EQ(ToCsv(table),
            "a,b\r\nplain,0.1\r\n\"a \"\"b\"\", c\r\nd\",3\r\n\"\",\r\n\xc3\xa9,-1e-300\r\n");
  EXPECT_EQ(ToCsv({"t", {{"a", "string"}}, {}}), "a\r\n");
}

TEST(FlatTable, JsonIsAListOfObjects) {
  const FlatTable table{"t", {{"b", "bool"}, {"a", "int64"}}, {{true, nullptr}, {false, 2}}};
  EXPECT_EQ(ToJsonRows(table), "[\n{\"b\":true,\"a\":null},\n{\"b\":false,\"a\":2}\n]\n");
  EXPECT_EQ(ToJsonRows({"t", {{"a", "string"}}, {}}), "[]\n");
}

TEST(FlatTable, WhatIsNotFiniteIsNull) {
  v1::TrainPoint point;
  point.set_loss(std::numeric_limits<double>::quiet_NaN());
  point.set_gradient_norm(std::numeric_limits<double>::infinity());
  for (const auto& value : ValuesOf(point))
    EXPECT_FALSE(value.is_number_float() && value.dump() == "null");
  EXPECT_NE(ToCsv(Flatten("t", *v1::TrainPoint::descriptor(), {&point})).find(",0,0.0,,0.0,,0,"),
            std::string::npos);
}

}  // namespace
}  // namespace jenner::cli
