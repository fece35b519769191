// SPDX-License-Identifier: Apache-2.0
// overlay create: a folder for --overlay, under the name that scripts give an ext3 image.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "cmd/output_folder.h"
#include "cmd/verbs.h"
#include "sif/sif_reader.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::int64_t kLeastSize = 64;  // MiB
// As in the images that Apptainer makes, whatever the caller's umask.
constexpr mode_t kFolderMode = 0755;
constexpr mode_t kUmask = 0022;

constexpr auto kCreateTable = std::to_array<OptionRow>({
    {.name = "create-dir",
     .kind = list,
     .value = "DIR,...",
     .help = "folders that the overlay brings; repeatable"},
    {.name = "size",
     .letter = 's',
     .kind = text,
     .value = "MIB",
     .help = "at least 64; a folder is not limited by it"},
    {.name = "help", .letter = 'h', .help = "this text"},
    // Accepted without effect: a folder grows as it is filled, and serves with --fakeroot and
    // without.
    {.name = "sparse", .letter = 'S'},
    {.name = "fakeroot", .letter = 'f'},
});

void refuse_existing(const std::string& path) {
  if (path.empty()) throw base::error("the overlay's name is empty");
  const std::optional<struct stat> status = base::find_status(path, false);
  if (!status) return;
  if (S_ISREG(status->st_mode) && sif::is_sif(base::open_file(path, O_RDONLY).get())) {
    throw base::error("cannot add an overlay to ", base::printable(path),
                      ": an ext3 partition cannot be mounted; name a new folder and run with "
                      "--overlay FOLDER");
  }
  throw base::error("cannot make the overlay ", base::printable(path), ": it exists already");
}

base::UniqueFd make_folder(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), kFolderMode) != 0 && errno != EEXIST)
    throw base::errno_error(errno, "cannot make the folder ", base::printable(name));
  return base::open_file_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// `wanted` is a path of the container.
void make_folders_below(const base::UniqueFd& upper, const std::string& wanted) {
  const std::filesystem::path path =
      std::filesystem::path(wanted.substr(std::min(wanted.find_first_not_of('/'), wanted.size())))
          .lexically_normal();
  base::UniqueFd next;
  for (const std::filesystem::path& part : path) {
    if (part == "..") {
      throw base::error("--create-dir ", base::printable(wanted),
                        ": it would be outside of the overlay");
    }
    if (part.empty() || part == ".") continue;
    next = make_folder(next ? next.get() : upper.get(), part);
  }
}

int create(const Invocation& invocation) {
  const auto parsed = invocation.parse("NAME", kCreateTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& path = invocation.only_argument(*parsed);
  const std::int64_t size = invocation.integer(*parsed, "size").value_or(kLeastSize);
  invocation.understood(*parsed);
  if (size < kLeastSize)
    throw base::error("--size ", size, ": at least ", kLeastSize, " (MiB) is needed");
  refuse_existing(path);

  ::umask(kUmask);
  OutputFolder folder(path, base::Existing::refuse);
  const base::UniqueFd upper = make_folder(folder.fd(), "upper");
  make_folder(folder.fd(), "work");
  for (const std::string& wanted : parsed->values("create-dir")) make_folders_below(upper, wanted);
  folder.commit();
  base::log_info("Made the folder ", base::printable(path),
                 " for --overlay; its size is not limited");
  return EXIT_SUCCESS;
}

constexpr auto kOverlayVerbs = std::to_array<VerbRow>({
    {"create", create, "make a folder that keeps the changes of a container"},
});

}  // namespace

int run_overlay_verb(const Invocation& invocation) {
  return run_second_word(invocation, kOverlayVerbs);
}

}  // namespace cmd
