// SPDX-License-Identifier: Apache-2.0
// Random operations on a file system beside what it should be, in memory.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/ext/ext_image.h"

namespace ext {

// A tree of names in memory with what it should be.
class FileSystemModel {
 public:
  explicit FileSystemModel(unsigned seed) : random_(seed) {}

  void step(FileSystem& fs) {
    switch (pick(11)) {
      case 0:
      case 1:
        return make(fs);
      case 2:
        return remove(fs);
      case 3:
        return rename(fs);
      case 4:
        return truncate(fs);
      case 5:
        return xattr(fs);
      case 6:
        return link(fs);
      default:
        return write(fs);
    }
  }

  void expect_same(FileSystem& fs) {
    for (const auto& [name, inode] : names_) {
      const auto& [folder, leaf] = name;
      ASSERT_EQ(fs.find_entry(folder, leaf), inode) << leaf;
      if (const auto file = files_.find(inode); file != files_.end()) {
        ASSERT_EQ(read_all(fs, inode), file->second) << leaf;
      }
      if (const auto value = xattrs_.find(inode); value != xattrs_.end()) {
        ASSERT_EQ(fs.find_xattr(inode, "user.x"), value->second);
      }
    }
    for (const InodeNumber folder : folders_) {
      std::size_t count = 0;
      fs.list(folder, 0, [&](const FileSystem::Entry& entry) {
        if (entry.name != "." && entry.name != ".." && entry.name != "lost+found") ++count;
        return true;
      });
      ASSERT_EQ(count, std::count_if(names_.begin(), names_.end(),
                                     [&](const auto& each) { return each.first.first == folder; }));
    }
  }

 private:
  using Name = std::pair<InodeNumber, std::string>;

  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  InodeNumber any_folder() { return folders_[pick(folders_.size())]; }
  std::string any_leaf() {
    return std::string(1 + pick(60), static_cast<char>('a' + pick(26))) + std::to_string(pick(40));
  }
  std::optional<Name> any_name() {
    if (names_.empty()) return std::nullopt;
    return std::next(names_.begin(), static_cast<std::ptrdiff_t>(pick(names_.size())))->first;
  }
  std::optional<InodeNumber> any_file() {
    if (files_.empty()) return std::nullopt;
    return std::next(files_.begin(), static_cast<std::ptrdiff_t>(pick(files_.size())))->first;
  }
  bool is_folder(InodeNumber inode) const { return std::ranges::count(folders_, inode) > 0; }

  void make(FileSystem& fs) {
    const InodeNumber parent = any_folder();
    const std::string leaf = any_leaf();
    if (names_.contains({parent, leaf}) || leaf == "lost+found") return;
    const bool folder = pick(4) == 0 && folders_.size() < 12;
    const InodeNumber made = fs.make(parent, leaf, folder ? kFolder : kFile);
    names_[{parent, leaf}] = made;
    if (folder) {
      folders_.push_back(made);
    } else {
      files_[made];
    }
  }
  void forget(InodeNumber inode) {
    if (std::ranges::any_of(names_, [&](const auto& each) { return each.second == inode; })) return;
    files_.erase(inode);
    xattrs_.erase(inode);
    std::erase(folders_, inode);
  }
  bool is_empty(InodeNumber folder) const {
    return std::ranges::none_of(names_,
                                [&](const auto& each) { return each.first.first == folder; });
  }
  void remove(FileSystem& fs) {
    const auto name = any_name();
    if (!name) return;
    const InodeNumber inode = names_[*name];
    if (is_folder(inode)) {
      if (!is_empty(inode)) return;
      fs.drop(fs.remove_directory(name->first, name->second));
    } else {
      fs.drop(fs.unlink(name->first, name->second));
    }
    names_.erase(*name);
    forget(inode);
  }
  void rename(FileSystem& fs) {
    const auto from = any_name();
    if (!from || is_folder(names_[*from])) return;
    const Name to{any_folder(), any_leaf()};
    const auto replaced = names_.find(to);
    if (replaced != names_.end() && is_folder(replaced->second)) return;
    const auto lost =
        fs.rename(from->first, from->second, to.first, to.second, Rename::replace, kFile);
    if (lost) fs.drop(*lost);
    const InodeNumber inode = names_[*from];
    std::optional<InodeNumber> old;
    if (replaced != names_.end()) old = replaced->second;
    if (old == inode) return;  // two names of one file: nothing happens
    names_.erase(*from);
    names_[to] = inode;
    if (old) forget(*old);
  }
  void link(FileSystem& fs) {
    const auto file = any_file();
    const Name to{any_folder(), any_leaf()};
    if (!file || names_.contains(to)) return;
    fs.link(*file, to.first, to.second);
    names_[to] = *file;
  }
  void write(FileSystem& fs) {
    const auto file = any_file();
    if (!file) return;
    const std::size_t at = pick(60'000);
    const std::string text(1 + pick(pick(5) == 0 ? 40'000 : 3000),
                           static_cast<char>('A' + pick(26)));
    write_text(fs, *file, at, text);
    std::string& content = files_[*file];
    if (content.size() < at + text.size()) content.resize(at + text.size());
    content.replace(at, text.size(), text);
  }
  void truncate(FileSystem& fs) {
    const auto file = any_file();
    if (!file) return;
    AttributeChanges changes;
    changes.size = pick(60'000);
    fs.change(*file, changes);
    files_[*file].resize(static_cast<std::size_t>(*changes.size));
  }
  void xattr(FileSystem& fs) {
    const auto file = any_file();
    if (!file) return;
    xattrs_[*file] = std::string(1 + pick(300), 'v');
    fs.set_xattr(*file, "user.x", xattrs_[*file]);
  }

  std::mt19937 random_;
  std::map<Name, InodeNumber> names_;
  std::map<InodeNumber, std::string> files_, xattrs_;
  std::vector<InodeNumber> folders_ = {kRootInode};
};

}  // namespace ext
