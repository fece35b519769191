// SPDX-License-Identifier: Apache-2.0
#include "cmd/interrupts.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace cmd {
namespace {

bool is_blocked(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return ::sigismember(&mask, signal) == 1;
}

// A program that is executed afterwards would inherit them otherwise.
TEST(Interrupts, GiveTheSignalsBack) {
  {
    const Interrupts interrupts([] {});
    EXPECT_TRUE(is_blocked(SIGINT) && is_blocked(SIGTERM) && is_blocked(SIGHUP));
  }
  EXPECT_FALSE(is_blocked(SIGINT) || is_blocked(SIGTERM) || is_blocked(SIGHUP));
}

}  // namespace
}  // namespace cmd
