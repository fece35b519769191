// SPDX-License-Identifier: Apache-2.0
// What gets mounted into a container, as data: the entries of a plan and the table of those that
// every container has. Order and defaults are Apptainer's.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/mount_api.h"
#include "sif/sif_reader.h"

namespace runtime {

enum class MountKind {
  bind,            // of a host path, with all below it
  image,           // of a path inside another image
  directory,       // an empty, writable one that ends with the container
  proc,            // a new procfs, for a PID namespace
  device_files,    // the few device files of a contained run
  host_libraries,  // a directory of links to driver libraries of the host
  text_file,       // one with the source as its text
  fuse_program,    // see runtime/fuse_programs
  message_queues,
  passwd_file,  // the image's file with the caller's entry, if the image has one
  group_file,
};

// Mounts happen in this order, so that what the user asks for covers what is default. The home
// comes after /tmp and /var/tmp, since some keep it there. One that is /tmp itself comes before the
// host's and before that of --workdir, as with Apptainer; and after the empty one of a contained
// run.
enum class MountStage {
  devices,
  system_files,
  kernel,
  covered_home,
  temporary,
  home,
  scratch,
  files,
  user,
  cwd
};

enum class Importance {
  required,  // failure ends the run
  expected,  // failure is a warning
  optional,  // failure is worth a word with --verbose
};

struct MountEntry {
  MountStage stage = MountStage::user;
  MountKind kind = MountKind::bind;
  std::string source;  // binds: a host path; images: the image's
  std::string target;  // absolute path in the container
  MountFlags flags = MountFlags::none;
  Importance importance = Importance::required;
  mode_t mode = 0755;           // of a directory entry
  bool make_source = false;     // binds: make the host directory (with `mode`) if it is not there
  bool unless_visible = false;  // binds: not if the target shows the same directory already
  bool unless_missing = false;  // binds: not if the target would have to be made
  bool gives_way = false;       // binds: not over a file or a filled directory of the image
  std::vector<std::string> needs{};  // binds: only where the image has one of these; none: always
  std::string inside{};              // images: a path there, and which partition of a SIF
  sif::PartitionChoice partition{};
  bool operator==(const MountEntry&) const = default;
};

// When a row of the table applies.
enum class MountWhen { always, uncontained, contained, host_pids, own_pids, own_ipc, own_hostname };

struct MountRow {
  std::string_view word;  // of --no-mount; empty: not to be switched off
  MountWhen when;
  MountStage stage;
  MountKind kind;
  std::string_view source, target;
  MountFlags flags;
  Importance importance;
  mode_t mode;
};

std::span<const MountRow> mount_table();

// Does an earlier entry cover the directory that this one's target lies in? Then it does not matter
// what the image has there. One on "/" covers nothing: the container's paths are walked from a
// descriptor of the root below it.
bool is_covered(std::span<const MountEntry> mounts, std::size_t index);

// Whether an image has what entries need. Several need the same libraries: each path is asked for
// once, of `exists`.
class NeedsCheck {
 public:
  explicit NeedsCheck(std::function<bool(const std::string&)> exists)
      : exists_(std::move(exists)) {}
  bool are_met(const MountEntry& entry);

 private:
  std::function<bool(const std::string&)> exists_;
  std::map<std::string, bool> known_;
};

// Is the mount point made where it is missing? Files with the caller's entry added need one to add
// to.
bool makes_target(const MountEntry& entry);

// Is the mount made on a link of the image itself, not on what that leads to? So it is with
// /etc/localtime, whose target (UTC, mostly) must stay what it is.
bool covers_link(const MountEntry& entry);

// Is it the same for all runs that show the same of the host, whatever binds and features they have
// and wherever they start?
bool is_common(const MountEntry& entry);

std::string_view kind_name(MountKind kind);

}  // namespace runtime
