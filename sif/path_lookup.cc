// SPDX-License-Identifier: Apache-2.0
#include "sif/path_lookup.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace sif {
namespace {

constexpr int kMaxLinks = 40;  // as in the kernel

// Pushes the components so that the first is taken from the back first.
void push_components(std::string_view path, std::vector<std::string>& pending) {
  std::vector<std::string> names = base::split(path, '/');
  std::erase(names, "");
  pending.insert(pending.end(), names.rbegin(), names.rend());
}

}  // namespace

std::optional<InodeRef> resolve_path(const SquashfsReader& reader, std::string_view path) {
  std::vector<InodeRef> above = {reader.root()};  // the way to the current directory
  std::vector<std::string> pending;
  push_components(path, pending);
  for (int links = 0; !pending.empty();) {
    const std::string name = std::move(pending.back());
    pending.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (above.size() > 1) above.pop_back();
      continue;
    }
    if (reader.attributes(above.back()).type != FileType::directory) return std::nullopt;
    const std::optional<InodeRef> entry = reader.find_entry(above.back(), name);
    if (!entry) return std::nullopt;
    if (reader.attributes(*entry).type != FileType::symlink) {
      above.push_back(*entry);
      continue;
    }
    if (++links > kMaxLinks) return std::nullopt;
    const std::string target = reader.symlink_target(*entry);
    if (target.starts_with('/')) above.resize(1);
    push_components(target, pending);
  }
  return above.back();
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
