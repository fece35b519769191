// SPDX-License-Identifier: Apache-2.0
// Changes to an existing SIF, in place as siftool makes them: programs that run from it go on, and
// an image of many gigabytes is not copied. New bytes go behind all others and are on the disk
// before the descriptor table speaks of them; table and header are one write each, in this order.
// So an interruption leaves the old content or the new; between the two, with the header's counts
// and architecture still the old ones. Concurrent editors wait for each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sif/sif_reader.h"

namespace sif {

struct NewObject {
  DataType type = DataType::generic;
  std::uint32_t group = kGroupBit;  // as stored: group number | kGroupBit
  std::uint32_t link = 0;
  std::string name;
  std::string extra;            // raw bytes of the type's own fields
  std::uint64_t alignment = 1;  // of its offset
};

class SifEditor {
 public:
  static constexpr std::uint64_t kMaxAlignment = 1 << 30;

  // Throws Error for what is no SIF and for what may not be written.
  explicit SifEditor(const std::string& path);

  const SifFile& file() const { return file_; }

  // Each returns when the change is on the disk; after an Error the old content is there.
  // add() gives the new object's id; `content` is read from its position to its end.
  std::uint32_t add(const NewObject& object, int content, std::string_view content_name);
  std::uint32_t add(const NewObject& object, std::string_view content);
  // `write` fills the file from the offset that it is given; these bytes are zero, and holes.
  std::uint32_t add(const NewObject& object, std::uint64_t size,
                    const std::function<void(int fd, std::uint64_t offset)>& write);
  // The bytes stay in the file, as with siftool.
  void remove(std::uint32_t id);
  // Makes a system partition the one to run from.
  void set_primary(std::uint32_t id);

 private:
  std::span<std::byte> slot_bytes(std::size_t slot);
  std::size_t find_free_slot() const;
  std::uint64_t data_end() const;
  template <typename Write>
  std::uint32_t add_written(const NewObject& object, Write write_content);
  void set_partition_type(const SifDescriptor& partition, PartitionType type);
  void publish();
  void reload();

  SifFile file_;
  std::vector<std::byte> header_, table_;
  std::int64_t now_;
};

}  // namespace sif
