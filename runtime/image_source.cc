// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_source.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "ext/image_lock.h"
#include "runtime/host_check.h"
#include "runtime/image_extract.h"
#include "runtime/image_preview.h"
#include "runtime/join.h"
#include "runtime/layers.h"
#include "runtime/ld_cache.h"
#include "runtime/loop_mount.h"
#include "runtime/root_key.h"
#include "runtime/user_namespace.h"
#include "sif/path_lookup.h"
#include "sif/sif_format.h"

namespace runtime {
namespace {

constexpr MountFlags kWritableFlags = MountFlags::no_setuid | MountFlags::no_devices;

constexpr std::string_view kElfMagic =
    "\x7F"
    "ELF";

// Directories that every host has, any of which serves to mount the image at for a moment.
constexpr std::array<const char*, 5> kPlaces = {"/tmp", "/run", "/mnt", "/var", "/etc"};

// The kernel may still run foreign programs through a registered emulator.
bool has_emulator() { return ::access("/proc/sys/fs/binfmt_misc/status", F_OK) == 0; }

// Of the beginning of an ELF file (elf(5)); little-endian, as all supported machines are.
bool is_native_elf(std::span<const std::byte> start) {
  constexpr std::size_t kClass = 4, kMachine = 18, kEnd = 20;
  const LibraryAbi* const abi = native_abi();
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  return abi != nullptr && text.size() >= kEnd && text.starts_with(kElfMagic) &&
         (text[kClass] == 2) == abi->is_64 &&
         base::little_endian<std::uint16_t>(start.subspan(kMachine)) == abi->elf_machine;
}

// Configurations of hand-made images name a wrong architecture at times: a shell does not.
bool has_native_shell(const sif::ImageFile& image) {
  if (image.file_system != sif::FileSystemType::squashfs) return false;
  std::array<std::byte, 64> start{};
  try {
    const sif::SquashfsReader reader(image.fd.get(), image.offset, image.size, image.path);
    for (const char* path : {"/bin/sh", "/bin/bash", "/bin/busybox", "/usr/bin/env"}) {
      const std::optional<sif::InodeRef> file = sif::resolve_path(reader, path);
      if (file) return is_native_elf(std::span(start).first(reader.read_file(*file, 0, start)));
    }
  } catch (const base::Error&) {
    // Whoever mounts the image tells.
  }
  return false;
}

void check_architecture(const sif::ImageFile& image) {
  if (image.go_arch.empty() || image.go_arch == sif::host_go_arch()) return;
  if (image.go_arch == "386" && sif::host_go_arch() == "amd64") return;
  if (has_emulator() || has_native_shell(image)) return;
  throw base::error("image ", base::printable(image.path), " is for ", image.go_arch,
                    ", this machine is ", sif::host_go_arch())
      .with_hint("use an image of this architecture, or register an emulator (qemu-user-static)");
}

// The kernel mounts squashfs for root of the first user namespace only, so this happens before ours
// is made: in a mount namespace of its own, out of which the mount is carried as a detached tree.
MountSource kernel_mount(const sif::ImageFile& image) {
  if (::geteuid() != 0) throw base::error("--image-driver kernel is for root only");
  if (!has_mount_setattr()) throw base::error("--image-driver kernel needs Linux 5.12 or later");
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    throw base::errno_error(errno, "cannot make a mount namespace");
  constexpr const char* kPlace = "/mnt";
  mount_with_kernel(image, kPlace);
  MountSource tree = MountSource::open(kPlace);
  if (::umount2(kPlace, MNT_DETACH) != 0) throw base::errno_error(errno, "cannot detach ", kPlace);
  return tree;
}

// Writes beyond the limit would fail in the file server, which raises its own as far as it may.
void check_size_limit(const sif::ImageFile& image) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_max >= image.offset + image.size) return;
  throw base::error("cannot write to ", base::printable(image.path), ": files may have ",
                    limit.rlim_max, " bytes here (ulimit -H -f)")
      .with_hint("add :ro to use it without changing it");
}

// One request for the whole root instead of one for each name in it that is used next.
void list_root(const std::string& path) {
  const base::UniqueFd root = base::open_file(path, O_RDONLY | O_DIRECTORY);
  std::array<std::byte, 16384> entries;
  ::syscall(SYS_getdents64, root.get(), entries.data(), entries.size());
}

// The kernel starts no program of a folder on a noexec mount, but does of an overlay over it, as it
// does of an image file that lies there.
std::string make_executable(SessionDirectory& session, const std::string& path) {
  if (!is_noexec(path)) return path;
  try {
    const std::string covered = session.make_mount_point("image");
    const base::UniqueFd nothing = session.make_directory("nothing", 0755);
    mount_layers({}, nothing.get(), base::open_file(path, O_PATH | O_DIRECTORY).get(),
                 base::open_file(covered, O_PATH | O_DIRECTORY).get());
    return covered;
  } catch (const base::Error& error) {
    base::log_warning(
        "programs may not be executed in the image's folder, which is mounted noexec");
    base::log_verbose(error.what());
    return path;
  }
}

}  // namespace

ImageSource ImageSource::open(const ImageRequest& request) {
  ImageSource source;
  const std::optional<struct stat> status = base::find_status(request.path);
  if (status && S_ISDIR(status->st_mode)) {
    if (::faccessat(AT_FDCWD, request.path.c_str(), X_OK, AT_EACCESS) != 0)
      throw base::errno_error(errno, "cannot enter the folder ", base::printable(request.path));
    source.directory_ = request.path;
    source.writable_ = request.writable;
  } else {
    source.open_file(request);
  }
  return source;
}

void ImageSource::open_file(const ImageRequest& request) {
  file_ = sif::open_any_image(request.path, request.partition);
  overlays_ = file_->overlays;
  check_architecture(*file_);
  if (file_->file_system == sif::FileSystemType::ext3) {
    ext_role_ =
        request.partition.kind == sif::PartitionType::overlay ? ExtRole::layer : ExtRole::plain;
    return open_ext(request.writable);
  }
  if (request.driver == ImageDriver::kernel) {
    tree_ = kernel_mount(*file_);
    file_.reset();
    return;
  }
  const std::optional<FuseProblem> problem = request.unsquash ? std::nullopt : find_fuse_problem();
  if (!request.unsquash && !problem) return;
  if (problem)
    base::log_info(problem->cause, "; ", problem->cure, ". Running from an unpacked copy");
  directory_ = open_extracted_image(*file_, request.unpack_folder);
  file_.reset();
}

void ImageSource::open_ext(bool writable) {
  if (const std::optional<FuseProblem> problem = find_fuse_problem())
    throw base::error("cannot use the ext3 image ", base::printable(file_->path), ": ",
                      problem->cause)
        .with_hint(std::string(problem->cure));
  ext_file_ = std::move(file_);
  file_.reset();
  writable_ = writable;
  is_ext_ = true;
  if (writable) check_size_limit(*ext_file_);
  // The same file, whatever has its name by now.
  if (writable) {
    base::UniqueFd same(::open(descriptor_path(ext_file_->fd.get()).c_str(), O_RDWR | O_CLOEXEC));
    if (!same)
      throw base::errno_error(errno, "cannot write to the image ",
                              base::printable(ext_file_->path));
    ext_file_->fd = std::move(same);
  }
  ext::lock_image(ext_file_->fd.get(), ext_file_->offset, ext_file_->size,
                  writable ? ext::Access::read_write : ext::Access::read_only,
                  base::printable(ext_file_->path));
}

std::optional<int> ImageSource::end_of_writing() const {
  return ext_server_ && writable_ ? std::optional(ext_server_->end()) : std::nullopt;
}

void ImageSource::find_share(const RunPlan& plan) {
  if (!file_) return;
  const auto key = find_share_key(plan.share, plan.shows_less ? describe_view(plan) : "", *file_,
                                  plan.action.environment.host);
  if (!key) return;
  root_.key = find_root_key(plan).value_or("");
  if (root_.key.size() > kMaxRootKey) root_.key.clear();
  share_ = runtime::find_share(*key, root_.key);
  shows_others_ = share_.listener.has_value();
  if (shows_others_ && !root_.key.empty()) root_.mount_table = open_mount_table();
  if (share_.joined) file_.reset();
}

void ImageSource::start_server(const std::string& trace_file) {
  if (file_) server_ = ImageServer::start(*file_, std::move(share_.listener), trace_file);
  if (!ext_file_) return;
  ext_server_ = ExtServer::start(
      *ext_file_, writable_ ? ext::Access::read_write : ext::Access::read_only, ext_role_);
  ext_file_.reset();  // only the server holds the lock from here on
}

void ImageSource::read_tables() {
  if (!file_) return;
  served_ = std::make_shared<const OpenFile>(std::move(*file_));
  file_.reset();
}

void ImageSource::preview(RunPlan& plan) {
  if (!served_) return;
  drop_needless_mounts(served_->reader, plan);
  const ImagePreview preview(served_->reader, plan);
  added_ = preview.missing_mount_points(shows_others_);
  plan.image_texts = preview.account_files();
  plan.action.environment.scripts = preview.scripts();
  plan.action.is_absent = preview.absence({served_, &served_->reader});
}

IdMap ImageSource::enter_user_namespace(const IdentityRequest& identity) {
  if (share_.joined) {
    join_user_namespace(share_.joined->user.get());
    return IdMap::own_id;
  }
  const IdMap ids = runtime::enter_user_namespace(identity);
  use_namespace(ids);
  return ids;
}

void ImageSource::use_namespace(IdMap ids) {
  // With one mapped id every other owner would be nobody, and what only root may read would be
  // closed to the payload.
  if (ids == IdMap::own_id) server_options_.owner = {::geteuid(), ::getegid()};
  if (server_) server_->open_device();
  if (ext_server_) ext_server_->open_device();
}

// setns(2) also sets the root and the working directory to those of that namespace.
bool ImageSource::enter_finished_root() {
  if (!share_.joined || !share_.joined->root ||
      ::setns(share_.joined->root.get(), CLONE_NEWNS) != 0)
    return false;
  share_.joined.reset();
  is_shared_ = true;
  return true;
}

void ImageSource::open_in_namespace() {
  if (share_.joined) {
    tree_ = copy_root_of(share_.joined->mount.get());
    share_.joined.reset();
    is_shared_ = true;
  } else if (server_ && shows_others_) {
    mount_for_all();
  } else if (!directory_.empty()) {
    tree_ = MountSource::open(directory_);
  }
}

// Ours is a copy like all others, so that it does not matter who ends first.
void ImageSource::mount_for_all() {
  const auto place =
      std::ranges::find_if(kPlaces, [](const char* path) { return ::access(path, F_OK) == 0; });
  if (place == kPlaces.end()) return;
  server_->mount_at(*place, server_options_, added_);
  try {
    const base::UniqueFd mount_namespace = make_mount_namespace_of(*place);
    door_ = server_->share(open_own_namespace("user").get(), mount_namespace.get());
    is_shared_ = true;
    if (root_.mount_table) root_.mount_namespace = open_own_namespace("mnt");
  } catch (const base::Error& error) {
    base::log_verbose("the image's mount is not shared: ", error.what());
  }
  tree_ = MountSource::open(*place);
  list_root(*place);
  if (::umount2(*place, MNT_DETACH) != 0) throw base::errno_error(errno, "cannot detach ", *place);
  server_.reset();
}

void ImageSource::confirm_root(const RunPlan& plan) {
  if (root_.mount_table && find_root_key(plan) != root_.key) root_.mount_table.reset();
}

void ImageSource::offer_root(std::vector<base::UniqueFd> files) {
  if (!root_.mount_namespace) return;
  root_.files = std::move(files);
  root_.state_of_files = state_of(root_.files);
  send_root(door_.get(), root_);
  root_ = {};
  door_.reset();
}

std::string ImageSource::mount_in(SessionDirectory& session) {
  const std::string path = session.make_mount_point("image");
  if (server_) {
    server_->mount_at(path, server_options_, added_);
    server_.reset();
    list_root(path);
  } else if (ext_server_) {
    ext_server_->mount_at(path, server_options_);
    ext_server_.reset();
  } else {
    std::move(*tree_).attach(base::open_file(path, O_PATH).get(),
                             writable_ ? kWritableFlags : kWritableFlags | MountFlags::read_only,
                             path);
    if (!writable_) return make_executable(session, path);
  }
  return path;
}

}  // namespace runtime
