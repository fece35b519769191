// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv_call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
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

pid_t start(const std::vector<std::string>& arguments, int out) {
  const std::string program = find_sifconv();
  const pid_t child = ::fork();
  if (child < 0) throw base::errno_error(errno, "cannot start sifconv");
  if (child > 0) return child;
  if (out >= 0) ::dup2(out, STDOUT_FILENO);
  become_sifconv(program, arguments);
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  // Ctrl-C ends both of us; a death that we outlive is a failure like others.
  base::log_fatal(base::error("sifconv died of signal ", WTERMSIG(status)));
  return kExitFatal;
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
  for (const HandedOn& row : kHandedOn) {
    if (const auto& value = parsed.text(row.option))
      ::setenv(std::string(row.variable).c_str(), value->c_str(), 1);
  }
  return arguments;
}

int run_sifconv(const std::vector<std::string>& arguments) {
  return wait_for(start(with_log_level(arguments), -1));
}

std::optional<std::string> ask_sifconv(const std::vector<std::string>& arguments) {
  base::Pipe pipe = base::make_pipe();
  const pid_t child = start(with_log_level(arguments), pipe.write_end.get());
  pipe.write_end.reset();
  std::string answer(kMaxAnswer, '\0');
  answer.resize(base::read_up_to(pipe.read_end.get(), std::as_writable_bytes(std::span(answer)),
                                 "sifconv's answer"));
  if (wait_for(child) != EXIT_SUCCESS) return std::nullopt;
  if (answer.ends_with('\n')) answer.pop_back();
  return answer;
}

}  // namespace cmd
