// SPDX-License-Identifier: Apache-2.0
#include "base/child_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace base {
namespace {

// How a program begins: its streams, and signals as at a login.
class Beginning {
 public:
  Beginning(int in, int out, Complaints complaints) {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawn_file_actions_adddup2(&files_, in, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files_, out, STDOUT_FILENO);
    if (complaints == Complaints::hidden)
      ::posix_spawn_file_actions_addopen(&files_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_init(&signals_);
    ::posix_spawnattr_setsigmask(&signals_, &none);
    ::posix_spawnattr_setsigdefault(&signals_, &all);
    ::posix_spawnattr_setflags(&signals_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Beginning() {
    ::posix_spawnattr_destroy(&signals_);
    ::posix_spawn_file_actions_destroy(&files_);
  }
  Beginning(const Beginning&) = delete;
  Beginning& operator=(const Beginning&) = delete;

  pid_t start(std::vector<std::string>& words) const {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int problem =
        ::posix_spawnp(&child, arguments[0], &files_, &signals_, arguments.data(), environ);
    if (problem != 0) throw errno_error(problem, "cannot run ", printable(words[0]));
    return child;
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t signals_;
};

}  // namespace

ProgramAnswer ask_program(std::vector<std::string> words, const std::string& question,
                          std::size_t limit, Complaints complaints) {
  Pipe input = make_pipe(), output = make_pipe();
  // The reading end stays open here: no SIGPIPE.
  write_all(input.write_end.get(), question, "pipe");
  input.write_end.reset();
  const pid_t child =
      Beginning(input.read_end.get(), output.write_end.get(), complaints).start(words);
  output.write_end.reset();  // else the end of file never comes
  ProgramAnswer answer{std::string(limit, '\0')};
  answer.text.resize(
      read_up_to(output.read_end.get(), std::as_writable_bytes(std::span(answer.text)), words[0]));
  output.read_end.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  answer.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return answer;
}

}  // namespace base
