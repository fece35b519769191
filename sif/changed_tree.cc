// SPDX-License-Identifier: Apache-2.0
#include "sif/changed_tree.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace sif {
namespace {

// Of user namespaces (mount option userxattr), of root, and of fuse-overlayfs.
constexpr std::array<std::string_view, 3> kPrefixes = {"user.overlay.", "trusted.overlay.",
                                                       "user.fuseoverlayfs."};
constexpr std::array<std::string_view, 2> kReferences = {"redirect", "metacopy"};
// What fuse-overlayfs makes as well, or where it may not make devices.
constexpr std::string_view kWhiteout = ".wh.";
constexpr const char* kOpaque = ".wh..wh..opq";

bool is_folder(const Inode* inode) {
  return inode != nullptr && inode->type == FileType::directory;
}

// Takes the overlay's own attributes away; whether one says that the folder hides what is below.
bool take_marks(Inode& inode, const std::string& name) {
  bool opaque = false;
  for (const std::string_view prefix : kPrefixes) {
    for (const std::string_view reference : kReferences) {
      if (inode.xattrs.contains(base::cat(prefix, reference))) {
        throw base::error("the overlay's ", base::printable(name), " refers to another file (",
                          prefix, reference, ")");
      }
    }
    const auto mark = inode.xattrs.find(base::cat(prefix, "opaque"));
    opaque = opaque || (mark != inode.xattrs.end() && mark->second == "y");
    // What programs have set under such names is kept by the kernel one level deeper.
    std::map<std::string, std::string> kept;
    for (const auto& [key, value] : inode.xattrs) {
      const std::string_view inner =
          std::string_view(key).substr(std::min(prefix.size(), key.size()));
      if (!key.starts_with(prefix))
        kept[key] = value;
      else if (inner.starts_with("overlay."))
        kept[base::cat(prefix, inner.substr(std::string_view("overlay.").size()))] = value;
    }
    inode.xattrs = std::move(kept);
  }
  return opaque;
}

bool is_whiteout_file(const std::string& name, const Inode& inode) {
  return name.starts_with(kWhiteout) && inode.type == FileType::regular && inode.size == 0;
}

}  // namespace

void apply_changes(Tree& image, Tree& upper) {
  // Folders of the upper layer, each with the one that is to be changed by it: itself, where it
  // takes the other's place.
  std::vector<std::pair<Inode*, Inode*>> pending = {{&upper.root(), &image.root()}};
  std::set<const Inode*> seen;
  take_marks(upper.root(), "/");
  upper.root().children.erase(kOpaque);
  image.root().mode = upper.root().mode;
  image.root().mtime = upper.root().mtime;
  image.root().xattrs = upper.root().xattrs;
  while (!pending.empty()) {
    const auto [from, to] = pending.back();
    pending.pop_back();
    const auto changed = from->children;  // `to` may be the same
    for (const auto& [name, child] : changed) {
      if (is_whiteout(*child)) {
        to->children.erase(name);
        continue;
      }
      if (is_whiteout_file(name, *child)) {
        to->children.erase(name.substr(kWhiteout.size()));
        to->children.erase(name);
        continue;
      }
      // Files may have several names; a folder has one.
      bool opaque = seen.insert(child).second && take_marks(*child, name);
      if (child->children.erase(kOpaque) > 0) opaque = true;
      Inode*& place = to->children[name];
      if (!is_folder(child) || !is_folder(place) || opaque || place == child)
        place = child;
      else
        take_metadata(*place, *child);
      if (is_folder(child)) pending.emplace_back(child, place);
    }
  }
}

}  // namespace sif
