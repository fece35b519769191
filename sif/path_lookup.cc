// SPDX-License-Identifier: Apache-2.0
#include "sif/path_lookup.h"

#include <cerrno>

#include "base/error.h"

namespace sif {
namespace {

struct WalkedImage {
  using Node = InodeAttributes;

  Node root() const { return reader.attributes(reader.root()); }
  std::optional<Node> find(const Node* parent, const std::string& name) const {
    const auto ref = reader.find_entry(parent == nullptr ? reader.root() : parent->ref, name);
    if (!ref) return std::nullopt;
    return reader.attributes(*ref);
  }
  std::optional<std::string> link_target(const Node& node) const {
    if (node.type != FileType::symlink) return std::nullopt;
    return reader.symlink_target(node.ref);
  }

  const SquashfsReader& reader;
};

// Ends at the first name that is not there: "absent/.." is absent, too.
struct CompleteTree : WalkedImage {
  std::optional<Node> find(const Node* parent, const std::string& name) const {
    if (auto node = WalkedImage::find(parent, name)) return node;
    throw base::errno_error(ENOENT, name);
  }
};

}  // namespace

WalkedImagePath walk_path(const SquashfsReader& reader, std::string_view path) {
  return base::PathWalk<WalkedImage>({reader}, path).run();
}

std::optional<InodeRef> resolve_path(const SquashfsReader& reader, std::string_view path) {
  try {
    return base::PathWalk<CompleteTree>({{reader}}, path).run().deepest.ref;
  } catch (const base::Error& error) {
    const int why = error.errno_value();
    if (why == ENOENT || why == ENOTDIR || why == ELOOP) return std::nullopt;
    throw;
  }
}

std::optional<std::string> find_text(const SquashfsReader& reader, std::string_view path,
                                     std::size_t limit) {
  const std::optional<InodeRef> file = resolve_path(reader, path);
  if (!file) return std::nullopt;
  const InodeAttributes attributes = reader.attributes(*file);
  if (attributes.type != FileType::regular || attributes.size > limit) return std::nullopt;
  std::string text(static_cast<std::size_t>(attributes.size), '\0');
  text.resize(reader.read_file(*file, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace sif
