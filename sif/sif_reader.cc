// SPDX-License-Identifier: Apache-2.0
#include "sif/sif_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "sif/squashfs_format.h"

namespace sif {
namespace {

constexpr std::string_view kMagic = "SIF_MAGIC";
constexpr std::uint64_t kMagicOffset = 32;
constexpr std::string_view kVersion = "01";
// Singularity 2.4 to 2.6 put this line in front of a bare squashfs or ext3 image.
constexpr std::string_view kOldLaunchLine = " run-singularity\n";
constexpr std::size_t kSniffedBytes = 2048;

// Corrupt or unsupported bytes, as against a failed system call.
base::Error format_error(const std::string& message) { return base::Error(message, EIO); }

std::uint64_t file_size_of(int fd, const std::string& name) {
  return static_cast<std::uint64_t>(base::file_status(fd, name).st_size);
}

std::string start_of_file(int fd, const std::string& name) {
  std::string start(kSniffedBytes, '\0');
  start.resize(base::pread_up_to(fd, std::as_writable_bytes(std::span(start)), 0, name));
  return start;
}

SifHeader parse_header(std::span<const std::byte> bytes, const std::string& name) {
  base::ByteReader reader(bytes, "SIF header");
  SifHeader header;
  header.launch_line = reader.text(32);
  if (reader.text(10) != kMagic)
    throw format_error(base::cat(name, " is not a SIF: no SIF_MAGIC at offset ", kMagicOffset));
  header.version = reader.text(3);
  if (header.version != kVersion) {
    throw format_error(base::cat(name, ": SIF header at offset 42 has version ",
                                 base::printable(header.version), ", expected ", kVersion));
  }
  header.arch_code = reader.text(3);
  const std::span<const std::byte> uuid = reader.take(16);
  header.uuid.assign(reinterpret_cast<const char*>(uuid.data()), uuid.size());
  header.created = reader.read<std::int64_t>();
  header.modified = reader.read<std::int64_t>();
  header.descriptors_free = reader.read<std::uint64_t>();
  header.descriptors_total = reader.read<std::uint64_t>();
  header.descriptors_offset = reader.read<std::uint64_t>();
  header.descriptors_size = reader.read<std::uint64_t>();
  header.data_offset = reader.read<std::uint64_t>();
  header.data_size = reader.read<std::uint64_t>();
  return header;
}

void check_within_file(std::uint64_t offset, std::uint64_t size, std::uint64_t file_size,
                       const std::string& name, const std::string& structure) {
  if (offset <= file_size && size <= file_size - offset) return;
  throw format_error(base::cat(name, " is truncated or corrupt: ", structure, " at offset ", offset,
                               " with ", size, " bytes reaches beyond the file's ", file_size,
                               " bytes"))
      .with_hint("copy or build the image again");
}

SifDescriptor parse_descriptor(base::ByteReader& reader) {
  SifDescriptor descriptor;
  descriptor.id = reader.read<std::uint32_t>();
  descriptor.group = reader.read<std::uint32_t>();
  descriptor.link = reader.read<std::uint32_t>();
  descriptor.offset = reader.read<std::uint64_t>();
  descriptor.size = reader.read<std::uint64_t>();
  reader.skip(sizeof(std::int64_t));  // size with padding
  descriptor.created = reader.read<std::int64_t>();
  descriptor.modified = reader.read<std::int64_t>();
  reader.skip(2 * sizeof(std::int64_t));  // owner, always written as 0
  descriptor.name = reader.text(128);
  const std::span<const std::byte> extra = reader.take(kExtraSize);
  descriptor.extra.assign(reinterpret_cast<const char*>(extra.data()), extra.size());
  return descriptor;
}

void parse_partition(SifDescriptor& descriptor) {
  base::ByteReader extra(std::as_bytes(std::span(descriptor.extra)), "SIF partition descriptor");
  descriptor.file_system = static_cast<FileSystemType>(extra.read<std::int32_t>());
  descriptor.partition = static_cast<PartitionType>(extra.read<std::int32_t>());
  descriptor.arch_code = extra.text(3);
}

// Throws unless a squashfs of at most `size` bytes starts at `offset`.
void check_squashfs(int fd, std::uint64_t offset, std::uint64_t size, const std::string& name) {
  std::array<std::byte, kSuperblockSize> bytes{};
  if (size < bytes.size() || base::pread_up_to(fd, bytes, offset, name) < bytes.size())
    throw format_error(base::cat(name, " is truncated: ", size, " bytes at offset ", offset,
                                 " are too few for a squashfs"))
        .with_hint("copy or build the image again");
  base::ByteReader reader(bytes, "squashfs superblock");
  const auto magic = reader.read<std::uint32_t>();
  if (magic != kSquashfsMagic)
    throw format_error(base::cat(name, ": no squashfs at offset ", offset, ": magic number ", magic,
                                 ", expected ", kSquashfsMagic));
  reader.skip(36);
  const auto used = reader.read<std::uint64_t>();
  if (used > size)
    throw format_error(base::cat(name, " is truncated: its squashfs at offset ", offset, " has ",
                                 used, " bytes, of which ", size, " are there"))
        .with_hint("copy or build the image again");
}

[[noreturn]] void throw_unsupported_partition(const SifDescriptor& partition,
                                              const std::string& name) {
  switch (partition.file_system) {
    case FileSystemType::encrypted_squashfs:
    case FileSystemType::gocryptfs_squashfs:
      throw format_error(name + ": the image is encrypted, which is not supported")
          .with_hint("build it again without --encrypt");
    case FileSystemType::ext3:
      throw format_error(
          base::cat(name, ": partition ", partition.id, " is an ext3 file system, not a squashfs"))
          .with_hint(partition.partition == PartitionType::overlay
                         ? "keep changes in a folder: --overlay FOLDER"
                         : "convert it once: sifrun build NEW.sif " + name);
    default:
      throw format_error(base::cat(name, ": partition ", partition.id, " has file system type ",
                                   static_cast<std::int32_t>(partition.file_system),
                                   ", expected 1 (squashfs)"));
  }
}

[[noreturn]] void throw_missing_partition(PartitionChoice choice, const std::string& name) {
  if (choice.id != 0)
    throw format_error(base::cat(name, ": no partition has the id ", choice.id))
        .with_hint("`siftool list` shows what is in it");
  if (choice.kind != PartitionType::primary_system)
    throw format_error(name + ": no such partition in this SIF")
        .with_hint("`siftool list` shows what is in it");
  throw format_error(name + ": no primary system partition in this SIF: there is nothing to run")
      .with_hint("`siftool list` shows what is in it; data and overlay containers cannot be run");
}

enum class Accepted { squashfs, ext3_too };

ImageFile open_sif_image(base::UniqueFd fd, const std::string& path, const std::string& name,
                         PartitionChoice choice, Accepted accepted) {
  const SifContainer container = read_sif(fd.get(), name);
  const auto partition = std::ranges::find_if(container.descriptors, [&](const auto& each) {
    return each.type == DataType::partition &&
           (choice.id != 0 ? each.id == choice.id : each.partition == choice.kind);
  });
  if (partition == container.descriptors.end()) throw_missing_partition(choice, name);
  if (partition->file_system == FileSystemType::squashfs) {
    check_squashfs(fd.get(), partition->offset, partition->size, name);
  } else if (partition->file_system != FileSystemType::ext3 || accepted == Accepted::squashfs) {
    throw_unsupported_partition(*partition, name);
  }
  ImageFile image{std::move(fd),
                  path,
                  partition->offset,
                  partition->size,
                  std::string(go_arch_of_code(partition->arch_code)),
                  {},
                  partition->file_system};
  for (const SifDescriptor& each : container.descriptors) {
    if (each.type == DataType::partition && each.partition == PartitionType::overlay)
      image.overlays.push_back(each.id);
  }
  return image;
}

std::size_t bare_image_offset(std::string_view start) {
  if (!start.starts_with("#!")) return 0;
  const std::size_t at = start.find(kOldLaunchLine);
  return at == start.npos ? 0 : at + kOldLaunchLine.size();
}

bool is_bare_squashfs(std::string_view start) {
  return start.substr(bare_image_offset(start)).starts_with("hsqs");
}

// The magic alone is two bytes, which any archive may have there; the block size (1 KiB, shifted by
// up to 6) rules those out.
bool is_bare_ext(std::string_view start) {
  constexpr std::size_t kSuperblock = 1024, kBlockSizeAt = 24, kMagicAt = 56, kEnd = 58;
  start.remove_prefix(bare_image_offset(start));
  if (start.size() < kSuperblock + kEnd) return false;
  const auto superblock = std::as_bytes(std::span(start)).subspan(kSuperblock);
  return base::little_endian<std::uint16_t>(superblock.subspan(kMagicAt)) == 0xEF53 &&
         base::little_endian<std::uint32_t>(superblock.subspan(kBlockSizeAt)) <= 6;
}

[[noreturn]] void throw_unknown_format(std::string_view start, const std::string& name) {
  if (start.empty()) throw format_error(name + " is empty, not a SIF or squashfs image");
  if (is_bare_ext(start))
    throw format_error(name + " is an ext3 image, not a SIF or squashfs image")
        .with_hint("convert it once: sifrun build NEW.sif " + name);
  base::Error error = format_error(name + " is neither a SIF nor a squashfs image");
  const bool tar = start.size() > 262 && start.substr(257, 5) == "ustar";
  if (tar || start.starts_with("\x1F\x8B") || start.starts_with("\x28\xB5\x2F\xFD"))
    throw std::move(error).with_hint("convert an archive of docker save with: sifconv " + name);
  throw error;
}

base::UniqueFd open_for_reading(const std::string& path, const std::string& name) {
  // Without O_NONBLOCK a FIFO would wait for a writer for ever.
  std::optional<base::UniqueFd> fd;
  try {
    fd = base::find_file(path, O_RDONLY | O_NONBLOCK);
  } catch (const base::Error& error) {
    if (error.errno_value() != EACCES) throw;
    throw base::Error(error).with_hint(
        "the image and the folders above it must be readable for you");
  }
  if (!fd) throw base::errno_error(ENOENT, "image not found: ", name);
  const struct stat status = base::file_status(fd->get(), name);
  if (S_ISDIR(status.st_mode))
    throw base::Error(base::cat(name, " is a directory, not an image file"), EISDIR);
  if (!S_ISREG(status.st_mode))
    throw base::Error(base::cat(name, " is not a regular file"), EINVAL);
  return std::move(*fd);
}

ImageFile open_accepted(const std::string& path, PartitionChoice choice, Accepted accepted) {
  const std::string name = base::printable(path);
  base::UniqueFd fd = open_for_reading(path, name);
  if (is_sif(fd.get())) return open_sif_image(std::move(fd), path, name, choice, accepted);

  const std::string start = start_of_file(fd.get(), name);
  const std::size_t offset = bare_image_offset(start);
  const bool is_squashfs = is_bare_squashfs(start);
  if (!is_squashfs && (!is_bare_ext(start) || accepted == Accepted::squashfs))
    throw_unknown_format(start, name);
  const std::uint64_t size = file_size_of(fd.get(), name) - offset;
  if (is_squashfs) check_squashfs(fd.get(), offset, size, name);
  return {std::move(fd),
          path,
          offset,
          size,
          "",
          {},
          is_squashfs ? FileSystemType::squashfs : FileSystemType::ext3};
}

}  // namespace

bool is_sif(int fd) {
  std::array<char, kMagic.size()> magic{};
  const std::size_t count =
      base::pread_up_to(fd, std::as_writable_bytes(std::span(magic)), kMagicOffset, "the image");
  return std::string_view(magic.data(), count) == kMagic;
}

bool is_image(int fd, const std::string& name) {
  const std::string start = start_of_file(fd, name);
  return is_sif(fd) || is_bare_squashfs(start) || is_bare_ext(start);
}

SifContainer read_sif(int fd, const std::string& name) {
  std::array<std::byte, kHeaderSize> header_bytes{};
  base::pread_exactly(fd, header_bytes, 0, name);
  SifContainer container{parse_header(header_bytes, name), {}};
  const SifHeader& header = container.header;
  if (header.descriptors_total > kMaxDescriptors)
    throw format_error(base::cat(name, ": SIF header at offset 88 has ", header.descriptors_total,
                                 " descriptors, allowed are ", kMaxDescriptors));
  const std::uint64_t table_size = header.descriptors_total * kDescriptorSize;
  check_within_file(header.descriptors_offset, table_size, file_size_of(fd, name), name,
                    "the SIF descriptor table");

  std::vector<std::byte> table(static_cast<std::size_t>(table_size));
  base::pread_exactly(fd, table, header.descriptors_offset, name);
  // Asked for now: whoever adds an object meanwhile makes room for it first.
  const std::uint64_t file_size = file_size_of(fd, name);
  for (std::size_t slot = 0; slot < header.descriptors_total; ++slot) {
    const std::span bytes = std::span(table).subspan(slot * kDescriptorSize, kDescriptorSize);
    base::ByteReader reader(bytes, "SIF descriptor");
    const auto type = static_cast<DataType>(reader.read<std::int32_t>());
    const bool used = reader.read<std::uint8_t>() != 0;
    if (!used) continue;
    SifDescriptor descriptor = parse_descriptor(reader);
    descriptor.type = type;
    descriptor.slot = slot;
    check_within_file(descriptor.offset, descriptor.size, file_size, name,
                      base::cat("SIF object ", descriptor.id));
    if (type == DataType::partition) parse_partition(descriptor);
    container.descriptors.push_back(std::move(descriptor));
  }
  return container;
}

std::optional<SifFile> find_sif(const std::string& path) {
  SifFile file{{}, base::printable(path), {}};
  const std::optional<struct stat> status = base::find_status(path);
  if (status && S_ISDIR(status->st_mode)) return std::nullopt;
  file.fd = open_for_reading(path, file.name);
  if (!is_sif(file.fd.get())) return std::nullopt;
  file.container = read_sif(file.fd.get(), file.name);
  return file;
}

SifFile open_sif(const std::string& path) {
  std::optional<SifFile> file = find_sif(path);
  if (!file) throw format_error(base::printable(path) + ": invalid SIF magic");
  return std::move(*file);
}

const SifDescriptor& get_object(const SifContainer& container, std::uint32_t id) {
  const auto found = std::ranges::find(container.descriptors, id, &SifDescriptor::id);
  if (found == container.descriptors.end()) throw base::error("object not found: ", id);
  return *found;
}

const SifDescriptor* find_primary(const SifContainer& container) {
  const auto found = std::ranges::find_if(container.descriptors, [](const SifDescriptor& each) {
    return each.type == DataType::partition && each.partition == PartitionType::primary_system;
  });
  return found == container.descriptors.end() ? nullptr : &*found;
}

const SifDescriptor* find_object(const SifContainer& container, std::string_view name) {
  const auto found = std::ranges::find(container.descriptors, name, &SifDescriptor::name);
  return found == container.descriptors.end() ? nullptr : &*found;
}

std::string read_object(const SifFile& file, const SifDescriptor& object, std::size_t limit) {
  if (object.size > limit)
    throw format_error(base::cat(file.name, ": SIF object ", object.id, " has ", object.size,
                                 " bytes, allowed are ", limit));
  std::string bytes(static_cast<std::size_t>(object.size), '\0');
  base::pread_exactly(file.fd.get(), std::as_writable_bytes(std::span(bytes)), object.offset,
                      file.name);
  return bytes;
}

ImageFile open_image(const std::string& path, PartitionChoice choice) {
  return open_accepted(path, choice, Accepted::squashfs);
}

ImageFile open_any_image(const std::string& path, PartitionChoice choice) {
  return open_accepted(path, choice, Accepted::ext3_too);
}

}  // namespace sif
