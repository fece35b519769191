// SPDX-License-Identifier: Apache-2.0
#include "cmd/interrupts.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"

namespace cmd {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t wanted_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kSignals) {
    if (!is_ignored(signal)) sigaddset(&set, signal);
  }
  return set;
}

[[noreturn]] void die_by(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::kill(::getpid(), signal);
  ::_exit(128 + signal);
}

}  // namespace

Interrupts::Interrupts(std::function<void()> clean_up) : clean_up_(std::move(clean_up)) {
  const sigset_t set = wanted_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, &mask_before_);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
  stop_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!signals_ || !stop_) throw base::errno_error(errno, "cannot watch for signals");
  waiter_ = std::thread([this] { wait_for_signal(); });
}

Interrupts::~Interrupts() {
  ::eventfd_write(stop_.get(), 1);
  waiter_.join();
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void Interrupts::wait_for_signal() {
  std::array<pollfd, 2> waiting = {{{stop_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
  while (::poll(waiting.data(), waiting.size(), -1) < 0 && errno == EINTR) {
  }
  if (waiting[1].revents == 0) return;
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return;
  clean_up_();
  die_by(static_cast<int>(info.ssi_signo));
}

}  // namespace cmd
