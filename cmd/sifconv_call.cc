// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv_call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/syscalls.h"
#include "cmd/ask_secret.h"
#include "cmd/exit_codes.h"

namespace cmd {
namespace {

constexpr std::size_t kMaxAnswer = 64 << 10;

struct HandedOn {
  std::string_view option, variable;
};
constexpr std::array<HandedOn, 3> kHandedOn = {{{"docker-username", "APPTAINER_DOCKER_USERNAME"},
                                                {"docker-password", "APPTAINER_DOCKER_PASSWORD"},
                                                {"docker-host", "APPTAINER_DOCKER_HOST"}}};

// Beside this program, else on the PATH.
std::string find_sifconv() {
  const std::string self = base::find_link_target("/proc/self/exe").value_or("");
  std::string beside = self.substr(0, self.rfind('/') + 1) + "sifconv";
  return beside.find('/') != std::string::npos && ::access(beside.c_str(), X_OK) == 0 ? beside
                                                                                      : "sifconv";
}

// Signals that would end this program are held back while it lives, but for those that its caller
// has it ignore.
class HeldSignals {
 public:
  HeldSignals() {
    ::sigemptyset(&ending_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction action {};
      if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
        ::sigaddset(&ending_, signal);
    }
    held_ = ending_;
    ::sigaddset(&held_, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &held_, &before_);
    // A caller that ignores it would have children vanish unseen.
    struct sigaction usual {};
    ::sigaction(SIGCHLD, &usual, &child_action_);
  }
  ~HeldSignals() { release(); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // The next of them; also that a child has ended.
  int wait() const { return ::sigwaitinfo(&held_, nullptr); }
  // One that has come, or 0.
  int pending() const {
    const timespec at_once{};
    return std::max(::sigtimedwait(&ending_, nullptr, &at_once), 0);
  }
  // As it was before.
  void release() noexcept {
    ::sigaction(SIGCHLD, &child_action_, nullptr);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t ending_{}, held_{}, before_{};
  struct sigaction child_action_ {};
};

// Never returns. The conversion does not outlive us.
[[noreturn]] void become_sifconv(const std::string& program,
                                 const std::vector<std::string>& arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::vector<char*> argv = {const_cast<char*>("sifconv")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(program.c_str(), argv.data());
  base::log_fatal(base::errno_error(errno, "cannot start ", program)
                      .with_hint("sifconv belongs beside this program"));
  ::_exit(kExitFatal);
}

pid_t start(const std::vector<std::string>& arguments, int out, HeldSignals& signals) {
  const std::string program = find_sifconv();
  const pid_t child = ::fork();
  if (child < 0) throw base::errno_error(errno, "cannot start sifconv");
  if (child > 0) return child;
  signals.release();
  if (out >= 0) ::dup2(out, STDOUT_FILENO);
  become_sifconv(program, arguments);
}

struct Ending {
  int status = 0;  // as of waitpid
  int signal = 0;  // that came meanwhile and is to end us
};

Ending wait_for(pid_t child, const HeldSignals& signals) {
  Ending ending;
  for (;;) {
    const pid_t ended = ::waitpid(child, &ending.status, WNOHANG);
    if (ended < 0) throw base::errno_error(errno, "cannot wait for sifconv");
    if (ended > 0) break;
    const int signal = signals.wait();
    if (signal <= 0 || signal == SIGCHLD) continue;
    ending.signal = signal;
    ::kill(child, SIGTERM);
  }
  // Ctrl-C is for both, and its death may be seen first.
  if (ending.signal == 0) ending.signal = signals.pending();
  return ending;
}

int exit_code(const Ending& ending) {
  if (WIFEXITED(ending.status)) return WEXITSTATUS(ending.status);
  base::log_fatal(base::error("sifconv died of signal ", WTERMSIG(ending.status)));
  return kExitFatal;
}

// Starts it, waits for its end, and ends itself if that is asked for meanwhile.
int run(const std::vector<std::string>& arguments, int out, const std::function<void()>& clean_up) {
  HeldSignals signals;
  const Ending ending = wait_for(start(arguments, out, signals), signals);
  if (ending.signal == 0) return exit_code(ending);
  if (clean_up) clean_up();
  signals.release();
  ::raise(ending.signal);
  return kExitFatal;  // not reached: what is ignored or handled was not held
}

std::vector<std::string> with_log_level(std::vector<std::string> arguments) {
  const base::LogLevel level = base::log_level();
  if (level >= base::LogLevel::verbose) arguments.insert(arguments.begin(), "--verbose");
  if (level < base::LogLevel::info) arguments.insert(arguments.begin(), "--quiet");
  return arguments;
}

}  // namespace

std::vector<std::string> sifconv_arguments(const ParsedOptions& parsed) {
  std::vector<std::string> arguments;
  if (parsed.flag("no-https")) arguments.emplace_back("--no-https");
  if (const auto& file = parsed.text("authfile")) arguments.push_back("--authfile=" + *file);
  const auto hand_on = [](std::string_view variable, const std::string& value) {
    ::setenv(std::string(variable).c_str(), value.c_str(), 1);
  };
  for (const HandedOn& row : kHandedOn) {
    if (const auto& value = parsed.text(row.option)) hand_on(row.variable, *value);
  }
  if (parsed.flag("docker-login")) {
    hand_on(kHandedOn[0].variable, base::ask("Enter Docker Username: ").value_or(""));
    hand_on(kHandedOn[1].variable, ask_secret("Enter Docker Password: ").value_or(""));
  }
  return arguments;
}

int run_sifconv(const std::vector<std::string>& arguments, const std::function<void()>& clean_up) {
  return run(with_log_level(arguments), -1, clean_up);
}

std::optional<std::string> ask_sifconv(const std::vector<std::string>& arguments) {
  base::Pipe pipe = base::make_pipe();
  // Its answer is one line, which a pipe holds.
  if (run(with_log_level(arguments), pipe.write_end.get(), {}) != EXIT_SUCCESS) return std::nullopt;
  pipe.write_end.reset();
  std::string answer(kMaxAnswer, '\0');
  answer.resize(base::read_up_to(pipe.read_end.get(), std::as_writable_bytes(std::span(answer)),
                                 "sifconv's answer"));
  if (answer.ends_with('\n')) answer.pop_back();
  return answer;
}

}  // namespace cmd
