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
constexpr std::uint64_t kMaxTexts = 16 << 20;
constexpr std::size_t kMaxApps = 1000;
constexpr std::string_view kDefinition = "Singularity";

struct TextRow {
  std::string_view file, attribute;
};
constexpr std::array<TextRow, 5> kTexts = {{{"runscript", "runscript"},
                                            {"startscript", "startscript"},
                                            {"test", "test"},
                                            {"runscript.help", "helpfile"},
                                            {kDefinition, "deffile"}}};
constexpr std::array<std::string_view, 3> kEnvironment = {"10-docker2singularity.sh",
                                                          "90-environment.sh", "91-environment.sh"};

const Inode* find_child(const Inode& directory, std::string_view name) {
  const auto found = directory.children.find(name);
  return found == directory.children.end() ? nullptr : found->second;
}

// Reads what stands in the tree; all of it together is bounded, whatever the tree holds.
class TextReader {
 public:
  std::optional<std::string> find(const Inode& directory, std::string_view name) {
    const Inode* file = find_child(directory, name);
    if (file == nullptr || file->type != FileType::regular || file->size > kMaxText ||
        file->size > left_)
      return std::nullopt;
    left_ -= file->size;
    std::string text(file->size, '\0');
    for (const sif::DataExtent& extent : file->extents)
      file->source->read_at(extent.source_offset, std::as_writable_bytes(std::span(text).subspan(
                                                      extent.file_offset, extent.length)));
    return text;
  }

  // Of the whole image, or of one app: `path` is that of `directory`.
  json attributes(const Inode& directory, const std::string& path) {
    json found = {{"labels", labels(directory)}};
    for (const TextRow& row : kTexts) add(directory, row.file, row.attribute, found);
    const Inode* env = find_child(directory, "env");
    json environment = json::object();
    for (const std::string_view name : kEnvironment) {
      if (env != nullptr) add(*env, name, base::cat(path, "/env/", name), environment);
    }
    if (!environment.empty()) found["environment"] = std::move(environment);
    return found;
  }

  // Those of the Scientific Filesystem.
  json apps(const Inode& root) {
    json found = json::object();
    const Inode* scif = find_child(root, "scif");
    const Inode* folder = scif == nullptr ? nullptr : find_child(*scif, "apps");
    if (folder == nullptr) return found;
    for (const auto& [name, app] : folder->children) {
      if (found.size() == kMaxApps) break;
      if (const Inode* meta = find_child(*app, "scif"))
        found[name] = attributes(*meta, base::cat("/scif/apps/", name, "/scif"));
    }
    return found;
  }

 private:
  json labels(const Inode& directory) {
    json labels = json::object();
    const std::optional<std::string> text = find(directory, "labels.json");
    if (!text) return labels;
    try {
      for (const auto& [key, value] : JsonValue::parse(*text, "labels.json").text_map())
        labels[key] = value;
    } catch (const base::Error&) {
      // A broken file is the tree's own; what inspect shows of it is nothing.
    }
    return labels;
  }

  // As inspect shows it: without the lines' ends behind it.
  void add(const Inode& directory, std::string_view file, std::string_view key, json& object) {
    std::optional<std::string> text = find(directory, file);
    if (!text) return;
    text->resize(text->find_last_not_of('\n') + 1);
    object[std::string(key)] = *std::move(text);
  }

  std::uint64_t left_ = kMaxTexts;
};

}  // namespace

std::vector<sif::SifText> texts_of_tree(const sif::Tree& tree) {
  const Inode none;
  const Inode* found = find_child(tree.root(), ".singularity.d");
  const Inode& directory = found == nullptr ? none : *found;
  TextReader reader;
  json attributes = reader.attributes(directory, "/.singularity.d");
  if (json apps = reader.apps(tree.root()); !apps.empty()) attributes["apps"] = std::move(apps);
  const json metadata = {{"data", {{"attributes", std::move(attributes)}}}, {"type", "container"}};
  return {{sif::DataType::definition_file, "",
           reader.find(directory, kDefinition).value_or("bootstrap: localimage\n\n")},
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
