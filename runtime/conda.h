// SPDX-License-Identifier: Apache-2.0
// The host's conda, mamba, micromamba, pixi and Python virtual environments inside a container: the
// directories that they consist of are bound at the same path (scripts carry absolute paths), and
// the entries of the host's PATH that belong to them go before or behind the image's.
//
// An environment that was activated goes before it: the user said which python to use. `base`,
// which many shells activate unasked, goes behind it; so does everything when the program was
// called as singularity or apptainer, by tools that run inside a conda environment and want the
// image's python.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/host_additions.h"
#include "runtime/root_tree.h"

namespace runtime {

enum class CondaMode {
  automatic,
  front,  // before the image's PATH
  back,   // behind it
  bind,   // the directories only
  off,
};
std::optional<CondaMode> find_conda_mode(std::string_view word);

struct CondaRequest {
  CondaMode mode = CondaMode::automatic;
  bool stands_in = false;                // called as singularity or apptainer
  std::vector<std::string> environment;  // the host's, as in environ(7)
  std::string home;                      // the host's home directory
  // Directories of the host that the container shows at the same path.
  std::vector<std::string> visible;
};

HostAdditions conda_additions(const RootTree& host, const CondaRequest& request);

}  // namespace runtime
