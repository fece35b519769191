// SPDX-License-Identifier: Apache-2.0
#include "runtime/instance.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <span>

#include "base/log.h"
#include "base/syscalls.h"
#include "runtime/ext_mount.h"
#include "runtime/launch.h"
#include "runtime/pid_namespace.h"
#include "runtime/pidfd.h"
#include "runtime/seccomp_filter.h"
#include "runtime/user_namespace.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxAnswer = 64 << 10;
constexpr char kReady = 'y';
constexpr int kScriptPatience = 10'000;            // ms until a script counts as started
constexpr timespec kStopPatience{1, 500'000'000};  // for processes that outlive the script
constexpr std::size_t kCopyPiece = 64 << 20;

pid_t fork_process() { return base::fork_or_throw("cannot start a process of the instance"); }

sigset_t every_signal() {
  sigset_t all;
  ::sigfillset(&all);
  return all;
}

sigset_t block_all_signals() {
  const sigset_t all = every_signal();
  sigset_t original;
  ::sigprocmask(SIG_SETMASK, &all, &original);
  return original;
}

base::UniqueFd open_log(const std::string& path) {
  return base::open_file(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_APPEND, 0644);
}

void redirect_streams(const InstanceRecord& record) {
  const base::UniqueFd null = base::open_file("/dev/null", O_RDWR);
  const base::UniqueFd out = open_log(record.log_out), err = open_log(record.log_err);
  if (::dup2(null.get(), STDIN_FILENO) < 0 || ::dup2(out.get(), STDOUT_FILENO) < 0 ||
      ::dup2(err.get(), STDERR_FILENO) < 0)
    throw base::errno_error(errno, "cannot open the logs of the instance");
}

// Message and hint, for the launcher to throw again.
void send_error(int fd, const base::Error& error) noexcept {
  const std::string text = std::string(error.what()) + '\0' + error.hint();
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
}

// Where its watcher was killed when all was ready, nobody would see to the instance's end.
void end_unwatched(const InstanceFolder& folder, const std::string& name) {
  const std::vector<InstanceRecord> found = folder.find(name);
  if (found.empty()) return;
  const base::UniqueFd process = open_process(found[0].init.pid);
  if (signal_process(found[0].init, SIGKILL) && process) wait_for_end(process.get());
  folder.remove(found[0]);
}

void throw_answer(int fd, const InstanceFolder& folder, const std::string& name) {
  std::string text(kMaxAnswer, '\0');
  text.resize(base::read_up_to(fd, std::as_writable_bytes(std::span(text)), "the instance"));
  if (text == std::string_view(&kReady, 1)) return;
  if (text.empty()) {
    end_unwatched(folder, name);
    throw base::error("the instance has ended while it was started");
  }
  const std::size_t end = std::min(text.find('\0'), text.size() - 1);
  throw base::Error(text.substr(0, end)).with_hint(text.substr(end + 1));
}

// The ends of the pipes and the lock that the processes of a start share.
struct StartEnds {
  base::UniqueFd lock;
  base::UniqueFd answer;  // to the launcher: kReady when the instance is there, else an error
  base::Pipe ready;       // from init to the watcher
  base::Pipe script;      // from the script's process to the watcher: why it has not begun
};

// Its end without a word is the script's execve(2), or its exit.
std::string find_script_problem(int fd) {
  pollfd ready{fd, POLLIN, 0};
  std::string text(kMaxAnswer, '\0');
  if (::poll(&ready, 1, kScriptPatience) != 1) return "";
  text.resize(base::read_up_to(fd, std::as_writable_bytes(std::span(text)), "the script"));
  return text;
}

// Outside of the namespaces, until the instance is dead, however it dies.
[[noreturn]] void watch(pid_t init, const InstanceFolder& folder, InstanceRecord record,
                        StartEnds ends, std::span<const int> servers) {
  ::prctl(PR_SET_NAME, "sifrun-instance", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // it keeps capabilities
  // Standard error is the instance's file, for what becomes of its images at the end.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO}) ::close(stream);
  [[maybe_unused]] const int ignored = ::chdir("/");
  ends.ready.write_end.reset();
  ends.script.write_end.reset();
  try {
    char byte = 0;
    const bool is_ready = ::read(ends.ready.read_end.get(), &byte, 1) == 1 && byte == kReady;
    std::string answer = is_ready ? find_script_problem(ends.script.read_end.get()) : "";
    if (is_ready && answer.empty()) {
      record.init = identity_of(init);
      folder.save(record);
      answer = kReady;
    } else if (::waitpid(init, nullptr, WNOHANG) == 0) {
      ::kill(init, SIGKILL);
    }
    // The launcher may be gone.
    [[maybe_unused]] const ssize_t written =
        ::write(ends.answer.get(), answer.data(), answer.size());
  } catch (const base::Error& error) {
    send_error(ends.answer.get(), error);
    ::kill(init, SIGKILL);
  }
  ends = {};
  base::close_descriptors_but({servers.begin(), servers.end()});
  while (::waitpid(init, nullptr, 0) < 0 && errno == EINTR) {
  }
  for (const int server : servers) wait_for_ext_server(server);
  folder.remove(record);
  ::_exit(EXIT_SUCCESS);
}

// As all that a child does, without a way back into the frames that it has from its parent.
[[noreturn]] void run_script(const ActionRequest& action, const sigset_t& mask,
                             const base::UniqueFd& problem) noexcept {
  int status = EXIT_FAILURE;
  try {
    ::setpgid(0, 0);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    run_action(action);
  } catch (const base::Error& error) {
    base::log_fatal(error);
    send_error(problem.get(), error);
    status = 255;
  }
  ::_exit(status);
}

// A copy of this program that no file stands for, to be PID 1: what is of the host must not be
// found behind /proc/1 of the instance, neither our file nor the caller's variables in our memory.
// Empty where the host forbids it.
base::UniqueFd copy_of_ourselves() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING, kExecutable = 0x10;  // MFD_EXEC
  base::UniqueFd copy(::memfd_create(kInitName, kFlags | kExecutable));
  if (!copy) copy.reset(::memfd_create(kInitName, kFlags));  // before Linux 6.3
  if (!copy) return copy;
  const base::UniqueFd program = base::open_file("/proc/self/exe", O_RDONLY);
  for (ssize_t sent; (sent = ::sendfile(copy.get(), program.get(), nullptr, kCopyPiece)) != 0;)
    if (sent < 0) return {};
  if (::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0)
    return {};
  return copy;
}

void become_init(int copy, base::UniqueFd& ready, pid_t script) {
  ::fcntl(ready.get(), F_SETFD, 0);
  std::string name = kInitName, number = std::to_string(ready.get()),
              process = std::to_string(script);
  const std::array<char*, 4> arguments = {name.data(), number.data(), process.data(), nullptr};
  const std::array<char*, 1> environment = {nullptr};
  ::syscall(SYS_execveat, copy, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
}

// Without the answer's end: what a script leaves in the background must not keep the launcher.
[[noreturn]] void be_init(const ActionRequest& action, StartEnds& ends,
                          const base::UniqueFd& copy) {
  const sigset_t original = block_all_signals();
  const pid_t script = fork_process();
  ends.answer.reset();
  if (script == 0) run_script(action, original, ends.script.write_end);
  ends.script.write_end.reset();
  if (copy) become_init(copy.get(), ends.ready.write_end, script);
  run_instance_init(ends.ready.write_end.get(), script);
}

[[noreturn]] void run_starter(RunPlan plan, const InstanceFolder& folder, InstanceRecord record,
                              StartEnds ends) noexcept {
  try {
    ::setsid();
    redirect_streams(record);
    block_all_signals();
    ::signal(SIGCHLD, SIG_DFL);  // a caller that ignores it would have children vanish unseen
    const base::UniqueFd copy = copy_of_ourselves();
    const ActionRequest action =
        prepare_instance(std::move(plan), [&](std::span<const int> servers) {
          if (::unshare(CLONE_NEWPID) != 0)
            throw base::errno_error(errno, "cannot make a PID namespace");
          const pid_t init = fork_process();
          if (init != 0) watch(init, folder, std::move(record), std::move(ends), servers);
          ends.lock.reset();
          ends.ready.read_end.reset();
          ends.script.read_end.reset();
        });
    require_start_script(action);
    base::unblock_all_signals();
    be_init(action, ends, copy);
  } catch (const base::Error& error) {
    send_error(ends.answer.get(), error);
  }
  ::_exit(EXIT_FAILURE);
}

struct NamespaceRow {
  const char* name;
  int flag;
};
// The user namespace first: it grants what entering the others takes.
constexpr auto kJoined = std::to_array<NamespaceRow>({{"user", CLONE_NEWUSER},
                                                      {"pid", CLONE_NEWPID},
                                                      {"ipc", CLONE_NEWIPC},
                                                      {"uts", CLONE_NEWUTS},
                                                      {"net", CLONE_NEWNET},
                                                      {"mnt", CLONE_NEWNS}});

bool is_own(int namespace_fd, const char* name) {
  const std::optional<struct stat> own = base::find_status(base::cat("/proc/self/ns/", name));
  const struct stat other = base::file_status(namespace_fd, name);
  return own && own->st_dev == other.st_dev && own->st_ino == other.st_ino;
}

// All through one descriptor: what it leads to is of the process that is checked, or nothing. Those
// that the instance shares with the caller are left out: entering them may not be allowed.
std::array<base::UniqueFd, kJoined.size()> open_namespaces(const InstanceRecord& record) {
  const base::UniqueFd process =
      base::open_file(base::cat("/proc/", record.init.pid), O_RDONLY | O_DIRECTORY);
  if (!is_alive(record.init)) throw base::error("no instance found with name ", record.name);
  std::array<base::UniqueFd, kJoined.size()> opened;
  for (std::size_t i = 0; i < kJoined.size(); ++i) {
    base::UniqueFd each =
        base::open_file_at(process.get(), base::cat("ns/", kJoined[i].name), O_RDONLY);
    if (!is_own(each.get(), kJoined[i].name)) opened[i] = std::move(each);
  }
  return opened;
}

}  // namespace

// Without capabilities, it may be looked at by its user's other processes: they join through it.
void run_instance_init(int ready, pid_t script) {
  ::prctl(PR_SET_NAME, kInitName, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  [[maybe_unused]] const int ignored = ::chdir("/");
  [[maybe_unused]] const ssize_t written = ::write(ready, &kReady, 1);
  base::close_descriptors(0);
  const sigset_t all = every_signal();
  int stopping = 0;
  bool script_ended = false;
  for (;;) {
    // Every process that ends begins the wait anew: some are about to follow.
    const bool is_last_call = stopping != 0 && script_ended;
    const int signal =
        is_last_call ? ::sigtimedwait(&all, nullptr, &kStopPatience) : ::sigwaitinfo(&all, nullptr);
    if (signal < 0 && is_last_call && errno == EAGAIN) ::_exit(128 + stopping);
    if (signal < 0) continue;
    if (signal != SIGCHLD) {
      stopping = signal;
      ::kill(-1, stopping);
    }
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) script_ended |= ended == script;
    if (stopping != 0 && ended < 0 && errno == ECHILD) ::_exit(128 + stopping);
  }
}

void start_instance(RunPlan plan, const InstanceFolder& folder, InstanceRecord record,
                    base::UniqueFd lock) {
  base::Pipe answer = base::make_pipe();
  StartEnds ends{std::move(lock), std::move(answer.write_end), base::make_pipe(),
                 base::make_pipe()};
  if (fork_process() == 0) run_starter(std::move(plan), folder, std::move(record), std::move(ends));
  ends = {};
  throw_answer(answer.read_end.get(), folder, record.name);
}

void run_in_instance(const InstanceRecord& record, JoinRequest request) {
  const bool becomes_other = ::geteuid() == 0 && (record.uid || record.gid);
  // Where its path is the caller's.
  const std::optional<SeccompFilter> filter =
      load_filter(record.seccomp_profile, record.capabilities);
  auto namespaces = open_namespaces(record);
  for (std::size_t i = 0; i < kJoined.size(); ++i) {
    if (kJoined[i].flag == CLONE_NEWNS) enter_joined_pid_namespace();
    if (namespaces[i] && ::setns(namespaces[i].get(), kJoined[i].flag) != 0)
      throw base::errno_error(errno, "cannot enter the ", kJoined[i].name,
                              " namespace of instance ", record.name);
  }
  namespaces = {};
  drop_privileges(becomes_other ? IdMap::all_ids : IdMap::own_id,
                  {.uid = record.uid, .gid = record.gid}, record.capabilities);
  if (filter) filter->install();
  const std::string directory = enter_start_directory(request.start);
  set_variable(request.action.environment.host, "PWD", directory);
  if (request.reset_umask) ::umask(0022);
  run_action(std::move(request.action));
}

}  // namespace runtime
