// SPDX-License-Identifier: Apache-2.0
#include "runtime/share_key.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/host_additions.h"

namespace runtime {
namespace {

// Of the protocol between starter and holder, and of what a key means.
constexpr std::string_view kVersion = "3";
constexpr std::size_t kMaxCgroups = 64 << 10;
constexpr std::size_t kMaxTag = 255;

constexpr auto kJobVariables = std::to_array<std::string_view>({
    "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_HET_JOB_OFFSET",  // Slurm
    "_CONDOR_SCRATCH_DIR", "_CONDOR_SLOT",                    // HTCondor
    "PBS_JOBID",                                              // PBS, Torque
    "LSB_JOBID", "LSB_JOBINDEX",                              // LSF
    "FLUX_JOB_ID",                                            // Flux
    "JOB_ID", "SGE_TASK_ID",                                  // Grid Engine
    "PMIX_NAMESPACE",                                         // a step of any launcher
});

// Numbers of processes, which only launchers set.
constexpr auto kCountVariables = std::to_array<std::string_view>({
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",  // Hydra (MPICH, Intel MPI)
    "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "FLUX_JOB_SIZE",
    "PALS_LOCAL_SIZE",  // HPE
});

// Namespaces that paths, ids and process numbers are understood in; and the root, since a process
// in a chroot must not get out of it by joining.
std::optional<std::string> place_of_caller() {
  std::string place;
  for (const char* path : {"/proc/self/ns/user", "/proc/self/ns/mnt", "/proc/self/ns/pid", "/"}) {
    struct stat status {};
    if (::stat(path, &status) != 0) return std::nullopt;
    place += numbers({status.st_dev, status.st_ino});
  }
  return place;
}

// What a server could die of that others use, too: it has the limits of who starts it. nullopt for
// one that counts what it does for all.
std::optional<std::string> limits_of_server() {
  std::string limits;
  for (const auto resource : {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0) return std::nullopt;
    if (resource == RLIMIT_CPU && limit.rlim_max != RLIM_INFINITY) return std::nullopt;
    limits += numbers({limit.rlim_max});
  }
  return limits;
}

std::optional<std::string> control_groups() {
  try {
    return base::find_small_file("/proc/self/cgroup", kMaxCgroups);
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

std::string_view without_task(std::string_view group) {
  const std::size_t task = group.rfind("/task_");
  return task != std::string_view::npos && group.find("/step_") < task ? group.substr(0, task)
                                                                       : group;
}

}  // namespace

// Streams are slow to make, and this is on the way of every start.
std::string numbers(std::initializer_list<std::uint64_t> values) {
  std::string text;
  for (const std::uint64_t value : values) text += std::to_string(value) + " ";
  return text;
}

ShareRequest parse_share(const std::string& word) {
  if (word == "auto") return {ShareMode::automatic, ""};
  if (word == "off") return {ShareMode::off, ""};
  if (word.empty() || word.size() > kMaxTag)
    throw base::error("--share: a tag has 1 to ", kMaxTag, " bytes; or say auto or off");
  return {ShareMode::tagged, word};
}

std::string share_word(const ShareRequest& request) {
  if (request.mode == ShareMode::tagged) return base::printable(request.tag);
  return request.mode == ShareMode::off ? "off" : "auto";
}

std::string kill_domain(const std::vector<std::string>& environment, std::string_view cgroups) {
  std::string domain;
  for (const std::string_view name : kJobVariables) {
    if (const auto value = find_variable(environment, name))
      domain.append(name).append("=").append(*value).append("\n");
  }
  for (const std::string& group : base::split(cgroups, '\n'))
    domain.append(without_task(group)).append("\n");
  return domain;
}

bool is_parallel_step(const std::vector<std::string>& environment) {
  if (find_variable(environment, "PMIX_NAMESPACE") && find_variable(environment, "PMIX_RANK"))
    return true;
  return std::ranges::any_of(kCountVariables, [&](std::string_view name) {
    const std::string_view text = find_variable(environment, name).value_or("");
    unsigned count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count > 1;
  });
}

std::optional<std::string> find_share_key(const ShareRequest& request, std::string_view view,
                                          const sif::ImageFile& image,
                                          const std::vector<std::string>& environment) {
  if (request.mode == ShareMode::off) return std::nullopt;
  const bool tagged = request.mode == ShareMode::tagged;
  if (!view.empty() && !tagged && !is_parallel_step(environment)) return std::nullopt;
  const std::optional<std::string> place = place_of_caller(), limits = limits_of_server();
  const std::optional<std::string> cgroups = tagged ? "" : control_groups();
  if (!place || !limits || !cgroups) return std::nullopt;
  const struct stat file = base::file_status(image.fd.get(), image.path);
  std::string key = "sifrun " + std::string(kVersion) + "\nids ";
  key += numbers({::geteuid(), ::getegid()}) + "\nimage ";
  key += numbers({file.st_dev, file.st_ino, static_cast<std::uint64_t>(file.st_size),
                  static_cast<std::uint64_t>(file.st_mtim.tv_sec),
                  static_cast<std::uint64_t>(file.st_mtim.tv_nsec),
                  static_cast<std::uint64_t>(file.st_ctim.tv_sec),
                  static_cast<std::uint64_t>(file.st_ctim.tv_nsec), image.offset, image.size});
  key += "\nplace " + *place + "\nlimits " + *limits + "\n";
  key += tagged ? "tag " + request.tag : kill_domain(environment, *cgroups);
  return base::cat(key, "\nview ", view);
}

}  // namespace runtime
