// SPDX-License-Identifier: Apache-2.0
// Trees with content in memory, for tests of what consumes a tree.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sif/tree.h"

namespace sif::test {

class MemorySource : public DataSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset + out.size() > bytes_.size()) throw base::error("read beyond the source");
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }

 private:
  std::string bytes_;
};

// Reads of it fail.
class BrokenSource : public DataSource {
 public:
  void read_at(std::uint64_t, std::span<std::byte>) const override {
    throw base::error("the source is broken");
  }
};

class MemoryTree {
 public:
  Tree tree;

  Inode& root() { return tree.root(); }

  Inode& add(Inode& parent, const std::string& name, FileType type, std::uint16_t mode = 0644) {
    Inode& inode = tree.make(type, mode);
    parent.children[name] = &inode;
    return inode;
  }
  Inode& directory(Inode& parent, const std::string& name) {
    return add(parent, name, FileType::directory, 0755);
  }
  Inode& file(Inode& parent, const std::string& name, std::string content) {
    Inode& inode = add(parent, name, FileType::regular);
    inode.size = content.size();
    if (!content.empty()) inode.extents = {{0, 0, content.size()}};
    sources_.push_back(std::make_unique<MemorySource>(std::move(content)));
    inode.source = sources_.back().get();
    return inode;
  }
  Inode& symlink(Inode& parent, const std::string& name, std::string target) {
    Inode& inode = add(parent, name, FileType::symlink, 0777);
    inode.symlink_target = std::move(target);
    return inode;
  }
  const DataSource* keep(std::unique_ptr<DataSource> source) {
    sources_.push_back(std::move(source));
    return sources_.back().get();
  }

 private:
  std::vector<std::unique_ptr<DataSource>> sources_;
};

// Compressible, and different for every seed.
inline std::string text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string words = "the quick brown fox jumps over a lazy dog and so on ";
  std::string out;
  out.reserve(size + 16);
  while (out.size() < size) {
    out += words.substr(random() % 40, 3 + random() % 9);
    out += static_cast<char>('a' + random() % 26);
  }
  out.resize(size);
  return out;
}

inline std::string noise(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string out(size, '\0');
  std::ranges::generate(out, [&] { return static_cast<char>(random()); });
  return out;
}

inline MemoryTree& fill_with_a_bit_of_everything(MemoryTree& t) {
  Inode& usr = t.directory(t.root(), "usr");
  Inode& bin = t.directory(usr, "bin");
  t.file(bin, "program", text(700'000, 1)).mode = 04755;
  t.file(bin, "packed", noise(400'000, 2));
  Inode& linked = t.file(bin, "linked", text(300, 3));
  usr.children["linked too"] = &linked;
  Inode& lib = t.directory(usr, "lib");
  for (unsigned i = 0; i < 100; ++i) t.file(lib, base::cat("file", i), text(i * 97, i));
  t.file(lib, "copy of packed", noise(400'000, 2));
  t.file(lib, "copy of file99", text(99 * 97, 99));
  t.file(lib, "zeros", std::string(1'000'000, '\0'));
  t.file(lib, "empty", "");
  t.file(lib, "a block", text(131072, 9));
  t.symlink(t.root(), "bin", "usr/bin");
  t.symlink(lib, "long", std::string(4095, 'x'));
  t.directory(t.root(), "empty dir").mode = 01777;
  return t;
}

}  // namespace sif::test
