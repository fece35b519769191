// SPDX-License-Identifier: Apache-2.0
#include "sif/squashfs_writer.h"

#include <algorithm>
#include <bit>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "sif/block_pipeline.h"
#include "sif/file_packer.h"
#include "sif/libsquashfs_adapter.h"
#include "sif/tree_plan.h"
#include "sif/xattr_reader.h"
#include "sif/xattr_table.h"

namespace sif {
namespace {

constexpr std::uint64_t kImageAlignment = 4096;  // kernels read whole pages; mksquashfs pads too

// Writes inodes and listings from the leaves to the root: an entry holds its inode's position.
class MetadataPass {
 public:
  MetadataPass(const TreePlan& plan, const PackedFiles& files, std::uint32_t block_size,
               MetadataTables& tables)
      : plan_(plan),
        files_(files),
        block_size_(block_size),
        tables_(tables),
        positions_(plan.inode_count(), kNotWritten) {}

  // Gives the root's position.
  InodePosition run(const WriteProgress& progress) {
    const std::vector<TreePlan::Directory>& directories = plan_.directories();
    for (std::size_t index = directories.size(); index-- > 0;) {
      throw_if_cancelled(progress);
      write_directory(directories[index]);
    }
    const TreePlan::Directory& root = directories.front();
    const InodePosition position = write_inode(*root.inode, root.number);
    for (const std::string& name : left_out_)
      base::log_verbose("extended attributes named ", base::printable(name),
                        " are left out: squashfs has no place for them");
    return position;
  }

 private:
  static constexpr InodePosition kNotWritten = ~InodePosition{0};

  // The inodes of all entries one behind the other, then the listing; the directory's own inode is
  // among its parent's entries.
  void write_directory(const TreePlan::Directory& directory) {
    for (const auto& [name, child] : directory.inode->children) {
      const std::uint32_t number = plan_.number_of(*child);
      if (positions_[number - 1] == kNotWritten)
        positions_[number - 1] = write_inode(*child, number);
    }
    tables_.begin_listing();
    for (const auto& [name, child] : directory.inode->children) {
      const std::uint32_t number = plan_.number_of(*child);
      tables_.add_entry(name, *child, number, positions_[number - 1]);
    }
    // The format's own rule: the root's parent number is one past the last inode.
    const bool is_root = directory.number == 1;
    const std::uint32_t parent =
        is_root ? plan_.inode_count() + 1 : plan_.directories()[directory.parent].number;
    listings_.insert_or_assign(directory.number,
                               tables_.end_listing(parent, xattrs_of(*directory.inode)));
  }

  InodePosition write_inode(const Inode& inode, std::uint32_t number) {
    NewInode record{.inode = &inode, .number = number, .link_count = plan_.link_count(number)};
    if (inode.type == FileType::directory) {
      auto listing = listings_.extract(number);
      return tables_.write_directory(record, std::move(listing.mapped()));
    }
    record.xattrs = xattrs_of(inode);
    if (inode.type == FileType::regular) describe_content(number, record);
    return tables_.write_inode(record);
  }

  void describe_content(std::uint32_t number, NewInode& record) const {
    const FileLayout& layout = files_.layouts[files_.layout_of[number - 1]];
    record.start = layout.start;
    record.fragment = layout.fragment;
    record.fragment_offset = layout.fragment_offset;
    record.size_words = std::span(files_.size_words).subspan(layout.first_word, layout.word_count);
    record.sparse =
        static_cast<std::uint64_t>(std::ranges::count(record.size_words, 0U)) * block_size_;
  }

  std::uint32_t xattrs_of(const Inode& inode) {
    if (inode.xattrs.empty()) return kNoXattr;
    std::map<std::string, std::string> kept;
    for (const auto& [name, value] : inode.xattrs) {
      if (can_hold_xattr(name) && value.size() <= kMaxXattrValue) {
        kept.emplace(name, value);
      } else {
        left_out_.insert(name);
      }
    }
    return tables_.add_xattrs(kept);
  }

  const TreePlan& plan_;
  const PackedFiles& files_;
  const std::uint32_t block_size_;
  MetadataTables& tables_;
  std::vector<InodePosition> positions_;                                 // by inode number - 1
  std::unordered_map<std::uint32_t, MetadataTables::Listing> listings_;  // inode still to come
  std::set<std::string> left_out_;
};

void check_options(const SquashfsOptions& options) {
  if (!std::has_single_bit(options.block_size) || options.block_size < kMinBlockSize ||
      options.block_size > kMaxBlockSize)
    throw base::error("block size ", options.block_size,
                      " is not possible: squashfs has powers of two from ", kMinBlockSize, " to ",
                      kMaxBlockSize);
  if (options.threads == 0) throw base::error("at least one compressing thread is needed");
}

std::uint64_t pad_image(int fd, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t padded = base::round_up(size, kImageAlignment);
  const std::vector<std::byte> zeros(static_cast<std::size_t>(padded - size));
  base::pwrite_all(fd, zeros, offset + size, "the image");
  return padded;
}

}  // namespace

SquashfsStats write_squashfs(const Tree& tree, int fd, std::uint64_t offset,
                             const SquashfsOptions& options, WriteProgress& progress) {
  check_options(options);
  const TreePlan plan(tree);
  MetadataTables tables(fd, offset, options);
  const std::uint64_t data_start = tables.write_codec_options();
  const PackedFiles files = pack_files(plan, fd, offset, data_start, options, progress);

  tables.begin_tables(files.end);
  for (const FragmentBlock& fragment : files.fragments)
    tables.add_fragment(fragment.position, fragment.size_word);
  const InodePosition root = MetadataPass(plan, files, options.block_size, tables).run(progress);
  const std::uint64_t size = tables.finish({root, 1, plan.inode_count()});

  return {.image_bytes = pad_image(fd, offset, size),
          .inodes = plan.inode_count(),
          .input_bytes = files.input_bytes,
          .duplicate_bytes = files.duplicate_bytes};
}

}  // namespace sif
