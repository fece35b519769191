// SPDX-License-Identifier: Apache-2.0
// Instances as the command line names them: instance://NAME in place of an image.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/instance_record.h"

namespace cmd {

// NAME of "instance://NAME"; nullopt for other images.
std::optional<std::string_view> find_instance_name(std::string_view image);

// Where the caller's instances are recorded: below $APPTAINER_CONFIGDIR or in $HOME.
runtime::InstanceFolder find_instance_folder(const runtime::Account& caller);

}  // namespace cmd
