#include "worker/trainer/event_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using nlohmann::json;

class EventWriterTest : public testing::Test {
 protected:
  EventWriterTest() {
    EXPECT_EQ(pipe(ends_), 0);
    signal(SIGPIPE, SIG_IGN);
  }
  ~EventWriterTest() override {
    close(ends_[0]);
    close(ends_[1]);
  }
  std::string ReadSome() {
    std::string bytes(1 << 16, '\0');
    const ssize_t count = read(ends_[0], bytes.data(), bytes.size());
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    return bytes;
  }
  core::ExitCode CodeOf(const std::function<void()>& call) {
    try {
      call();
    } catch (const Failure& failure) {
      return failure.code();
    }
    return core::ExitCode::kSuccess;
  }
  int ends_[2] = {-1, -1};
};

TEST_F(EventWriterTest, NumbersLinesAndKeepsFields) {
  EventWriter events(ends_[1]);
  events.Write("finished", {{"steps", 3}});
  events.WriteFailed(core::ExitCode::kInvalidData, "row 7", 2);
  EXPECT_EQ(ReadSome(),
            "{\"kind\":\"finished\",\"seq\":1,\"steps\":3}\n"
            "{\"code\":\"INVALID_DATA\",\"kind\":\"failed\",\"message\":\"row "
            "7\",\"seq\":2,\"step\":2}\n");
}

TEST_F(EventWriterTest, RefusesWhatIsNotFiniteWithoutUsingANumber) {
  EventWriter events(ends_[1]);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(CodeOf([&] {
                events.Write("train_step", {{"nested", {{"loss", bad}}}});
              }),
              core::ExitCode::kInternal);
  }
  events.Write("finished", json::object());
  EXPECT_EQ(ReadSome(), "{\"kind\":\"finished\",\"seq\":1}\n");
}

TEST_F(EventWriterTest, RefusesLongLinesAndMendsBadText) {
  EventWriter events(ends_[1]);
  EXPECT_EQ(CodeOf([&] {
              events.Write("sample", {{"answer", std::string(kMaxEventBytes, 'x')}});
            }),
            core::ExitCode::kInternal);
  events.Write("sample", {{"answer", "\xff\n"}});
  EXPECT_EQ(ReadSome(), "{\"answer\":\"\xEF\xBF\xBD\\n\",\"kind\":\"sample\",\"seq\":1}\n");
  events.WriteFailed(core::ExitCode::kInternal, std::string(kMaxEventBytes, 'y'), 0);
  EXPECT_LT(ReadSome().size(), kMaxFailureMessageBytes + 200);
}

TEST_F(EventWriterTest, AReaderThatIsGoneIsAStorageFault) {
  EventWriter events(ends_[1]);
  close(ends_[0]);
  EXPECT_EQ(CodeOf([&] { events.Write("finished", {{"steps", 1}}); }), core::ExitCode::kStorage);
}

}  // namespace
}  // namespace jenner::trainer
