// SPDX-License-Identifier: Apache-2.0
#include "oci/layer_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/path_walk.h"
#include "oci/clean_path.h"
#include "oci/whiteout.h"
#include "sif/squashfs_format.h"

namespace oci {
namespace {

constexpr std::uint16_t kImpliedMode = 0755;
constexpr std::uint32_t kKeepOwner = 0xFFFFFFFF;  // chown(2) leaves the owner for -1
constexpr std::string_view kOpaqueXattr = "trusted.overlay.opaque";

std::pair<std::string_view, std::string_view> split_last(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// squashfs has room for these kinds; overlayfs keeps its own to itself.
bool is_visible_xattr(std::string_view name) {
  if (name.starts_with("trusted.overlay.")) return false;
  return std::ranges::any_of(sif::kXattrPrefixes,
                             [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool kernel_allows_xattr(sif::FileType type, std::string_view name) {
  const bool user = name.starts_with("user.");
  return !user || type == sif::FileType::regular || type == sif::FileType::directory;
}

// Docker gives up on times that Go cannot hold in nanoseconds.
std::int64_t docker_time(std::int64_t seconds) {
  constexpr std::int64_t kLastSecond = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
  return seconds > kLastSecond ? 0 : seconds;
}

// What Docker does to the inode after making it: lchown, xattrs, chmod, times.
void apply_metadata(sif::Inode& inode, const TarEntry& entry) {
  if (entry.uid != kKeepOwner) inode.uid = entry.uid;
  if (entry.gid != kKeepOwner) inode.gid = entry.gid;
  // A change of owner takes the capabilities from a file that has them, as hard links may.
  if (inode.type == sif::FileType::regular) inode.xattrs.erase("security.capability");
  for (const auto& [name, value] : entry.xattrs) {
    if (is_visible_xattr(name) && kernel_allows_xattr(inode.type, name)) inode.xattrs[name] = value;
  }
  const bool is_link = inode.type == sif::FileType::symlink;
  if (is_link && entry.type == EntryType::hard_link) return;
  if (!is_link) inode.mode = entry.mode;
  inode.mtime = is_link ? entry.mtime : docker_time(entry.mtime);
}

}  // namespace

LayerTree::LayerTree(sif::Tree& lower, std::string layer_name, const sif::DataSource* source)
    : lower_(lower),
      layer_name_(std::move(layer_name)),
      source_(source),
      root_(lower.make(sif::FileType::directory, kImpliedMode)),
      whiteout_(lower.make(sif::FileType::char_device, 0)) {
  directories_[&root_] = {&root_, 0, false, true};  // the root's ".." is the root
}

void LayerTree::add(TarEntry entry) {
  ++members_;
  const TarPosition position{layer_name_, entry.header_offset, entry.path};
  const CleanPath path = clean_path(entry.path);
  if (path.escapes) throw position.error("the name leads out of the image's root");
  if (path.text.size() > kMaxPath) throw position.error("path of more than ", kMaxPath, " bytes");
  if (path.text.empty()) return;  // the root; containers get a fresh one on top

  const auto [parent_path, name] = split_last(path.text);
  if (name == kOpaqueMarker && is_no_folder(parent_path, position)) return;
  sif::Inode& parent = *walk(parent_path, Missing::create, position);
  if (name.size() > kMaxName) throw position.error("name of more than ", kMaxName, " bytes");
  if (name == kOpaqueMarker) {
    directories_.at(&parent).opaque = true;
    return;
  }
  if (name.starts_with(kWhiteoutPrefix)) {
    add_whiteout(parent, name.substr(kWhiteoutPrefix.size()), position);
    return;
  }
  if (entry.type == EntryType::directory) {
    add_directory(parent, name, entry, position);
    return;
  }
  remove(parent, name);
  if (entry.type == EntryType::hard_link) {
    add_hard_link(parent, name, entry, position);
    return;
  }
  parent.children.emplace(name, &make_inode(entry, position));
}

// A whiteout or a file of this layer: opaque or not is the same for it.
bool LayerTree::is_no_folder(std::string_view path, const TarPosition& position) {
  const auto [parent_path, name] = split_last(path);
  const sif::Inode* parent = walk(parent_path, Missing::stop, position);
  if (parent == nullptr) return false;
  const auto found = parent->children.find(name);
  return found != parent->children.end() && found->second->type != sif::FileType::directory &&
         found->second->type != sif::FileType::symlink;
}

void LayerTree::remove(sif::Inode& parent, std::string_view name) {
  const auto found = parent.children.find(name);
  if (found == parent.children.end()) return;
  last_marks_.clear();  // they may lead through what goes
  parent.children.erase(found);
}

// Hides what lower layers have, wherever the marker stands: what this layer has stays.
void LayerTree::add_whiteout(sif::Inode& parent, std::string_view name,
                             const TarPosition& position) {
  if (name.empty() || name == "." || name == "..") {
    throw position.error("a whiteout that names nothing");
  }
  const auto found = parent.children.find(name);
  if (found == parent.children.end()) {
    parent.children.emplace(name, &whiteout_);
  } else if (found->second->type == sif::FileType::directory) {
    directories_.at(found->second).opaque = true;
  }
}

void LayerTree::add_directory(sif::Inode& parent, std::string_view name, const TarEntry& entry,
                              const TarPosition& position) {
  const auto found = parent.children.find(name);
  const bool exists =
      found != parent.children.end() && found->second->type == sif::FileType::directory;
  if (!exists) remove(parent, name);
  sif::Inode& directory = exists ? *found->second : make_directory(parent, name, false, position);
  apply_metadata(directory, entry);
  DirectoryState& state = directories_.at(&directory);
  state.implied = false;
  const auto opaque = entry.xattrs.find(std::string(kOpaqueXattr));
  if (opaque != entry.xattrs.end() && opaque->second == "y") state.opaque = true;
}

sif::Inode& LayerTree::make_directory(sif::Inode& parent, std::string_view name, bool implied,
                                      const TarPosition& position) {
  const std::uint32_t depth = directories_.at(&parent).depth + 1;
  if (depth > kMaxDepth) throw position.error("more than ", kMaxDepth, " folders in each other");
  if (name.size() > kMaxName) throw position.error("name of more than ", kMaxName, " bytes");
  // As mkdir(2), by which Docker makes what a layer implies: that much is inherited.
  const std::uint16_t inherited = implied ? parent.mode & S_ISGID : 0;
  sif::Inode& directory = lower_.make(sif::FileType::directory, kImpliedMode | inherited);
  directories_[&directory] = {&parent, depth, false, implied};
  parent.children.emplace(name, &directory);
  return directory;
}

sif::Inode& LayerTree::make_inode(TarEntry& entry, const TarPosition& position) {
  using sif::FileType;
  const bool device = entry.type == EntryType::char_device || entry.type == EntryType::block_device;
  // Docker's mkdev keeps 12 and 20 bits.
  const std::uint32_t major = entry.device_major & 0xFFF, minor = entry.device_minor & 0xFFFFF;
  if (entry.type == EntryType::char_device && major == 0 && minor == 0) return whiteout_;
  const FileType type = entry.type == EntryType::regular        ? FileType::regular
                        : entry.type == EntryType::symlink      ? FileType::symlink
                        : entry.type == EntryType::char_device  ? FileType::char_device
                        : entry.type == EntryType::block_device ? FileType::block_device
                                                                : FileType::fifo;
  if (type == FileType::symlink &&
      (entry.link_target.empty() || entry.link_target.size() > kMaxPath)) {
    throw position.error("symbolic link to a path of ", entry.link_target.size(), " bytes, 1 to ",
                         kMaxPath, " are possible");
  }
  sif::Inode& inode = lower_.make(type, 0777);
  if (device) {
    inode.device_major = major;
    inode.device_minor = minor;
  }
  if (type == FileType::symlink) inode.symlink_target = std::move(entry.link_target);
  if (type == FileType::regular) {
    inode.size = entry.size;
    inode.source = source_;
    inode.extents = std::move(entry.extents);
  }
  apply_metadata(inode, entry);
  return inode;
}

void LayerTree::add_hard_link(sif::Inode& parent, std::string_view name, const TarEntry& entry,
                              const TarPosition& position) {
  const std::string target_path = clean_path(entry.link_target).text;
  sif::Inode* target = target_path.size() > kMaxPath || target_path.empty()
                           ? nullptr
                           : find_link_target(target_path, position);
  if (target == nullptr) {
    throw position.error("hard link to '", base::printable(entry.link_target.substr(0, 200)),
                         "', which is neither in this layer nor below");
  }
  if (target->type == sif::FileType::directory) {
    throw position.error("hard link to the folder '",
                         base::printable(entry.link_target.substr(0, 200)), "'");
  }
  parent.children.emplace(name, target);
  if (target != &whiteout_) apply_metadata(*target, entry);
}

sif::Inode* LayerTree::find_link_target(std::string_view path, const TarPosition& position) {
  const auto [parent_path, name] = split_last(path);
  if (sif::Inode* parent = walk(parent_path, Missing::stop, position)) {
    const auto found = parent->children.find(name);
    if (found != parent->children.end()) return found->second;
  }
  return find_in_lower(path);
}

// Docker would fail here; other builders write links to files of lower layers, meaning their
// content.
sif::Inode* LayerTree::find_in_lower(std::string_view path) {
  sif::Inode* inode = &lower_.root();
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(name.size() + 1, path.size()));
    const auto found = inode->children.find(name);
    if (found == inode->children.end()) return nullptr;
    inode = found->second;
  }
  return inode;
}

// The folder that a cleaned path names in this layer; nullptr with Missing::stop if there is none.
sif::Inode* LayerTree::walk(std::string_view path, Missing missing, const TarPosition& position) {
  const auto difference =
      std::mismatch(path.begin(), path.end(), last_path_.begin(), last_path_.end());
  const auto common = static_cast<std::size_t>(difference.first - path.begin());
  // A mark counts if its whole last name is common to both paths.
  while (!last_marks_.empty()) {
    const std::size_t end = last_marks_.back().path_end;
    const bool name_ends = end == path.size() || (end < path.size() && path[end] == '/');
    if (end <= common && name_ends) break;
    last_marks_.pop_back();
  }
  last_path_.assign(path);

  sif::Inode* directory = last_marks_.empty() ? &root_ : last_marks_.back().directory;
  std::size_t at = last_marks_.empty() ? 0 : last_marks_.back().path_end + 1;
  while (at < path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    directory = step(directory, path.substr(at, end - at), missing, position);
    if (directory == nullptr) return nullptr;
    last_marks_.push_back({end, directory});
    at = end + 1;
  }
  return directory;
}

// From a folder by one name to the next folder, through links if need be.
sif::Inode* LayerTree::step(sif::Inode* directory, std::string_view name, Missing missing,
                            const TarPosition& position) {
  const auto found = directory->children.find(name);
  if (found != directory->children.end() && found->second->type == sif::FileType::directory) {
    return found->second;
  }
  int links = 0;
  std::vector<std::string_view> pending = {name};  // next name last
  while (!pending.empty() && directory != nullptr) {
    const std::string_view next = pending.back();
    pending.pop_back();
    if (next.empty() || next == ".") continue;
    directory = next == ".." ? directories_.at(directory).parent
                             : enter(*directory, next, missing, pending, links, position);
  }
  return directory;
}

sif::Inode* LayerTree::enter(sif::Inode& directory, std::string_view name, Missing missing,
                             std::vector<std::string_view>& pending, int& links,
                             const TarPosition& position) {
  const auto found = directory.children.find(name);
  const bool create = missing == Missing::create;
  if (found == directory.children.end()) {
    return create ? &make_directory(directory, name, true, position) : nullptr;
  }
  sif::Inode& inode = *found->second;
  if (inode.type == sif::FileType::directory) return &inode;
  if (&inode == &whiteout_) {
    // Gone below, and here again with something inside.
    if (!create) return nullptr;
    directory.children.erase(found);
    sif::Inode& made = make_directory(directory, name, true, position);
    directories_.at(&made).opaque = true;
    return &made;
  }
  if (inode.type != sif::FileType::symlink) {
    if (!create) return nullptr;
    throw position.error("'", base::printable(name), "' in its path is no folder");
  }
  if (++links > base::kMaxLinks) throw position.error("too many symbolic links in its path");
  std::string_view target = inode.symlink_target;
  const std::size_t before = pending.size();
  for (bool more = true; more;) {
    const std::size_t slash = target.find('/');
    pending.push_back(target.substr(0, slash));
    more = slash != std::string_view::npos;
    if (more) target.remove_prefix(slash + 1);
  }
  std::reverse(pending.begin() + static_cast<std::ptrdiff_t>(before), pending.end());
  link_steps_ += pending.size() - before;
  if (link_steps_ > kMaxLinkSteps + kMaxLinkStepsPerMember * members_) {
    throw position.error("the layer's symbolic links are a maze");
  }
  return inode.symlink_target.starts_with('/') ? &root_ : &directory;
}

}  // namespace oci
