// SPDX-License-Identifier: Apache-2.0
// A journal of arbitrary bytes, which begins at block 8 of a file system of 1 KiB blocks: what it
// holds is read, replayed, and a transaction is written to it. Ends in values or in base::Error
// with an errno; what is replayed is what was read, and nothing of the journal is overwritten by
// it.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/syscalls.h"
#include "ext/journal.h"
#include "tests/fuzz/attempt.h"

namespace {

constexpr std::size_t kBlock = 1024, kFirst = 8;
constexpr std::size_t kMaxBlocks = 64;

void replay(ext::Journal& journal, int fd) {
  const ext::BlockMap pending = journal.pending();
  journal.replay();
  std::vector<std::byte> block(kBlock);
  for (const auto& [number, content] : pending) {
    base::pread_exactly(fd, block, number * kBlock, "image");
    if (block != content) __builtin_trap();
  }
  if (!journal.is_empty()) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = ::memfd_create("journal", MFD_CLOEXEC);
  const std::size_t count = std::min(size / kBlock, kMaxBlocks);
  if (count < 2 || ::ftruncate(fd, 0) != 0) return 0;
  const std::size_t whole = (kFirst + kMaxBlocks) * kBlock;
  if (::ftruncate(fd, static_cast<off_t>(whole)) != 0 ||
      ::pwrite(fd, data, count * kBlock, kFirst * kBlock) != static_cast<ssize_t>(count * kBlock))
    return 0;
  std::vector<std::uint64_t> blocks;
  for (std::size_t i = 0; i < count; ++i) blocks.push_back(kFirst + i);
  attempt([&] {
    auto journal = ext::Journal::open(ext::Partition(fd, 0, whole, "image"), kBlock, blocks);
    if (!journal) return;
    replay(*journal, fd);
    journal->commit({{3, std::vector<std::byte>(kBlock, std::byte{1})}});
  });
  return 0;
}
