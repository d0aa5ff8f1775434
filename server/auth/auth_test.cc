// Who may call what, by which proof, and how often.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/auth/authorize.h"
#include "server/auth/limiter.h"

namespace jenner::auth {
namespace {

using ::testing::HasSubstr;

const Rule& RuleOf(std::string_view method) {
  const Rule* rule = FindRule(method);
  EXPECT_NE(rule, nullptr) << method;
  return *rule;
}

const Rule& Get() { return RuleOf("Experiments/GetExperiment"); }
const Rule& Create() { return RuleOf("Experiments/CreateExperiment"); }
const Rule& Synchronize() { return RuleOf("Workers/Synchronize"); }

absl::StatusOr<Principal> Decide(const Rule& rule, const Credentials& credentials,
                                 const std::vector<Token>& tokens, bool tokens_required) {
  const Decision decision = Authorize(rule, credentials, tokens, tokens_required);
  if (!decision.status.ok()) return decision.status;
  return decision.principal;
}

std::string Text(uint8_t seed) {
  std::array<uint8_t, 32> random{};
  random.fill(seed);
  return TokenText(random);
}

std::vector<Token> Tokens() {
  return {{"vera", Role::kViewer, "", HashOf(Text(1)), ""},
          {"sam", Role::kSubmitter, "p1", HashOf(Text(2)), ""},
          {"ada", Role::kAdmin, "", HashOf(Text(3)), ""}};
}

Credentials Tls(const std::string& authorization = "", std::vector<std::string> uris = {}) {
  Credentials credentials{true, false, std::move(uris), {}};
  if (!authorization.empty()) credentials.authorizations = {authorization};
  return credentials;
}

TEST(Rules, EveryMethodHasOneRow) {
  std::set<std::string_view> seen;
  for (const Rule& rule : Rules()) EXPECT_TRUE(seen.insert(rule.method).second) << rule.method;
  EXPECT_EQ(FindRule("Experiments/Nothing"), nullptr);
}

TEST(Tokens, AreFoundByTheirHashOnly) {
  EXPECT_EQ(Text(1).size(), 71u);
  EXPECT_EQ(FindToken(Tokens(), Text(2))->name, "sam");
  EXPECT_EQ(FindToken(Tokens(), Text(4)), std::nullopt);
  EXPECT_EQ(FindToken(Tokens(), HashOf(Text(1))), std::nullopt);
  EXPECT_EQ(FindToken(Tokens(), ""), std::nullopt);
  EXPECT_EQ(FindToken(Tokens(), std::string(1 << 16, 'a')), std::nullopt);
}

TEST(Authorize, AClientWithoutATokenIsAnonymousUnlessTokensAreRequired) {
  const auto open = Decide(Create(), Tls(), {}, false);
  ASSERT_TRUE(open.ok());
  EXPECT_EQ(open->Id(), "anonymous");
  EXPECT_TRUE(absl::IsUnauthenticated(Decide(Get(), Tls(), {}, true).status()));
}

TEST(Authorize, ATokenHasItsRole) {
  const auto status = [](const Rule& rule, uint8_t token) {
    return Decide(rule, Tls("Bearer " + Text(token)), Tokens(), true).status();
  };
  EXPECT_TRUE(status(Get(), 1).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(status(Create(), 1)));
  EXPECT_THAT(status(Create(), 1).message(), HasSubstr("needs the role submitter"));
  // Who was refused is known, for the audit log.
  EXPECT_EQ(Authorize(Create(), Tls("Bearer " + Text(1)), Tokens(), true).principal.name, "vera");
  EXPECT_TRUE(status(Create(), 2).ok());
  EXPECT_TRUE(status(Create(), 3).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(status(Get(), 4)));
  EXPECT_EQ(Decide(Get(), Tls("bearer  " + Text(2) + " "), Tokens(), true)->Id(), "token/sam");
}

TEST(Authorize, AnUnknownTokenIsRefusedEvenWhereNoneIsNeeded) {
  EXPECT_TRUE(absl::IsUnauthenticated(Decide(Get(), Tls("Bearer " + Text(9)), {}, false).status()));
}

TEST(Authorize, OneWellFormedAuthorizationOnly) {
  Credentials two = Tls("Bearer " + Text(1));
  two.authorizations.push_back("Bearer " + Text(3));
  for (const Credentials& one : {Tls("Basic abc"), Tls("Bearer "), Tls(Text(1)), two}) {
    EXPECT_TRUE(absl::IsUnauthenticated(Decide(Get(), one, Tokens(), true).status()));
  }
}

TEST(Authorize, ATokenInTheClearIsRefusedUnlessItStayedOnThisMachine) {
  Credentials clear{false, false, {}, {"Bearer " + Text(1)}};
  const absl::Status status = Decide(Get(), clear, Tokens(), true).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status));
  EXPECT_THAT(status.message(), HasSubstr("in the clear"));
  clear.is_local = true;
  EXPECT_TRUE(Decide(Get(), clear, Tokens(), true).ok());
}

TEST(Authorize, AWorkerIsItsCertificate) {
  const auto worker = [](std::vector<std::string> uris) {
    return Decide(Synchronize(), Tls("", std::move(uris)), Tokens(), true);
  };
  EXPECT_TRUE(absl::IsUnauthenticated(worker({}).status()));
  EXPECT_EQ(worker({"jenner://workers/w1"})->Id(), "worker/w1");
  EXPECT_EQ(worker({"https://x", "jenner://workers/w1"})->name, "w1");
  for (const std::vector<std::string>& uris :
       std::vector<std::vector<std::string>>{{"jenner://clients/alice"},
                                             {"jenner://workers/"},
                                             {"jenner://workers/w1/../w2"},
                                             {"jenner://workers/W1"},
                                             {"jenner://workers/w1", "jenner://workers/w2"}}) {
    EXPECT_TRUE(absl::IsPermissionDenied(worker(uris).status())) << uris[0];
  }
  // A token is nothing to it, an admin's neither.
  EXPECT_TRUE(absl::IsUnauthenticated(
      Decide(Synchronize(), Tls("Bearer " + Text(3)), Tokens(), true).status()));
  EXPECT_TRUE(CheckWorker(*worker({"jenner://workers/w1"}), "w1").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckWorker(*worker({"jenner://workers/w1"}), "w2")));
  EXPECT_TRUE(CheckWorker(*Decide(Synchronize(), {}, {}, true), "w2").ok());
}

TEST(Authorize, ACertificateIsNoToken) {
  EXPECT_TRUE(absl::IsUnauthenticated(
      Decide(Get(), Tls("", {"jenner://workers/w1"}), Tokens(), true).status()));
}

TEST(Owns, TheCreatorItsProjectAndAdmins) {
  const Principal sam{Principal::Kind::kToken, "sam", "p1", Role::kSubmitter};
  EXPECT_TRUE(Owns(sam, "sam", ""));
  EXPECT_TRUE(Owns(sam, "tom", "p1"));
  EXPECT_FALSE(Owns(sam, "tom", "p2"));
  EXPECT_FALSE(Owns(sam, "tom", ""));
  EXPECT_FALSE(Owns(sam, "", ""));
  const Principal lone{Principal::Kind::kToken, "lone", "", Role::kSubmitter};
  EXPECT_FALSE(Owns(lone, "", ""));
  EXPECT_TRUE(Owns({Principal::Kind::kToken, "ada", "", Role::kAdmin}, "tom", "p2"));
  EXPECT_FALSE(Owns({Principal::Kind::kToken, "sam", "p1", Role::kViewer}, "sam", "p1"));
  EXPECT_FALSE(Owns({Principal::Kind::kWorker, "w1", "", Role::kAdmin}, "w1", ""));
  EXPECT_TRUE(Owns({}, "", ""));
}

TEST(IsLocalPeer, KnowsLoopback) {
  for (const char* peer : {"ipv4:127.0.0.1:5", "ipv6:[::1]:5", "ipv6:%5B::1%5D:5", "unix:/x"}) {
    EXPECT_TRUE(IsLocalPeer(peer)) << peer;
  }
  for (const char* peer : {"ipv4:10.0.0.1:5", "ipv6:[::2]:5", "ipv4:12.7.0.1:5", ""}) {
    EXPECT_FALSE(IsLocalPeer(peer)) << peer;
  }
}

TEST(Limiter, GivesABurstAndThenTheRate) {
  Limiter limiter({10, 3}, 1);
  absl::Time now = absl::FromUnixSeconds(1'000'000);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Take("a", now), std::nullopt);
  EXPECT_EQ(limiter.Take("a", now), absl::Milliseconds(100));
  EXPECT_EQ(limiter.Take("b", now), std::nullopt);  // another's does not count
  now += absl::Milliseconds(101);
  EXPECT_EQ(limiter.Take("a", now), std::nullopt);
  EXPECT_NE(limiter.Take("a", now), std::nullopt);
  now += absl::Hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Take("a", now), std::nullopt);
  EXPECT_NE(limiter.Take("a", now), std::nullopt);
  // A clock that goes back gives nothing and takes nothing.
  EXPECT_NE(limiter.Take("a", now - absl::Hours(1)), std::nullopt);
}

TEST(Limiter, CountsStreamsOfEach) {
  Limiter limiter({1, 1}, 2);
  EXPECT_TRUE(limiter.OpenStream("a"));
  EXPECT_TRUE(limiter.OpenStream("a"));
  EXPECT_FALSE(limiter.OpenStream("a"));
  EXPECT_TRUE(limiter.OpenStream("b"));
  limiter.CloseStream("a");
  EXPECT_TRUE(limiter.OpenStream("a"));
  EXPECT_FALSE(limiter.OpenStream("a"));
}

}  // namespace
}  // namespace jenner::auth
