// SPDX-License-Identifier: Apache-2.0
#include "runtime/read_ahead.h"

#include <algorithm>
#include <new>

#include "base/error.h"

namespace runtime {
namespace {

// Between files of a run may lie some that the kernel has already.
constexpr std::uint32_t kMaxGap = 32 << 10;  // bytes
constexpr unsigned kWorthStoring = 3;        // files of a run
// Finding all files of an image costs as much as a hundred requests.
constexpr unsigned kWorthIndexing = 12;
constexpr std::uint64_t kMaxIndexedInodes = 1 << 18;  // 6 MiB of memory
// As with the kernel's own read-ahead, what is stored at once grows with the run.
constexpr unsigned kFilesPerBlockAhead = 16, kMaxBlocksAhead = 3;

std::uint64_t place(const sif::PackedFile& file) {
  return std::uint64_t{file.fragment} << 32 | file.offset;
}

bool continues(const sif::PackedFile& last, const sif::PackedFile& file) {
  const std::uint32_t end = last.offset + last.size;
  if (file.fragment == last.fragment) return file.offset >= end && file.offset - end <= kMaxGap;
  return file.fragment == last.fragment + 1 && file.offset <= kMaxGap;
}

}  // namespace

ReadAhead::ReadAhead(int device_fd, const sif::SquashfsReader& reader, TraceRecorder* recorder)
    : reader_(reader), store_(device_fd, reader, recorder) {
  if (reader.inode_count() > kMaxIndexedInodes) give_up();
}

void ReadAhead::follow(sif::InodeRef ref) {
  if (has_given_up_) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  try {
    const auto file = reader_.packed_file(ref);
    if (!file) return;
    Run& run = run_of(*file);
    run.last = *file;
    if (++run.length >= (files_.empty() ? kWorthIndexing : kWorthStoring)) store_rest(run);
  } catch (const base::Error&) {
    give_up();  // who reads what is corrupt is told
  } catch (const std::bad_alloc&) {
    give_up();
  }
}

ReadAhead::Run& ReadAhead::run_of(const sif::PackedFile& file) {
  auto run = std::ranges::find_if(
      runs_, [&](const Run& known) { return known.length > 0 && continues(known.last, file); });
  if (run == runs_.end()) {
    run = std::ranges::min_element(runs_, {}, &Run::used);
    run->length = 0;
  }
  run->used = ++clock_;
  return *run;
}

// As far as the block reaches, and the next ones in a long run.
void ReadAhead::store_rest(Run& run) {
  if (files_.empty()) files_ = reader_.packed_files();
  const std::uint32_t last_fragment =
      run.last.fragment + std::min(run.length / kFilesPerBlockAhead, kMaxBlocksAhead);
  auto next = std::ranges::upper_bound(files_, place(run.last), {}, place);
  for (; next != files_.end() && next->fragment <= last_fragment; ++next) {
    if (!store_.put(next->ref, 0, next->size)) return;
    run.last = *next;
    ++run.length;
  }
}

}  // namespace runtime
