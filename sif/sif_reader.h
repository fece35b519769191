// SPDX-License-Identifier: Apache-2.0
// Reads SIF containers, Apptainer's and old ones included, and finds the file system to run from.
// Bytes are hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "sif/sif_format.h"

namespace sif {

struct SifDescriptor {
  DataType type{};
  std::size_t slot = 0;  // in the descriptor table
  std::uint32_t id = 0, group = 0, link = 0;
  std::uint64_t offset = 0, size = 0;  // checked to lie within the file
  std::int64_t created = 0, modified = 0;
  std::string name;
  std::string extra;  // 384 raw bytes
  // Partitions only:
  FileSystemType file_system{};
  PartitionType partition{};
  std::string arch_code;
};

struct SifHeader {
  std::string launch_line, version, arch_code;
  std::string uuid;  // 16 raw bytes
  std::int64_t created = 0, modified = 0;
  std::uint64_t descriptors_free = 0, descriptors_total = 0, descriptors_offset = 0,
                descriptors_size = 0;
  std::uint64_t data_offset = 0, data_size = 0;
};

struct SifContainer {
  SifHeader header;
  std::vector<SifDescriptor> descriptors;  // used ones, in table order
};

// True when "SIF_MAGIC" stands where the header has it.
bool is_sif(int fd);
// That, or a squashfs or ext3, which may come behind the launch line of Singularity 2. `name` is
// for messages.
bool is_image(int fd, const std::string& name);
// Throws Error naming structure, offset, found value and allowed range.
SifContainer read_sif(int fd, const std::string& name);

// A SIF and what is in it.
struct SifFile {
  base::UniqueFd fd;
  std::string name;  // for messages
  SifContainer container;
};
// nullopt for a readable file of another format. Throws as open_image() and read_sif() do.
std::optional<SifFile> find_sif(const std::string& path);
SifFile open_sif(const std::string& path);
// The object of that id; throws "object not found".
const SifDescriptor& get_object(const SifContainer& container, std::uint32_t id);
// What is run of it; null if there is none.
const SifDescriptor* find_primary(const SifContainer& container);
// The first object of that name; null if there is none.
const SifDescriptor* find_object(const SifContainer& container, std::string_view name);
// An object's bytes; throws when there are more than `limit`.
std::string read_object(const SifFile& file, const SifDescriptor& object, std::size_t limit);

// A file system to run from or to lay over it.
struct ImageFile {
  base::UniqueFd fd;
  std::string path;  // as given by the user
  std::uint64_t offset = 0, size = 0;
  std::string go_arch;                  // empty for a bare squashfs or an unknown code
  std::vector<std::uint32_t> overlays;  // ids of a SIF's overlay partitions, in their order
  FileSystemType file_system = FileSystemType::squashfs;
};

// A partition of a SIF: by its id, else the first of its kind.
struct PartitionChoice {
  PartitionType kind = PartitionType::primary_system;
  std::uint32_t id = 0;  // 0: none given
  bool operator==(const PartitionChoice&) const = default;
};

// Opens a partition of a SIF, or a bare squashfs file. Throws Error with a hint: absent,
// unreadable, a directory, neither format, truncated, encrypted, ext3, no such partition.
ImageFile open_image(const std::string& path, PartitionChoice choice = {});
// The same, but ext3 is no mistake. Of such a file system nothing is checked yet.
ImageFile open_any_image(const std::string& path, PartitionChoice choice = {});

}  // namespace sif
