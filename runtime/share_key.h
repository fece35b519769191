// SPDX-License-Identifier: Apache-2.0
// Which starts may share one mount: those whose keys are the same text. A key says who, what image
// and where; above all it names the kill domain, so that the end of one job can never take the file
// system of another.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sif/sif_reader.h"

namespace runtime {

enum class ShareMode { automatic, off, tagged };

struct ShareRequest {
  ShareMode mode = ShareMode::automatic;
  // Of --share=TAG: in place of the kill domain, since the user says who belongs together.
  std::string tag;
};

// As parts of a key: each with a blank behind it.
std::string numbers(std::initializer_list<std::uint64_t> values);

// auto, off or the tag, as --share takes them.
ShareRequest parse_share(const std::string& word);
std::string share_word(const ShareRequest& request);

// The variables of the scheduler's that name the job and step, and the control groups. Tasks of one
// Slurm step have a group each below the step's, but are killed with the step.
std::string kill_domain(const std::vector<std::string>& environment, std::string_view cgroups);

// Several processes of one parallel program run on this machine (mpirun, srun, flux run...).
bool is_parallel_step(const std::vector<std::string>& environment);

// `view` is not empty for a run that shows less of the host than the caller can see (--contain,
// --no-home...) and says what it shows. Whoever shares its user namespace can look into it and be
// looked into, so only runs that show the same share.
// nullopt where nothing is to be shared: switched off, such a run that is no part of a parallel
// step, or a host that does not tell.
std::optional<std::string> find_share_key(const ShareRequest& request, std::string_view view,
                                          const sif::ImageFile& image,
                                          const std::vector<std::string>& environment);

}  // namespace runtime
