// SPDX-License-Identifier: Apache-2.0
#include "sif/file_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "sif/thread_decompressor.h"

namespace sif {
namespace {

constexpr std::size_t kCacheBytes = 8 << 20;  // 64 blocks of the usual size
constexpr std::uint32_t kFragmentEntryBytes = 16;
constexpr std::uint32_t kFragmentsPerBlock = kMetadataBlockSize / kFragmentEntryBytes;
constexpr std::uint64_t kCheckpointStride = 256;
constexpr std::uint64_t kMaxCheckpoints = 16384;

std::size_t cache_blocks(std::uint32_t block_size) {
  return std::clamp<std::size_t>(kCacheBytes / block_size, 16, 512);
}

}  // namespace

FileReader::FileReader(const ImageTables& tables)
    : tables_(tables), cache_(cache_blocks(tables.super.block_size), tables.super.block_size) {
  if (tables.super.fragment_count > 0) {
    fragment_index_ =
        read_table_index(tables.image, tables.super.fragment_table, tables.super.fragment_count,
                         kFragmentEntryBytes, "fragment table");
  }
}

std::uint32_t FileReader::stored_size(std::uint32_t size_word) const {
  const std::uint32_t size = size_word & ~kBlockStoredBit;
  if (size > tables_.super.block_size) {
    throw tables_.image.corrupt("stored block of ", size, " bytes, allowed are ",
                                tables_.super.block_size);
  }
  return size;
}

// Inflates a stored block to at most `out.size()` bytes.
std::size_t FileReader::load(std::uint64_t position, std::uint32_t size_word,
                             std::span<std::byte> out) const {
  const std::uint32_t size = stored_size(size_word);
  if ((size_word & kBlockStoredBit) != 0) {
    if (size > out.size())
      throw tables_.image.corrupt("plain block of ", size, " bytes where ", out.size(), " belong");
    tables_.image.read(position, out.first(size), "data block");
    return size;
  }
  const std::span<std::byte> stored = thread_input_buffer(size);
  tables_.image.read(position, stored, "data block");
  return inflate_block(tables_.image, tables_.super.codec, position, stored, out);
}

BlockCache::BlockPointer FileReader::cached_block(std::uint64_t position, std::uint32_t size_word,
                                                  std::size_t capacity) const {
  return cache_.get({position, size_word, static_cast<std::uint32_t>(capacity)},
                    [&](std::span<std::byte> buffer) { return load(position, size_word, buffer); });
}

// Bytes [skip, skip + out.size()) of a block of `block_bytes` inflated bytes.
void FileReader::read_block(std::uint64_t position, std::uint32_t size_word,
                            std::size_t block_bytes, std::size_t skip,
                            std::span<std::byte> out) const {
  if (size_word == 0) {  // a hole
    std::fill(out.begin(), out.end(), std::byte{0});
    return;
  }
  const auto check_size = [&](std::size_t found) {
    if (found != block_bytes) {
      throw tables_.image.corrupt("block at offset ", position, " inflates to ", found, " of ",
                                  block_bytes, " bytes");
    }
  };
  if ((size_word & kBlockStoredBit) != 0) {
    check_size(stored_size(size_word));
    tables_.image.read(position + skip, out, "data block");
    return;
  }
  BlockCache::BlockPointer block;
  if (out.size() == block_bytes) {
    block = cache_.find({position, size_word, static_cast<std::uint32_t>(block_bytes)});
    if (!block) {
      check_size(load(position, size_word, out));
      return;
    }
  } else {
    block = cached_block(position, size_word, block_bytes);
  }
  check_size(block->bytes().size());
  std::memcpy(out.data(), block->bytes().data() + skip, out.size());
}

StoredBlock FileReader::fragment_block(const InodeRecord& file) const {
  if (file.fragment >= tables_.super.fragment_count) {
    throw tables_.image.corrupt("inode ", file.attributes.inode_number, " wants fragment ",
                                file.fragment, " of ", tables_.super.fragment_count);
  }
  MetadataCursor entry(tables_.metadata,
                       {fragment_index_[file.fragment / kFragmentsPerBlock],
                        file.fragment % kFragmentsPerBlock * kFragmentEntryBytes},
                       tables_.super.fragment_table, "fragment table");
  StoredBlock block;
  block.position = entry.read<std::uint64_t>();
  block.size_word = entry.read<std::uint32_t>();
  return block;
}

// Bytes [skip, skip + out.size()) of a file's tail end of `tail_bytes`.
void FileReader::read_tail(const InodeRecord& file, std::size_t tail_bytes, std::size_t skip,
                           std::span<std::byte> out) const {
  const StoredBlock stored = fragment_block(file);
  const BlockCache::BlockPointer block =
      cached_block(stored.position, stored.size_word, tables_.super.block_size);
  const std::size_t available = block->bytes().size();
  if (file.fragment_offset > available || tail_bytes > available - file.fragment_offset) {
    throw tables_.image.corrupt("inode ", file.attributes.inode_number, " wants ", tail_bytes,
                                " bytes at ", file.fragment_offset, " of a fragment of ",
                                available);
  }
  std::memcpy(out.data(), block->bytes().data() + file.fragment_offset + skip, out.size());
}

FileReader::ListPosition FileReader::advance(ListPosition from, std::uint64_t blocks) const {
  if (blocks == 0) return from;
  MetadataCursor in = inode_table_cursor(tables_, from.size_word);
  while (blocks > 0) {
    const std::span<const std::byte> some =
        in.take_some(std::min<std::uint64_t>(blocks * 4, kMetadataBlockSize));
    std::size_t at = 0;
    for (; at + 4 <= some.size(); at += 4, --blocks)
      from.data_position += stored_size(base::little_endian<std::uint32_t>(some.subspan(at)));
    if (at == some.size()) continue;
    std::array<std::byte, 4> split{};  // a word across two metadata blocks
    const std::size_t have = some.size() - at;
    std::memcpy(split.data(), some.data() + at, have);
    in.read_into(std::span(split).subspan(have));
    from.data_position += stored_size(base::little_endian<std::uint32_t>(split));
    --blocks;
  }
  from.size_word = in.position();
  return from;
}

FileReader::ListPosition FileReader::find_block(const InodeRecord& file, std::uint64_t block_count,
                                                std::uint64_t block) const {
  const ListPosition start{file.data_position, file.tail};
  if (block_count <= kCheckpointStride) return advance(start, block);
  const auto known = checkpoints_.get(file.attributes.ref, [&] {
    auto fresh = std::make_shared<Checkpoints>();
    fresh->stride = std::max(kCheckpointStride,
                             std::bit_ceil((block_count + kMaxCheckpoints - 1) / kMaxCheckpoints));
    fresh->places.push_back(start);
    return fresh;
  });
  const std::uint64_t wanted = block / known->stride;
  ListPosition from;
  {
    const std::lock_guard lock(known->mutex);
    while (known->places.size() <= wanted)
      known->places.push_back(advance(known->places.back(), known->stride));
    from = known->places[wanted];
  }
  return advance(from, block % known->stride);
}

std::uint64_t FileReader::checked_block_count(const InodeRecord& file) const {
  if (file.attributes.type != FileType::regular)
    throw base::errno_error(EINVAL, "inode ", file.attributes.ref);
  const std::uint64_t blocks = block_count(tables_, file);
  if (blocks > kMaxBlocksPerFile) {
    throw tables_.image.corrupt("inode ", file.attributes.inode_number, " has ", blocks,
                                " blocks, allowed are ", kMaxBlocksPerFile);
  }
  if (file.data_position > tables_.image.size() && blocks > 0)
    throw tables_.image.corrupt("file data at offset ", file.data_position);
  return blocks;
}

std::size_t FileReader::read(const InodeRecord& file, std::uint64_t offset,
                             std::span<std::byte> out) const {
  const std::uint64_t size = file.attributes.size;
  const std::uint64_t blocks = checked_block_count(file);
  if (offset >= size) return 0;
  out = out.first(std::min<std::uint64_t>(out.size(), size - offset));

  const std::uint64_t block_size = tables_.super.block_size;
  std::size_t done = 0;
  std::uint64_t block = offset / block_size;
  std::optional<MetadataCursor> sizes;
  ListPosition place;
  while (done < out.size()) {
    const std::uint64_t block_start = block * block_size;
    const std::size_t block_bytes = std::min(block_size, size - block_start);
    const std::size_t skip = offset + done - block_start;
    const std::span<std::byte> part =
        out.subspan(done, std::min(block_bytes - skip, out.size() - done));
    if (block >= blocks) {
      read_tail(file, block_bytes, skip, part);
    } else {
      if (!sizes) {
        place = find_block(file, blocks, block);
        sizes.emplace(inode_table_cursor(tables_, place.size_word));
      }
      const auto size_word = sizes->read<std::uint32_t>();
      const std::uint32_t stored = stored_size(size_word);
      read_block(place.data_position, size_word, block_bytes, skip, part);
      place.data_position += stored;
    }
    done += part.size();
    ++block;
  }
  return done;
}

void FileReader::visit_blocks(const InodeRecord& file,
                              const std::function<void(const StoredBlock&)>& visit) const {
  const std::uint64_t blocks = checked_block_count(file), block_size = tables_.super.block_size;
  MetadataCursor sizes = inode_table_cursor(tables_, file.tail);
  StoredBlock block{file.data_position};
  for (std::uint64_t i = 0; i < blocks; ++i) {
    block.size_word = sizes.read<std::uint32_t>();
    block.length =
        static_cast<std::uint32_t>(std::min(block_size, file.attributes.size - i * block_size));
    const std::uint32_t stored = stored_size(block.size_word);
    visit(block);
    block.position += stored;
  }
}

std::optional<StoredTail> FileReader::stored_tail(const InodeRecord& file) const {
  const auto size = static_cast<std::uint32_t>(file.attributes.size % tables_.super.block_size);
  checked_block_count(file);
  if (file.fragment == kNoFragment || size == 0) return std::nullopt;
  StoredTail tail{file.fragment, file.fragment_offset, size, fragment_block(file)};
  if (tail.offset > tables_.super.block_size || size > tables_.super.block_size - tail.offset)
    throw tables_.image.corrupt("inode ", file.attributes.inode_number, " wants ", size,
                                " bytes at ", tail.offset, " of a fragment");
  tail.block.length = tail.offset + size;
  return tail;
}

std::size_t FileReader::copy_block(const StoredBlock& block, bool is_of_tails,
                                   std::span<std::byte> out, std::span<std::byte> scratch) const {
  const std::span<std::byte> stored = out.first(stored_size(block.size_word));
  tables_.image.read(block.position, stored, "data block");
  const bool is_plain = (block.size_word & kBlockStoredBit) != 0;
  const std::size_t found =
      is_plain ? stored.size()
               : inflate_block(tables_.image, tables_.super.codec, block.position, stored, scratch);
  if (is_of_tails ? found < block.length : found != block.length)
    throw tables_.image.corrupt("block at offset ", block.position, " inflates to ", found, " of ",
                                block.length, " bytes");
  return stored.size();
}

}  // namespace sif
