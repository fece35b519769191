// SPDX-License-Identifier: Apache-2.0
#include "oci/file_source.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/syscalls.h"

namespace oci {
namespace {

bool is_within(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
  return offset <= size && length <= size - offset;
}

}  // namespace

FileSource::FileSource(std::shared_ptr<const base::UniqueFd> file, std::uint64_t offset,
                       std::uint64_t size, std::string name)
    : file_(std::move(file)), offset_(offset), size_(size), name_(std::move(name)) {}

void FileSource::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (!is_within(offset, out.size(), size_)) {
    throw base::Error(base::cat(base::printable(name_), " is truncated: it has ", size_,
                                " bytes, but ", out.size(), " are expected at offset ", offset),
                      EIO);
  }
  base::pread_exactly(file_->get(), out, offset_ + offset, name_);
}

FileSource FileSource::part(std::uint64_t offset, std::uint64_t length, std::string name) const {
  if (!is_within(offset, length, size_)) {
    throw base::Error(
        base::cat(base::printable(name_), " is truncated: it has ", size_, " bytes, but ",
                  base::printable(name), " needs ", length, " at offset ", offset),
        EIO);
  }
  return {file_, offset_ + offset, length, std::move(name)};
}

std::string read_text(const FileSource& source, std::uint64_t limit) {
  if (source.size() > limit) {
    throw base::error(base::printable(source.name()), " has ", source.size(),
                      " bytes, more than the ", limit, " that make sense");
  }
  std::string text(source.size(), '\0');
  source.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void TextSource::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (!is_within(offset, out.size(), text_.size()))
    throw base::Error("a generated file was read beyond its end", EIO);
  if (!out.empty()) std::memcpy(out.data(), text_.data() + offset, out.size());
}

}  // namespace oci
