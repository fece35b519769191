// SPDX-License-Identifier: Apache-2.0
// What unpacking one layer into an empty folder leaves, by the rules of Docker's pkg/archive
// (Unpack with OverlayWhiteoutFormat): entries in order, the last one wins, paths follow the
// symbolic links that this layer made, missing parents appear. Lower layers are only looked at for
// hard links.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "oci/layer.h"
#include "sif/tree.h"

namespace oci {

inline constexpr std::size_t kMaxPath = 4095;  // PATH_MAX without its NUL
inline constexpr std::size_t kMaxName = 255;
inline constexpr std::uint32_t kMaxDepth = 2048;  // folders in each other; what PATH_MAX can name
// Names walked through symbolic links, per layer: so many, and some more for each member.
inline constexpr std::uint64_t kMaxLinkSteps = 1'000'000;
inline constexpr std::uint64_t kMaxLinkStepsPerMember = 16;

class LayerTree {
 public:
  // Inodes are made in `lower`, the merge of the layers below; its names are not changed.
  LayerTree(sif::Tree& lower, std::string layer_name, const sif::DataSource* source);

  // Throws Error naming layer, member and offset for what no file system could hold.
  void add(TarEntry entry);

  // Holds whiteouts as character devices 0:0.
  sif::Inode& root() { return root_; }
  // Hides the lower layers' folder of the same path.
  bool is_opaque(const sif::Inode& directory) const { return directories_.at(&directory).opaque; }
  // Exists only because the layer has something inside it.
  bool is_implied(const sif::Inode& directory) const { return directories_.at(&directory).implied; }

 private:
  struct DirectoryState {
    sif::Inode* parent = nullptr;
    std::uint32_t depth = 0;
    bool opaque = false;
    bool implied = false;
  };
  enum class Missing { create, stop };
  struct Mark {
    std::size_t path_end;
    sif::Inode* directory;
  };

  sif::Inode* walk(std::string_view path, Missing missing, const TarPosition& position);
  sif::Inode* step(sif::Inode* directory, std::string_view name, Missing missing,
                   const TarPosition& position);
  sif::Inode* enter(sif::Inode& directory, std::string_view name, Missing missing,
                    std::vector<std::string_view>& pending, int& links,
                    const TarPosition& position);
  sif::Inode& make_directory(sif::Inode& parent, std::string_view name, bool implied,
                             const TarPosition& position);
  void add_whiteout(sif::Inode& parent, std::string_view name, const TarPosition& position);
  void add_hard_link(sif::Inode& parent, std::string_view name, const TarEntry& entry,
                     const TarPosition& position);
  void add_directory(sif::Inode& parent, std::string_view name, const TarEntry& entry,
                     const TarPosition& position);
  sif::Inode& make_inode(TarEntry& entry, const TarPosition& position);
  sif::Inode* find_link_target(std::string_view path, const TarPosition& position);
  sif::Inode* find_in_lower(std::string_view path);
  bool is_no_folder(std::string_view path, const TarPosition& position);
  void remove(sif::Inode& parent, std::string_view name);

  sif::Tree& lower_;
  std::string layer_name_;
  const sif::DataSource* source_;
  sif::Inode& root_;
  sif::Inode& whiteout_;  // one serves for all names
  std::unordered_map<const sif::Inode*, DirectoryState> directories_;
  // The folders along the last path: archives name neighbours one after another.
  std::string last_path_;
  std::vector<Mark> last_marks_;
  std::uint64_t link_steps_ = 0;
  std::uint64_t members_ = 0;
};

}  // namespace oci
