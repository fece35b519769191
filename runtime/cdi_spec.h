// SPDX-License-Identifier: Apache-2.0
// A file of the Container Device Interface (github.com/cncf-tags/container-device-interface,
// SPEC.md 0.3.0 to 1.1.0) in JSON or YAML: devices and the edits that give them to a container.
// Parsing is strict, as the specification demands: an unknown field makes a file invalid.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace runtime {

// `beyond_us` are fields that need privileges which sifrun never has, as the file writes them.

struct CdiDeviceNode {
  std::string path;
  std::string host_path;  // `path` where the file gives none
  std::vector<std::string> beyond_us;
};

struct CdiMount {
  std::string host_path, container_path;
  bool read_only = false;
  bool temporary = false;   // type tmpfs
  bool impossible = false;  // of another type
  std::vector<std::string> beyond_us;
};

struct CdiHook {
  std::string name;  // "createContainer"...
  std::string path;
  std::vector<std::string> arguments;
};

struct CdiEdits {
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<CdiDeviceNode> nodes;
  std::vector<CdiMount> mounts;
  std::vector<CdiHook> hooks;
  std::vector<std::string> beyond_us;
};

struct CdiDevice {
  std::string name;
  CdiEdits edits;
};

struct CdiSpec {
  std::string kind;  // "vendor.com/class"
  std::vector<CdiDevice> devices;
  CdiEdits edits;  // once, when any device of the file is used
};

inline constexpr std::size_t kMaxCdiSpecSize = 8 << 20;

// `name` is the file's, for messages; its ending .json or .yaml decides the format. Throws Error
// that says which field is wrong.
CdiSpec parse_cdi_spec(std::string_view text, std::string_view name);

bool is_cdi_kind(std::string_view text);
bool is_cdi_device_name(std::string_view text);

}  // namespace runtime
