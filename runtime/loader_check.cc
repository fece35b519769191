// SPDX-License-Identifier: Apache-2.0
#include "runtime/loader_check.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <set>

#include "base/text.h"
#include "runtime/elf_file.h"
#include "runtime/ld_cache.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxObjects = 64;

// The interpreter of a script within the environment; the program itself if it is none.
std::string interpreter_of(const RootTree& root, const std::string& program) {
  const std::optional<base::UniqueFd> fd = root.open(program);
  std::array<char, 256> start{};
  if (!fd) return program;
  const ssize_t count = ::pread(fd->get(), start.data(), start.size(), 0);
  if (count < 3) return program;
  std::string_view line(start.data(), static_cast<std::size_t>(count));
  if (!line.starts_with("#!")) return program;
  line = line.substr(2, line.find('\n') - 2);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return std::string(line.substr(0, line.find_first_of(" \t\r")));
}

// Not every release defines new symbols; until 2.33 the file's name told it: libc-2.31.so.
GlibcVersion version_in_name(const std::string& path) {
  constexpr std::string_view kFront = "libc-";
  std::string_view name = base_name(path);
  if (!name.starts_with(kFront)) return {};
  name.remove_prefix(kFront.size());
  return parse_glibc_version(base::cat("GLIBC_", name.substr(0, name.find(".so"))))
      .value_or(GlibcVersion{});
}

class Checker {
 public:
  Checker(const RootTree& root, std::string prefix) : root_(root), prefix_(std::move(prefix)) {}
  std::optional<std::string> check(const std::string& program);

 private:
  std::optional<std::string> find_library(const std::string& name, const ElfFile& user,
                                          const std::string& user_path) const;
  std::optional<std::string> find_in_image(const std::string& name) const;
  // Notes the newest glibc that the object needs, and puts its libraries on the list.
  std::optional<std::string> visit(const std::string& path, const ElfFile& elf);

  const RootTree& root_;
  const std::string prefix_;
  const LibraryAbi* const abi_ = native_abi();
  std::optional<LdCache> cache_;
  std::deque<std::string> pending_;
  std::set<std::string> seen_;
  GlibcVersion needed_;
  std::string needed_by_;
};

std::optional<std::string> Checker::find_in_image(const std::string& name) const {
  if (cache_) {
    for (const LdCacheEntry& entry : cache_->entries()) {
      if (entry.name == name && entry.flags == abi_->cache_flags) return root_.resolve(entry.path);
    }
  }
  for (const std::string& directory : base::split(abi_->directories, ' ')) {
    if (auto path = root_.resolve(directory + "/" + name)) return path;
  }
  return std::nullopt;
}

std::optional<std::string> Checker::find_library(const std::string& name, const ElfFile& user,
                                                 const std::string& user_path) const {
  const std::string origin(parent_path(user_path));
  std::vector<std::string> directories;
  for (const std::string* list : {&user.rpath, &user.runpath}) {
    for (std::string directory : base::split(*list, ':')) {
      for (const std::string_view word : {"${ORIGIN}", "$ORIGIN"}) {
        const std::size_t at = directory.find(word);
        if (at != std::string::npos) directory.replace(at, word.size(), origin);
      }
      directories.push_back(directory);
    }
  }
  // The run path of the program reaches its libraries' libraries, too.
  directories.push_back(prefix_ + "/lib");
  for (const std::string& directory : directories) {
    if (!directory.starts_with('/')) continue;
    if (auto path = root_.resolve(directory + "/" + name)) return path;
  }
  return find_in_image(name);
}

std::optional<std::string> Checker::visit(const std::string& path, const ElfFile& elf) {
  const GlibcVersion need = needed_glibc(elf);
  if (need > needed_) {
    needed_ = need;
    needed_by_ = path;
  }
  for (const std::string& name : elf.needed) {
    const std::optional<std::string> library = find_library(name, elf, path);
    if (!library && name.starts_with("libpython")) {
      return base::cat(base::printable(path), " needs ", base::printable(name),
                       ", which neither its environment nor the image has");
    }
    // What the image has, the image's C library fits.
    if (library && is_within(*library, prefix_) && seen_.size() < kMaxObjects &&
        seen_.insert(*library).second)
      pending_.push_back(*library);
  }
  return std::nullopt;
}

std::optional<std::string> Checker::check(const std::string& program) {
  const std::string path = interpreter_of(root_, program);
  const std::optional<std::string> real = root_.resolve(path);
  if (!real || abi_ == nullptr) return std::nullopt;
  const std::optional<ElfFile> elf = find_elf(root_, *real);
  if (!elf || elf->interpreter.empty() || elf->machine != abi_->elf_machine) return std::nullopt;
  if (!root_.exists(elf->interpreter)) {
    return base::cat(base::printable(path), " needs the loader ", base::printable(elf->interpreter),
                     ", which the image does not have: it has another C library, or none");
  }
  cache_ = LdCache::find(root_);
  if (auto problem = visit(*real, *elf)) return problem;
  while (!pending_.empty()) {
    const std::string library = std::move(pending_.front());
    pending_.pop_front();
    const std::optional<ElfFile> next = find_elf(root_, library);
    if (!next) continue;
    if (auto problem = visit(library, *next)) return problem;
  }
  const std::optional<std::string> libc = find_in_image("libc.so.6");
  const std::optional<ElfFile> libc_elf = libc ? find_elf(root_, *libc) : std::nullopt;
  if (!libc_elf) return std::nullopt;
  const GlibcVersion present = std::max(defined_glibc(*libc_elf), version_in_name(*libc));
  if (present == GlibcVersion{} || present >= needed_) return std::nullopt;
  return base::cat(base::printable(needed_by_), " needs glibc ", needed_.text(), ", the image has ",
                   present.text());
}

}  // namespace

std::optional<std::string> find_loader_problem(const RootTree& root, const std::string& program,
                                               const std::string& prefix) {
  // Libraries are compared by where they really are.
  return Checker(root, root.resolve(prefix).value_or(prefix)).check(program);
}

}  // namespace runtime
