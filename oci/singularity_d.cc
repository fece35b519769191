// SPDX-License-Identifier: Apache-2.0
#include "oci/singularity_d.h"

#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/path_walk.h"
#include "base/text.h"
#include "oci/file_source.h"

namespace oci {
namespace {

using sif::FileType;
using sif::Inode;
using sif::Tree;

struct RootLink {
  std::string_view name;
  std::string_view target;
};
constexpr std::array<RootLink, 6> kRootLinks = {{
    {".exec", ".singularity.d/actions/exec"},
    {".run", ".singularity.d/actions/run"},
    {".shell", ".singularity.d/actions/shell"},
    {".test", ".singularity.d/actions/test"},
    {"environment", ".singularity.d/env/90-environment.sh"},
    {"singularity", ".singularity.d/runscript"},
}};

constexpr std::array<NeededFolder, 8> kNeededFolders = {{
    {"dev", 0755, false},
    {"proc", 0755, false},
    {"sys", 0755, false},
    {"root", 0700, true},
    {"tmp", 01777, true},
    {"var/tmp", 01777, true},
    {"home", 0755, true},
    {"etc", 0755, true},
}};

constexpr std::array<std::string_view, 2> kNeededFiles = {"hosts", "resolv.conf"};

class TreeBuilder {
 public:
  TreeBuilder(Tree& tree, std::int64_t mtime) : tree_(tree), mtime_(mtime) {}

  Inode& make(FileType type, std::uint16_t mode) {
    Inode& inode = tree_.make(type, mode);
    inode.mtime = mtime_;
    return inode;
  }

  // The real folder `name` of `parent`; anything else of that name gives way.
  Inode& own_folder(Inode& parent, const std::string& name, std::uint16_t mode) {
    Inode*& child = parent.children[name];
    if (child == nullptr || child->type != FileType::directory) {
      if (child != nullptr)
        base::log_warning("the image's /", base::printable(name), " is no folder and is replaced");
      child = &make(FileType::directory, mode);
    }
    return *child;
  }

  // As the kernel would walk it within the image; nullptr when absent or not a folder.
  Inode* find_folder(std::string_view path) {
    std::vector<std::string> pending = reversed(path);
    std::vector<Inode*> stack = {&tree_.root()};
    int hops = 0;
    while (!pending.empty()) {
      const std::string name = std::move(pending.back());
      pending.pop_back();
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        if (stack.size() > 1) stack.pop_back();
        continue;
      }
      const auto child = stack.back()->children.find(name);
      if (child == stack.back()->children.end()) return nullptr;
      Inode* inode = child->second;
      if (inode->type == FileType::symlink) {
        if (++hops > base::kMaxLinks) return nullptr;
        if (inode->symlink_target.starts_with('/')) stack = {&tree_.root()};
        for (std::string& part : reversed(inode->symlink_target))
          pending.push_back(std::move(part));
        continue;
      }
      if (inode->type != FileType::directory) return nullptr;
      stack.push_back(inode);
    }
    return stack.back();
  }

  void need_folder(const NeededFolder& needed) {
    Inode* parent = &tree_.root();
    const std::vector<std::string> parts = base::split(needed.path, '/');
    std::string path;
    for (const std::string& part : parts) {
      const bool is_last = &part == &parts.back();
      path += (path.empty() ? "" : "/") + part;
      const auto child = parent->children.find(part);
      if (needed.may_be_link && child != parent->children.end() &&
          child->second->type == FileType::symlink) {
        parent = find_folder(path);
        if (parent == nullptr) return;  // a dangling link is the image's own decision
        continue;
      }
      parent = &own_folder(*parent, part, is_last ? needed.mode : std::uint16_t{0755});
    }
  }

 private:
  static std::vector<std::string> reversed(std::string_view path) {
    std::vector<std::string> parts = base::split(path, '/');
    return {parts.rbegin(), parts.rend()};
  }

  Tree& tree_;
  std::int64_t mtime_;
};

}  // namespace

std::vector<std::unique_ptr<sif::DataSource>> add_singularity_d(
    Tree& tree, const std::vector<SingularityFile>& files, std::int64_t mtime) {
  TreeBuilder builder(tree, mtime);
  // Layers seldom have an entry for the root itself.
  if (tree.root().mtime == 0) tree.root().mtime = mtime;
  std::vector<std::unique_ptr<sif::DataSource>> contents;
  for (const SingularityFile& file : files) {
    std::vector<std::string> parts = base::split(file.path.substr(1), '/');
    Inode* folder = &tree.root();
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      folder = &builder.own_folder(*folder, parts[i], 0755);
    Inode& inode = builder.make(FileType::regular, file.mode);
    contents.push_back(std::make_unique<TextSource>(file.content));
    inode.size = file.content.size();
    inode.source = contents.back().get();
    inode.extents = {{0, 0, inode.size}};
    folder->children[parts.back()] = &inode;
  }
  builder.own_folder(builder.own_folder(tree.root(), ".singularity.d", 0755), "libs", 0755);
  for (const RootLink& link : kRootLinks) {
    Inode*& child = tree.root().children[std::string(link.name)];
    if (child != nullptr) continue;
    child = &builder.make(FileType::symlink, 0777);
    child->symlink_target = link.target;
  }
  for (const NeededFolder& needed : kNeededFolders) builder.need_folder(needed);
  if (Inode* etc = builder.find_folder("etc")) {
    for (const std::string_view name : kNeededFiles) {
      Inode*& child = etc->children[std::string(name)];
      if (child == nullptr) child = &builder.make(FileType::regular, 0644);
    }
  }
  return contents;
}

std::span<const NeededFolder> needed_folders() { return kNeededFolders; }
std::span<const std::string_view> needed_files() { return kNeededFiles; }

}  // namespace oci
