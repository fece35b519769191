// SPDX-License-Identifier: Apache-2.0
#include "sif/sif_editor.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/range_lock.h"
#include "base/syscalls.h"
#include "sif/sif_writer.h"

namespace sif {
namespace {

// Places in the header and in a descriptor.
constexpr std::size_t kHeaderArch = 45, kHeaderModified = 72, kHeaderFree = 80,
                      kHeaderDataSize = 120;
constexpr std::size_t kDescriptorUsed = 4, kDescriptorModified = 49, kDescriptorExtra = 201;
constexpr std::size_t kPartitionTypePlace = kDescriptorExtra + 4;
// Images without a time of their own keep it so: the zero of Go's time.
constexpr std::int64_t kNoTime = -62135596800;
constexpr std::size_t kCopyPiece = 1 << 20;

template <std::integral T>
void put(std::span<std::byte> bytes, std::size_t at, T value) {
  base::ByteWriter out;
  out.write(value);
  std::ranges::copy(out.bytes(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

void put_text(std::span<std::byte> bytes, std::size_t at, std::string_view text, std::size_t size) {
  base::ByteWriter out;
  out.text(text, size);
  std::ranges::copy(out.bytes(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

void synchronize(const SifFile& file) {
  if (::fdatasync(file.fd.get()) != 0) throw base::errno_error(errno, "cannot write ", file.name);
}

// Looks at the file under the lock only, when nobody's change is half done.
SifFile open_for_editing(const std::string& path) {
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (fd && ::flock(fd.get(), LOCK_EX) != 0) throw base::errno_error(errno, "cannot lock ", path);
  const SifFile checked = open_sif(path);
  if (!fd) fd = base::open_file(path, O_RDWR);  // tells why not
  return {std::move(fd), checked.name, {}};
}

bool is_primary(const NewObject& object) {
  constexpr std::size_t kNeeded = 8;
  return object.type == DataType::partition && object.extra.size() >= kNeeded &&
         base::little_endian<std::int32_t>(std::as_bytes(std::span(object.extra)).subspan(4)) ==
             static_cast<std::int32_t>(PartitionType::primary_system);
}

std::uint64_t copy_all(int from, std::string_view name, const SifFile& to, std::uint64_t offset) {
  std::vector<std::byte> piece(kCopyPiece);
  for (std::uint64_t copied = 0;;) {
    const std::size_t count = base::read_up_to(from, piece, name);
    base::pwrite_all(to.fd.get(), std::span(piece).first(count), offset + copied, to.name);
    copied += count;
    if (count < piece.size()) return copied;
  }
}

}  // namespace

SifEditor::SifEditor(const std::string& path) : file_(open_for_editing(path)) { reload(); }

void SifEditor::reload() {
  file_.container = read_sif(file_.fd.get(), file_.name);
  const SifHeader& header = file_.container.header;
  if (header.descriptors_offset < kHeaderSize)
    throw base::error(file_.name, ": SIF header at offset 96 has descriptor offset ",
                      header.descriptors_offset, ", expected ", kHeaderSize, " or more");
  header_.resize(kHeaderSize);
  base::pread_exactly(file_.fd.get(), header_, 0, file_.name);
  table_.resize(static_cast<std::size_t>(header.descriptors_total * kDescriptorSize));
  base::pread_exactly(file_.fd.get(), table_, header.descriptors_offset, file_.name);
  const bool timeless = header.created == kNoTime && header.uuid == std::string(16, '\0');
  now_ = timeless ? kNoTime : ::time(nullptr);
}

std::span<std::byte> SifEditor::slot_bytes(std::size_t slot) {
  return std::span(table_).subspan(slot * kDescriptorSize, kDescriptorSize);
}

std::size_t SifEditor::find_free_slot() const {
  const std::size_t total = table_.size() / kDescriptorSize;
  for (std::size_t slot = 0; slot < total; ++slot)
    if (table_[slot * kDescriptorSize + kDescriptorUsed] == std::byte{0}) return slot;
  throw base::error(file_.name, ": all ", total, " descriptors of the SIF are in use");
}

// By the objects that are there: what lies behind them was removed, or never became one.
std::uint64_t SifEditor::data_end() const {
  const SifHeader& header = file_.container.header;
  const auto file_size =
      static_cast<std::uint64_t>(base::file_status(file_.fd.get(), file_.name).st_size);
  if (header.data_offset > file_size)
    throw base::error(file_.name, ": SIF header at offset 112 has data offset ", header.data_offset,
                      ", the file ends at ", file_size);
  std::uint64_t end = std::max(header.descriptors_offset + table_.size(), header.data_offset);
  for (const SifDescriptor& each : file_.container.descriptors)
    end = std::max(end, each.offset + each.size);
  return end;
}

template <typename Write>
std::uint32_t SifEditor::add_written(const NewObject& object, Write write_content) {
  if (object.name.size() > kMaxObjectName) throw base::error("name value too large");
  if (object.alignment == 0 || object.alignment > kMaxAlignment)
    throw base::error("alignment ", object.alignment, " is not between 1 and ", kMaxAlignment);
  if (is_primary(object) && find_primary(file_.container) != nullptr)
    throw base::error("image already contains a primary partition");
  const std::size_t slot = find_free_slot();
  const std::uint64_t end = data_end();
  const std::uint64_t offset = base::round_up(end, object.alignment);
  const off_t old_size = base::file_status(file_.fd.get(), file_.name).st_size;
  std::uint64_t size = 0;
  try {
    size = write_content(offset);
    if (offset + size > static_cast<std::uint64_t>(old_size) &&
        ::ftruncate(file_.fd.get(), static_cast<off_t>(offset + size)) != 0)
      throw base::errno_error(errno, "cannot write ", file_.name);
    synchronize(file_);
  } catch (const base::Error&) {
    [[maybe_unused]] const int ignored = ::ftruncate(file_.fd.get(), old_size);
    throw;
  }
  const auto id = static_cast<std::uint32_t>(slot + 1);
  base::ByteWriter descriptor;
  append_descriptor(descriptor, {.type = object.type,
                                 .id = id,
                                 .group = object.group,
                                 .link = object.link,
                                 .offset = offset,
                                 .size = size,
                                 .padding_before = offset - end,
                                 .created = now_,
                                 .name = object.name,
                                 .extra = std::as_bytes(std::span(object.extra))});
  std::ranges::copy(descriptor.bytes(), slot_bytes(slot).begin());
  const SifContainer& container = file_.container;
  const SifHeader& header = container.header;
  if (is_primary(object)) put_text(header_, kHeaderArch, object.extra.substr(8, 3), 3);
  // Counted, whatever the header says.
  put(header_, kHeaderFree, header.descriptors_total - (container.descriptors.size() + 1));
  put(header_, kHeaderDataSize, offset + size - header.data_offset);
  publish();
  return id;
}

std::uint32_t SifEditor::add(const NewObject& object, int content, std::string_view content_name) {
  return add_written(
      object, [&](std::uint64_t offset) { return copy_all(content, content_name, file_, offset); });
}

std::uint32_t SifEditor::add(const NewObject& object, std::string_view content) {
  return add_written(object, [&](std::uint64_t offset) {
    base::pwrite_all(file_.fd.get(), std::as_bytes(std::span(content)), offset, file_.name);
    return content.size();
  });
}

std::uint32_t SifEditor::add(const NewObject& object, std::uint64_t size,
                             const std::function<void(int fd, std::uint64_t offset)>& write) {
  return add_written(object, [&](std::uint64_t offset) {
    const int fd = file_.fd.get();
    // A shorter file has no bytes of removed objects there.
    const bool is_longer =
        static_cast<std::uint64_t>(base::file_status(fd, file_.name).st_size) > offset;
    if ((is_longer && ::ftruncate(fd, static_cast<off_t>(offset)) != 0) ||
        ::ftruncate(fd, static_cast<off_t>(offset + size)) != 0)
      throw base::errno_error(errno, "cannot write ", file_.name);
    write(fd, offset);
    return size;
  });
}

void SifEditor::remove(std::uint32_t id) {
  const SifDescriptor& object = get_object(file_.container, id);
  // A run that writes to an overlay in it would write to whatever comes in its place.
  if (object.type == DataType::partition && object.size > 0 &&
      !base::try_lock_range(file_.fd.get(), object.offset, object.size, base::RangeLock::exclusive,
                            file_.name))
    throw base::error("cannot remove object ", id, " of ", file_.name, ": another process uses it");
  if (&object == find_primary(file_.container))
    put_text(header_, kHeaderArch, sif_arch_code(""), 3);
  std::ranges::fill(slot_bytes(object.slot), std::byte{0});
  put(header_, kHeaderFree, file_.container.header.descriptors_free + 1);
  publish();
}

void SifEditor::set_partition_type(const SifDescriptor& partition, PartitionType type) {
  const std::span<std::byte> bytes = slot_bytes(partition.slot);
  put(bytes, kPartitionTypePlace, static_cast<std::int32_t>(type));
  put(bytes, kDescriptorModified, now_);
}

void SifEditor::set_primary(std::uint32_t id) {
  const SifDescriptor& object = get_object(file_.container, id);
  if (object.type != DataType::partition) throw base::error("data object not a partition");
  if (object.partition == PartitionType::primary_system) return;
  if (object.partition != PartitionType::system)
    throw base::error("data object not a system partition");
  if (const SifDescriptor* old = find_primary(file_.container))
    set_partition_type(*old, PartitionType::system);
  set_partition_type(object, PartitionType::primary_system);
  put_text(header_, kHeaderArch, object.arch_code, 3);
  publish();
}

void SifEditor::publish() {
  put(header_, kHeaderModified, now_);
  const int fd = file_.fd.get();
  const std::uint64_t table_place = file_.container.header.descriptors_offset;
  std::vector<std::byte> old_table(table_.size()), old_header(header_.size());
  base::pread_exactly(fd, old_table, table_place, file_.name);
  base::pread_exactly(fd, old_header, 0, file_.name);
  try {
    base::pwrite_all(fd, table_, table_place, file_.name);
    synchronize(file_);
    base::pwrite_all(fd, header_, 0, file_.name);
    synchronize(file_);
  } catch (const base::Error&) {
    // They lie in blocks that the file has, so this fails only where reading will, too.
    [[maybe_unused]] const ssize_t table =
        ::pwrite(fd, old_table.data(), old_table.size(), static_cast<off_t>(table_place));
    [[maybe_unused]] const ssize_t header = ::pwrite(fd, old_header.data(), old_header.size(), 0);
    throw;
  }
  reload();
}

}  // namespace sif
