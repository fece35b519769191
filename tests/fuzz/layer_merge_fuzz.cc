// SPDX-License-Identifier: Apache-2.0
// Sequences of layers made from bytes: the merge ends in base::Error or in a tree without
// whiteouts, without cycles and with every name a possible one.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "oci/merged_tree.h"
#include "oci/whiteout.h"
#include "sif/tree_plan.h"

namespace {

// Few names, so that they meet; the rest come from the input.
constexpr std::string_view kParts[] = {"a",  "b", "c", "/",     "/",    "/a/b",
                                       "..", ".", "",  ".wh.a", ".wh.", ".wh..wh..opq"};

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  std::uint8_t next() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::string path() {
    std::string text;
    for (int i = next() % 8; i > 0; --i) {
      const std::uint8_t choice = next();
      if (choice < 240)
        text += kParts[choice % std::size(kParts)];
      else
        text.append(choice == 240 ? 4000 : choice - 239, static_cast<char>(next() | 1));
    }
    return text;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

oci::TarEntry make_entry(Bytes& bytes) {
  oci::TarEntry entry;
  entry.type = static_cast<oci::EntryType>(bytes.next() % 7);
  entry.path = bytes.path();
  if (entry.type == oci::EntryType::symlink || entry.type == oci::EntryType::hard_link) {
    entry.link_target = bytes.path();
  }
  if (entry.type == oci::EntryType::char_device) entry.device_minor = bytes.next() % 2;
  entry.mode = bytes.next();
  if (entry.mode % 16 == 0) entry.xattrs["trusted.overlay.opaque"] = "y";
  if (entry.mode % 16 == 1) entry.xattrs["user.x"] = "y";
  return entry;
}

void check(const sif::Inode& root) {
  std::unordered_set<const sif::Inode*> seen;
  std::vector<const sif::Inode*> pending = {&root};
  while (!pending.empty()) {
    const sif::Inode& directory = *pending.back();
    pending.pop_back();
    if (!seen.insert(&directory).second) std::abort();  // a folder with two names
    for (const auto& [name, child] : directory.children) {
      const bool possible = !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
                            name.find('/') == std::string::npos;
      if (!possible || child == nullptr || sif::is_whiteout(*child)) std::abort();
      if (child->type == sif::FileType::directory)
        pending.push_back(child);
      else if (!child->children.empty())
        std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  sif::Tree tree;
  try {
    while (!bytes.empty()) {
      oci::Layer layer{nullptr, "fuzz", {}};
      for (int i = bytes.next() % 16; i > 0 && !bytes.empty(); --i) {
        layer.entries.push_back(make_entry(bytes));
      }
      oci::apply_layer(tree, std::move(layer));
    }
    const sif::TreePlan plan(tree);
  } catch (const base::Error&) {
  }
  check(tree.root());
  return 0;
}
