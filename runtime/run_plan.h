// SPDX-License-Identifier: Apache-2.0
// What a run will do, as a value: made from the options and facts of the host without privilege or
// effect, checked, printable (--dry-run), and only then acted upon by runtime/launch.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/actions.h"
#include "runtime/bind_spec.h"
#include "runtime/fuse_programs.h"
#include "runtime/host_features.h"
#include "runtime/identity.h"
#include "runtime/mount_table.h"
#include "runtime/passwd_file.h"
#include "runtime/share_key.h"
#include "runtime/working_directory.h"

namespace runtime {

enum class ImageDriver { fuse, kernel };

// A folder or image laid over the root.
struct OverlaySpec {
  std::string path;
  bool writable = true;  // folders and ext3 images
};

// What the command line says and the plan takes as it is.
struct RunSettings {
  ImageDriver driver = ImageDriver::fuse;
  bool unsquash = false;
  ShareRequest share;
  bool preload = true;
  bool writable_tmpfs = false;
  bool writable = false;              // the image itself
  std::vector<OverlaySpec> overlays;  // paths absolute
  IdentityRequest identity;
  Capabilities capabilities = 0;  // that the payload has
  std::string seccomp_profile;    // absolute path; empty: none
  bool pid_namespace = false, ipc_namespace = false, uts_namespace = false;
  bool empty_network = false;
  bool init = true;
  bool reset_umask = false;
  ActionRequest action;
};

// The command line, its values parsed but not yet judged.
struct RunOptions : RunSettings {
  std::string image;
  std::vector<BindSpec> binds;
  std::optional<std::string> home;  // SRC[:DST]
  bool no_home = false;
  std::vector<FuseProgram> fuse_programs;
  std::optional<std::string> start_directory;
  bool contain = false;
  std::optional<std::string> workdir;
  std::vector<std::string> scratch;
  std::vector<std::string> name_servers;
  std::vector<std::string> no_mount;
  std::optional<std::string> hostname;
  HostFeatures host;
};

struct HostFacts {
  Account caller;
  std::vector<Group> groups;
  std::optional<HostDirectory> directory;
  bool home_exists = true;
  // Whether nothing is at a path of the host; empty: everything is there.
  std::function<bool(const std::string&)> is_missing{};
  bool one_temporary = false;  // /tmp and /var/tmp are the same directory
};

// Files of the image that the launcher needs, read before it is mounted; nullopt: not read, or not
// what the container will show.
struct ImageTexts {
  std::optional<std::string> passwd, group;
};

struct RunPlan : RunSettings {
  std::string image;  // absolute
  std::string hostname;
  std::vector<MountEntry> mounts;           // in the order to be made
  std::vector<FuseProgram> fuse_programs;   // in the order of their entries in `mounts`
  Account caller;                           // home is the container's
  std::string cache_folder, unpack_folder;  // of the caller's, on the host: runtime/user_cache
  std::vector<Group> groups;
  StartRequest start;
  HostAdditions host;  // what its mounts and environment leave of it: see runtime/host_features
  std::vector<std::string> warnings;
  ImageTexts image_texts;
  bool shows_less = false;  // of the host than the caller can see: --contain, --no-home...
};

// Throws Error for what can be known to fail: a relative destination, --workdir that is no
// directory...
RunPlan make_run_plan(RunOptions options, HostFacts facts);

// One line for each decision and mount.
std::string describe(const RunPlan& plan);
// Those of them that say what of the host can be seen.
std::string describe_view(const RunPlan& plan);

}  // namespace runtime
