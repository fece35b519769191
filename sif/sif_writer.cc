// SPDX-License-Identifier: Apache-2.0
#include "sif/sif_writer.h"

#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "base/syscalls.h"

namespace sif {
namespace {

constexpr std::size_t kNameSize = 128;
constexpr std::size_t kExtraSize = 384;
constexpr std::uint32_t kGroup = kGroupBit | 1;  // the group that image builders put all into

std::uint64_t end_of_texts(const SifLayout& layout) {
  std::uint64_t end = kDataOffset;
  for (const SifText& text : layout.texts) end += text.content.size();
  return end;
}

struct Object {
  DataType data_type;
  std::uint32_t id;
  std::uint64_t offset, size, padding_before;
  std::string_view name;
};

void write_descriptor(base::ByteWriter& out, const SifLayout& layout, const Object& object,
                      std::span<const std::byte> extra) {
  constexpr std::uint8_t kUsed = 1;
  constexpr std::uint32_t kNoLink = 0;
  constexpr std::int64_t kOwner = 0;
  out.write(static_cast<std::int32_t>(object.data_type));
  out.write(kUsed);
  out.write(object.id);
  out.write(kGroup);
  out.write(kNoLink);
  out.write(object.offset);
  out.write(object.size);
  out.write(object.padding_before + object.size);
  out.write(layout.created);
  out.write(layout.created);
  out.write(kOwner);
  out.write(kOwner);
  out.text(object.name, kNameSize);
  out.append(extra);
  out.zeros(kExtraSize - extra.size());
}

void write_header(base::ByteWriter& out, const SifLayout& layout, std::uint64_t data_size) {
  out.text(kLaunchLine, 32);
  out.text("SIF_MAGIC", 10);
  out.text("01", 3);
  out.text(sif_arch_code(layout.go_arch), 3);
  out.append(std::as_bytes(std::span(layout.uuid)));
  out.write(layout.created);
  out.write(layout.created);
  out.write(std::uint64_t{kDescriptorCount - layout.texts.size() - 1});
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
    if (text.name.size() >= kNameSize)
      throw base::error("the name of a SIF object has at most ", kNameSize - 1,
                        " bytes: ", base::printable(text.name));
}

}  // namespace

std::uint64_t partition_offset(const SifLayout& layout) {
  return base::round_up(end_of_texts(layout), kPartitionAlignment);
}

void write_sif_around_partition(int fd, const SifLayout& layout, std::uint64_t partition_size) {
  check_layout(layout);
  const std::uint64_t partition = partition_offset(layout);
  base::ByteWriter out;
  write_header(out, layout, partition + partition_size - kDataOffset);
  out.zeros(kDescriptorTableOffset - out.bytes().size());

  std::uint64_t offset = kDataOffset;
  std::uint32_t id = 0;
  for (const SifText& text : layout.texts) {
    write_descriptor(out, layout, {text.data_type, ++id, offset, text.content.size(), 0, text.name},
                     {});
    offset += text.content.size();
  }
  base::ByteWriter extra;
  extra.write(static_cast<std::int32_t>(FileSystemType::squashfs));
  extra.write(static_cast<std::int32_t>(PartitionType::primary_system));
  extra.text(sif_arch_code(layout.go_arch), 3);
  write_descriptor(out, layout,
                   {DataType::partition, ++id, partition, partition_size, partition - offset, ""},
                   extra.bytes());

  out.zeros(kDataOffset - out.bytes().size());
  for (const SifText& text : layout.texts) out.append(std::as_bytes(std::span(text.content)));
  out.zeros(partition - out.bytes().size());
  base::pwrite_all(fd, out.bytes(), 0, "the image");
}

}  // namespace sif
