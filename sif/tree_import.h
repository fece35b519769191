// SPDX-License-Identifier: Apache-2.0
// Makes a tree of an image's inodes: what images of all formats have in common. Image bytes are
// hostile: a few of them may say the same name or attribute millions of times.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "sif/tree.h"

namespace sif {

inline constexpr std::uint64_t kMaxTreeEntries = 8'000'000;
// Bytes of names, of targets of symbolic links and of extended attributes.
inline constexpr std::uint64_t kMaxTreeTexts = 512 << 20;

// `Ref` names an inode of the image.
template <typename Ref>
class TreeImport {
 public:
  using EntryVisitor = std::function<void(std::string_view name, Ref ref)>;
  struct Image {
    const char* format;  // as messages call it
    std::function<void(Ref ref, Inode& inode)> describe;
    std::function<void(Ref directory, const EntryVisitor& visit)> list;
  };

  // Throws Error with EIO for an image that is corrupt or beyond the limits.
  TreeImport(const Image& image, Ref root, Tree& tree) : image_(image), tree_(tree) {
    by_ref_.emplace(root, &tree.root());
    describe(root, tree.root());
    pending_.emplace_back(root, &tree.root());
    while (!pending_.empty()) {
      Inode& directory = *pending_.back().second;
      const Ref ref = pending_.back().first;
      pending_.pop_back();
      image.list(ref, [&](std::string_view name, Ref entry) {
        if (++entries_ > kMaxTreeEntries)
          throw base::Error(base::cat("an image of more than ", kMaxTreeEntries, " files"), EIO);
        count_texts(name.size());
        directory.children[std::string(name)] = &add(entry);
      });
    }
  }

 private:
  Inode& add(Ref ref) {
    Inode*& known = by_ref_[ref];
    if (known != nullptr) {
      // Each directory has one name; another one is a loop.
      if (known->type == FileType::directory)
        throw base::Error(base::cat("corrupt ", image_.format, ": a directory with two names"),
                          EIO);
      return *known;
    }
    known = &tree_.make(FileType::regular, 0);
    describe(ref, *known);
    if (known->type == FileType::directory) pending_.emplace_back(ref, known);
    return *known;
  }

  void describe(Ref ref, Inode& inode) {
    image_.describe(ref, inode);
    count_texts(inode.symlink_target.size());
    for (const auto& [name, value] : inode.xattrs)
      count_texts(sizeof(*inode.xattrs.begin()) + name.size() + value.size());
  }

  void count_texts(std::uint64_t size) {
    texts_ += size;
    if (texts_ > kMaxTreeTexts)
      throw base::Error(base::cat("an image with more than ", kMaxTreeTexts,
                                  " bytes of names and extended attributes"),
                        EIO);
  }

  const Image& image_;
  Tree& tree_;
  std::uint64_t entries_ = 0, texts_ = 0;
  std::map<Ref, Inode*> by_ref_;
  std::vector<std::pair<Ref, Inode*>> pending_;
};

}  // namespace sif
