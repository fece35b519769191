// SPDX-License-Identifier: Apache-2.0
#include "sif/tree_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace sif {
namespace {

constexpr std::size_t kMaxName = 255;       // Linux NAME_MAX; the format itself ends at 256
constexpr std::size_t kMaxSymlink = 4095;   // Linux PATH_MAX with the NUL; longer ones it refuses
constexpr std::uint32_t kMaxMajor = 0xFFF;  // device numbers as the format packs them
constexpr std::uint32_t kMaxMinor = 0xFFFFF;
constexpr std::uint64_t kMaxFileSize = 1ULL << 62;  // off_t with room for rounding up

template <typename Path>
void check_extents(const Inode& inode, const Path& path) {
  std::uint64_t end = 0;
  for (const DataExtent& extent : inode.extents) {
    if (extent.file_offset < end || extent.length > inode.size ||
        extent.file_offset > inode.size - extent.length)
      throw base::error(path(), ": data extents out of order or beyond its size of ", inode.size);
    end = extent.file_offset + extent.length;
  }
}

}  // namespace

TreePlan::TreePlan(const Tree& tree) {
  add(tree.root());
  link_counts_[0] = 2;
  // Iterative: a hostile archive may nest directories deeper than the stack is.
  std::vector<Directory> pending = {{&tree.root(), 1, 0, {}}};
  while (!pending.empty()) {
    directories_.push_back(pending.back());
    pending.pop_back();
    visit(static_cast<std::uint32_t>(directories_.size() - 1), pending);
  }
}

void TreePlan::visit(std::uint32_t index, std::vector<Directory>& pending) {
  const Directory directory = directories_[index];
  const std::size_t first_pending = pending.size();
  for (const auto& [name, child] : directory.inode->children) {
    check(directory, name, *child);
    const auto known = numbers_.find(child);
    const bool is_new = known == numbers_.end();
    const std::uint32_t number = is_new ? add(*child) : known->second;
    if (is_new && child->type == FileType::regular) files_.push_back({child, number, index, name});
    if (child->type != FileType::directory) {
      ++link_counts_[number - 1];
      continue;
    }
    if (!is_new)
      throw base::error(path_of(directory, name), ": a directory with more than one name");
    link_counts_[number - 1] = 2;
    ++link_counts_[directory.number - 1];
    pending.push_back({child, number, index, name});
  }
  std::ranges::reverse(pending.begin() + static_cast<std::ptrdiff_t>(first_pending), pending.end());
}

std::uint32_t TreePlan::add(const Inode& inode) {
  // The last number stays free: counts and "one past" positions are 32 bits wide as well.
  if (link_counts_.size() >= 0xFFFFFFFE)
    throw base::error("the tree has more inodes than squashfs can number");
  link_counts_.push_back(0);
  const auto number = static_cast<std::uint32_t>(link_counts_.size());
  numbers_.emplace(&inode, number);
  return number;
}

void TreePlan::check(const Directory& parent, std::string_view name, const Inode& inode) const {
  if (name.empty() || name.size() > kMaxName || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\0", 2)) != name.npos)
    throw base::error(path_of(parent, name), ": not a possible file name (1 to ", kMaxName,
                      " bytes, no slash, no NUL)");
  switch (inode.type) {
    case FileType::symlink:
      if (inode.symlink_target.empty() || inode.symlink_target.size() > kMaxSymlink)
        throw base::error(path_of(parent, name), ": symbolic link target of ",
                          inode.symlink_target.size(), " bytes, allowed are 1 to ", kMaxSymlink);
      break;
    case FileType::block_device:
    case FileType::char_device:
      if (inode.device_major > kMaxMajor || inode.device_minor > kMaxMinor)
        throw base::error(path_of(parent, name), ": device number ", inode.device_major, ":",
                          inode.device_minor, " is out of range, at most ", kMaxMajor, ":",
                          kMaxMinor);
      break;
    case FileType::regular:
      if (inode.size > kMaxFileSize)
        throw base::error(path_of(parent, name), ": impossible size ", inode.size);
      check_extents(inode, [&] { return path_of(parent, name); });
      break;
    default:
      break;
  }
}

std::string TreePlan::path_of(const Directory& parent, std::string_view name) const {
  std::string path = base::cat("/", name);
  for (const Directory* each = &parent; !each->name.empty(); each = &directories_[each->parent])
    path = base::cat("/", each->name, path);
  return base::printable(path);
}

}  // namespace sif
