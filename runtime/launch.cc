// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch.h"

#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/extra_images.h"
#include "runtime/host_additions.h"
#include "runtime/host_check.h"
#include "runtime/image_fit.h"
#include "runtime/image_source.h"
#include "runtime/mpi.h"
#include "runtime/pid_namespace.h"
#include "runtime/root_tree.h"
#include "runtime/rootfs.h"
#include "runtime/seccomp_filter.h"
#include "runtime/session_directory.h"
#include "runtime/share_key.h"
#include "runtime/trace_file.h"
#include "runtime/user_namespace.h"

namespace runtime {
namespace {

// Sets the mask while modes of new directories must be taken as given.
class Umask {
 public:
  explicit Umask(mode_t mask) : original_(::umask(mask)) {}
  ~Umask() { ::umask(original_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t original_;
};

// While it lives, a limit of the caller (`ulimit -f`) makes writes fail, which have messages,
// instead of killing us without one.
class IgnoredSignal {
 public:
  explicit IgnoredSignal(int number) : number_(number) {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(number, &ignore, &original_);
  }
  ~IgnoredSignal() { ::sigaction(number_, &original_, nullptr); }
  IgnoredSignal(const IgnoredSignal&) = delete;
  IgnoredSignal& operator=(const IgnoredSignal&) = delete;

 private:
  int number_;
  struct sigaction original_ {};
};

int namespace_flags(const RunPlan& plan) {
  return (plan.ipc_namespace ? CLONE_NEWIPC : 0) | (plan.uts_namespace ? CLONE_NEWUTS : 0) |
         (plan.empty_network ? CLONE_NEWNET : 0);
}

void name_host(const std::string& hostname) {
  if (!hostname.empty() && ::sethostname(hostname.data(), hostname.size()) != 0)
    throw base::errno_error(errno, "cannot set the host name ", base::printable(hostname));
}

void assemble(RunPlan& plan, ImageSource& image, ExtraImages& extra, FusePrograms& programs) {
  const Umask exact(0);
  // Opened first: the session directory may cover host paths.
  MountSources sources = open_mount_sources(plan.mounts);
  image.confirm_root(plan);
  plan.action.times.end_phase("mount sources opened");
  image.open_in_namespace();
  extra.open_in_namespace();
  SessionDirectory session = SessionDirectory::mount();
  Rootfs root(session, image.mount_in(session));
  plan.action.times.end_phase("image mounted");
  Layers layers = extra.mount_in(session, plan, sources);
  // What comes from the host gives way to the image's own, which is known only now.
  fit_to_image(plan, sources, root.image());
  if (plan.writable_tmpfs) add_throwaway_layer(layers, session);
  if (layers.empty()) {
    root.make_targets(plan, sources);
  } else {
    root.add_layers(layers, plan, sources);
  }
  plan.action.times.end_phase("mount points found or made");
  root.mount_all(plan, std::move(sources));
  plan.action.times.end_phase("mounts attached");
  programs.start_on_host(root.take_fuse_devices());
  root.seal();
  root.switch_root();
  if (root.suits_others()) image.offer_root(root.take_account_files());
  plan.action.times.end_phase("root switched");
}

// Whoever shares a user namespace must be the same in it, and without capabilities there; what a
// filter forbids could be done by another's process. A root that is shared relies on it as well.
bool may_share(const RunPlan& plan, const ExtraImages& extra) {
  const IdentityRequest& identity = plan.identity;
  return extra.empty() && plan.fuse_programs.empty() && plan.capabilities == 0 &&
         plan.seccomp_profile.empty() && !identity.fake_root && !identity.uid && !identity.gid;
}

std::string find_trace_path(const RunPlan& plan, const ImageSource& image) {
  if (!plan.preload || image.served_file() == nullptr) return {};
  return trace_path(plan.cache_folder, *image.served_file(), plan.action.arguments);
}

void require_writable(const RunPlan& plan, const ImageSource& image, const ExtraImages& extra) {
  if (!plan.writable || image.is_writable() || extra.has_writable_layer()) return;
  throw base::error("cannot write to ", base::printable(plan.image), ": a squashfs is read-only")
      .with_hint("--writable-tmpfs for changes until exit, --overlay FOLDER to keep them");
}

// `enter_processes` is told what comes to its end when changes of ext3 images are in their files.
// Gives whether the process that it returned in is to end with its parent.
using EnterProcesses = std::function<bool(std::span<const int>)>;

void confine(RunPlan& plan, const EnterProcesses& enter_processes) {
  const IgnoredSignal size_limit(SIGXFSZ);
  base::PhaseTimes& times = plan.action.times;
  // As the caller, before any namespace: what it may not read stays unread.
  ImageSource image = ImageSource::open(
      {plan.image, {}, plan.driver, plan.unsquash, plan.writable, plan.unpack_folder});
  ExtraImages extra = ExtraImages::open(plan, image.overlays());
  require_writable(plan, image, extra);
  const std::optional<SeccompFilter> filter = load_filter(plan.seccomp_profile, plan.capabilities);
  if (may_share(plan, extra)) image.find_share(plan);
  times.end_phase("image opened, or found to be mounted");
  // Outside of the namespaces: out of the payload's reach, and no user of its own mount.
  FusePrograms programs(plan.fuse_programs);
  image.start_server(find_trace_path(plan, image));
  extra.start_servers();
  times.end_phase("file server forked");
  image.read_tables();
  extra.read_tables();
  // Answers questions that would cost requests to the file server later. Layers may change the
  // answers.
  if (!extra.has_layers()) image.preview(plan);
  times.end_phase("tables read");
  // Grants the capabilities that mounting takes, within these namespaces only.
  const IdMap ids = image.enter_user_namespace(plan.identity);
  extra.use_namespace(ids);
  times.end_phase("user namespace");
  // Forks: only the payload's process goes on. Before the mount namespace, so that no helper
  // process holds the container's mounts.
  std::vector<int> ends = extra.ends_of_writing();
  if (const std::optional<int> end = image.end_of_writing()) ends.push_back(*end);
  const bool ends_with_parent = enter_processes(ends);
  const pid_t parent = ::getppid();
  if (image.enter_finished_root()) {
    times.end_phase("finished root entered");
  } else {
    enter_mount_namespace(namespace_flags(plan));
    times.end_phase("other namespaces");
    name_host(plan.hostname);
    if (plan.empty_network) raise_loopback();
    // Every path of the container is resolved by descriptors; ends with the host's tree detached.
    assemble(plan, image, extra, programs);
  }
  // All privilege is gone from here on; what follows runs on the image's content.
  drop_privileges(ids, plan.identity, plan.capabilities);
  if (ends_with_parent) keep_ending_with(parent);
  if (filter) filter->install();
  programs.start_in_container();
  const std::string directory = enter_start_directory(plan.start);
  set_variable(plan.action.environment.host, "PWD", directory);
  withhold_lost_places(plan.action.environment);
  if (is_parallel_step(plan.action.environment.host) && (!image.is_shared() || plan.pid_namespace))
    avoid_single_copies(plan.action.environment);
  if (plan.reset_umask) ::umask(0022);
  times.end_phase("privileges dropped");
}

}  // namespace

HostFacts gather_host_facts(const char* pwd_variable) {
  HostFacts facts;
  const uid_t uid = ::getuid();
  if (auto account = find_host_account(uid)) {
    facts.caller = std::move(*account);
    if (facts.caller.home.starts_with('/')) facts.caller.home = normal_path(facts.caller.home);
  } else {
    // Unknown to every database: what the environment says must do.
    const char* home = std::getenv("HOME");
    const char* name = std::getenv("USER");
    facts.caller = {name != nullptr && *name != '\0' ? name : "user",
                    uid,
                    ::getgid(),
                    "",
                    home != nullptr && *home == '/' ? absolute_path(home, "/") : "/",
                    "/bin/sh"};
    base::log_warning("user id ", uid, " has no entry in the host's passwd database, using ",
                      base::printable(facts.caller.home), " as its home");
  }
  std::vector<gid_t> gids(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(gids.size()), gids.data());
  gids.resize(static_cast<std::size_t>(std::max(count, 0)));
  std::erase(gids, ::getgid());
  gids.insert(gids.begin(), ::getgid());
  facts.groups = find_host_groups(gids);
  facts.directory = find_host_directory(pwd_variable);
  struct stat status {};
  facts.home_exists = ::stat(facts.caller.home.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  facts.is_missing = [](const std::string& path) { return !base::find_status(path); };
  struct stat other {};
  facts.one_temporary = ::stat("/tmp", &status) == 0 && ::stat("/var/tmp", &other) == 0 &&
                        status.st_dev == other.st_dev && status.st_ino == other.st_ino;
  return facts;
}

void launch(RunPlan plan) {
  confine(plan, [&plan](std::span<const int> ends) {
    // A process 1 gets no signal that it has no handler for; the program is to get all.
    const bool needs_child = !ends.empty() || ::getpid() == 1;
    if (plan.pid_namespace) {
      enter_pid_namespace(plan.init, ends);
    } else if (needs_child) {
      enter_child_process(ends);
    }
    return plan.pid_namespace || needs_child;
  });
  run_action(std::move(plan.action));
}

ActionRequest prepare_instance(
    RunPlan plan, const std::function<void(std::span<const int> ends)>& enter_processes) {
  confine(plan, [&](std::span<const int> ends) {
    enter_processes(ends);
    return false;
  });
  return std::move(plan.action);
}

}  // namespace runtime
