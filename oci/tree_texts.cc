// SPDX-License-Identifier: Apache-2.0
#include "oci/tree_texts.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "oci/digest.h"
#include "oci/json.h"

namespace oci {
namespace {

using nlohmann::json;
using sif::FileType;
using sif::Inode;

constexpr std::uint64_t kMaxText = 1 << 20;
constexpr std::string_view kDefinition = "Singularity";

struct TextRow {
  std::string_view file, attribute;
};
constexpr std::array<TextRow, 5> kTexts = {{{"runscript", "runscript"},
                                            {"startscript", "startscript"},
                                            {"test", "test"},
                                            {"runscript.help", "helpfile"},
                                            {kDefinition, "deffile"}}};
constexpr std::array<std::string_view, 2> kEnvironment = {"10-docker2singularity.sh",
                                                          "90-environment.sh"};

const Inode* find_child(const Inode& directory, std::string_view name) {
  const auto found = directory.children.find(name);
  return found == directory.children.end() ? nullptr : found->second;
}

std::optional<std::string> find_text(const Inode& directory, std::string_view name) {
  const Inode* file = find_child(directory, name);
  if (file == nullptr || file->type != FileType::regular || file->size > kMaxText)
    return std::nullopt;
  std::string text(file->size, '\0');
  for (const sif::DataExtent& extent : file->extents)
    file->source->read_at(extent.source_offset, std::as_writable_bytes(std::span(text).subspan(
                                                    extent.file_offset, extent.length)));
  return text;
}

json labels_of(const Inode& directory) {
  json labels = json::object();
  const std::optional<std::string> text = find_text(directory, "labels.json");
  if (!text) return labels;
  try {
    for (const auto& [key, value] : JsonValue::parse(*text, "labels.json").text_map())
      labels[key] = value;
  } catch (const base::Error&) {
    // A broken file is the tree's own; what inspect shows of it is nothing.
  }
  return labels;
}

json attributes_of(const Inode& directory) {
  json attributes = {{"labels", labels_of(directory)}};
  for (const TextRow& row : kTexts) {
    if (std::optional<std::string> text = find_text(directory, row.file))
      attributes[std::string(row.attribute)] = *std::move(text);
  }
  const Inode* env = find_child(directory, "env");
  if (env == nullptr) return attributes;
  for (const std::string_view name : kEnvironment) {
    if (std::optional<std::string> text = find_text(*env, name))
      attributes["environment"][base::cat("/.singularity.d/env/", name)] = *std::move(text);
  }
  return attributes;
}

}  // namespace

std::vector<sif::SifText> texts_of_tree(const sif::Tree& tree) {
  const Inode none;
  const Inode* found = find_child(tree.root(), ".singularity.d");
  const Inode& directory = found == nullptr ? none : *found;
  const json metadata = {{"data", {{"attributes", attributes_of(directory)}}},
                         {"type", "container"}};
  return {{sif::DataType::definition_file, "",
           find_text(directory, kDefinition).value_or("bootstrap: localimage\n\n")},
          {sif::DataType::generic_json, "inspect-metadata.json",
           metadata.dump(-1, ' ', false, json::error_handler_t::replace)}};
}

std::string digest_of_tree(const sif::Tree& tree) {
  Sha256 hash;
  std::vector<std::pair<const Inode*, std::string_view>> pending = {{&tree.root(), "/"}};
  while (!pending.empty()) {
    const auto [inode, name] = pending.back();
    pending.pop_back();
    const std::string record = base::cat(
        name, '\0', static_cast<int>(inode->type), ' ', inode->mode, ' ', inode->uid, ' ',
        inode->gid, ' ', inode->mtime, ' ', inode->size, ' ', inode->device_major, ' ',
        inode->device_minor, ' ', inode->children.size(), ' ', inode->symlink_target, '\0');
    hash.update(std::as_bytes(std::span(record)));
    for (const auto& [child_name, child] : inode->children) pending.emplace_back(child, child_name);
  }
  return hash.digest();
}

}  // namespace oci
