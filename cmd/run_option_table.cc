// SPDX-License-Identifier: Apache-2.0
// The options of exec, run, shell and test: Apptainer's, those of SingularityCE that scripts still
// say, and ours.
#include <array>

#include "cmd/run_options.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::string_view kMounts = "Files and mounts";
constexpr std::string_view kIsolation = "Isolation";
constexpr std::string_view kEnvironment = "Environment";
constexpr std::string_view kHost = "GPUs and environments of the host";
constexpr std::string_view kOther = "Other";
constexpr std::string_view kNeedsRoot =
    "it takes root's rights on the host, which programs are never given here";
constexpr std::string_view kUseScheduler =
    "limits are the scheduler's business: use those of Slurm, HTCondor or systemd-run";
constexpr std::string_view kNeedsNetwork =
    "a network of its own takes root's rights on the host; --network none works";
constexpr std::string_view kNoCheckpoints =
    "Apptainer's checkpoints are not supported; start DMTCP inside the container";

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
    // In the environment the older spelling comes first.
    {.name = "pwd", .kind = text, .env = "PWD TARGET_PWD", .same_as = "cwd"},
    {.name = "cwd", .kind = text, .value = "DIR", .help = "start in DIR of the container",
     .env = "CWD TARGET_CWD", .group = kMounts},
    {.name = "workdir", .letter = 'W', .kind = text, .value = "DIR",
     .help = "keep /tmp, /var/tmp, the home (with --contain) and scratch directories in DIR",
     .env = "WORKDIR", .group = kMounts},
    {.name = "scratch", .letter = 'S', .kind = list, .value = "DIR,...",
     .help = "empty writable directories in the container", .env = "SCRATCH SCRATCHDIR",
     .group = kMounts},
    {.name = "writable-tmpfs", .help = "let the root be written to; changes are lost at exit",
     .env = "WRITABLE_TMPFS", .group = kMounts},
    {.name = "writable", .letter = 'w', .help = "write to the image itself: a folder or ext3",
     .env = "WRITABLE", .group = kMounts},
    {.name = "overlay", .letter = 'o', .kind = list, .value = "IMAGE[:ro]",
     .help = "lay a folder, an ext3 image, or a squashfs or SIF file over the image; repeatable",
     .env = "OVERLAY OVERLAYIMAGE", .group = kMounts},
    {.name = "fusemount", .kind = list, .value = "TYPE:COMMAND PATH",
     .help = "let a FUSE program serve PATH; TYPE: host, container, host-daemon, container-daemon",
     .env = "FUSESPEC", .group = kMounts},
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
    {.name = "dns", .kind = text, .value = "ADDRESS,...",
     .help = "name servers for /etc/resolv.conf", .env = "DNS", .group = kIsolation},
    {.name = "fakeroot", .letter = 'f',
     .help = "appear as root, with the ids that /etc/subuid grants", .env = "FAKEROOT",
     .group = kIsolation},
    {.name = "security", .kind = list, .value = "WHAT:VALUE",
     .help = "seccomp:FILE (a profile as Docker takes it), uid:ID, gid:ID", .env = "SECURITY",
     .group = kIsolation},
    {.name = "add-caps", .kind = text, .value = "NAME,...",
     .help = "capabilities for the program, within its namespaces", .env = "ADD_CAPS",
     .group = kIsolation},
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
     .help = "use devices that the host describes in CDI files", .group = kHost},
    {.name = "cdi-dirs", .kind = list, .value = "DIR,...",
     .help = "where CDI files are (/etc/cdi, /var/run/cdi)", .group = kHost},
    {.name = "conda", .kind = text, .value = "auto|front|back|bind|off",
     .help = "the active conda or virtual environment: before or behind the image's PATH, only its "
             "files, or not at all (auto; SIFRUN_CONDA)",
     .env = "CONDA", .group = kHost},
    {.name = "no-conda", .help = "--conda=off", .env = "NO_CONDA", .group = kHost},
    {.name = "shell", .letter = 's', .kind = text, .value = "PATH",
     .help = "the shell that `shell` starts", .env = "SHELL", .group = kOther},
    {.name = "app", .kind = text, .value = "NAME", .help = "use an application of the image (SCIF)",
     .env = "APP APPNAME", .group = kOther},
    {.name = "runscript-timeout", .kind = text, .value = "TIME",
     .help = "limit of the image's environment scripts: 90s, 2m; 0 for none (1m)",
     .env = "RUNSCRIPT_TIMEOUT", .group = kOther},
    {.name = "share", .kind = text, .value = "auto|off|TAG",
     .help = "one mount of the image for all that this job starts from it, a mount each, or one for "
             "all with the same TAG (auto; SIFRUN_SHARE)",
     .env = "SHARE", .group = kOther},
    {.name = "sharens", .env = "SHARENS"},
    {.name = "preload", .kind = text, .value = "on|off",
     .help = "note which files a command reads first, and read them ahead at its next start (on; "
             "SIFRUN_PRELOAD)",
     .env = "PRELOAD", .group = kOther},
    {.name = "dry-run", .help = "print what would be mounted and unshared, and end",
     .group = kOther},
    {.name = "timing", .help = "print where the time goes until the program starts",
     .env = "TIMING", .group = kOther},
    {.name = "help", .letter = 'h', .help = "this text", .group = kOther},

    // Of images that are given by an address.
    {.name = "disable-cache", .env = "DISABLE_CACHE"},
    {.name = "docker-login", .env = "DOCKER_LOGIN"},
    {.name = "docker-host", .kind = text, .env = "DOCKER_HOST"},
    {.name = "docker-username", .kind = text, .env = "DOCKER_USERNAME"},
    {.name = "docker-password", .kind = text, .env = "DOCKER_PASSWORD"},
    {.name = "authfile", .kind = text, .env = "AUTHFILE AUTH_FILE"},
    {.name = "no-https", .env = "NO_HTTPS NOHTTPS"},
    {.name = "nohttps", .same_as = "no-https"},
    {.name = "tmpdir", .kind = text, .env = "TMPDIR"},
    {.name = "arch", .kind = text},
    {.name = "platform", .kind = text},
    // Accepted without effect: what they ask for is so anyway.
    {.name = "no-oci"},
    {.name = "sif-fuse"},
    {.name = "no-compat"},
    {.name = "no-privs", .env = "NO_PRIVS"},
    {.name = "no-setgroups"},
    {.name = "ignore-userns", .env = "IGNORE_USERNS"},
    {.name = "ignore-fakeroot-command", .env = "IGNORE_FAKEROOT_COMMAND"},
    {.name = "no-tmp-sandbox"},
    {.name = "underlay", .env = "UNDERLAY"},
    {.name = "passphrase"},
    {.name = "pem-path", .kind = text},
    // Of other names, or for tests.
    {.name = "tmp-sandbox", .same_as = "unsquash"},
    {.name = "drop-caps", .kind = text, .env = "DROP_CAPS"},
    {.name = "nvccli", .env = "NVCCLI"},
    {.name = "containlibs", .kind = list, .env = "CONTAINLIBS"},
    {.name = "ignore-subuid", .env = "IGNORE_SUBUID"},
    // Known, so that the refusal can say why.
    {.name = "keep-privs", .env = "KEEP_PRIVS", .refused = kNeedsRoot},
    {.name = "allow-setuid", .env = "ALLOW_SETUID", .refused = kNeedsRoot},
    {.name = "boot", .env = "BOOT", .refused = kNeedsRoot},
    {.name = "netns-path", .kind = text, .env = "NETNS_PATH", .refused = kNeedsNetwork},
    {.name = "network-args", .kind = list, .env = "NETWORK_ARGS", .refused = kNeedsNetwork},
    {.name = "apply-cgroups", .kind = text, .env = "APPLY_CGROUPS", .refused = kUseScheduler},
    {.name = "blkio-weight", .kind = text, .env = "BLKIO_WEIGHT", .refused = kUseScheduler},
    {.name = "blkio-weight-device", .kind = list, .env = "BLKIO_WEIGHT_DEVICE",
     .refused = kUseScheduler},
    {.name = "cpu-shares", .kind = text, .env = "CPU_SHARES", .refused = kUseScheduler},
    {.name = "cpus", .kind = text, .env = "CPUS", .refused = kUseScheduler},
    {.name = "cpuset-cpus", .kind = text, .env = "CPUSET_CPUS", .refused = kUseScheduler},
    {.name = "cpuset-mems", .kind = text, .env = "CPUSET_MEMS", .refused = kUseScheduler},
    {.name = "memory", .kind = text, .env = "MEMORY", .refused = kUseScheduler},
    {.name = "memory-reservation", .kind = text, .env = "MEMORY_RESERVATION",
     .refused = kUseScheduler},
    {.name = "memory-swap", .kind = text, .env = "MEMORY_SWAP", .refused = kUseScheduler},
    {.name = "oom-kill-disable", .env = "OOM_KILL_DISABLE", .refused = kUseScheduler},
    {.name = "pids-limit", .kind = text, .env = "PIDS_LIMIT", .refused = kUseScheduler},
    {.name = "dmtcp-launch", .kind = text, .env = "DMTCP_LAUNCH", .refused = kNoCheckpoints},
    {.name = "dmtcp-restart", .kind = text, .env = "DMTCP_RESTART", .refused = kNoCheckpoints},
    {.name = "oci",
     .refused = "OCI-SIF images are not supported; images of Docker are run as they are"},
    {.name = "data", .kind = list,
     .refused = "OCI-SIF data containers are not supported; use --bind FILE:DIR:image-src=/"},
});
// clang-format on

}  // namespace

std::span<const OptionRow> run_option_table() { return kTable; }

}  // namespace cmd
