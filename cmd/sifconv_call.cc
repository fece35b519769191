// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv_call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/syscalls.h"
#include "cmd/ask_secret.h"
#include "cmd/child_process.h"
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
std::string look_for_sifconv() {
  const std::string self = base::find_link_target("/proc/self/exe").value_or("");
  std::string beside = self.substr(0, self.rfind('/') + 1) + "sifconv";
  return beside.find('/') != std::string::npos && ::access(beside.c_str(), X_OK) == 0 ? beside
                                                                                      : "sifconv";
}

int exit_code(const Ending& ending) {
  if (WIFEXITED(ending.status)) return WEXITSTATUS(ending.status);
  base::log_fatal(base::error("sifconv died of signal ", WTERMSIG(ending.status)));
  return kExitFatal;
}

// Starts it, waits for its end, and ends itself if that is asked for meanwhile.
int run(const std::vector<std::string>& arguments, int out, const std::function<void()>& clean_up) {
  HeldSignals signals;
  const Ending ending = run_child(signals, "sifconv", [&] {
    if (out >= 0) ::dup2(out, STDOUT_FILENO);
    become_sifconv(arguments);
  });
  if (ending.signal == 0) return exit_code(ending);
  if (clean_up) clean_up();
  signals.release();
  ::raise(ending.signal);
  return kExitFatal;  // not reached: what is ignored or handled was not held
}

}  // namespace

const std::string& find_sifconv() {
  static const std::string found = look_for_sifconv();
  return found;
}

void become_sifconv(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"sifconv"};
  const base::LogLevel level = base::log_level();
  if (level >= base::LogLevel::verbose) words.emplace_back("--verbose");
  if (level < base::LogLevel::info) words.emplace_back("--quiet");
  words.insert(words.end(), arguments.begin(), arguments.end());
  become_program(find_sifconv(), words, "sifconv belongs beside this program");
}

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
  return run(arguments, -1, clean_up);
}

std::optional<std::string> ask_sifconv(const std::vector<std::string>& arguments) {
  base::Pipe pipe = base::make_pipe();
  // Its answer is one line, which a pipe holds.
  if (run(arguments, pipe.write_end.get(), {}) != EXIT_SUCCESS) return std::nullopt;
  pipe.write_end.reset();
  std::string answer(kMaxAnswer, '\0');
  answer.resize(base::read_up_to(pipe.read_end.get(), std::as_writable_bytes(std::span(answer)),
                                 "sifconv's answer"));
  if (answer.ends_with('\n')) answer.pop_back();
  return answer;
}

}  // namespace cmd
