// SPDX-License-Identifier: Apache-2.0
#include "runtime/directory_probe.h"

#include <linux/fuse.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

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

DirectoryProbe::DirectoryProbe(int device)
    : device_(device), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw base::errno_error(errno, "cannot make an eventfd");
}

// The mount is gone: nobody holds a directory any more.
DirectoryProbe::~DirectoryProbe() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::uint64_t DirectoryProbe::begin(std::uint64_t directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  messages_.push_back({directory, notification(directory, name)});
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    messages_.clear();  // no thread to spare
  }
  wake_.notify_one();
  return ++begun_;
}

bool DirectoryProbe::is_held(std::uint64_t directory) {
  const std::lock_guard lock(mutex_);
  return !messages_.empty() && messages_.front().directory == directory && is_waiting();
}

bool DirectoryProbe::is_any_held() {
  const std::lock_guard lock(mutex_);
  return is_waiting();
}

// While write(2) waits for the lock, the thread's sleep is uninterruptible (proc_pid_stat(5)).
bool DirectoryProbe::is_waiting() const {
  if (!thread_.joinable()) return true;
  if (thread_id_ == 0) return false;
  const auto status = base::find_small_file(base::cat("/proc/self/task/", thread_id_, "/stat"));
  const std::size_t name_end = status ? status->rfind(") ") : std::string::npos;
  return name_end == std::string::npos || status->compare(name_end + 2, 1, "D") == 0;
}

std::uint64_t DirectoryProbe::finished() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(event_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return finished_;
}

void DirectoryProbe::work() {
  std::unique_lock lock(mutex_);
  thread_id_ = ::gettid();
  for (;;) {
    wake_.wait(lock, [&] { return stops_ || !messages_.empty(); });
    if (stops_) return;
    const std::vector<std::byte>& message = messages_.front().bytes;  // stays where it is
    lock.unlock();
    // ENOENT mostly: the name is gone.
    [[maybe_unused]] const ssize_t written = ::write(device_, message.data(), message.size());
    lock.lock();
    messages_.pop_front();
    ++finished_;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t told = ::write(event_.get(), &one, sizeof one);
  }
}

}  // namespace runtime
