// SPDX-License-Identifier: Apache-2.0
#include "runtime/directory_reply.h"

#include <array>
#include <span>

namespace runtime {

bool DirectoryReply::put(const Entry& entry, const std::function<fuse_entry_out()>& attributes) {
  const std::size_t name_offset = with_attributes_ ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
  const std::size_t record_size = FUSE_DIRENT_ALIGN(name_offset + entry.name.size());
  if (record_size > size_ - reply_.size()) return false;
  if (with_attributes_) reply_.put(attributes());
  const struct {
    std::uint64_t ino, off;
    std::uint32_t namelen, type;
  } record{entry.inode_number, entry.next_offset, static_cast<std::uint32_t>(entry.name.size()),
           entry.type};
  static_assert(sizeof(record) == FUSE_NAME_OFFSET);
  reply_.put(record);
  reply_.append(std::as_bytes(std::span(entry.name)));
  constexpr std::array<std::byte, 8> kPadding{};
  reply_.append(std::span(kPadding).first(record_size - name_offset - entry.name.size()));
  return true;
}

}  // namespace runtime
