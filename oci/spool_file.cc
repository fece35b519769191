// SPDX-License-Identifier: Apache-2.0
#include "oci/spool_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "base/syscalls.h"

namespace oci {
namespace {

constexpr std::size_t kChunk = 1 << 20;

}  // namespace

SpoolFile::SpoolFile(std::string folder)
    : folder_(std::move(folder)),
      file_(std::make_shared<const base::UniqueFd>(base::make_unnamed_file(folder_))) {}

void SpoolFile::append(std::span<const std::byte> data) {
  base::write_all(file_->get(), data, place());
  grow(data.size());
}

void SpoolFile::append_stream(const ReadStream& stream, Sha256* hash) {
  std::vector<std::byte> chunk(kChunk);
  for (std::size_t count; (count = stream(chunk)) > 0;) {
    const std::span<const std::byte> data = std::span(chunk).first(count);
    if (hash != nullptr) hash->update(data);
    append(data);
  }
}

void SpoolFile::append_pipe(int pipe, std::atomic<std::uint64_t>& read_done) {
  for (;;) {
    const ssize_t count = ::splice(pipe, nullptr, file_->get(), nullptr, kChunk, SPLICE_F_MOVE);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EINVAL && errno != EAGAIN)
      throw base::errno_error(errno, "cannot write ", base::printable(place()));
    if (count <= 0) return;
    read_done += static_cast<std::uint64_t>(count);
    grow(static_cast<std::uint64_t>(count));
  }
}

void SpoolFile::grow(std::uint64_t count) {
  {
    const std::lock_guard lock(mutex_);
    size_ += count;
  }
  grown_.notify_all();
}

void SpoolFile::end() {
  {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
  }
  grown_.notify_all();
}

std::size_t SpoolFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  {
    std::unique_lock lock(mutex_);
    grown_.wait(lock, [&] { return size_ >= offset + out.size() || has_ended_; });
    out = out.first(std::min<std::uint64_t>(out.size(), size_ - std::min(size_, offset)));
  }
  base::pread_exactly(file_->get(), out, offset, place());
  return out.size();
}

FileSource SpoolFile::source(std::string name) const {
  const std::lock_guard lock(mutex_);
  return {file_, 0, size_, std::move(name)};
}

}  // namespace oci
