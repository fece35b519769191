// SPDX-License-Identifier: Apache-2.0
#include "sif/file_packer.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "sif/block_pipeline.h"
#include "sif/duplicate_files.h"
#include "sif/file_content.h"
#include "sif/stored_files.h"

namespace sif {
namespace {

// Size words are 4 bytes a block, also of holes: a few bytes of archive can declare a sparse file
// of exabytes. This allows 32 TiB of files at the default block size.
constexpr std::uint64_t kMaxSizeWords = 1 << 28;
// Tags of fragment blocks: this and their number; of data blocks: layout << 32 | block.
constexpr std::uint64_t kFragmentTag = 1ULL << 63;

constexpr std::uint64_t kMaxStartFile = 4 << 20;
// Few images have such files, and then most of their bytes are in them.
constexpr std::uint64_t kMinQuickFile = 64 << 20;

// Every dynamic program reads its loader and the C library at its start, nearly whole, and
// inflating them takes longer than all else that the start does. They are 1-2 MB.
bool is_loader(std::string_view name) {
  return name.starts_with("ld-linux") || name.starts_with("ld-musl-") ||
         name.starts_with("ld-2.") || name == "libc.so.6" || name.starts_with("libc-2.");
}

// The files that every start reads: container runtimes /.singularity.d and the accounts, programs
// their loader, its cache and the C library.
class StartFiles {
 public:
  explicit StartFiles(const TreePlan& plan) {
    const std::vector<TreePlan::Directory>& directories = plan.directories();
    places_.reserve(directories.size());
    for (const TreePlan::Directory& directory : directories) {
      if (places_.empty()) {
        places_.push_back(Place::other);
      } else if (directory.parent != 0) {
        const Place above = places_[directory.parent];
        places_.push_back(above == Place::scripts ? above : Place::other);
      } else {
        places_.push_back(directory.name == ".singularity.d" ? Place::scripts
                          : directory.name == "etc"          ? Place::etc
                                                             : Place::other);
      }
    }
  }

  bool has(const TreePlan::File& file) const {
    if (file.inode->size > kMaxStartFile) return false;
    const Place place = places_[file.directory];
    return place == Place::scripts || is_loader(file.name) ||
           (place == Place::etc && std::ranges::find(kOfEtc, file.name) != kOfEtc.end());
  }

 private:
  enum class Place : std::uint8_t { scripts, etc, other };
  static constexpr std::array<std::string_view, 4> kOfEtc = {"passwd", "group", "nsswitch.conf",
                                                             "ld.so.cache"};
  std::vector<Place> places_;  // by directory
};

class FilePacker {
 public:
  FilePacker(const TreePlan& plan, int fd, std::uint64_t offset, std::uint64_t position,
             const SquashfsOptions& options, WriteProgress& progress)
      : plan_(plan),
        block_size_(options.block_size),
        stores_start_files_(options.favours_starts()),
        progress_(progress),
        start_files_(plan),
        stored_(plan, options,
                [this](const TreePlan::File& file) {
                  return !stores_start_files_ || !start_files_.has(file);
                }),
        duplicates_(
            plan, [this](const TreePlan::File& file) { return stored_.find(file) != nullptr; },
            [&progress] { throw_if_cancelled(progress); }),
        pipeline_(fd, offset, position, options, progress,
                  [this](std::uint64_t tag, std::uint64_t at, std::uint32_t word) {
                    note_placed(tag, at, word);
                  }) {}

  PackedFiles run() {
    reserve_size_words();
    plain_ = stores_start_files_;
    for (const TreePlan::File& file : plan_.files())
      if (start_files_.has(file)) add(file);
    flush_fragment();
    plain_ = false;
    for (const TreePlan::File& file : plan_.files())
      if (!start_files_.has(file)) add(file);
    flush_fragment();
    packed_.end = pipeline_.finish();
    return std::move(packed_);
  }

 private:
  // Up front, because workers write into the vectors while this thread adds files.
  void reserve_size_words();
  void add(const TreePlan::File& entry);
  std::optional<Search> search_for(const Inode& file) const;
  void submit_blocks(const Inode& file, std::uint32_t label);
  void add_tail(const Inode& file, FileLayout& layout);
  void flush_fragment();
  // The label of an equal file; `fresh` if there is none, which is remembered then.
  std::uint32_t find_label(const Inode& file, const StoredFile* stored, std::uint32_t fresh);
  // Both: of a file that is taken as it is stored.
  void submit_stored_blocks(const StoredFile& file, FileLayout& layout, std::uint32_t label);
  void take_tail(const StoredFile& file, const StoredTail& tail, FileLayout& layout);
  void note_placed(std::uint64_t tag, std::uint64_t position, std::uint32_t size_word);

  const TreePlan& plan_;
  const std::uint32_t block_size_;
  const bool stores_start_files_;
  WriteProgress& progress_;
  const StartFiles start_files_;
  const StoredFiles stored_;
  DuplicateFiles duplicates_;
  PackedFiles packed_;
  bool plain_ = false;  // what is added now is not to be compressed
  std::uint64_t next_word_ = 0;
  BlockRequest fragment_;  // being filled
  std::uint32_t fragment_fill_ = 0, fragment_number_ = 0;
  std::uint32_t fragment_count_ = 0;
  std::map<std::pair<const SquashfsReader*, std::uint32_t>, std::uint32_t> taken_fragments_;
  std::map<std::pair<const SquashfsReader*, StoredPlace>, std::uint32_t> taken_files_;
  BlockPipeline pipeline_;  // last: its workers use all of the above
};

void FilePacker::reserve_size_words() {
  packed_.layout_of.assign(plan_.inode_count(), 0);
  packed_.layouts.reserve(plan_.files().size());
  std::uint64_t words = 0, bytes = 0;
  for (const TreePlan::File& file : plan_.files()) {
    bytes += file.inode->size;
    words += file.inode->size / block_size_;
    // Other writers give large files no tails.
    if (stored_.find(file) != nullptr && file.inode->size % block_size_ != 0) ++words;
    if (words > kMaxSizeWords) {
      throw base::error(plan_.path_of(plan_.directories()[file.directory], file.name),
                        ": the files together, this one of ", file.inode->size,
                        " bytes included, need more than ", kMaxSizeWords, " blocks of ",
                        block_size_, " bytes")
          .with_hint("a larger --block-size allows larger files");
    }
  }
  packed_.size_words.assign(words, 0);
  progress_.bytes_total = bytes;
}

void FilePacker::add(const TreePlan::File& entry) {
  const Inode& file = *entry.inode;
  std::uint32_t& label = packed_.layout_of[entry.number - 1];
  packed_.input_bytes += file.size;
  const auto fresh = static_cast<std::uint32_t>(packed_.layouts.size());
  const StoredFile* const stored = plain_ ? nullptr : stored_.find(entry);
  label = find_label(file, stored, fresh);
  if (label != fresh) {
    packed_.duplicate_bytes += file.size;
    progress_.bytes_done.fetch_add(file.size, std::memory_order_relaxed);
    return;
  }
  FileLayout& layout = packed_.layouts.emplace_back();
  layout.first_word = next_word_;
  if (stored != nullptr) {
    submit_stored_blocks(*stored, layout, label);
  } else {
    layout.word_count = file.size / block_size_;
    submit_blocks(file, label);
  }
  next_word_ += layout.word_count;
  if (layout.word_count * block_size_ >= file.size) return;
  const auto tail = stored ? stored_.find_tail(*stored) : std::nullopt;
  tail ? take_tail(*stored, *tail, layout) : add_tail(file, layout);
}

std::uint32_t FilePacker::find_label(const Inode& file, const StoredFile* stored,
                                     std::uint32_t fresh) {
  if (stored == nullptr) return duplicates_.find_or_add(file, fresh).value_or(fresh);
  const auto [known, is_new] =
      taken_files_.try_emplace({&stored->image, stored->image.stored_place(stored->inode)}, fresh);
  if (is_new) known->second = duplicates_.find_or_add(file, fresh).value_or(fresh);
  return known->second;
}

void FilePacker::submit_stored_blocks(const StoredFile& file, FileLayout& layout,
                                      std::uint32_t label) {
  file.image.visit_blocks(file.inode, [&](const StoredBlock& block) {
    const std::uint64_t number = layout.word_count++;
    if (block.size_word == 0) {
      progress_.bytes_done.fetch_add(block.length, std::memory_order_relaxed);
      if (number % 4096 == 0) throw_if_cancelled(progress_);
      return;
    }
    BlockRequest request;
    request.tag = static_cast<std::uint64_t>(label) << 32 | number;
    request.image = &file.image;
    request.stored = block;
    pipeline_.submit(std::move(request));
  });
}

void FilePacker::take_tail(const StoredFile& file, const StoredTail& tail, FileLayout& layout) {
  const auto [known, is_new] =
      taken_fragments_.try_emplace({&file.image, tail.fragment}, fragment_count_);
  layout.fragment = known->second;
  layout.fragment_offset = tail.offset;
  progress_.bytes_done.fetch_add(tail.size, std::memory_order_relaxed);
  if (!is_new) return;
  BlockRequest request;
  request.tag = kFragmentTag | fragment_count_++;
  request.image = &file.image;
  request.stored = tail.block;
  request.is_of_tails = true;
  pipeline_.submit(std::move(request));
}

std::optional<Search> FilePacker::search_for(const Inode& file) const {
  if (plain_) return std::nullopt;
  return file.size < kMinQuickFile ? Search::thorough : Search::quick;
}

void FilePacker::submit_blocks(const Inode& file, std::uint32_t label) {
  const std::uint64_t count = file.size / block_size_;
  for (std::uint64_t block = 0; block < count; ++block) {
    const std::uint64_t offset = block * block_size_;
    if (is_hole(file, offset, block_size_)) {  // its size word is 0 already
      progress_.bytes_done.fetch_add(block_size_, std::memory_order_relaxed);
      if (block % 4096 == 0) throw_if_cancelled(progress_);
      continue;
    }
    pipeline_.submit({{{&file, offset, block_size_}},
                      static_cast<std::uint64_t>(label) << 32 | block,
                      true,
                      search_for(file)});
  }
}

void FilePacker::add_tail(const Inode& file, FileLayout& layout) {
  const auto length = static_cast<std::uint32_t>(file.size % block_size_);
  if (fragment_fill_ + length > block_size_) flush_fragment();
  if (fragment_fill_ == 0) fragment_number_ = fragment_count_++;
  layout.fragment = fragment_number_;
  layout.fragment_offset = fragment_fill_;
  fragment_.ranges.push_back({&file, file.size - length, length});
  fragment_fill_ += length;
}

void FilePacker::flush_fragment() {
  if (fragment_fill_ == 0) return;
  fragment_.tag = kFragmentTag | fragment_number_;
  if (plain_) fragment_.search = std::nullopt;
  pipeline_.submit(std::exchange(fragment_, {}));
  fragment_fill_ = 0;
}

void FilePacker::note_placed(std::uint64_t tag, std::uint64_t position, std::uint32_t size_word) {
  if ((tag & kFragmentTag) != 0) {
    const std::size_t number = tag & ~kFragmentTag;
    packed_.fragments.resize(std::max(packed_.fragments.size(), number + 1));
    packed_.fragments[number] = {position, size_word};
    return;
  }
  if (size_word == 0) return;
  FileLayout& layout = packed_.layouts[static_cast<std::size_t>(tag >> 32)];
  if (layout.start == 0) layout.start = position;  // no block lies at 0: the superblock does
  packed_.size_words[layout.first_word + (tag & 0xFFFFFFFF)] = size_word;
}

}  // namespace

PackedFiles pack_files(const TreePlan& plan, int fd, std::uint64_t offset, std::uint64_t position,
                       const SquashfsOptions& options, WriteProgress& progress) {
  return FilePacker(plan, fd, offset, position, options, progress).run();
}

}  // namespace sif
