// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_preview.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/syscalls.h"
#include "runtime/mount_table.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

constexpr std::string_view kScriptDirectory = "/.singularity.d/env";
// More or longer ones are read when they run.
constexpr std::size_t kMaxScripts = 64;
constexpr std::size_t kMaxScript = 1 << 20;

std::optional<sif::WalkedImagePath> find_path(const sif::SquashfsReader& image,
                                              std::string_view path) {
  try {
    return sif::walk_path(image, path);
  } catch (const base::Error&) {
    return std::nullopt;  // told when it is mounted on or read
  }
}

// Where the mount is made.
std::optional<sif::WalkedImagePath> find_target(const sif::SquashfsReader& image,
                                                const MountEntry& entry) {
  if (!covers_link(entry)) return find_path(image, entry.target);
  auto parent = find_path(image, parent_path(entry.target));
  if (!parent || !parent->missing.empty()) return find_path(image, entry.target);
  try {
    const std::string name(base_name(entry.target));
    const auto link = image.find_entry(parent->deepest.ref, name);
    if (!link) return find_path(image, entry.target);
    parent->deepest = image.attributes(*link);
    parent->canonical += "/" + name;
    return parent;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

// The path as the container will know it, whether it is there or to be made.
std::string whole_path(const sif::WalkedImagePath& path) {
  std::string whole = path.canonical == "/" && !path.missing.empty() ? "" : path.canonical;
  for (const std::string& name : path.missing) whole += "/" + name;
  return whole;
}

}  // namespace

void drop_needless_mounts(const sif::SquashfsReader& image, RunPlan& plan) {
  NeedsCheck needs([&](const std::string& path) {
    const std::optional<sif::WalkedImagePath> walked = find_path(image, path);
    return walked && walked->missing.empty();
  });
  std::erase_if(plan.mounts, [&](const MountEntry& entry) { return !needs.are_met(entry); });
}

ImagePreview::ImagePreview(const sif::SquashfsReader& image, const RunPlan& plan)
    : image_(image), plan_(plan) {
  for (const MountEntry& entry : plan.mounts) targets_.push_back(find_target(image, entry));
}

std::function<bool(const std::string&)> ImagePreview::absence(
    std::shared_ptr<const sif::SquashfsReader> image) const {
  if (plan_.writable_tmpfs) return {};
  std::vector<std::string> mounted;
  for (const std::optional<sif::WalkedImagePath>& target : targets_) {
    if (!target) return {};
    mounted.push_back(whole_path(*target));
  }
  return [image = std::move(image), mounted = std::move(mounted)](const std::string& path) {
    if (!path.starts_with('/')) return false;
    const auto walked = find_path(*image, path);
    if (!walked || walked->missing.empty()) return false;
    const std::string whole = whole_path(*walked);
    return std::ranges::none_of(mounted, [&](const std::string& target) {
      return is_within(whole, target) || is_within(target, whole);
    });
  };
}

std::vector<AddedPath> ImagePreview::missing_mount_points(bool for_others) const {
  std::vector<AddedPath> added;
  for (std::size_t i = 0; i < plan_.mounts.size(); ++i) {
    const MountEntry& entry = plan_.mounts[i];
    if (!targets_[i] || targets_[i]->missing.empty() || !makes_target(entry) ||
        is_covered(plan_.mounts, i))
      continue;
    if (for_others && !is_common(entry)) continue;
    if (entry.kind == MountKind::image) continue;  // what it is shows when it is mounted
    bool is_directory = entry.kind != MountKind::text_file;
    if (entry.kind == MountKind::bind && !entry.make_source) {
      struct stat status {};
      if (::stat(entry.source.c_str(), &status) != 0) continue;
      is_directory = S_ISDIR(status.st_mode);
    }
    added.push_back({targets_[i]->deepest.ref, targets_[i]->missing, is_directory});
  }
  return added;
}

bool ImagePreview::is_untouched(std::string_view path) const {
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (!targets_[i]) return false;
    const std::string target = whole_path(*targets_[i]);
    if (target == path && makes_target(plan_.mounts[i])) return false;
    if (target != path && target != "/" && (is_within(path, target) || is_within(target, path)))
      return false;
  }
  return true;
}

std::optional<std::string> ImagePreview::read(const sif::InodeAttributes& file,
                                              std::size_t limit) const {
  constexpr unsigned kReadable = 0444;  // else the container's rules decide
  if (file.type != sif::FileType::regular || file.size > limit ||
      (file.mode & kReadable) != kReadable)
    return std::nullopt;
  std::string text(file.size, '\0');
  text.resize(image_.read_file(file.ref, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

std::optional<std::vector<EnvironmentFile>> ImagePreview::scripts() const {
  const auto directory = find_path(image_, kScriptDirectory);
  if (!directory || !directory->missing.empty() || !is_untouched(directory->canonical))
    return std::nullopt;
  std::vector<EnvironmentFile> scripts;
  bool complete = true;
  try {
    image_.list(directory->deepest.ref, 0, [&](const sif::SquashfsReader::Entry& entry) {
      if (entry.name.starts_with('.') || !entry.name.ends_with(".sh")) return true;
      const auto text = read(image_.attributes(entry.ref), kMaxScript);
      complete = text && scripts.size() < kMaxScripts;
      if (complete) scripts.push_back({base::cat(kScriptDirectory, "/", entry.name), *text});
      return complete;
    });
  } catch (const base::Error&) {
    return std::nullopt;  // a broken image says so where its files are needed
  }
  if (!complete || scripts.empty()) return std::nullopt;
  std::ranges::sort(scripts, {}, &EnvironmentFile::name);
  return scripts;
}

std::optional<std::string> ImagePreview::account_file(const MountEntry& entry) const {
  const auto path = find_path(image_, entry.target);
  if (!path || !path->missing.empty() || !is_untouched(path->canonical)) return std::nullopt;
  return read(path->deepest, kMaxAccountFile);
}

ImageTexts ImagePreview::account_files() const {
  ImageTexts files;
  try {
    for (const MountEntry& entry : plan_.mounts) {
      if (entry.kind == MountKind::passwd_file) files.passwd = account_file(entry);
      if (entry.kind == MountKind::group_file) files.group = account_file(entry);
    }
  } catch (const base::Error&) {
    return {};
  }
  return files;
}

}  // namespace runtime
