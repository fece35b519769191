// SPDX-License-Identifier: Apache-2.0
#include "cmd/instances.h"

#include <cstdlib>

#include "base/text.h"

namespace cmd {
namespace {

constexpr std::string_view kScheme = "instance://";

}  // namespace

std::optional<std::string_view> find_instance_name(std::string_view image) {
  if (!image.starts_with(kScheme)) return std::nullopt;
  return image.substr(kScheme.size());
}

runtime::InstanceFolder find_instance_folder(const runtime::Account& caller) {
  const char* folder = std::getenv("APPTAINER_CONFIGDIR");
  if (folder == nullptr) folder = std::getenv("SINGULARITY_CONFIGDIR");
  if (folder != nullptr && *folder == '/') return {caller, folder};
  const char* home = std::getenv("HOME");
  return {caller, base::cat(home != nullptr && *home == '/' ? home : caller.home, "/.apptainer")};
}

}  // namespace cmd
