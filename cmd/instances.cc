// SPDX-License-Identifier: Apache-2.0
#include "cmd/instances.h"

#include <cstdlib>

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
  return {caller, folder != nullptr ? folder : std::getenv("SINGULARITY_CONFIGDIR")};
}

}  // namespace cmd
