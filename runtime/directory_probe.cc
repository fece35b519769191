// SPDX-License-Identifier: Apache-2.0
#include "runtime/directory_probe.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/ext_responder.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_protocol.h"

namespace runtime {
namespace {

constexpr std::uint64_t kNever = UINT64_MAX;
constexpr std::size_t kMaxFuseName = 1024;  // FUSE_NAME_MAX of fs/fuse/fuse_i.h
constexpr std::size_t kMaxMessage =
    sizeof(fuse_out_header) + sizeof(fuse_notify_inval_entry_out) + kMaxFuseName + 1;

std::vector<std::byte> notification(std::uint64_t directory, std::string_view name) {
  fuse_notify_inval_entry_out body{};
  body.parent = directory;
  body.namelen = static_cast<std::uint32_t>(name.size());
  body.flags = FUSE_EXPIRE_ONLY;  // what has the name by now is merely asked for again
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof header + sizeof body + name.size() + 1);
  header.error = FUSE_NOTIFY_INVAL_ENTRY;
  std::vector<std::byte> message(header.len);
  std::memcpy(message.data(), &header, sizeof header);
  std::memcpy(message.data() + sizeof header, &body, sizeof body);
  std::memcpy(message.data() + sizeof header + sizeof body, name.data(), name.size());
  return message;
}

}  // namespace

DirectoryProbe::DirectoryProbe(base::UniqueFd device) : device_(std::move(device)) {}

// The mount is gone: nobody holds a directory any more.
DirectoryProbe::~DirectoryProbe() {
  control_.reset();
  reap();
}

void DirectoryProbe::start() {
  SocketPair pair = make_socket_pair();
  const pid_t process = ::fork();
  if (process == 0) work(pair.second.get());
  if (process < 0) return;  // a limit of the user's: tried again for the next
  process_ = process;
  control_ = std::move(pair.first);
}

// It was killed. What it had not told counts as ended; the next probe begins with another process.
void DirectoryProbe::lose() {
  finished_ += begun_.size();
  begun_.clear();
  control_.reset();
  reap();
}

void DirectoryProbe::reap() {
  while (process_ > 0 && ::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
}

void DirectoryProbe::work(int control) const {
  ::prctl(PR_SET_NAME, "sifrun-probe", 0, 0, 0);
  // Neither the server's device nor the image, of which it has the lock.
  base::close_descriptors_but({device_.get(), control});
  try {
    std::thread([this, control] { stand_in_for_server(control); }).detach();
  } catch (const std::system_error&) {
    ::_exit(0);
  }
  std::array<std::byte, kMaxMessage> message{};
  for (;;) {
    const ssize_t size = ::recv(control, message.data(), message.size(), 0);
    if (size <= 0) ::_exit(0);
    // ENOENT mostly: the name is gone.
    [[maybe_unused]] const ssize_t written =
        ::write(device_.get(), message.data(), static_cast<std::size_t>(size));
    ::send(control, "", 1, MSG_NOSIGNAL);
  }
}

// Until the other thread has had its lock, and ends us.
void DirectoryProbe::stand_in_for_server(int control) const {
  pollfd end{control, 0, 0};
  while (::poll(&end, 1, -1) < 0 || (end.revents & POLLHUP) == 0) {
  }
  const auto request = std::make_unique_for_overwrite<std::byte[]>(kLongestExtRequest);
  for (;;) {
    const ssize_t size = ::read(device_.get(), request.get(), kLongestExtRequest);
    if (size < 0 && errno == ENODEV) ::_exit(0);  // the mount is gone
    if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
    const auto header = parse<fuse_in_header>({request.get(), static_cast<std::size_t>(size)});
    const bool wants_no_answer = header.opcode == FUSE_FORGET ||
                                 header.opcode == FUSE_BATCH_FORGET ||
                                 header.opcode == FUSE_INTERRUPT;
    if (wants_no_answer) continue;
    const fuse_out_header refusal{sizeof refusal, -ENOTCONN, header.unique};
    [[maybe_unused]] const ssize_t written = ::write(device_.get(), &refusal, sizeof refusal);
  }
}

std::uint64_t DirectoryProbe::begin(std::uint64_t directory, std::string_view name) {
  if (!control_) start();
  const std::vector<std::byte> message = notification(directory, name);
  const auto sent =
      ::send(control_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return kNever;
  begun_.push_back(directory);
  return finished_ + begun_.size();
}

bool DirectoryProbe::is_held(std::uint64_t directory) const {
  return !begun_.empty() && begun_.front() == directory && is_waiting();
}

bool DirectoryProbe::is_any_held() const { return is_waiting(); }

// While write(2) waits for the lock, the process' sleep is uninterruptible (proc_pid_stat(5)).
// /proc may be that of other processes' numbers: ours is the parent.
bool DirectoryProbe::is_waiting() const {
  if (process_ < 0) return true;
  const auto status = base::find_small_file(base::cat("/proc/", process_, "/stat"));
  const std::size_t name_end = status ? status->rfind(") ") : std::string::npos;
  if (name_end == std::string::npos) return true;
  const std::string rest = status->substr(name_end + 2);
  return rest.starts_with("D ") ||
         rest.compare(1, rest.find(' ', 2) - 1, base::cat(" ", ::getpid())) != 0;
}

std::uint64_t DirectoryProbe::finished() {
  std::byte told{};
  ssize_t count = 0;
  while ((count = ::recv(control_.get(), &told, 1, MSG_DONTWAIT)) == 1 && !begun_.empty()) {
    begun_.pop_front();
    ++finished_;
  }
  if (count == 0) lose();
  return finished_;
}

}  // namespace runtime
