// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_shell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/syscalls.h"
#include "runtime/environment.h"
#include "shell/program.h"

namespace runtime {
namespace {

constexpr const char *kBash = "/bin/bash", *kSh = "/bin/sh";
constexpr std::size_t kMaxExportBytes = std::size_t{4} << 20;
constexpr int kExports = 9;  // the descriptor on which a shell tells what it exports
// A NUL says that it got so far: the end of file may be long in coming, as background jobs have the
// descriptor, too.
constexpr std::string_view kTell = R"(export -p >&9; printf '\0' >&9)";
// What every shell sets for itself.
constexpr std::array<std::string_view, 3> kOfShells = {"SHLVL", "OLDPWD", "_"};

// A script that sh cannot read would end it, unlike bash; then it changes nothing.
std::string command_of(const std::string& program) {
  const std::string run = base::cat(R"(. "$0"; )", kTell);
  return program == kSh ? base::cat(program, R"( -n "$0" || { )", kTell, "; exit; }; ", run) : run;
}

// Without the NUL; nullopt where the shell has ended before.
std::optional<std::string> read_exports(int fd, const std::string& program) {
  std::string text;
  std::array<char, 16384> chunk{};
  for (;;) {
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    text.append(chunk.data(), static_cast<std::size_t>(count));
    if (text.back() == '\0') {
      text.pop_back();
      return text;
    }
    if (text.size() > kMaxExportBytes)
      throw base::error("cannot read output of ", program, ": larger than ", kMaxExportBytes,
                        " bytes");
  }
}

[[noreturn]] void become_shell(const std::string& program, const std::string& path, int exports,
                               const std::vector<std::string>& variables,
                               std::vector<std::string> arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // we may be ended by --runscript-timeout
  ::dup2(exports, kExports);
  ::fcntl(kExports, F_SETFD, 0);  // it may have been that number before
  arguments.insert(arguments.begin(), {program, "-c", command_of(program), path});
  if (!shell::leads_to_ourselves(program)) shell::become_program(program, arguments, variables);
  ::_exit(127);
}

// Both shells' forms of `export -p` are read by the own one, which runs nothing meanwhile.
void take_over(shell::Variables& variables, const std::string& text, const std::string& path) {
  shell::Options options;
  options.programs = shell::Options::Programs::refuse;
  options.files = false;
  shell::Interpreter reader(options);
  reader.run_text(text, path);
  for (const std::string& name : variables.names()) {
    const shell::Variable* variable = variables.find(name);
    if (variable->exported && !variable->readonly && reader.variables().value(name) == nullptr)
      variables.unset(name);
  }
  for (const std::string& name : reader.variables().names()) {
    const std::string* value = reader.variables().value(name);
    if (!reader.variables().find(name)->exported) continue;  // a shell's own
    const shell::Variable* old = variables.find(name);
    const bool is_shells = std::ranges::find(kOfShells, name) != kOfShells.end();
    if (value == nullptr || (old && old->readonly) || (!old && is_shells)) continue;
    variables.set_exported(name, *value);
  }
}

}  // namespace

int run_with_image_shell(shell::Interpreter& interpreter, const std::string& path,
                         const shell::SyntaxError& error) {
  const std::string program = ::access(kBash, X_OK) == 0 ? kBash : kSh;
  if (::access(program.c_str(), X_OK) != 0) throw error;
  base::log_debug(error.what(), "; using ", program);
  base::Pipe pipe = base::make_pipe();
  std::vector<std::string> environment = interpreter.variables().environment();
  // A shell without one takes its own, which lacks /usr/local.
  if (!interpreter.variables().value("PATH"))
    environment.push_back(base::cat("PATH=", kDefaultPath));
  const pid_t pid = base::fork_or_throw("cannot start the image's shell");
  if (pid == 0)
    become_shell(program, path, pipe.write_end.get(), environment, interpreter.state().arguments);
  pipe.write_end.reset();
  const std::optional<std::string> exports = read_exports(pipe.read_end.get(), program);
  const int status = interpreter.wait_for(pid);
  if (!exports && program == kSh) return status;  // it may have been bash's language that ended it
  if (!exports) throw shell::ExitRequest{status};
  take_over(interpreter.variables(), *exports, path);
  return status;
}

}  // namespace runtime
