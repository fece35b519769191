// SPDX-License-Identifier: Apache-2.0
#include "ext/transaction.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace ext {

// Not that of the file system while its superblock is looked for.
void Transaction::set_block_size(std::size_t size) {
  counted_size_ = size;
  if (changes_.empty()) block_size_ = size;
}

// A number from the file must not wrap around to a place within the partition.
std::uint64_t Transaction::position_of(std::uint64_t block) const {
  return std::min(block, UINT64_MAX / counted_size_) * counted_size_;
}

std::vector<std::byte>& Transaction::change(std::uint64_t block) {
  const auto known = changes_.find(block);
  if (is_undoable_ && !before_.contains(block))
    before_[block] = known == changes_.end() ? std::nullopt : std::optional(known->second);
  if (known != changes_.end()) return known->second;
  std::vector<std::byte> content(block_size_);
  partition_.read(position_of(block), content);
  return changes_.emplace(block, std::move(content)).first->second;
}

void Transaction::keep() {
  is_undoable_ = false;
  before_.clear();
}

void Transaction::undo() {
  for (auto& [block, content] : before_) {
    if (content) {
      changes_[block] = std::move(*content);
    } else {
      changes_.erase(block);
    }
  }
  keep();
}

template <typename Byte, typename Known, typename Other>
void Transaction::for_each_piece(std::uint64_t at, std::span<Byte> bytes, const Known& known,
                                 const Other& other) {
  while (!bytes.empty()) {
    std::uint64_t block = at / block_size_;
    const std::size_t within = static_cast<std::size_t>(at % block_size_);
    std::size_t size = std::min(block_size_ - within, bytes.size());
    if (const auto change = changes_.find(block); change != changes_.end()) {
      known(std::span(change->second).subspan(within, size), bytes.first(size));
    } else {
      const auto next = changes_.lower_bound(block);
      while (size < bytes.size() && (next == changes_.end() || ++block < next->first))
        size = std::min(size + block_size_, bytes.size());
      other(at, bytes.first(size));
    }
    at += size;
    bytes = bytes.subspan(size);
  }
}

void Transaction::read_blocks(std::uint64_t first, std::span<std::byte> out) {
  read_data(position_of(first), out);
}

void Transaction::write_blocks(std::uint64_t first, std::span<const std::byte> data) {
  std::vector<std::byte> present(block_size_);
  for (; !data.empty(); ++first) {
    const std::span<const std::byte> block = data.first(std::min(block_size_, data.size()));
    data = data.subspan(block.size());
    // All bitmaps are written each time, and most are as they were.
    const bool known = changes_.contains(first);
    if (!known) partition_.read(position_of(first), present);
    if (known || std::memcmp(block.data(), present.data(), block.size()) != 0)
      std::memcpy(change(first).data(), block.data(), block.size());
  }
}

void Transaction::write_bytes(std::uint64_t at, std::span<const std::byte> data) {
  while (!data.empty()) {
    const std::size_t within = static_cast<std::size_t>(at % block_size_);
    const std::size_t size = std::min(block_size_ - within, data.size());
    std::memcpy(change(at / block_size_).data() + within, data.data(), size);
    at += size;
    data = data.subspan(size);
  }
}

void Transaction::zero_blocks(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) std::ranges::fill(change(first + i), std::byte{0});
}

void Transaction::read_data(std::uint64_t at, std::span<std::byte> out) {
  for_each_piece(
      at, out,
      [](std::span<const std::byte> content, std::span<std::byte> piece) {
        std::memcpy(piece.data(), content.data(), piece.size());
      },
      [&](std::uint64_t from, std::span<std::byte> piece) { partition_.read(from, piece); });
}

void Transaction::write_data(std::uint64_t at, std::span<const std::byte> data) {
  for (std::uint64_t block = at / block_size_; block * block_size_ < at + data.size(); ++block)
    if (keeps_all_ || is_freed(block) || changes_.contains(block)) change(block);
  for_each_piece(
      at, data,
      [](std::span<std::byte> content, std::span<const std::byte> piece) {
        std::memcpy(content.data(), piece.data(), piece.size());
      },
      [&](std::uint64_t to, std::span<const std::byte> piece) { partition_.write(to, piece); });
}

void Transaction::note_freed(std::uint64_t first, std::uint64_t count) {
  std::uint64_t end = first + count;
  auto next = freed_.upper_bound(first);
  // Large files are freed run by run, mostly upwards.
  if (next != freed_.begin() && first <= std::prev(next)->second) {
    --next;
    first = next->first;
  }
  for (; next != freed_.end() && next->first <= end; next = freed_.erase(next))
    end = std::max(end, next->second);
  freed_[first] = end;
}

bool Transaction::is_freed(std::uint64_t block) const {
  const auto behind = freed_.upper_bound(block);
  return behind != freed_.begin() && block < std::prev(behind)->second;
}

void Transaction::clear() {
  changes_.clear();
  freed_.clear();
}

}  // namespace ext
