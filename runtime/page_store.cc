// SPDX-License-Identifier: Apache-2.0
#include "runtime/page_store.h"

#include <linux/fuse.h>
#include <unistd.h>

#include <cstring>
#include <span>

#include "runtime/fuse_protocol.h"

namespace runtime {

bool PageStore::put(sif::InodeRef file, std::uint64_t offset, std::uint32_t size) {
  fuse_out_header header{};
  fuse_notify_store_out out{};
  constexpr std::size_t kHead = sizeof header + sizeof out;
  message_.resize(kHead + size);
  out.nodeid = node_id_of(file);
  out.offset = offset;
  out.size = static_cast<std::uint32_t>(
      reader_.read_file(file, offset, std::span(message_).subspan(kHead)));
  header.error = FUSE_NOTIFY_STORE;
  header.len = static_cast<std::uint32_t>(kHead + out.size);
  std::memcpy(message_.data(), &header, sizeof header);
  std::memcpy(message_.data() + sizeof header, &out, sizeof out);
  if (::write(device_fd_, message_.data(), header.len) < 0) return false;
  if (recorder_ != nullptr) recorder_->read(out.nodeid, offset, out.size);
  return true;
}

}  // namespace runtime
