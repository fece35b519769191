// SPDX-License-Identifier: Apache-2.0
// A SPANK plugin for Slurm: `srun --sif=IMAGE COMMAND`, and the same for sbatch and salloc. In each
// task, as the user and just before the command would be started, it becomes `sifrun exec IMAGE
// COMMAND`. plugstack.conf:
//   optional /usr/lib/slurm/spank_sif.so sifrun=/usr/bin/sifrun
extern "C" {
#include <slurm/slurm_errno.h>
#include <slurm/spank.h>
}
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

extern "C" {
extern const char plugin_name[];
extern const char plugin_type[];
extern const unsigned int plugin_version;
SPANK_PLUGIN(sif, 1)
}

namespace {

constexpr std::string_view kRuntimeKey = "sifrun=";
constexpr char kDefaultRuntime[] = "/usr/bin/sifrun";

// Whether an option was given is asked of Slurm where it matters; it wants a callback all the same.
int accept_option(int, const char*, int) { return 0; }

int accept_gpus(int, const char* value, int) {
  const std::string_view word = value == nullptr ? "" : value;
  if (word == "yes" || word == "no" || word == "auto") return 0;
  slurm_error("spank_sif: --sif-gpus is yes, no or auto");
  return -1;
}

spank_option make_option(const char* name, const char* value, const char* help,
                         spank_opt_cb_f accept = accept_option) {
  return {const_cast<char*>(name), const_cast<char*>(value), const_cast<char*>(help), 1, 0, accept};
}

std::array<spank_option, 3> options() {
  return {
      make_option("sif", "IMAGE", "run the command in this container image"),
      make_option("sif-bind", "SRC[:DST[:ro]],...", "bind these paths into the container"),
      make_option("sif-gpus", "yes|no|auto", "give the container NVIDIA GPUs (auto)", accept_gpus)};
}

// Empty if the option was not given.
std::string option_value(spank_t spank, spank_option option) {
  char* value = nullptr;
  if (spank_option_getopt(spank, &option, &value) != ESPANK_SUCCESS || value == nullptr) return "";
  return value;
}

// srun's own words, each ended by a NUL.
bool is_multi_prog() {
  std::ifstream line("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(line, word, '\0');)
    if (word == "--multi-prog") return true;
  return false;
}

std::string runtime_path(int count, char** arguments) {
  for (int i = 0; i < count; ++i) {
    const std::string_view argument(arguments[i]);
    if (argument.starts_with(kRuntimeKey)) return std::string(argument.substr(kRuntimeKey.size()));
  }
  return kDefaultRuntime;
}

}  // namespace

extern "C" int slurm_spank_init(spank_t spank, int, char*[]) {
  if (spank_context() == S_CTX_SLURMD) return ESPANK_SUCCESS;
  for (spank_option& option : options()) {
    if (spank_option_register(spank, &option) != ESPANK_SUCCESS) {
      slurm_error("spank_sif: cannot register --%s", option.name);
      return ESPANK_ERROR;
    }
  }
  return ESPANK_SUCCESS;
}

// There a task's command is in a file, of which plugins learn only the name.
extern "C" int slurm_spank_init_post_opt(spank_t spank, int, char*[]) {
  if (spank_context() != S_CTX_LOCAL || option_value(spank, options()[0]).empty() ||
      !is_multi_prog())
    return ESPANK_SUCCESS;
  slurm_error("spank_sif: --sif and --multi-prog exclude each other: use --container");
  return ESPANK_ERROR;
}

extern "C" int slurm_spank_task_init(spank_t spank, int count, char* arguments[]) {
  const auto [image_option, bind_option, gpu_option] = options();
  const std::string image = option_value(spank, image_option);
  if (image.empty()) return ESPANK_SUCCESS;
  int argc = 0;
  char** argv = nullptr;
  char** environment = nullptr;
  if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc == 0 ||
      spank_get_item(spank, S_JOB_ENV, &environment) != ESPANK_SUCCESS) {
    slurm_error("spank_sif: Slurm does not tell the task's command and environment");
    return ESPANK_ERROR;
  }
  std::vector<std::string> words = {runtime_path(count, arguments), "exec"};
  if (const std::string binds = option_value(spank, bind_option); !binds.empty())
    words.insert(words.end(), {"--bind", binds});
  const std::string gpus = option_value(spank, gpu_option);
  if (gpus == "yes") words.emplace_back("--nv");
  if (gpus == "no") words.emplace_back("--no-nv");
  // The script of sbatch lies in a folder of slurmd's.
  const std::string_view program(argv[0]);
  if (program.starts_with('/') && program.ends_with("/slurm_script"))
    words.push_back("--mount=type=bind,ro,src=" + std::string(program) +
                    ",dst=" + std::string(program));
  words.push_back(image);
  words.insert(words.end(), argv, argv + argc);
  std::vector<char*> line;
  for (std::string& word : words) line.push_back(word.data());
  line.push_back(nullptr);
  ::execve(line[0], line.data(), environment);
  slurm_error("spank_sif: cannot start %s: %s", line[0], std::strerror(errno));
  return ESPANK_ERROR;
}
