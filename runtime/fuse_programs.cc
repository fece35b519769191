// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_programs.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/bind_spec.h"
#include "runtime/environment.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_device.h"
#include "runtime/server_process.h"
#include "shell/program.h"

namespace runtime {
namespace {

constexpr int kDevice = 3;  // the number that the program finds it under
constexpr std::size_t kMaxReport = 512;

struct Kind {
  std::string_view prefix;
  bool in_container, detaches;
};
constexpr std::array<Kind, 4> kKinds = {{{"host:", false, false},
                                         {"host-daemon:", false, true},
                                         {"container:", true, false},
                                         {"container-daemon:", true, true}}};

// Becomes the program, or gives the errno of the failure.
int execute(const FuseProgram& program, int device) {
  const std::string path =
      shell::find_program(program.words.front(), kDefaultPath, shell::leads_to_ourselves);
  if (path.empty()) return errno;
  if (shell::leads_to_ourselves(path)) return ENOENT;  // one with a slash
  if (device == kDevice) {
    ::fcntl(device, F_SETFD, 0);
  } else {
    ::dup2(device, kDevice);
  }
  std::vector<std::string> words = program.words;
  words.push_back(base::cat("/dev/fd/", kDevice));
  if (!program.detaches) words.emplace_back("-f");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string variable = base::cat("PATH=", kDefaultPath);
  std::array<char*, 2> environment = {variable.data(), nullptr};
  ::execve(path.c_str(), arguments.data(), environment.data());
  return errno;
}

// A process that becomes the program. Until then its end of `failure`, which closes with execve(2),
// takes the errno.
template <typename Prepare>
pid_t start(const FuseProgram& program, int device, int failure, const Prepare& prepare) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::setsid();                   // what the terminal sends is for the payload
  base::unblock_all_signals();  // an instance's start blocks them
  prepare();
  const int problem = execute(program, device);
  [[maybe_unused]] const ssize_t told = ::write(failure, &problem, sizeof problem);
  ::_exit(127);
}

std::string outcome(const FuseProgram& program, pid_t pid, base::Pipe pipe) {
  if (pid < 0) return base::errno_text(errno);
  pipe.write_end.reset();
  int problem = 0;
  if (::read(pipe.read_end.get(), &problem, sizeof problem) == sizeof problem)
    return base::errno_text(problem);
  if (!program.detaches) return "";
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : "it failed";
}

// Gives what went wrong; empty: nothing.
template <typename Prepare>
std::string run(const FuseProgram& program, int device, const Prepare& prepare) {
  base::Pipe pipe = base::make_pipe();
  if (pipe.write_end.get() == kDevice)  // which is to be the device
    pipe.write_end.reset(::fcntl(pipe.write_end.get(), F_DUPFD_CLOEXEC, kDevice + 1));
  const pid_t pid = start(program, device, pipe.write_end.get(), prepare);
  return outcome(program, pid, std::move(pipe));
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
}

void serve_on_host(const FuseProgram& program, int control) {
  const std::optional<FdMessage> message = receive_message(control, 1);
  if (!message || message->fds.size() != 1) return;  // the run has failed meanwhile
  const std::string problem = run(program, message->fds[0].get(), reset_signals);
  send_message(control, problem.empty() ? "+" : problem.substr(0, kMaxReport), {});
}

base::Error failure_of(const FuseProgram& program, const std::string& problem) {
  return base::error("cannot start the FUSE program ", base::printable(program.words.front()), ": ",
                     problem);
}

}  // namespace

FuseProgram parse_fuse_mount(std::string_view text) {
  for (const Kind& kind : kKinds) {
    if (!text.starts_with(kind.prefix)) continue;
    FuseProgram program{kind.in_container, kind.detaches, {}, ""};
    for (std::string& word : base::split(std::string(text.substr(kind.prefix.size())), ' '))
      if (!word.empty()) program.words.push_back(std::move(word));
    if (program.words.size() < 2)
      throw base::error("--fusemount ", base::printable(std::string(text)),
                        ": a command and the path to mount on are needed");
    program.target = program.words.back();
    program.words.pop_back();
    if (!program.target.starts_with('/') || absolute_path(program.target, "/") == "/")
      throw base::error("--fusemount ", base::printable(std::string(text)), ": ",
                        base::printable(program.target), " must be an absolute path below /");
    program.target = absolute_path(program.target, "/");
    return program;
  }
  throw base::error("--fusemount ", base::printable(std::string(text)),
                    ": it must begin with host:, container:, host-daemon: or container-daemon:");
}

base::UniqueFd mount_for_program(const std::string& directory) {
  base::UniqueFd device = open_fuse_device();
  const std::string data = fuse_mount_data(device.get());
  if (::mount("fuse", directory.c_str(), "fuse", MS_NOSUID | MS_NODEV, data.c_str()) != 0)
    throw base::errno_error(errno, "cannot mount a FUSE program's file system");
  return device;
}

FusePrograms::FusePrograms(const std::vector<FuseProgram>& programs)
    : programs_(programs), controls_(programs.size()) {
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (programs[i].in_container) continue;
    SocketPair control = make_socket_pair();
    start_server_process("sifrun-fuse", {control.second.get()},
                         [&] { serve_on_host(programs[i], control.second.get()); });
    controls_[i] = std::move(control.first);
  }
}

void FusePrograms::start_on_host(std::vector<base::UniqueFd> devices) {
  devices_ = std::move(devices);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (programs_[i].in_container) continue;
    send_message(controls_[i].get(), "+", {devices_[i].get()});
    devices_[i].reset();
    const std::optional<FdMessage> answer = receive_message(controls_[i].get(), kMaxReport);
    if (!answer || answer->text != "+")
      throw failure_of(programs_[i], answer ? answer->text : "its process has died");
  }
}

void FusePrograms::start_in_container() {
  const auto end_with_caller = [] {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const base::UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ::dup2(null.get(), STDIN_FILENO);
    [[maybe_unused]] const int moved = ::chdir("/");
  };
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!programs_[i].in_container) continue;
    const std::string problem = run(programs_[i], devices_[i].get(), end_with_caller);
    if (!problem.empty()) throw failure_of(programs_[i], problem);
  }
  devices_.clear();
}

}  // namespace runtime
