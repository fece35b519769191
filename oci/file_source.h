// SPDX-License-Identifier: Apache-2.0
// Data sources for file contents: a range of a file, read by pread (no mapping, so a huge archive
// costs no resident memory), and a text in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "sif/tree.h"

namespace oci {

// Shares the descriptor with other ranges of the same file. Immutable, hence thread-safe.
class FileSource : public sif::DataSource {
 public:
  FileSource(std::shared_ptr<const base::UniqueFd> file, std::uint64_t offset, std::uint64_t size,
             std::string name);

  // Throws when the range or the file ends first.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override;

  // `length` bytes at `offset` of this source; throws when they do not lie within it.
  FileSource part(std::uint64_t offset, std::uint64_t length, std::string name) const;

  std::uint64_t size() const { return size_; }
  // Equal for the same bytes of the same file.
  std::pair<const void*, std::uint64_t> place() const { return {file_.get(), offset_}; }
  const std::string& name() const { return name_; }

 private:
  std::shared_ptr<const base::UniqueFd> file_;
  std::uint64_t offset_, size_;
  std::string name_;
};

// The whole of a small member; throws when it is larger than `limit`.
std::string read_text(const FileSource& source, std::uint64_t limit);

class TextSource : public sif::DataSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  std::string text_;
};

}  // namespace oci
