// SPDX-License-Identifier: Apache-2.0
// Checked system calls: each throws Error with what was attempted, the object and errno. All set
// O_CLOEXEC, retry EINTR and are thread-safe. `name` parameters appear in messages only.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace base {

// open(2). find_file gives nullopt for ENOENT and ENOTDIR only.
UniqueFd open_file(const std::string& path, int flags, mode_t mode = 0);
UniqueFd open_file_at(int dir_fd, const std::string& path, int flags, mode_t mode = 0);
std::optional<UniqueFd> find_file(const std::string& path, int flags);

struct stat file_status(int fd, std::string_view name);
// lstat(2)/stat(2); nullopt for ENOENT and ENOTDIR only.
std::optional<struct stat> find_status(const std::string& path, bool follow_symlink = true);
// By device and inode; false where one is missing.
bool is_same_file(const std::string& path, const std::string& other);

// Reads until `out` is full or end of file; gives the count read.
std::size_t read_up_to(int fd, std::span<std::byte> out, std::string_view name);
std::size_t pread_up_to(int fd, std::span<std::byte> out, std::uint64_t offset,
                        std::string_view name);
// Throws "NAME is truncated" when the file ends first.
void pread_exactly(int fd, std::span<std::byte> out, std::uint64_t offset, std::string_view name);
void write_all(int fd, std::span<const std::byte> data, std::string_view name);
void write_all(int fd, std::string_view text, std::string_view name);
void pwrite_all(int fd, std::span<const std::byte> data, std::uint64_t offset,
                std::string_view name);

// `attempted` is for the message: "cannot start a program".
pid_t fork_or_throw(std::string_view attempted);

// A whole small file (configuration, /proc); throws when it is larger than `limit` bytes.
// find_small_file gives nullopt, too, for a file of a process that ends while it is read.
std::string read_small_file(const std::string& path, std::size_t limit = 1 << 20);
std::string read_small_file(int fd, const std::string& path, std::size_t limit);
std::optional<std::string> find_small_file(const std::string& path, std::size_t limit = 1 << 20);

// readlink(2) of any length up to PATH_MAX; nullopt when the path is absent or no symbolic link.
std::optional<std::string> find_link_target(const std::string& path);

// The names in a directory, O_PATH descriptors too, without "." and ".."; nullopt if there are more
// than `limit`. `name` appears in messages.
std::optional<std::vector<std::string>> list_names(int directory, std::string_view name,
                                                   std::size_t limit = SIZE_MAX);
// The same of a folder, as far as it can be read.
std::vector<std::string> readable_names(const std::string& folder);

// Of the calling thread, whatever it had blocked or was started with.
void unblock_all_signals();

struct Pipe {
  UniqueFd read_end, write_end;
};
Pipe make_pipe();

// Closes the descriptors `first` to `last`, both included, without a word about those that are not
// open.
void close_descriptors(unsigned first, unsigned last = ~0U);
// All but the standard streams and those.
void close_descriptors_but(std::vector<int> kept);

// Call first of all: standard streams that the caller closed must not become files of ours, to
// which messages or results would be written. The placeholders can be neither read nor written, and
// vanish on exec, so that programs find the streams closed.
void reserve_standard_streams();

}  // namespace base
