// SPDX-License-Identifier: Apache-2.0
#include "runtime/nvidia_libraries.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "runtime/elf_file.h"
#include "runtime/nvidia_files.h"

namespace runtime {
namespace {

using enum DriverCapability;

constexpr std::array<std::string_view, 2> kKeyLibraries = {"libcuda.so.1", "libnvidia-ml.so.1"};

// The toolkit's stubs only help to link, wherever someone put them.
bool is_stub(std::string_view path) { return path.find("/stubs/") != std::string_view::npos; }

bool is_driver_version(std::string_view text) {
  const std::size_t dot = text.find('.');
  return dot != std::string_view::npos && dot >= 3 &&
         std::ranges::all_of(text, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

// Spares most of a cache's thousands of entries a look at the file.
bool may_be_driver_library(std::string_view name) {
  return name.starts_with("libcuda") || name.find("nv") != std::string_view::npos;
}

class LibraryFinder {
 public:
  LibraryFinder(const RootTree& tree, const LibraryAbi& abi, std::string version)
      : tree_(tree), abi_(abi), version_(std::move(version)) {}

  // Each gives whether it found the driver; then `libraries` has what lies there.
  bool take_from_cache(const LdCache& cache);
  bool take_from_directory(const std::string& directory);

  const std::string& version() const { return version_; }
  std::vector<HostLibrary> take_libraries();

 private:
  bool fits(const std::string& file) const;
  bool accept_key(const std::string& file);
  void add(std::string_view name, const std::string& file);
  void add_directory(const std::string& directory);
  void add_sonames();
  void add_links();

  const RootTree& tree_;
  const LibraryAbi& abi_;
  std::string version_;
  std::vector<HostLibrary> libraries_;  // `file` is a path of the tree until they are taken
  std::set<std::string, std::less<>> names_;
};

// The first key library decides the version if the kernel module does not.
bool LibraryFinder::accept_key(const std::string& file) {
  const std::string_view suffix = driver_version_suffix(base_name(file));
  if (version_.empty()) version_ = suffix;
  return suffix == version_ || suffix.empty();
}

bool LibraryFinder::fits(const std::string& file) const {
  const std::string_view name = base_name(file);
  const DriverLibraryRow* const row = find_driver_library(library_stem(name));
  if (row != nullptr && row->capabilities == none) return false;
  if (row != nullptr && row->own_version) return true;
  if (version_.empty()) return row != nullptr;
  return driver_version_suffix(name) == version_ ||
         (row != nullptr && driver_version_suffix(name).empty());
}

void LibraryFinder::add(std::string_view name, const std::string& file) {
  if (names_.emplace(name).second) libraries_.push_back({std::string(name), file});
}

bool LibraryFinder::take_from_cache(const LdCache& cache) {
  std::vector<std::pair<std::string_view, std::string>> candidates;
  std::set<std::string, std::less<>> directories;
  bool found = false;
  for (const LdCacheEntry& entry : cache.entries()) {
    if (entry.flags != abi_.cache_flags || !may_be_driver_library(entry.name)) continue;
    if (is_stub(entry.path)) continue;
    const std::optional<std::string> file = tree_.resolve(entry.path);
    if (!file) continue;
    if (std::ranges::find(kKeyLibraries, entry.name) != kKeyLibraries.end()) {
      if (!accept_key(*file)) continue;
      found = true;
      directories.emplace(parent_path(entry.path));
    }
    candidates.emplace_back(entry.name, *file);
  }
  if (!found) return false;
  for (const auto& [name, file] : candidates) {
    if (fits(file)) add(name, file);
  }
  for (const std::string& directory : directories) add_directory(directory + "/vdpau");
  add_links();
  return true;
}

bool LibraryFinder::take_from_directory(const std::string& directory) {
  bool found = false;
  for (const std::string_view key : kKeyLibraries) {
    const std::optional<std::string> file = tree_.resolve(base::cat(directory, "/", key));
    if (!file) continue;
    if (is_stub(base::cat(directory, "/")) || is_stub(*file)) continue;
    const std::optional<ElfFile> elf = find_elf(tree_, *file);
    if (elf && elf->machine == abi_.elf_machine && elf->is_64 == abi_.is_64 && accept_key(*file))
      found = true;
  }
  if (!found) return false;
  add_directory(directory);
  add_directory(directory + "/vdpau");
  add_sonames();
  add_links();
  return true;
}

void LibraryFinder::add_directory(const std::string& directory) {
  for (const std::string& name : tree_.list(directory)) {
    if (name.find(".so") == std::string::npos || !may_be_driver_library(name)) continue;
    const std::optional<std::string> file = tree_.resolve(base::cat(directory, "/", name));
    if (file && fits(*file)) add(name, *file);
  }
}

// Files without a link to them, as in a tree that ldconfig never saw, get their SONAME.
void LibraryFinder::add_sonames() {
  std::set<std::string> linked;
  for (const HostLibrary& library : libraries_) {
    if (library.name != base_name(library.file)) linked.insert(library.file);
  }
  for (const HostLibrary& library : std::vector(libraries_)) {
    if (linked.contains(library.file)) continue;
    const std::optional<ElfFile> elf = find_elf(tree_, library.file);
    if (elf && !elf->soname.empty() && elf->soname.find('/') == std::string::npos)
      add(elf->soname, library.file);
  }
}

void LibraryFinder::add_links() {
  for (const HostLibrary& library : std::vector(libraries_))
    add(base_name(library.file), library.file);
  for (const DriverLinkRow& link : driver_links()) {
    const auto of = std::ranges::find(libraries_, link.of, &HostLibrary::name);
    if (of != libraries_.end()) add(link.name, std::string(of->file));
  }
}

std::vector<HostLibrary> LibraryFinder::take_libraries() {
  for (HostLibrary& library : libraries_) library.file = tree_.outside(library.file);
  std::ranges::sort(libraries_, {}, &HostLibrary::name);
  return std::move(libraries_);
}

struct FoundLibraries {
  std::string version;
  std::vector<HostLibrary> libraries;
};

std::optional<FoundLibraries> find_libraries(const RootTree& tree, const LibraryAbi& abi,
                                             const std::string& version,
                                             const std::optional<LdCache>& cache,
                                             const std::vector<std::string>& directories) {
  LibraryFinder finder(tree, abi, version);
  bool found = cache && finder.take_from_cache(*cache);
  for (auto name = directories.begin(); !found && name != directories.end(); ++name)
    found = finder.take_from_directory(*name);
  if (!found) {
    for (const std::string& name : base::split(abi.directories, ' ')) {
      found = finder.take_from_directory(name);
      if (found) break;
    }
  }
  if (!found) return std::nullopt;
  return FoundLibraries{finder.version(), finder.take_libraries()};
}

}  // namespace

std::string_view driver_version_suffix(std::string_view file_name) {
  const std::size_t so = file_name.find(".so.");
  if (so == std::string_view::npos) return {};
  const std::string_view suffix = file_name.substr(so + 4);
  return is_driver_version(suffix) ? suffix : std::string_view();
}

std::string_view library_stem(std::string_view file_name) {
  return file_name.substr(0, file_name.find(".so"));
}

std::optional<std::string> loaded_nvidia_version(const RootTree& host) {
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue ...", with "Open" and "for
  // x86_64" in other places for the open module.
  if (const auto text = host.read("/proc/driver/nvidia/version")) {
    const std::string line = text->substr(0, text->find('\n'));
    for (const std::string& word : base::split(line, ' ')) {
      if (is_driver_version(word)) return word;
    }
  }
  if (const auto text = host.read("/sys/module/nvidia/version")) {
    const std::string word = text->substr(0, text->find('\n'));
    if (is_driver_version(word)) return word;
  }
  return std::nullopt;
}

std::optional<NvidiaDriver> find_nvidia_driver(const RootTree& tree, const std::string& version,
                                               bool compat32,
                                               const std::vector<std::string>& directories) {
  const LibraryAbi* const abi = native_abi();
  if (abi == nullptr) return std::nullopt;
  const std::optional<LdCache> cache = LdCache::find(tree);
  std::optional<FoundLibraries> found = find_libraries(tree, *abi, version, cache, directories);
  if (!found) return std::nullopt;
  NvidiaDriver driver;
  driver.version = found->version;
  driver.libraries = std::move(found->libraries);
  driver.top = tree.outside("/");
  if (driver.top.size() > 1) driver.top.pop_back();
  const LibraryAbi* const abi32 = compat32 ? compat_abi() : nullptr;
  if (abi32 != nullptr) {
    if (auto found32 = find_libraries(tree, *abi32, driver.version, cache, {}))
      driver.libraries32 = std::move(found32->libraries);
  }
  return driver;
}

}  // namespace runtime
