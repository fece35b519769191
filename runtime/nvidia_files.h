// SPDX-License-Identifier: Apache-2.0
// What belongs to an NVIDIA driver, as tables: libraries, programs, sockets, configuration files,
// device nodes, each with the driver capabilities that need it. A new file is a new line here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace runtime {

// The words of NVIDIA_DRIVER_CAPABILITIES.
enum class DriverCapability : std::uint32_t {
  none = 0,
  compute = 1,
  utility = 2,
  video = 4,
  graphics = 8,
  display = 16,
  ngx = 32,
  compat32 = 64,
  all = 127,
};
constexpr DriverCapability operator|(DriverCapability a, DriverCapability b) {
  return static_cast<DriverCapability>(static_cast<std::uint32_t>(a) |
                                       static_cast<std::uint32_t>(b));
}
constexpr bool shares(DriverCapability a, DriverCapability b) {
  return (static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b)) != 0;
}
std::optional<DriverCapability> find_driver_capability(std::string_view word);

struct DriverLibraryRow {
  std::string_view stem;  // the name before ".so"
  DriverCapability capabilities;
  bool own_version = false;  // its file does not end in the driver's version
};
// Libraries of the driver's version that this table lacks are injected with any capability: a newer
// driver's new libraries need no new table.
const DriverLibraryRow* find_driver_library(std::string_view stem);

// Names that programs look for besides the SONAMEs: `name` is another name of `of`.
struct DriverLinkRow {
  std::string_view name, of;
};
std::span<const DriverLinkRow> driver_links();

struct DriverFileRow {
  std::string_view name;
  DriverCapability capabilities;
  std::string_view sign{};  // what the host must have, too
};
std::span<const DriverFileRow> driver_programs();  // names, for /usr/bin
std::span<const DriverFileRow> driver_sockets();   // paths, as in the container

// A file that is shown under its own path, where the image has the folder or what reads it.
struct DriverConfigRow {
  std::string_view path;  // a '*' matches within its name
  DriverCapability capabilities;
  std::string_view reader;  // below a directory of libraries; "": it is shown in every image
};
std::span<const DriverConfigRow> driver_configs();

// A library under the name by which another one loads it, below the directory of that one.
struct DriverBackEndRow {
  std::string_view name;    // below the directory
  std::string_view of;      // SONAME of the driver's library
  std::string_view reader;  // in the directory
  DriverCapability capabilities;
};
std::span<const DriverBackEndRow> driver_back_ends();

// Directories below which the kernel, in this order, looks for firmware: "%" is its release.
std::span<const std::string_view> firmware_directories();

// Nodes that belong to no single GPU. Paths below /dev; a '*' at the end matches any rest.
std::span<const DriverFileRow> driver_nodes();

// Directories beyond the loader's own, in the order they are looked at.
std::span<const std::string_view> driver_library_directories();
std::span<const std::string_view> driver_program_directories();

// "a*c" matches "abc", "*b*" too; at most two stars, within one file name.
bool matches_star(std::string_view pattern, std::string_view text);

}  // namespace runtime
