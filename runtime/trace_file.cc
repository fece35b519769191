// SPDX-License-Identifier: Apache-2.0
#include "runtime/trace_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/user_cache.h"
#include "sif/squashfs_format.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxTraceFiles = 512;
constexpr std::size_t kMaxWord = 4096;  // of the command, as far as it tells programs apart

// `python -m package`, `python train.py`, `sh -c "..."`: up to the first operand. What follows
// changes from run to run, what the program reads first does not.
std::string program_of(std::span<const std::string> command) {
  std::string program;
  for (std::size_t i = 0; i < command.size(); ++i) {
    program.append(command[i], 0, kMaxWord).push_back('\0');
    if (i > 0 && !command[i].starts_with('-')) break;
  }
  return program;
}

// Names are hashes, so the time tells which are the oldest.
void remove_oldest(const std::string& folder) {
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> files;
  std::error_code ignored;
  for (const std::string& name : base::readable_names(folder)) {
    const std::filesystem::path path = base::cat(folder, "/", name);
    files.emplace_back(std::filesystem::last_write_time(path, ignored), path);
  }
  if (files.size() <= kMaxTraceFiles) return;
  std::ranges::sort(files);
  // A half at once: not for each new file again.
  for (std::size_t i = 0; i < kMaxTraceFiles / 2; ++i)
    std::filesystem::remove(files[i].second, ignored);
}

}  // namespace

std::string trace_path(const std::string& cache_folder, const sif::ImageFile& image,
                       std::span<const std::string> command) {
  std::array<std::byte, sif::kSuperblockSize> superblock;
  base::pread_exactly(image.fd.get(), superblock, image.offset, image.path);
  std::string key(reinterpret_cast<const char*>(superblock.data()), superblock.size());
  key += program_of(command);
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return base::cat(cache_folder, "/traces/", base::hex(&hash, sizeof hash));
}

std::optional<AccessTrace> find_trace(const std::string& path) {
  try {
    const std::optional<std::string> bytes = base::find_small_file(path, kMaxTraceFile);
    return bytes ? parse_trace(*bytes) : std::nullopt;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

void keep_trace(const std::string& path, std::span<const TraceEntry> trace) {
  const std::string folder = path.substr(0, path.rfind('/'));
  open_user_cache(folder);
  base::AtomicOutputFile file(path, 0600, base::Existing::replace);
  base::write_all(file.fd(), serialize(trace), path);
  file.commit();
  remove_oldest(folder);
}

}  // namespace runtime
