// SPDX-License-Identifier: Apache-2.0
#include "oci/merged_tree.h"

#include <string_view>
#include <utility>
#include <vector>

#include "oci/layer_tree.h"
#include "oci/whiteout.h"

namespace oci {
namespace {

// A folder that lies over nothing: its whiteouts have nothing to hide.
void drop_whiteouts(sif::Inode& top) {
  std::vector<sif::Inode*> pending = {&top};
  while (!pending.empty()) {
    sif::Inode& directory = *pending.back();
    pending.pop_back();
    std::erase_if(directory.children,
                  [](const auto& child) { return sif::is_whiteout(*child.second); });
    for (const auto& [name, child] : directory.children) {
      if (child->type == sif::FileType::directory) pending.push_back(child);
    }
  }
}

}  // namespace

void apply_layer(sif::Tree& tree, Layer layer) {
  LayerTree upper_tree(tree, layer.name, layer.source);
  for (TarEntry& entry : layer.entries) upper_tree.add(std::move(entry));

  std::vector<std::pair<sif::Inode*, sif::Inode*>> pending = {{&tree.root(), &upper_tree.root()}};
  while (!pending.empty()) {
    const auto [lower, upper] = pending.back();
    pending.pop_back();
    for (const auto& [name, child] : upper->children) {
      if (sif::is_whiteout(*child)) {
        lower->children.erase(name);
        continue;
      }
      sif::Inode*& place = lower->children[name];
      const bool both_directories = place != nullptr && place->type == sif::FileType::directory &&
                                    child->type == sif::FileType::directory;
      // A folder that the layer has only as a parent gets Docker's 0755 root:root, whatever it is
      // below; but Docker's time of unpacking is no property of the image, so the old one stays.
      if (both_directories && upper_tree.is_implied(*child)) child->mtime = place->mtime;
      if (both_directories && !upper_tree.is_opaque(*child)) {
        sif::take_metadata(*place, *child);
        pending.emplace_back(place, child);
        continue;
      }
      place = child;
      if (child->type == sif::FileType::directory) drop_whiteouts(*child);
    }
    upper->children.clear();
  }
}

}  // namespace oci
