// SPDX-License-Identifier: Apache-2.0
#include "runtime/rootfs.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/device_files.h"
#include "runtime/host_libraries.h"
#include "runtime/path_in_root.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

// The one place where a failure may be survived: what a run can do without is told, not fatal.
// False after a failure.
template <typename Step>
bool attempt(const MountEntry& entry, Step step) {
  try {
    step();
  } catch (const base::Error& error) {
    if (entry.importance == Importance::required) throw;
    if (entry.importance == Importance::expected) {
      base::log_warning("skipping mount: ", error.what());
    } else {
      base::log_verbose("skipping mount: ", error.what());
    }
    return false;
  }
  return true;
}

// mkdir -p on the host, for the directories of --workdir.
void make_host_directory(const std::string& path, mode_t mode) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const bool last = slash == std::string::npos;
    if (::mkdir(part.c_str(), last ? mode : 0755) != 0 && errno != EEXIST)
      throw base::errno_error(errno, "cannot make the directory ", base::printable(part));
    if (last) return;
  }
}

bool shows_same(int first, int second, const std::string& name) {
  const struct stat a = base::file_status(first, name), b = base::file_status(second, name);
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::optional<base::UniqueFd> find_target(int root, const MountEntry& entry) {
  return covers_link(entry) ? find_link_in_root(root, entry.target)
                            : find_in_root(root, entry.target);
}

bool has_source(MountKind kind) { return kind == MountKind::bind || kind == MountKind::image; }

bool makes_directory(const MountEntry& entry, const std::optional<MountSource>& source) {
  return has_source(entry.kind) ? source->is_directory() : entry.kind != MountKind::text_file;
}

}  // namespace

MountSources open_mount_sources(std::span<const MountEntry> mounts) {
  MountSources sources(mounts.size());
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    if (mounts[i].kind != MountKind::bind) continue;
    attempt(mounts[i], [&] {
      if (mounts[i].make_source) make_host_directory(mounts[i].source, mounts[i].mode);
      sources[i] = MountSource::open(mounts[i].source);
    });
  }
  return sources;
}

Rootfs::Rootfs(SessionDirectory& session, std::string image_path)
    : session_(session), root_path_(std::move(image_path)) {
  reopen_root();
  image_ = base::open_file_at(root_.get(), ".", O_PATH | O_DIRECTORY);
  image_device_ = base::file_status(image_.get(), "/").st_dev;
}

void Rootfs::reopen_root() { root_ = base::open_file(root_path_, O_PATH | O_DIRECTORY); }

MissingTargets Rootfs::find_missing(const RunPlan& plan, const MountSources& sources) const {
  MissingTargets missing;
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const MountEntry& entry = plan.mounts[i];
    if (has_source(entry.kind) ? !sources[i] : !makes_target(entry)) continue;
    if (is_covered(plan.mounts, i)) continue;
    attempt(entry, [&] {
      if (find_target(image_.get(), entry)) return;
      PathInRoot path = walk_in_root(image_.get(), entry.target);
      if (!path.missing.empty()) {
        missing[path.canonical].push_back(
            {std::move(path.missing), makes_directory(entry, sources[i])});
      }
    });
  }
  return missing;
}

void Rootfs::add_layers(const Layers& layers, const RunPlan& plan, const MountSources& sources) {
  const base::UniqueFd mount_points = session_.make_directory("targets", 0755);
  for (const auto& [name, targets] : find_missing(plan, sources)) {
    const base::UniqueFd top = imitate_directory(image_.get(), mount_points.get(), name);
    for (const MissingTarget& target : targets)
      make_path(top.get(), target.components, target.is_directory);
  }
  mount_layers(layers, mount_points.get(), image_.get(), root_.get());
  layered_ = true;
  reopen_root();
}

void Rootfs::make_targets(const RunPlan& plan, const MountSources& sources) {
  written_ = plan.writable;
  for (const auto& [name, targets] : find_missing(plan, sources)) {
    // What covers a directory takes writes to it in vain. Only that of homes is worth it.
    if (plan.writable && (name == "/" || name != parent_path(plan.caller.home))) continue;
    const base::UniqueFd original = walk_in_root(image_.get(), name).deepest;
    const base::UniqueFd directory = walk_in_root(root_.get(), name).deepest;
    cover_with_targets(session_, original.get(), directory.get(), name, targets);
    if (name == "/") {
      reopen_root();
      covers_.push_back(base::open_file(root_path_, O_PATH | O_DIRECTORY));
    } else {
      covers_.push_back(walk_in_root(root_.get(), name).deepest);
    }
  }
}

// True for directories that end with the run or were made for it: mount points may be made in them.
bool Rootfs::is_ours(int fd, const std::string& name) const {
  for (const std::string& target : throwaway_) {
    if (is_within(name, target)) return true;
  }
  const dev_t device = base::file_status(fd, name).st_dev;
  return device == session_.device() ||
         (layered_ && device == base::file_status(root_.get(), "/").st_dev);
}

base::UniqueFd Rootfs::open_target(const MountEntry& entry, bool is_directory) {
  if (auto found = find_target(root_.get(), entry)) return std::move(*found);
  const PathInRoot path = walk_in_root(root_.get(), entry.target);
  if (path.missing.empty() || is_ours(path.deepest.get(), path.canonical))
    return make_path(path.deepest.get(), path.missing, is_directory);
  if (written_ && !covered_) {
    throw base::error("mount point ", base::printable(entry.target), " does not exist in the image")
        .with_hint("with --writable it is not made by itself: make it in the image");
  }
  // Below a bound directory of the host: what the user asks for by name, or stands in, is made
  // there, for good.
  std::string cause;
  try {
    if (entry.importance == Importance::required || entry.stage == MountStage::cwd)
      return make_path(path.deepest.get(), path.missing, is_directory);
  } catch (const base::Error& error) {
    cause = base::cat(" (", base::errno_text(error.errno_value()), ")");
  }
  throw base::error("mount point ", base::printable(entry.target),
                    " does not exist in the container, and ", base::printable(path.canonical),
                    " is a directory of the host", cause)
      .with_hint(base::cat("make it on the host, or bind to a path outside of ",
                           base::printable(path.canonical)));
}

// What shows the same as its mount point may go with it: the source has changed then, which a key
// tells.
void Rootfs::note_host_target(int target, int source, const MountEntry& entry) {
  const dev_t device = base::file_status(target, entry.target).st_dev;
  if (device != session_.device() && device != image_device_ &&
      !shows_same(source, target, entry.target))
    suits_others_ = false;
}

void Rootfs::mount_bind(const MountEntry& entry, MountSource source) {
  if (entry.unless_missing && !find_target(root_.get(), entry)) return;
  const base::UniqueFd target = open_target(entry, source.is_directory());
  if (entry.unless_visible && shows_same(source.fd(), target.get(), entry.target)) return;
  if (S_ISDIR(base::file_status(target.get(), entry.target).st_mode) != source.is_directory())
    throw base::error("cannot mount ", base::printable(entry.source), " on ",
                      base::printable(entry.target),
                      " of the container: one is a folder, the "
                      "other is not");
  note_host_target(target.get(), source.fd(), entry);
  std::move(source).attach(target.get(), entry.flags, entry.target);
  if (entry.make_source) throwaway_.push_back(entry.target);
}

// open_tree(2) took the source's mounts when it was opened; mount(2) takes them now, when the
// session directory lies on one of them.
void Rootfs::mount_host_bind(const MountEntry& entry, MountSource source) {
  if (has_mount_setattr()) return mount_bind(entry, std::move(source));
  session_.set_bindable(false);
  mount_bind(entry, std::move(source));
  session_.set_bindable(true);
}

void Rootfs::mount_account_file(const RunPlan& plan, const MountEntry& entry) {
  const std::optional<base::UniqueFd> present = find_in_root(root_.get(), entry.target);
  // An image without the file keeps none, and what is no file is not read.
  if (!present || !S_ISREG(base::file_status(present->get(), entry.target).st_mode)) return;
  const bool is_passwd = entry.kind == MountKind::passwd_file;
  const std::optional<std::string>& known =
      is_passwd ? plan.image_texts.passwd : plan.image_texts.group;
  const std::string image_text =
      known ? *known : base::read_small_file(descriptor_path(present->get()), kMaxAccountFile);
  const std::string text = is_passwd ? passwd_with(image_text, plan.caller, plan.caller.home)
                                     : group_with(image_text, plan.groups, plan.caller.name);
  const base::UniqueFd& file =
      account_files_.emplace_back(session_.make_file(kind_name(entry.kind), text));
  note_host_target(present->get(), file.get(), entry);
  MountSource::open_at(file.get(), entry.target).attach(present->get(), entry.flags, entry.target);
}

void Rootfs::mount_proc(const MountEntry& entry) {
  const base::UniqueFd target = open_target(entry, true);
  if (::mount("proc", descriptor_path(target.get()).c_str(), "proc",
              MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0)
    return;
  // Where an outer container masks parts of /proc the kernel refuses a new, unmasked one.
  base::log_warning("cannot mount a new /proc (", base::errno_text(errno),
                    "), using the host's: it shows the host's processes");
  MountSource::open(entry.source).attach(target.get(), entry.flags, entry.target);
}

void Rootfs::mount(const RunPlan& plan, const MountEntry& entry,
                   std::optional<MountSource>& source) {
  switch (entry.kind) {
    case MountKind::bind:
      if (source) mount_host_bind(entry, std::move(*source));
      return;
    case MountKind::image:
      if (source) mount_bind(entry, std::move(*source));
      return;
    case MountKind::directory:
      return mount_bind(
          entry,
          MountSource::open_at(session_.make_directory("made", entry.mode).get(), entry.target));
    case MountKind::proc:
      return mount_proc(entry);
    case MountKind::device_files:
      return mount_bind(
          entry, MountSource::open_at(make_device_directory(session_, plan.host.devices).get(),
                                      entry.target));
    case MountKind::host_libraries:
      return mount_bind(
          entry, MountSource::open_at(
                     make_library_directory(session_, libraries_at(plan.host, entry.target)).get(),
                     entry.target));
    case MountKind::text_file:
      return mount_bind(entry, MountSource::open_at(session_.make_file("text", entry.source).get(),
                                                    entry.target));
    case MountKind::fuse_program:
      fuse_devices_.push_back(mount_for_program(descriptor_path(open_target(entry, true).get())));
      suits_others_ = false;
      return;
    case MountKind::message_queues:
      return mount_new("mqueue", open_target(entry, true).get(), MS_NOSUID | MS_NODEV | MS_NOEXEC,
                       "", entry.target);
    case MountKind::passwd_file:
    case MountKind::group_file:
      return mount_account_file(plan, entry);
  }
}

void Rootfs::mount_all(const RunPlan& plan, MountSources sources) {
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    covered_ = is_covered(plan.mounts, i);
    const MountEntry& entry = plan.mounts[i];
    const bool has_source_in_vain =
        entry.kind == MountKind::bind && !sources[i] && entry.importance != Importance::optional;
    if (!attempt(entry, [&] { mount(plan, entry, sources[i]); }) || has_source_in_vain)
      suits_others_ = false;
  }
}

void Rootfs::seal() {
  for (const base::UniqueFd& cover : covers_) make_read_only(cover.get(), "the container's root");
}

void Rootfs::switch_root() {
  if (::fchdir(root_.get()) != 0)
    throw base::errno_error(errno, "cannot enter the container's root");
  // Both arguments ".": the host's root lands on top of the new one and is detached from there, no
  // directory for it is needed (pivot_root(2), NOTES).
  if (::syscall(SYS_pivot_root, ".", ".") == 0) {
    if (::umount2(".", MNT_DETACH) != 0)
      throw base::errno_error(errno, "cannot detach the host's root");
  } else if (errno == EINVAL) {
    // The host runs from its initial ramfs, which cannot be pivoted away (diskless nodes).
    if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || ::chroot(".") != 0)
      throw base::errno_error(errno, "cannot move to the container's root");
  } else {
    throw base::errno_error(errno, "cannot switch to the container's root");
  }
  if (::chdir("/") != 0) throw base::errno_error(errno, "cannot enter the container's root");
}

}  // namespace runtime
