// SPDX-License-Identifier: Apache-2.0
#include "sif/metadata_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "sif/thread_decompressor.h"

namespace sif {
namespace {

constexpr std::size_t kHeaderBytes = 2;

std::size_t bucket_count(std::uint64_t expected_bytes) {
  // Compressed metadata blocks have 1.5-3 KiB; a hostile size must not buy memory.
  return std::bit_ceil(std::clamp<std::uint64_t>(expected_bytes / 2048, 64, 1 << 16));
}

}  // namespace

MetadataCache::MetadataCache(const ImageBytes& image, Codec codec, std::uint64_t expected_bytes)
    : image_(image), codec_(codec), buckets_(bucket_count(expected_bytes)) {}

MetadataCache::~MetadataCache() {
  for (std::atomic<MetadataBlock*>& bucket : buckets_) {
    for (MetadataBlock* block = bucket.load(); block != nullptr;) {
      const std::unique_ptr<MetadataBlock> owner(block);
      block = block->chain;
    }
  }
}

std::atomic<MetadataBlock*>& MetadataCache::bucket_of(std::uint64_t position) const {
  const std::uint64_t mixed = position * 0x9E3779B97F4A7C15ULL;
  return buckets_[(mixed >> 32) & (buckets_.size() - 1)];
}

MetadataCache::BlockPointer MetadataCache::fetch(std::uint64_t position, std::uint64_t limit,
                                                 std::string_view structure) const {
  const auto borrowed = [&](MetadataBlock* block) {
    if (block->next > limit) {
      throw image_.corrupt(structure, ": metadata block at ", position, " ends at ", block->next,
                           ", behind its table's end at ", limit);
    }
    // An aliasing pointer without an owner: no reference counting on the hot path.
    return BlockPointer(BlockPointer(), block);
  };
  const auto find = [&](MetadataBlock* block) {
    while (block != nullptr && block->position != position) block = block->chain;
    return block;
  };

  std::atomic<MetadataBlock*>& bucket = bucket_of(position);
  MetadataBlock* head = bucket.load(std::memory_order_acquire);
  if (MetadataBlock* found = find(head)) return borrowed(found);

  std::unique_ptr<MetadataBlock> fresh = inflate(position, limit, structure);
  if (cached_bytes_.fetch_add(fresh->size, std::memory_order_relaxed) > kMaxCachedMetadata) {
    cached_bytes_.fetch_sub(fresh->size, std::memory_order_relaxed);
    return BlockPointer(std::move(fresh));
  }
  fresh->chain = head;
  while (!bucket.compare_exchange_weak(fresh->chain, fresh.get(), std::memory_order_acq_rel)) {
    if (MetadataBlock* found = find(fresh->chain)) return borrowed(found);  // another thread's
  }
  return borrowed(fresh.release());
}

std::unique_ptr<MetadataBlock> MetadataCache::inflate(std::uint64_t position, std::uint64_t limit,
                                                      std::string_view structure) const {
  const std::uint64_t end = std::min(limit, image_.size());
  if (position >= end || end - position <= kHeaderBytes) {
    throw image_.corrupt(structure, ": metadata block at ", position,
                         " lies behind its table's end at ", end);
  }
  // Header and the largest possible block in one read: the surplus is in the page cache anyway.
  std::array<std::byte, kHeaderBytes + kMetadataBlockSize> raw;
  const std::size_t available = std::min<std::uint64_t>(raw.size(), end - position);
  image_.read(position, std::span(raw).first(available), structure);

  const std::uint32_t header = base::little_endian<std::uint16_t>(raw);
  const std::uint32_t stored_size = header & ~std::uint32_t{kMetadataStoredBit};
  if (stored_size == 0 || stored_size > available - kHeaderBytes) {
    throw image_.corrupt(structure, ": metadata block at ", position, " has ", stored_size,
                         " bytes, allowed are 1 to ", available - kHeaderBytes);
  }
  const std::span<const std::byte> stored = std::span(raw).subspan(kHeaderBytes, stored_size);
  std::array<std::byte, kMetadataBlockSize> inflated;
  std::span<const std::byte> content = stored;
  if ((header & kMetadataStoredBit) == 0) {
    content = std::span(inflated).first(inflate_block(image_, codec_, position, stored, inflated));
    if (content.empty())
      throw image_.corrupt(structure, ": metadata block at ", position, " inflates to nothing");
  }
  auto block = std::make_unique<MetadataBlock>();
  block->position = position;
  block->next = position + kHeaderBytes + stored_size;
  block->size = static_cast<std::uint32_t>(content.size());
  block->bytes = std::make_unique_for_overwrite<std::byte[]>(content.size());
  std::memcpy(block->bytes.get(), content.data(), content.size());
  return block;
}

MetadataCursor::MetadataCursor(const MetadataCache& cache, MetadataPosition start,
                               std::uint64_t limit, std::string_view structure)
    : cache_(cache),
      limit_(limit),
      structure_(structure),
      block_(cache.fetch(start.block, limit, structure)),
      offset_(start.offset) {
  if (offset_ > block_->size) {
    throw cache.image().corrupt(structure, ": offset ", offset_, " in the metadata block at ",
                                start.block, " of ", block_->size, " bytes");
  }
}

void MetadataCursor::enter_next_block() {
  block_ = cache_.fetch(block_->next, limit_, structure_);
  offset_ = 0;
}

std::span<const std::byte> MetadataCursor::take_some(std::size_t wanted) {
  if (offset_ == block_->size) enter_next_block();
  const std::uint32_t count =
      static_cast<std::uint32_t>(std::min<std::size_t>(wanted, block_->size - offset_));
  const std::span<const std::byte> part(block_->bytes.get() + offset_, count);
  offset_ += count;
  return part;
}

std::span<const std::byte> MetadataCursor::take(std::size_t count) {
  if (block_->size - offset_ >= count) {
    const std::span<const std::byte> part(block_->bytes.get() + offset_, count);
    offset_ += static_cast<std::uint32_t>(count);
    return part;
  }
  const std::span<std::byte> whole = std::span(scratch_).first(count);
  read_into(whole);
  return whole;
}

void MetadataCursor::read_into(std::span<std::byte> out) {
  while (!out.empty()) {
    const std::span<const std::byte> part = take_some(out.size());
    std::memcpy(out.data(), part.data(), part.size());
    out = out.subspan(part.size());
  }
}

void MetadataCursor::skip(std::uint64_t count) {
  while (count > 0) count -= take_some(count).size();
}

}  // namespace sif
