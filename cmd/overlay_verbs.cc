// SPDX-License-Identifier: Apache-2.0
// overlay create: an ext3 image for --overlay, in a file of its own or in a SIF.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "cmd/child_process.h"
#include "cmd/verbs.h"
#include "ext/make_file_system.h"
#include "ext/partition.h"
#include "sif/sif_editor.h"
#include "sif/sif_reader.h"
#include "sif/sif_writer.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::int64_t kMebibyte = 1 << 20;
constexpr std::int64_t kLeastSize = 64;  // MiB
constexpr std::int64_t kMostSize = ext::kMaxFileSystemSize / kMebibyte;
// Apptainer's, whatever the umask.
constexpr mode_t kImageMode = 0600;
constexpr std::size_t kZeroPiece = 1 << 20;

constexpr auto kCreateTable = std::to_array<OptionRow>({
    {.name = "create-dir",
     .kind = list,
     .value = "DIR,...",
     .help = "folders that the overlay brings; repeatable"},
    {.name = "fakeroot",
     .letter = 'f',
     .help = "for use with --fakeroot: the overlay is root's and not yours"},
    {.name = "size",
     .letter = 's',
     .kind = text,
     .value = "MIB",
     .help = "at least 64, the default"},
    {.name = "sparse",
     .letter = 'S',
     .help = "take space on the disk when it is written to, not now"},
    {.name = "help", .letter = 'h', .help = "this text"},
});

struct Wanted {
  std::uint64_t size = 0;  // bytes
  bool sparse = false;
  ext::NewFileSystem content;
};

// `wanted` is a path of the container; empty for its root.
std::string path_below_upper(const std::string& wanted) {
  const std::string relative =
      wanted.substr(std::min(wanted.find_first_not_of('/'), wanted.size()));
  std::string path;
  for (const std::filesystem::path& name : std::filesystem::path(relative).lexically_normal()) {
    if (name == "..") {
      throw base::error("--create-dir ", base::printable(wanted),
                        ": it would be outside of the overlay");
    }
    if (!name.empty() && name != ".") path += "/" + name.string();
  }
  return path;
}

Wanted read_options(const ParsedOptions& parsed, std::int64_t size) {
  if (size < kLeastSize)
    throw base::error("--size ", size, ": at least ", kLeastSize, " (MiB) is needed");
  if (size > kMostSize)
    throw base::error("--size ", size, ": at most ", kMostSize, " (MiB) is possible");
  const bool for_root = parsed.flag("fakeroot");
  Wanted wanted{.size = static_cast<std::uint64_t>(size * kMebibyte),
                .sparse = parsed.flag("sparse"),
                .content = {.folders = {"upper"},
                            .uid = for_root ? 0 : ::getuid(),
                            .gid = for_root ? 0 : ::getgid(),
                            .uuid = base::random_uuid(),
                            .hash_seed = base::random_uuid(),
                            .created = ::time(nullptr)}};
  for (const std::string& folder : parsed.values("create-dir"))
    wanted.content.folders.push_back("upper" + path_below_upper(folder));
  wanted.content.folders.emplace_back("work");
  return wanted;
}

// The bytes are there already, as zeros. A full disk is to be told now, and not the program that
// fills the overlay.
void reserve_space(int fd, std::uint64_t offset, std::uint64_t size, const std::string& name,
                   const HeldSignals& signals) {
  if (::fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(size)) == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    throw base::errno_error(errno, "cannot reserve ", base::human_size(size), " for ", name)
        .with_hint("--sparse takes space when it is written to");
  }
  const std::vector<std::byte> zeros(kZeroPiece);
  for (std::uint64_t done = 0; done < size; done += kZeroPiece) {
    signals.throw_if_interrupted();
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kZeroPiece, size - done));
    base::pwrite_all(fd, std::span(zeros).first(count), offset + done, name);
  }
}

void fill(int fd, std::uint64_t offset, const std::string& name, const Wanted& wanted,
          const HeldSignals& signals) {
  if (!wanted.sparse) reserve_space(fd, offset, wanted.size, name, signals);
  ext::make_file_system(ext::Partition(fd, offset, wanted.size, name), wanted.content);
  signals.throw_if_interrupted();
}

void make_file(const std::string& path, const Wanted& wanted) {
  const HeldSignals signals;  // no file is left half made
  base::AtomicOutputFile file(path, kImageMode, base::Existing::refuse);
  const std::string name = base::printable(path);
  if (::fchmod(file.fd(), kImageMode) != 0 ||
      ::ftruncate(file.fd(), static_cast<off_t>(wanted.size)) != 0)
    throw base::errno_error(errno, "cannot make ", name);
  fill(file.fd(), 0, name, wanted, signals);
  file.commit();
  base::log_info("Made the overlay image ", name, " of ", wanted.size / kMebibyte, " MiB");
}

// Gives the partition to run from, which the overlay is for.
const sif::SifDescriptor& check_container(const sif::SifFile& file) {
  const auto& objects = file.container.descriptors;
  const sif::SifDescriptor* const primary = sif::find_primary(file.container);
  const std::string attempted = "cannot add an overlay to " + file.name;
  if (primary == nullptr) throw base::error(attempted, ": it has no partition to run from");
  if (primary->file_system == sif::FileSystemType::encrypted_squashfs)
    throw base::error(attempted, ": it is encrypted");
  if (std::ranges::count(objects, sif::DataType::signature, &sif::SifDescriptor::type) != 0)
    throw base::error(attempted, ": it is signed")
        .with_hint("make an overlay in a file of its own");
  const auto overlay = std::ranges::find_if(objects, [](const sif::SifDescriptor& each) {
    return each.type == sif::DataType::partition && each.partition == sif::PartitionType::overlay &&
           each.file_system == sif::FileSystemType::ext3;
  });
  if (overlay != objects.end()) {
    throw base::error(attempted, ": it has one already, object ", overlay->id)
        .with_hint(base::cat("`sif del ", overlay->id, " ", file.name, "` removes that"));
  }
  return *primary;
}

void add_to_container(const std::string& path, const Wanted& wanted) {
  sif::SifEditor editor(path);  // may wait for another one
  const HeldSignals signals;
  const sif::SifDescriptor& primary = check_container(editor.file());
  const std::string name = base::printable(path);
  constexpr std::uint32_t kDefaultGroup = sif::kGroupBit | 1;
  const sif::NewObject object{
      .type = sif::DataType::partition,
      .group = std::max(primary.group | sif::kGroupBit, kDefaultGroup),
      .name = "",
      .extra = sif::partition_fields(sif::FileSystemType::ext3, sif::PartitionType::overlay,
                                     primary.arch_code),
      .alignment = sif::kPartitionAlignment};
  editor.add(object, wanted.size,
             [&](int fd, std::uint64_t offset) { fill(fd, offset, name, wanted, signals); });
  base::log_info("Added an overlay of ", wanted.size / kMebibyte, " MiB to ", name);
}

// What is there is changed only if it is a SIF.
int create(const Invocation& invocation) {
  const auto parsed = invocation.parse("FILE", kCreateTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& path = invocation.only_argument(*parsed);
  const std::int64_t size = invocation.integer(*parsed, "size").value_or(kLeastSize);
  invocation.understood(*parsed);
  const Wanted wanted = read_options(*parsed, size);
  if (path.empty()) throw base::error("the overlay's name is empty");

  if (!base::find_status(path, false)) {
    make_file(path, wanted);
    return EXIT_SUCCESS;
  }
  const std::optional<struct stat> status = base::find_status(path);
  if (!status || !S_ISREG(status->st_mode) || !sif::is_sif(base::open_file(path, O_RDONLY).get()))
    throw base::error("cannot make the overlay ", base::printable(path),
                      ": it exists already and is no SIF");
  add_to_container(path, wanted);
  return EXIT_SUCCESS;
}

constexpr auto kOverlayVerbs = std::to_array<VerbRow>({
    {"create", create, "make an ext3 image that keeps the changes of a container"},
});

}  // namespace

int run_overlay_verb(const Invocation& invocation) {
  survive_file_size_limit();
  return run_second_word(invocation, kOverlayVerbs);
}

}  // namespace cmd
