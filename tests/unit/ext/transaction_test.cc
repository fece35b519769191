// SPDX-License-Identifier: Apache-2.0
#include "ext/transaction.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"

namespace ext {
namespace {

constexpr std::size_t kBlock = 1024;
constexpr std::uint64_t kBlocks = 64;

TEST(Transaction, KeepsContentsFromAllBlocksThatAreFreed) {
  const base::UniqueFd file(::memfd_create("partition", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), kBlock * kBlocks), 0);
  Transaction transaction(Partition(file.get(), 0, kBlock * kBlocks, "partition"));
  transaction.set_block_size(kBlock);
  transaction.note_freed(10, 1);
  transaction.note_freed(20, 5);
  transaction.note_freed(5, 10);   // around one that was noted before
  transaction.note_freed(15, 10);  // up to and over the next
  const std::array<std::byte, kBlock> content{};
  for (std::uint64_t block = 0; block < kBlocks; ++block)
    transaction.write_data(block * kBlock, content);
  for (std::uint64_t block = 0; block < kBlocks; ++block)
    EXPECT_EQ(transaction.changes().contains(block), block >= 5 && block < 25) << block;
}

}  // namespace
}  // namespace ext
