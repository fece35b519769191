// SPDX-License-Identifier: Apache-2.0
// Reads the headers of a tar archive, leaving the data where it is: each entry says at which
// offsets its bytes stand. An own parser rather than libarchive, because names must be the
// archive's bytes (libarchive converts pax names to the C locale and complains about each non-ASCII
// one), positions of sparse data are needed (libarchive hides them), and doubtful archives must
// mean what they mean to Go's archive/tar, which Docker uses.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "oci/tar_extensions.h"
#include "oci/tar_header.h"
#include "sif/tree.h"

namespace oci {

inline constexpr std::uint64_t kMaxTarName = 1 << 16;  // a GNU long name or link, in bytes

enum class EntryType : std::uint8_t {
  regular,
  hard_link,
  symlink,
  char_device,
  block_device,
  fifo,
  directory
};

struct TarEntry {
  std::string path;  // the archive's bytes, not cleaned
  EntryType type = EntryType::regular;
  std::uint16_t mode = 0;  // 07777
  std::uint32_t uid = 0, gid = 0;
  std::int64_t mtime = 0;  // whole seconds, rounded down
  std::uint32_t device_major = 0, device_minor = 0;
  std::uint64_t size = 0;  // regular files only
  std::string link_target;
  std::map<std::string, std::string> xattrs;
  std::uint64_t header_offset = 0;  // of the first header block of this entry
  std::uint64_t data_offset = 0;
  std::vector<sif::DataExtent> extents;  // where a regular file's bytes stand, holes left out
};

class TarReader {
 public:
  // `source` is borrowed and has `size` bytes; `name` appears in messages.
  TarReader(const sif::DataSource& source, std::uint64_t size, std::string name);

  // The next entry; nullopt at the end. Throws Error naming archive, member and offset.
  std::optional<TarEntry> next();
  // Whether the archive ended with its two zero blocks and not just with the file.
  bool saw_end_marker() const { return saw_end_marker_; }

 private:
  struct Extensions {
    PaxRecords pax;
    std::string long_name, long_link;
  };

  // Valid until the next call.
  TarBlock read_block(std::uint64_t offset, const TarPosition& position);
  std::optional<TarHeader> read_header(const TarPosition& position);
  std::string read_extension(std::uint64_t size, std::uint64_t limit, const TarPosition& position);
  // True if the header belonged to an extension, which is then in `extensions`.
  bool take_extension(const TarHeader& header, Extensions& extensions, const TarPosition& position);
  TarEntry make_entry(TarHeader header, const Extensions& extensions, std::uint64_t start);
  void place_data(TarEntry& entry, char type, std::uint64_t stored_size, const PaxRecords& pax,
                  const TarPosition& position);
  void place_sparse_data(TarEntry& entry, char type, std::uint64_t end, const PaxRecords& pax,
                         const TarPosition& position);
  // Checks that `size` bytes follow the current position and gives their end.
  std::uint64_t end_of_data(std::uint64_t size, const TarPosition& position) const;

  const sif::DataSource& source_;
  std::uint64_t size_;
  std::string name_;
  std::uint64_t position_ = 0;
  std::uint64_t header_position_ = 0;
  bool saw_end_marker_ = false;
  bool finished_ = false;
  std::vector<std::byte> window_;  // bytes around the headers, read ahead in one go
  std::uint64_t window_offset_ = 0;
};

}  // namespace oci
