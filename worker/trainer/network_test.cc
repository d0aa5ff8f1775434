#include "worker/trainer/network.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

core::ExitCode CodeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.code();
  }
  return core::ExitCode::kSuccess;
}

TEST(Network, InterfacesAreFoundByNameAndByAddress) {
  const Interface by_name = FindInterface("lo");
  EXPECT_EQ(by_name.name, "lo");
  EXPECT_EQ(by_name.host, "127.0.0.1");
  const Interface by_host = FindInterface("127.0.0.2");
  EXPECT_EQ(by_host.name, "lo");
  EXPECT_EQ(by_host.host, "127.0.0.2");
}

TEST(Network, WhatIsNoInterfaceIsAUsageFaultThatNamesThoseThatThereAre) {
  for (const char* none : {"nosuch0", "203.0.113.9", "", "lo "}) {
    try {
      FindInterface(none);
      FAIL() << none;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), core::ExitCode::kUsage);
      EXPECT_NE(std::string(failure.what()).find("lo (127.0.0.1)"), std::string::npos)
          << failure.what();
    }
  }
}

TEST(Network, ListensOnTheAddressItIsGivenAndOnNoOther) {
  uint16_t first = 0, second = 0;
  const int one = Listen("127.0.0.2", &first);
  const int two = Listen("127.0.0.2", &second);
  EXPECT_NE(first, 0);
  EXPECT_NE(first, second);
  close(one);
  close(two);
  EXPECT_EQ(CodeOf([&] { Listen("203.0.113.9", &first); }), core::ExitCode::kUsage);
  EXPECT_EQ(CodeOf([&] { Listen("localhost", &first); }), core::ExitCode::kUsage);
}

TEST(Network, AddressesAreIpAndPort) {
  const Address address = ParseAddress("--store", "10.0.0.1:65535");
  EXPECT_EQ(address.host, "10.0.0.1");
  EXPECT_EQ(address.port, 65535);
  for (const char* bad : {"", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "[::1]:1", "nccl:AAAA"}) {
    EXPECT_EQ(CodeOf([&] { ParseAddress("--store", bad); }), core::ExitCode::kUsage) << bad;
  }
}

TEST(Network, TheWayToLoopbackIsLoopback) {
  EXPECT_EQ(LocalAddressTowards({"127.0.0.1", 1}), "127.0.0.1");
}

}  // namespace
}  // namespace jenner::trainer
