// SPDX-License-Identifier: Apache-2.0
// What a feature of the host (a conda environment, a GPU driver, a CDI device) adds to a container,
// as data: discovery fills it, runtime/run_plan turns it into mounts and environment, --dry-run
// prints it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/environment.h"
#include "runtime/root_tree.h"

namespace runtime {

struct HostBind {
  std::string source;       // on the host, without symbolic links; "": an empty directory
  std::string destination;  // in the container
  bool read_only = true;
  // Nothing of the image is covered: a file or a non-empty directory there wins.
  bool gives_way = false;
  // Only where the image has one of these paths; none: always. Files that only certain libraries
  // read are not worth an overlay over the /usr/share of an image that lacks them.
  std::vector<std::string> needs{};
  bool operator==(const HostBind&) const = default;
};

// A driver library: a name under kLibraryDirectory for a file of the host.
struct HostLibrary {
  std::string name;
  std::string file;  // without symbolic links
  // Left out if the image has a library of that name: files that are not the kernel driver's other
  // half must not stand before an image's own.
  bool gives_way = false;
  // It gave way. Its place in the list stays, since the mounts are numbered by it.
  bool left_out = false;
  bool operator==(const HostLibrary&) const = default;
};

// A device node, for a /dev of our own.
struct HostDevice {
  std::string source;  // on the host
  std::string path;    // in the container, below /dev
  bool operator==(const HostDevice&) const = default;
};

// A file that the image must have for something of the host to work; else the warning is given.
struct HostNeed {
  std::string path, warning;
  bool operator==(const HostNeed&) const = default;
};

// Where a container finds libraries of the host; Apptainer's place, which scripts know.
inline constexpr std::string_view kLibraryDirectory = "/.singularity.d/libs";
inline constexpr std::string_view kLibrary32Directory = "/.singularity.d/libs32";

struct HostAdditions {
  std::vector<HostBind> binds;
  std::vector<HostLibrary> libraries, libraries32;
  std::string nvidia_version;  // of the driver; empty for none
  std::vector<HostDevice> devices;
  std::vector<EnvironmentVariable> variables;  // set even with --cleanenv
  std::vector<EnvironmentVariable> overrides;  // likewise, and in place of the image's own
  std::vector<std::string> path_front, path_back;
  // Prefixes of the host whose programs are checked against the image's C library before they
  // start; the active one is the first.
  std::vector<std::string> environments;
  // Directories that `dependent_variables` point at: where one of them is not shown, because the
  // image has something else there, the variables do not pass.
  std::vector<std::string> anchors;
  std::vector<std::string> dependent_variables;
  std::vector<HostNeed> needs;
  std::vector<std::string> library_back;  // LD_LIBRARY_PATH
  std::vector<std::string> notes;         // for --verbose and --dry-run
  std::vector<std::string> warnings;

  void append(HostAdditions other);
};

// Value of the last "NAME=value" entry of that name.
std::optional<std::string_view> find_variable(const std::vector<std::string>& environment,
                                              std::string_view name);
// The same; unset is empty.
std::string variable_or_empty(const std::vector<std::string>& environment, std::string_view name);

// Those of the environment's variables that are set pass, as part of the additions.
void pass_variables(const std::vector<std::string>& environment,
                    std::span<const std::string_view> names, HostAdditions& additions);
// A program of the tree, from the first directory that has it, goes to /usr/bin.
void add_program(const RootTree& tree, std::span<const std::string_view> directories,
                 std::string_view name, HostAdditions& additions);
// "card0", "renderD128": those of /dev/dri that belong to one GPU.
bool is_display_node(std::string_view name);
// Makes "NAME=value" the only entry of that name, the last of all.
void set_variable(std::vector<std::string>& environment, const std::string& name,
                  const std::string& value);

}  // namespace runtime
