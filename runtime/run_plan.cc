// SPDX-License-Identifier: Apache-2.0
#include "runtime/run_plan.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/root_tree.h"
#include "runtime/user_cache.h"

namespace runtime {
namespace {

constexpr MountFlags kPlain = MountFlags::no_setuid | MountFlags::no_devices;
constexpr std::array<std::string_view, 9> kNoMountWords = {
    "proc", "sys", "dev", "devpts", "home", "tmp", "hostfs", "cwd", "bind-paths"};

struct HomeChoice {
  std::string source, destination;
  bool chosen = false;  // by --home
};

// A directory of the host under its own name, with all below it.
bool shows_itself(const MountEntry& entry) {
  return entry.kind == MountKind::bind && entry.source == entry.target;
}

class PlanBuilder {
 public:
  PlanBuilder(const RunOptions& options, const HostFacts& facts, RunPlan& plan)
      : options_(options), facts_(facts), plan_(plan) {
    if (options.workdir) workdir_ = absolute_path(*options.workdir, directory());
  }

  void check_no_mount_words();
  HomeChoice choose_home() const;
  void add_table_rows();
  void add_home(const HomeChoice& home);
  void add_scratch();
  void add_fuse_programs();
  void add_user_binds();
  void keep_home(const HomeChoice& home);
  void add_working_directory(const HomeChoice& home);

 private:
  std::string directory() const { return facts_.directory ? facts_.directory->physical : "/"; }
  bool switched_off(std::string_view word) const {
    return std::ranges::find(options_.no_mount, word) != options_.no_mount.end();
  }
  bool applies(MountWhen when) const;
  // Root adds users to a root that takes changes: useradd replaces the files.
  bool changes_accounts() const;
  // The last mount on the path or above it decides what is there; null if there is none.
  const MountEntry* shown_at(std::string_view path) const;
  // The user's bind over the home or above it that shows something else there.
  const MountEntry* cover_of(const HomeChoice& home) const;
  // A directory of --workdir if there is one, else an empty one of the session.
  MountEntry throwaway(MountStage stage, const std::string& name, const std::string& target,
                       mode_t mode) const;
  void add_text(std::string_view target, std::string text) {
    add({MountStage::files, MountKind::text_file, std::move(text), std::string(target), kPlain,
         Importance::expected});
  }
  void add(MountEntry entry) { plan_.mounts.push_back(std::move(entry)); }

  const RunOptions& options_;
  const HostFacts& facts_;
  RunPlan& plan_;
  std::string workdir_;
};

void PlanBuilder::check_no_mount_words() {
  for (const std::string& word : options_.no_mount) {
    if (!word.starts_with('/') && std::ranges::find(kNoMountWords, word) == kNoMountWords.end())
      plan_.warnings.push_back(base::cat("--no-mount: unknown word ", base::printable(word)));
  }
}

bool PlanBuilder::applies(MountWhen when) const {
  switch (when) {
    case MountWhen::always:
      return true;
    case MountWhen::uncontained:
      return !options_.contain;
    case MountWhen::contained:
      return options_.contain;
    case MountWhen::host_pids:
      return !plan_.pid_namespace;
    case MountWhen::own_pids:
      return plan_.pid_namespace;
    case MountWhen::own_ipc:
      return options_.ipc_namespace && options_.contain;
    case MountWhen::own_hostname:
      return options_.hostname.has_value();
  }
  return false;
}

MountEntry PlanBuilder::throwaway(MountStage stage, const std::string& name,
                                  const std::string& target, mode_t mode) const {
  MountEntry entry{stage, MountKind::directory, "", target, kPlain, Importance::expected, mode};
  if (!workdir_.empty()) {
    entry.kind = MountKind::bind;
    entry.source = workdir_ + "/" + name;
    entry.make_source = true;
    entry.importance = Importance::required;  // what was to be kept must not be lost
  }
  return entry;
}

bool is_account_file(const MountRow& row) {
  return row.kind == MountKind::passwd_file || row.kind == MountKind::group_file;
}

bool PlanBuilder::changes_accounts() const {
  const IdentityRequest& identity = plan_.identity;
  const bool is_root = identity.fake_root || (facts_.caller.uid == 0 && !identity.uid);
  return is_root && (plan_.writable || plan_.writable_tmpfs ||
                     std::ranges::any_of(plan_.overlays, &OverlaySpec::writable));
}

void PlanBuilder::add_table_rows() {
  for (const MountRow& row : mount_table()) {
    if (!applies(row.when) || (!row.word.empty() && switched_off(row.word)) ||
        switched_off(row.target))
      continue;
    if (is_account_file(row) && changes_accounts()) continue;
    // What is mounted there cannot be replaced, as installing tzdata does.
    if (row.target == "/etc/localtime" && plan_.writable && changes_accounts()) continue;
    if (row.target == "/var/tmp" && !options_.contain && facts_.one_temporary) continue;
    if (row.kind == MountKind::text_file) {
      add_text(row.target, *options_.hostname + "\n");
    } else if (row.target == "/etc/resolv.conf" && !options_.name_servers.empty()) {
      add_text(row.target,
               base::cat("nameserver ", base::join(options_.name_servers, "\nnameserver "), "\n"));
    } else if (row.kind == MountKind::directory) {
      add(throwaway(row.stage, std::string(row.source), std::string(row.target), row.mode));
    } else {
      add({row.stage, row.kind, std::string(row.source), std::string(row.target), row.flags,
           row.importance, row.mode});
    }
  }
}

HomeChoice PlanBuilder::choose_home() const {
  if (!options_.home) {
    const std::string& home = facts_.caller.home;
    return {home, plan_.identity.fake_root ? "/root" : home, false};
  }
  const std::string& text = *options_.home;
  const std::size_t colon = text.find(':');
  const std::string source = text.substr(0, colon);
  const std::string destination = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (source.empty() || destination.find(':') != std::string::npos)
    throw base::error("--home ", base::printable(text), ": expected SRC[:DST]");
  HomeChoice home{absolute_path(source, directory()), destination, true};
  if (destination.empty()) home.destination = home.source;
  if (!home.destination.starts_with('/')) {
    throw base::error("--home ", base::printable(text), ": the destination ",
                      base::printable(destination), " must be an absolute path");
  }
  home.destination = absolute_path(home.destination, "/");
  return home;
}

void PlanBuilder::add_home(const HomeChoice& home) {
  if (options_.no_home || switched_off("home") || home.destination == "/" ||
      home.destination.empty() || switched_off(home.destination))
    return;
  const bool is_covered = (home.destination == "/tmp" || home.destination == "/var/tmp") &&
                          (!options_.contain || !workdir_.empty());
  const MountStage stage = is_covered ? MountStage::covered_home : MountStage::home;
  if (home.chosen && facts_.is_missing && facts_.is_missing(home.source)) {
    // Many a command line names a home of the container's only, and binds something there.
    const bool is_bound = std::ranges::any_of(options_.binds, [&](const BindSpec& bind) {
      return is_within(home.destination, bind.destination);
    });
    if (!is_bound)
      plan_.warnings.push_back(base::cat("the home ", base::printable(home.source),
                                         " is not there: the container has an empty one, which is "
                                         "gone when it ends"));
    add({stage, MountKind::directory, "", home.destination, kPlain, Importance::required, 0755});
  } else if (home.chosen) {
    add({stage, MountKind::bind, home.source, home.destination, kPlain, Importance::required});
  } else if (options_.contain) {
    const mode_t mode = workdir_.empty() ? 0755 : 0700;  // the host's other users see the latter
    add(throwaway(stage, "home", home.destination, mode));
  } else if (!facts_.home_exists) {
    add({stage, MountKind::directory, "", home.destination, kPlain, Importance::expected, 0755});
  } else {
    add({stage, MountKind::bind, home.source, home.destination, kPlain, Importance::expected});
  }
}

void PlanBuilder::add_scratch() {
  for (const std::string& scratch : options_.scratch) {
    if (scratch.empty()) continue;
    const std::string target = absolute_path(scratch, "/");
    if (target == "/") throw base::error("--scratch /: the container's root cannot be covered");
    MountEntry entry = throwaway(MountStage::scratch, "scratch" + target, target, 01777);
    entry.importance = Importance::required;  // asked for by name
    add(std::move(entry));
  }
}

void PlanBuilder::add_user_binds() {
  std::vector<MountEntry> binds;
  for (const BindSpec& bind : options_.binds) {
    MountEntry entry{MountStage::user, MountKind::bind, bind.source,
                     bind.destination, kPlain,          Importance::required};
    if (bind.read_only) entry.flags = entry.flags | MountFlags::read_only;
    if (bind.inside) {
      entry.kind = MountKind::image;
      entry.inside = *bind.inside;
      entry.partition = {sif::PartitionType::data, bind.partition};
    }
    // Device files bound into a contained /dev must stay usable.
    if (is_within(bind.destination, "/dev")) {
      entry.flags =
          bind.read_only ? MountFlags::no_setuid | MountFlags::read_only : MountFlags::no_setuid;
    }
    const auto earlier = std::ranges::find(binds, entry.target, &MountEntry::target);
    if (earlier != binds.end()) {
      plan_.warnings.push_back(
          base::cat("bind ", base::printable(bind.source), ":", base::printable(bind.destination),
                    " is ignored: ", base::printable(earlier->source), " is bound there already"));
      continue;
    }
    binds.push_back(std::move(entry));
    // Destinations: an inner run finds there what this one bound.
    if (bind.nested) plan_.action.environment.bind_destinations.push_back(bind.destination);
  }
  // Shallow destinations first: a bind of /data must not cover one of /data/set.
  std::ranges::stable_sort(
      binds, {}, [](const MountEntry& entry) { return std::ranges::count(entry.target, '/'); });
  for (MountEntry& entry : binds) add(std::move(entry));
}

// Behind all binds, as Apptainer mounts them.
void PlanBuilder::add_fuse_programs() {
  for (const FuseProgram& program : options_.fuse_programs) {
    add({MountStage::user, MountKind::fuse_program, "", program.target, MountFlags::none,
         Importance::required});
    plan_.fuse_programs.push_back(program);
  }
}

const MountEntry* PlanBuilder::shown_at(std::string_view path) const {
  const auto last =
      std::find_if(plan_.mounts.rbegin(), plan_.mounts.rend(),
                   [&](const MountEntry& entry) { return is_within(path, entry.target); });
  return last == plan_.mounts.rend() ? nullptr : &*last;
}

const MountEntry* PlanBuilder::cover_of(const HomeChoice& home) const {
  const MountEntry* const shown = shown_at(home.destination);
  return shown != nullptr && shown->stage == MountStage::user && !shows_itself(*shown) ? shown
                                                                                       : nullptr;
}

// As Apptainer: what is bound above the home gets an empty one, since $HOME names it.
void PlanBuilder::keep_home(const HomeChoice& home) {
  const MountEntry* const cover = cover_of(home);
  if (cover == nullptr || cover->kind != MountKind::bind || cover->target == home.destination ||
      options_.no_home)
    return;
  MountEntry entry{MountStage::cwd,
                   MountKind::bind,
                   cover->source + home.destination.substr(cover->target.size()),
                   home.destination,
                   kPlain,
                   Importance::optional};
  entry.mode = 0750;
  entry.make_source = true;
  entry.unless_visible = true;
  add(std::move(entry));
}

void PlanBuilder::add_working_directory(const HomeChoice& home) {
  if (options_.contain || switched_off("cwd") || !facts_.directory) return;
  // /bin is the image's, also where it is a name of the host's /usr/bin.
  if (!is_bindable(facts_.directory->logical)) return;
  const bool has_home = !options_.no_home && !switched_off("home");
  // The logical name too, where it differs: scripts say `cd $PWD`.
  for (const std::string& path : {facts_.directory->physical, facts_.directory->logical}) {
    if (!is_bindable(path) || switched_off(path)) continue;
    const MountEntry* const shown = shown_at(path);
    if (shown != nullptr && (shown->target == path || shows_itself(*shown))) continue;
    MountEntry entry{MountStage::cwd, MountKind::bind,     facts_.directory->physical, path,
                     kPlain,          Importance::optional};
    entry.unless_visible = true;
    // In another home that is bound over this one, it is shown where there is a place for it.
    entry.unless_missing = has_home && is_within(path, home.destination) && cover_of(home);
    add(std::move(entry));
  }
}

// Of what takes changes there can be only one.
void check_layers(RunPlan& plan) {
  if (plan.writable && plan.writable_tmpfs) {
    plan.warnings.emplace_back("--writable-tmpfs is ignored: --writable is given");
    plan.writable_tmpfs = false;
  }
  if (plan.writable && !plan.overlays.empty())
    throw base::error("--overlay cannot be used together with --writable");
  const OverlaySpec* first = nullptr;
  for (const OverlaySpec& overlay : plan.overlays) {
    // Files are judged when they are opened (runtime/extra_images).
    const auto status = base::find_status(overlay.path);
    if (!overlay.writable || (status && !S_ISDIR(status->st_mode))) continue;
    if (plan.writable_tmpfs || first != nullptr) {
      throw base::error("--overlay ", base::printable(overlay.path), ": there is ",
                        plan.writable_tmpfs ? "--writable-tmpfs" : base::printable(first->path),
                        " to take changes already")
          .with_hint(base::cat("add :ro, as in --overlay ", base::printable(overlay.path), ":ro"));
    }
    first = &overlay;
  }
}

std::string image_path(const std::string& image, const HostFacts& facts) {
  if (facts.directory) return absolute_path(image, facts.directory->logical);
  if (image.starts_with('/')) return absolute_path(image, "/");
  throw base::error("cannot find the image ", base::printable(image),
                    ": the working directory has been removed or cannot be reached")
      .with_hint("enter another one, or give the image's whole path");
}

}  // namespace

RunPlan make_run_plan(RunOptions options, HostFacts facts) {
  RunPlan plan;
  static_cast<RunSettings&>(plan) = static_cast<RunSettings&&>(options);
  plan.image = image_path(options.image, facts);
  if (options.hostname) plan.uts_namespace = true;
  plan.hostname = options.hostname.value_or("");

  // Out of reach of what ends a program with its parent.
  plan.pid_namespace |= std::ranges::any_of(options.fuse_programs, [](const FuseProgram& program) {
    return program.in_container && program.detaches;
  });

  check_layers(plan);

  PlanBuilder builder(options, facts, plan);
  builder.check_no_mount_words();
  const HomeChoice home = builder.choose_home();
  builder.add_table_rows();
  builder.add_home(home);
  builder.add_scratch();
  builder.add_user_binds();
  builder.add_fuse_programs();
  std::ranges::stable_sort(plan.mounts, {}, &MountEntry::stage);
  builder.add_working_directory(home);
  builder.keep_home(home);

  plan.start = {options.start_directory, options.contain, facts.directory, home.destination};
  plan.action.environment.container_home = home.destination;
  plan.action.environment.image_path = plan.image;
  plan.action.environment.image_name = plan.image.substr(plan.image.rfind('/') + 1);
  plan.caller = std::move(facts.caller);
  plan.cache_folder = user_cache_folder(plan.action.environment.host, plan.caller.home);
  plan.unpack_folder = unpack_folder(plan.action.environment.host, plan.caller.home);
  plan.groups = std::move(facts.groups);
  if (plan.identity.fake_root) {
    plan.caller = {"root", 0, 0, "root", "", "/bin/sh"};
    plan.groups = {{"root", 0}};
  }
  plan.caller.home = home.destination;
  plan.shows_less = options.contain || options.no_home || options.home || !options.no_mount.empty();
  return plan;
}

}  // namespace runtime
