// SPDX-License-Identifier: Apache-2.0
#include "cmd/run_options.h"

#include <array>
#include <charconv>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::string_view kMounts = "Files and mounts";
constexpr std::string_view kIsolation = "Isolation";
constexpr std::string_view kEnvironment = "Environment";
constexpr std::string_view kHost = "GPUs and environments of the host";
constexpr std::string_view kOther = "Other";

// clang-format off
constexpr auto kTable = std::to_array<OptionRow>({
    {.name = "bind", .letter = 'B', .kind = texts, .value = "SRC[:DST[:OPTS]]",
     .help = "bind host paths into the container, separated by commas; options ro, rw; repeatable",
     .env = "BIND BINDPATH", .group = kMounts, .env_appends = true},
    {.name = "mount", .kind = texts, .value = "SPEC",
     .help = "the same as type=bind,source=SRC,destination=DST[,ro]; repeatable",
     .env = "MOUNT", .group = kMounts, .env_appends = true},
    {.name = "home", .letter = 'H', .kind = text, .value = "SRC[:DST]",
     .help = "use SRC as the home directory, at DST in the container", .env = "HOME",
     .group = kMounts},
    {.name = "no-home", .help = "do not mount the home directory", .env = "NO_HOME",
     .group = kMounts},
    {.name = "cwd", .kind = text, .value = "DIR", .help = "start in DIR of the container",
     .env = "CWD TARGET_CWD", .group = kMounts},
    {.name = "pwd", .kind = text, .env = "PWD TARGET_PWD", .same_as = "cwd"},
    {.name = "workdir", .letter = 'W', .kind = text, .value = "DIR",
     .help = "keep /tmp, /var/tmp, the home (with --contain) and scratch directories in DIR",
     .env = "WORKDIR", .group = kMounts},
    {.name = "scratch", .letter = 'S', .kind = list, .value = "DIR,...",
     .help = "empty writable directories in the container", .env = "SCRATCH SCRATCHDIR",
     .group = kMounts},
    {.name = "writable-tmpfs", .help = "let the root be written to; changes are lost at exit",
     .env = "WRITABLE_TMPFS", .group = kMounts},
    {.name = "no-mount", .kind = list, .value = "WHAT,...",
     .help = "leave out: proc, sys, dev, home, tmp, cwd, bind-paths, or a path of the container",
     .env = "NO_MOUNT", .group = kMounts},
    {.name = "image-driver", .kind = text, .value = "fuse|kernel",
     .help = "how to mount the image; kernel is for root only", .env = "IMAGE_DRIVER",
     .group = kMounts},
    {.name = "unsquash", .help = "unpack the image into the cache and run from there",
     .env = "UNSQUASH", .group = kMounts},

    {.name = "contain", .letter = 'c',
     .help = "empty home, /tmp and /var/tmp, minimal /dev, no working directory of the host",
     .env = "CONTAIN", .group = kIsolation},
    {.name = "containall", .letter = 'C', .help = "--contain --pid --ipc --cleanenv",
     .env = "CONTAINALL", .group = kIsolation},
    {.name = "compat",
     .help = "--containall --no-init --no-umask --no-eval --writable-tmpfs, as Docker has it",
     .env = "COMPAT", .group = kIsolation},
    {.name = "pid", .letter = 'p', .help = "own PID namespace", .env = "PID UNSHARE_PID",
     .group = kIsolation},
    {.name = "no-pid", .env = "NO_PID"},
    {.name = "no-init", .help = "with --pid: the program is PID 1 itself", .env = "NOSHIMINIT",
     .group = kIsolation},
    {.name = "ipc", .letter = 'i', .help = "own IPC namespace", .env = "IPC UNSHARE_IPC",
     .group = kIsolation},
    {.name = "uts", .help = "own UTS namespace", .env = "UTS UNSHARE_UTS", .group = kIsolation},
    {.name = "hostname", .kind = text, .value = "NAME", .help = "host name; implies --uts",
     .env = "HOSTNAME", .group = kIsolation},
    {.name = "net", .letter = 'n', .help = "own network namespace, with --network none",
     .env = "NET UNSHARE_NET", .group = kIsolation},
    {.name = "network", .kind = text, .value = "none", .help = "the network of --net: none",
     .env = "NETWORK", .group = kIsolation},
    {.name = "userns", .letter = 'u', .help = "accepted; there is always a user namespace",
     .env = "USERNS UNSHARE_USERNS", .group = kIsolation},
    {.name = "no-umask", .help = "umask 0022 instead of the caller's", .env = "NO_UMASK",
     .group = kIsolation},

    {.name = "env", .kind = assignments, .value = "NAME=VALUE",
     .help = "set a variable in the container; repeatable", .group = kEnvironment},
    {.name = "env-file", .kind = list, .value = "FILE",
     .help = "take variables from a file of shell assignments; repeatable", .env = "ENV_FILE",
     .group = kEnvironment},
    {.name = "cleanenv", .letter = 'e', .help = "do not pass the host's environment",
     .env = "CLEANENV", .group = kEnvironment},
    {.name = "no-env", .kind = list, .value = "NAME,...",
     .help = "variables of the host that are not passed", .env = "NOENV", .group = kEnvironment},
    {.name = "no-eval", .help = "take values and arguments literally, without shell evaluation",
     .env = "NO_EVAL", .group = kEnvironment},

    {.name = "nv",
     .help = "use NVIDIA GPUs, and warn if there are none; without it they are used if there are any",
     .env = "NV", .group = kHost},
    {.name = "no-nv", .help = "do not use NVIDIA GPUs", .env = "NO_NV NV_OFF", .group = kHost},
    {.name = "compat32", .help = "the 32-bit driver libraries, too", .env = "COMPAT32",
     .group = kHost},
    {.name = "rocm", .help = "use AMD GPUs", .env = "ROCM", .group = kHost},
    {.name = "no-rocm", .env = "NO_ROCM ROCM_OFF"},
    {.name = "device", .kind = list, .value = "VENDOR/CLASS=NAME,...",
     .help = "use devices that the host describes in CDI files", .env = "DEVICE", .group = kHost},
    {.name = "cdi-dirs", .kind = list, .value = "DIR,...",
     .help = "where CDI files are (/etc/cdi, /var/run/cdi)", .env = "CDI_DIRS", .group = kHost},
    {.name = "conda", .kind = text, .value = "auto|front|back|bind|off",
     .help = "the active conda or virtual environment: before or behind the image's PATH, only its "
             "files, or not at all (auto; SIFRUN_CONDA)",
     .env = "CONDA", .group = kHost},
    {.name = "share", .kind = text, .value = "auto|off|TAG",
     .help = "one mount of the image for all that this job starts from it, a mount each, or one for "
             "all with the same TAG (auto; SIFRUN_SHARE)",
     .env = "SHARE", .group = kOther},
    {.name = "sharens", .env = "SHARENS"},
    {.name = "no-conda", .help = "--conda=off", .env = "NO_CONDA", .group = kHost},
    {.name = "shell", .letter = 's', .kind = text, .value = "PATH",
     .help = "the shell that `shell` starts", .env = "SHELL", .group = kOther},
    {.name = "runscript-timeout", .kind = text, .value = "TIME",
     .help = "limit of the image's environment scripts: 90s, 2m; 0 for none (1m)",
     .env = "RUNSCRIPT_TIMEOUT", .group = kOther},
    {.name = "dry-run", .help = "print what would be mounted and unshared, and end",
     .group = kOther},
    {.name = "timing", .help = "print where the time goes until the program starts",
     .env = "TIMING", .group = kOther},
    {.name = "help", .letter = 'h', .help = "this text", .group = kOther},

    // Accepted without effect: what they switch off or select is the only way here.
    {.name = "no-oci"}, {.name = "sif-fuse"}, {.name = "no-compat"}, {.name = "no-privs"},
    // Known, so that the refusal can say more than "unknown option".
    {.name = "fakeroot", .letter = 'f', .env = "FAKEROOT"},
    {.name = "writable", .letter = 'w', .env = "WRITABLE"},
    {.name = "overlay", .letter = 'o', .kind = texts, .env = "OVERLAY OVERLAYIMAGE"},
    {.name = "app", .kind = text, .env = "APP APPNAME"},
    {.name = "fusemount", .kind = texts, .env = "FUSESPEC"},
    {.name = "security", .kind = texts, .env = "SECURITY"},
    {.name = "add-caps", .kind = text, .env = "ADD_CAPS"},
    {.name = "keep-privs", .env = "KEEP_PRIVS"},
});
// clang-format on

struct Refusal {
  std::string_view option, instead;
};
constexpr auto kRefusals = std::to_array<Refusal>({
    {"fakeroot", "build the image with what it needs installed; programs run as yourself"},
    {"writable", "--writable-tmpfs gives a root that is writable until exit"},
    {"overlay", "--writable-tmpfs gives a root that is writable until exit; --bind keeps data"},
    {"app", ""},
    {"fusemount", ""},
    {"security", ""},
    {"add-caps", "programs run without capabilities"},
    {"keep-privs", "programs run without capabilities"},
});

void refuse_unsupported(const ParsedOptions& parsed) {
  for (const Refusal& refusal : kRefusals) {
    if (!parsed.given(refusal.option)) continue;
    throw base::error("--", refusal.option, " is not supported")
        .with_hint(std::string(refusal.instead));
  }
}

// Go's durations, as far as people write them: 90s, 2m, 1h30m, 0.
std::chrono::seconds parse_duration(const std::string& text) {
  long total = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    long number = 0;
    const auto [next, problem] = std::from_chars(at, end, number);
    const char unit = next == end ? '\0' : *next;
    const long scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : unit == 's' ? 1 : 0;
    const bool bare_zero = number == 0 && unit == '\0';
    if (problem != std::errc() || number < 0 || number > 1'000'000 || (scale == 0 && !bare_zero))
      throw base::error("--runscript-timeout: ", base::printable(text), " is no duration like 90s");
    total += number * scale;
    at = unit == '\0' ? next : next + 1;
  }
  return std::chrono::seconds(total);
}

runtime::EnvironmentRequest make_environment(const ParsedOptions& parsed,
                                             const char* const* environ_entries) {
  runtime::EnvironmentRequest request;
  for (; *environ_entries != nullptr; ++environ_entries)
    request.host.emplace_back(*environ_entries);
  for (const std::string& assignment : parsed.values("env")) {
    const std::size_t equals = assignment.find('=');
    request.assignments.push_back({assignment.substr(0, equals), assignment.substr(equals + 1)});
  }
  for (const std::string& file : parsed.values("env-file"))
    request.files.push_back({file, base::read_small_file(file)});
  request.withheld = parsed.values("no-env");
  return request;
}

runtime::HostFeatures make_host_features(const ParsedOptions& parsed,
                                         const std::vector<std::string>& environment) {
  runtime::HostFeatures features;
  if (parsed.given("nv"))
    features.nvidia = parsed.flag("nv") ? runtime::GpuMode::required : runtime::GpuMode::forbidden;
  if (parsed.flag("no-nv")) features.nvidia = runtime::GpuMode::forbidden;
  features.nvidia_root = runtime::variable_or_empty(environment, "SIFRUN_NV_ROOT");
  features.compat32 = parsed.flag("compat32");
  features.rocm = parsed.flag("rocm") && !parsed.flag("no-rocm");
  features.devices = parsed.values("device");
  features.cdi_directories = parsed.values("cdi-dirs");
  std::string word = runtime::variable_or_empty(environment, "SIFRUN_CONDA");
  if (parsed.text("conda")) word = *parsed.text("conda");
  if (parsed.flag("no-conda")) word = "off";
  if (word.empty()) return features;
  const std::optional<runtime::CondaMode> mode = runtime::find_conda_mode(word);
  if (!mode) {
    throw base::error("--conda: ", base::printable(word),
                      " is none of auto, front, back, bind and off");
  }
  features.conda = *mode;
  return features;
}

runtime::ShareRequest make_share(const ParsedOptions& parsed,
                                 const std::vector<std::string>& environment) {
  std::string word = runtime::variable_or_empty(environment, "SIFRUN_SHARE");
  // What others share by a lock named after the parent process, ours finds by itself.
  if (parsed.flag("sharens") || word.empty()) word = "auto";
  return runtime::parse_share(parsed.text("share").value_or(word));
}

}  // namespace

std::span<const OptionRow> run_option_table() { return kTable; }

runtime::RunOptions make_run_options(const ParsedOptions& parsed,
                                     const char* const* environ_entries,
                                     const std::string& working_directory) {
  refuse_unsupported(parsed);
  const bool compat = parsed.flag("compat");
  const bool contain_all = compat || parsed.flag("containall");
  runtime::RunOptions options;
  for (const std::string& text : parsed.values("bind")) {
    for (runtime::BindSpec& bind : runtime::parse_bind_list(text, working_directory))
      options.binds.push_back(std::move(bind));
  }
  for (const std::string& text : parsed.values("mount"))
    options.binds.push_back(runtime::parse_mount_spec(text, working_directory));
  options.home = parsed.text("home");
  options.no_home = parsed.flag("no-home");
  // --cwd "$DIR" with an empty variable: as if not given.
  if (const auto& directory = parsed.text("cwd"); directory && !directory->empty())
    options.start_directory = directory;
  options.contain = contain_all || parsed.flag("contain");
  options.workdir = parsed.text("workdir");
  options.scratch = parsed.values("scratch");
  options.writable_tmpfs = compat || parsed.flag("writable-tmpfs");
  options.no_mount = parsed.values("no-mount");
  options.pid_namespace = (contain_all || parsed.flag("pid")) && !parsed.flag("no-pid");
  options.ipc_namespace = contain_all || parsed.flag("ipc");
  options.uts_namespace = parsed.flag("uts");
  options.hostname = parsed.text("hostname");
  options.init = !compat && !parsed.flag("no-init");
  options.reset_umask = compat || parsed.flag("no-umask");
  options.unsquash = parsed.flag("unsquash");
  options.empty_network = parsed.flag("net");
  if (options.empty_network && parsed.text("network") != "none") {
    throw base::error("--net without --network none is not supported")
        .with_hint("leave out --net to use the host's network");
  }
  const std::string driver = parsed.text("image-driver").value_or("fuse");
  if (driver != "fuse" && driver != "kernel")
    throw base::error("--image-driver: ", base::printable(driver), " is neither fuse nor kernel");
  if (driver == "kernel") options.driver = runtime::ImageDriver::kernel;
  options.action.environment = make_environment(parsed, environ_entries);
  options.share = make_share(parsed, options.action.environment.host);
  options.action.environment.clean = contain_all || parsed.flag("cleanenv");
  options.action.environment.no_eval = compat || parsed.flag("no-eval");
  options.host = make_host_features(parsed, options.action.environment.host);
  options.action.shell = parsed.text("shell").value_or("");
  if (const auto& timeout = parsed.text("runscript-timeout"))
    options.action.script_timeout = parse_duration(*timeout);
  return options;
}

}  // namespace cmd
