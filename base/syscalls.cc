// SPDX-License-Identifier: Apache-2.0
#include "base/syscalls.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace base {
namespace {

template <typename Call>
auto retry_eintr(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

bool is_absence(int errno_value) { return errno_value == ENOENT || errno_value == ENOTDIR; }

}  // namespace

UniqueFd open_file(const std::string& path, int flags, mode_t mode) {
  return open_file_at(AT_FDCWD, path, flags, mode);
}

UniqueFd open_file_at(int dir_fd, const std::string& path, int flags, mode_t mode) {
  const int fd =
      retry_eintr([&] { return ::openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) throw errno_error(errno, "cannot open ", printable(path));
  return UniqueFd(fd);
}

std::optional<UniqueFd> find_file(const std::string& path, int flags) {
  const int fd = retry_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC); });
  if (fd >= 0) return UniqueFd(fd);
  if (is_absence(errno)) return std::nullopt;
  throw errno_error(errno, "cannot open ", printable(path));
}

struct stat file_status(int fd, std::string_view name) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw errno_error(errno, "cannot stat ", printable(name));
  return status;
}

std::optional<struct stat> find_status(const std::string& path, bool follow_symlink) {
  struct stat status {};
  if (::fstatat(AT_FDCWD, path.c_str(), &status, follow_symlink ? 0 : AT_SYMLINK_NOFOLLOW) == 0)
    return status;
  if (is_absence(errno)) return std::nullopt;
  throw errno_error(errno, "cannot stat ", printable(path));
}

bool is_same_file(const std::string& path, const std::string& other) {
  const auto one = find_status(path), two = find_status(other);
  return one && two && one->st_dev == two->st_dev && one->st_ino == two->st_ino;
}

std::size_t read_up_to(int fd, std::span<std::byte> out, std::string_view name) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = retry_eintr([&] { return ::read(fd, out.data() + done, out.size() - done); });
    if (n < 0) throw errno_error(errno, "cannot read ", printable(name));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::size_t pread_up_to(int fd, std::span<std::byte> out, std::uint64_t offset,
                        std::string_view name) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = retry_eintr([&] {
      return ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    });
    if (n < 0)
      throw errno_error(errno, "cannot read ", printable(name), " at offset ", offset + done);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void pread_exactly(int fd, std::span<std::byte> out, std::uint64_t offset, std::string_view name) {
  const std::size_t done = pread_up_to(fd, out, offset, name);
  if (done < out.size()) {
    throw Error(cat(printable(name), " is truncated: it ends at offset ", offset + done, ", but ",
                    out.size(), " bytes are expected at offset ", offset),
                EIO);
  }
}

void write_all(int fd, std::span<const std::byte> data, std::string_view name) {
  while (!data.empty()) {
    const ssize_t n = retry_eintr([&] { return ::write(fd, data.data(), data.size()); });
    if (n < 0) throw errno_error(errno, "cannot write ", printable(name));
    data = data.subspan(static_cast<std::size_t>(n));
  }
}

void write_all(int fd, std::string_view text, std::string_view name) {
  write_all(fd, std::as_bytes(std::span(text)), name);
}

void pwrite_all(int fd, std::span<const std::byte> data, std::uint64_t offset,
                std::string_view name) {
  while (!data.empty()) {
    const ssize_t n = retry_eintr(
        [&] { return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (n < 0) throw errno_error(errno, "cannot write ", printable(name));
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

pid_t fork_or_throw(std::string_view attempted) {
  const pid_t pid = ::fork();
  if (pid < 0) throw errno_error(errno, attempted);
  return pid;
}

std::string read_small_file(int fd, const std::string& path, std::size_t limit) {
  std::string text;
  std::array<std::byte, 16384> chunk;  // not set: most files fill only its first page
  for (;;) {
    const std::size_t count = read_up_to(fd, chunk, path);
    text.append(reinterpret_cast<const char*>(chunk.data()), count);
    if (text.size() > limit)
      throw error("cannot read ", printable(path), ": larger than ", limit, " bytes");
    if (count < chunk.size()) return text;
  }
}

std::string read_small_file(const std::string& path, std::size_t limit) {
  return read_small_file(open_file(path, O_RDONLY).get(), path, limit);
}

std::optional<std::string> find_small_file(const std::string& path, std::size_t limit) {
  const std::optional<UniqueFd> fd = find_file(path, O_RDONLY);
  if (!fd) return std::nullopt;
  try {
    return read_small_file(fd->get(), path, limit);
  } catch (const Error& error) {
    // In /proc/PID: the process ended after the file was opened.
    if (error.errno_value() == ESRCH) return std::nullopt;
    throw;
  }
}

std::optional<std::string> find_link_target(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length >= 0) return std::string(target.data(), static_cast<std::size_t>(length));
  if (is_absence(errno) || errno == EINVAL) return std::nullopt;
  throw errno_error(errno, "cannot read the link ", printable(path));
}

std::optional<std::vector<std::string>> list_names(int directory, std::string_view name,
                                                   std::size_t limit) {
  UniqueFd fd = open_file_at(directory, ".", O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), &::closedir);
  if (!stream) throw errno_error(errno, "cannot list ", printable(name));
  [[maybe_unused]] const int owned_by_stream = fd.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view found = entry->d_name;
    if (found == "." || found == "..") continue;
    if (names.size() == limit) return std::nullopt;
    names.emplace_back(found);
  }
  if (errno != 0) throw errno_error(errno, "cannot list ", printable(name));
  return names;
}

std::vector<std::string> readable_names(const std::string& folder) {
  try {
    const UniqueFd fd = open_file(folder, O_RDONLY | O_DIRECTORY);
    return *list_names(fd.get(), printable(folder));
  } catch (const Error&) {
    return {};
  }
}

void unblock_all_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw errno_error(errno, "cannot make a pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// close_range(2) came with Linux 5.9; before, every possible number is tried.
void close_descriptors(unsigned first, unsigned last) {
  if (first > last || ::syscall(SYS_close_range, first, last, 0) == 0) return;
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto end = static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur, 1 << 16));
  for (unsigned fd = first; fd <= last && fd < end; ++fd) ::close(static_cast<int>(fd));
}

void close_descriptors_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned next = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd <= STDERR_FILENO) continue;
    close_descriptors(next, static_cast<unsigned>(fd) - 1);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_descriptors(next);
}

void reserve_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is this one. A device, because who can duplicate a folder's descriptor
    // has all below the folder, in a container too.
    [[maybe_unused]] const int placeholder = open_file("/dev/null", O_PATH).release();
  }
}

}  // namespace base
