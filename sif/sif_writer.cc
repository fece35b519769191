// SPDX-License-Identifier: Apache-2.0
#include "sif/sif_writer.h"

#include <algorithm>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "base/syscalls.h"

namespace sif {
namespace {

constexpr std::uint32_t kGroup = kGroupBit | 1;  // the group that image builders put all into

std::uint64_t end_of_texts(const SifLayout& layout) {
  std::uint64_t end = kDataOffset;
  for (const SifText& text : layout.texts) end += text.content.size();
  return end;
}

void write_header(base::ByteWriter& out, std::string_view launch_line, const SifLayout& layout,
                  std::uint64_t objects, std::uint64_t data_size) {
  out.text(launch_line, 32);
  out.text("SIF_MAGIC", 10);
  out.text("01", 3);
  out.text(sif_arch_code(layout.go_arch), 3);
  out.append(std::as_bytes(std::span(layout.uuid)));
  out.write(layout.created);
  out.write(layout.created);
  out.write(std::uint64_t{kDescriptorCount - objects});
  out.write(std::uint64_t{kDescriptorCount});
  out.write(kDescriptorTableOffset);
  out.write(std::uint64_t{kDescriptorCount} * kDescriptorSize);
  out.write(kDataOffset);
  out.write(data_size);
}

void check_layout(const SifLayout& layout) {
  if (layout.texts.size() >= kDescriptorCount)
    throw base::error("a SIF holds ", kDescriptorCount, " objects, the partition included, not ",
                      layout.texts.size() + 1);
  for (const SifText& text : layout.texts)
    if (text.name.size() > kMaxObjectName)
      throw base::error("the name of a SIF object has at most ", kMaxObjectName,
                        " bytes: ", base::printable(text.name));
}

}  // namespace

void append_descriptor(base::ByteWriter& out, const SifObject& object) {
  constexpr std::uint8_t kUsed = 1;
  constexpr std::int64_t kOwner = 0;
  out.write(static_cast<std::int32_t>(object.type));
  out.write(kUsed);
  out.write(object.id);
  out.write(object.group);
  out.write(object.link);
  out.write(object.offset);
  out.write(object.size);
  out.write(object.padding_before + object.size);
  out.write(object.created);
  out.write(object.created);
  out.write(kOwner);
  out.write(kOwner);
  out.text(object.name, kMaxObjectName);
  out.append(object.extra);
  out.zeros(kExtraSize - object.extra.size());
}

void write_empty_sif(int fd, std::span<const std::uint8_t, 16> uuid, std::int64_t created) {
  SifLayout layout;
  std::ranges::copy(uuid, layout.uuid.begin());
  layout.created = created;
  base::ByteWriter out;
  write_header(out, "", layout, 0, 0);
  out.zeros(kDataOffset - out.bytes().size());
  base::pwrite_all(fd, out.bytes(), 0, "the image");
}

std::uint64_t partition_offset(const SifLayout& layout) {
  return base::round_up(end_of_texts(layout), kPartitionAlignment);
}

std::string partition_fields(FileSystemType file_system, PartitionType type,
                             std::string_view arch_code) {
  base::ByteWriter out;
  out.write(static_cast<std::int32_t>(file_system));
  out.write(static_cast<std::int32_t>(type));
  out.text(arch_code, 3);
  return out.string();
}

void write_sif_around_partition(int fd, const SifLayout& layout, std::uint64_t partition_size) {
  check_layout(layout);
  const std::uint64_t partition = partition_offset(layout);
  base::ByteWriter out;
  write_header(out, kLaunchLine, layout, layout.texts.size() + 1,
               partition + partition_size - kDataOffset);
  out.zeros(kDescriptorTableOffset - out.bytes().size());

  std::uint64_t offset = kDataOffset;
  std::uint32_t id = 0;
  for (const SifText& text : layout.texts) {
    append_descriptor(out, {.type = text.data_type,
                            .id = ++id,
                            .group = kGroup,
                            .offset = offset,
                            .size = text.content.size(),
                            .padding_before = 0,
                            .created = layout.created,
                            .name = text.name,
                            .extra = {}});
    offset += text.content.size();
  }
  const std::string extra = partition_fields(
      FileSystemType::squashfs, PartitionType::primary_system, sif_arch_code(layout.go_arch));
  append_descriptor(out, {.type = DataType::partition,
                          .id = ++id,
                          .group = kGroup,
                          .offset = partition,
                          .size = partition_size,
                          .padding_before = partition - offset,
                          .created = layout.created,
                          .name = "",
                          .extra = std::as_bytes(std::span(extra))});

  out.zeros(kDataOffset - out.bytes().size());
  for (const SifText& text : layout.texts) out.append(std::as_bytes(std::span(text.content)));
  out.zeros(partition - out.bytes().size());
  base::pwrite_all(fd, out.bytes(), 0, "the image");
}

}  // namespace sif
