// SPDX-License-Identifier: Apache-2.0
#include "cmd/definition_build.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/build_scripts.h"
#include "cmd/child_process.h"
#include "cmd/definition_recipe.h"
#include "cmd/output_folder.h"
#include "cmd/sifconv_call.h"
#include "cmd/temporary_folder.h"
#include "definition/definition_file.h"
#include "definition/file_copy.h"
#include "definition/image_texts.h"
#include "definition/root_folder.h"
#include "oci/image_source.h"
#include "runtime/hidden_folder.h"
#include "runtime/mount_api.h"
#include "runtime/user_namespace.h"
#include "runtime/working_directory.h"
#include "runtime/working_image.h"
#include "sif/sif_format.h"

namespace cmd {
namespace {

using definition::RootFolder;
using definition::Stage;

constexpr mode_t kUmask = 0002;  // Apptainer's
constexpr mode_t kBuiltMode = 0755;
// The stage without what is not wanted (--section); apps are always there, as in Apptainer.
Stage with_chosen_sections(Stage stage, const std::vector<std::string>& chosen) {
  constexpr std::array<std::string_view, 8> kOptional = {
      "setup", "post", "environment", "test", "labels", "runscript", "startscript", "help"};
  std::set<std::string, std::less<>> words;
  for (const std::string& value : chosen) {
    for (std::string& word : base::split(value, ',')) words.insert(std::move(word));
  }
  if (words.empty() || words.contains("all")) return stage;
  for (const std::string_view section : kOptional) {
    if (!words.contains(section)) stage.sections.erase(std::string(section));
  }
  if (!words.contains("files")) stage.files.clear();
  return stage;
}

// SOURCE_DATE_EPOCH is what reproducible builds agree on.
std::time_t time_of_build() {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  const std::optional<std::int64_t> chosen = epoch == nullptr ? std::nullopt : find_integer(epoch);
  return chosen ? static_cast<std::time_t>(*chosen) : std::time(nullptr);
}

class DefinitionBuild {
 public:
  DefinitionBuild(const ParsedOptions& parsed, const DefinitionRequest& request,
                  const Recipe& recipe, HeldSignals& signals)
      : parsed_(parsed),
        request_(request),
        recipe_(recipe),
        signals_(signals),
        scripts_(parsed, signals),
        work_(parsed.text("tmpdir"), "build-temp-") {
    const base::Existing existing =
        request.replace ? base::Existing::replace : base::Existing::refuse;
    // Where it cannot be written, that is told before the work.
    if (parsed.flag("sandbox"))
      folder_.emplace(request.destination, existing);
    else
      base::AtomicOutputFile(request.destination, kBuiltMode, existing);
  }

  // As the caller, outside of namespaces: starts the file servers of what need not be unpacked.
  void open_bases();
  // As root of a namespace that has these ids; the result is made with the caller's umask.
  void run(runtime::IdMap ids, mode_t callers_umask);

 private:
  using Command = std::vector<std::string>;

  void convert(Command arguments);

  // Where scripts cannot reach it, which could exchange names behind our back otherwise.
  void hide_work();
  std::string work_path(std::string_view name) const {
    return hidden_work_ ? base::cat(hidden_work_->place(), "/", name) : work_.path(name);
  }
  void check_base(std::size_t stage) const;
  bool is_result(std::size_t stage) const { return stage + 1 == recipe_.stages.size(); }
  static std::string stage_name(std::size_t stage) { return base::cat("stage-", stage); }
  // There already: the one for nothing, where several stages begin with that.
  std::string make_work_folder(std::string_view name) const;
  Command conversion_of_base() const;
  std::string find_base_file(std::size_t stage);
  std::string mount_base(std::size_t stage, runtime::IdMap ids);
  void unpack_base(const std::string& base, const std::string& root);
  RootFolder build_stage(const Stage& stage, const std::string& path);
  void copy_into(const Stage& stage, RootFolder& root);
  const RootFolder& stage_folder(const std::string& name) const;
  void check_signals() const {
    if (const int signal = signals_.pending(); signal != 0) throw Interrupted{signal};
  }

  const ParsedOptions& parsed_;
  const DefinitionRequest& request_;
  const Recipe& recipe_;
  HeldSignals& signals_;
  BuildScripts scripts_;
  TemporaryFolder work_;
  std::optional<OutputFolder> folder_;  // --sandbox: the result
  std::optional<runtime::HiddenFolder> hidden_work_, hidden_result_;
  std::vector<std::string> bases_;       // the recipe's, or files that were made of them
  std::vector<std::string> identities_;  // of those that are served
  std::vector<std::unique_ptr<runtime::WorkingImage>> images_;  // of each stage; null: unpacked
  std::vector<RootFolder> stages_;                              // that are built
};

void DefinitionBuild::convert(Command arguments) {
  if (scripts_.run_program(
          "sifconv", [&] { become_sifconv(arguments); }, WhenAsked::cleans_up) != 0)
    throw AlreadyTold();
}

std::string DefinitionBuild::make_work_folder(std::string_view name) const {
  std::string folder = work_path(name);
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
    throw base::errno_error(errno, "cannot make the folder ", base::printable(folder));
  return folder;
}

DefinitionBuild::Command DefinitionBuild::conversion_of_base() const {
  Command arguments = sifconv_arguments(parsed_);
  arguments.emplace_back("--quiet");
  if (const auto& arch = parsed_.text("arch")) arguments.push_back("--arch=" + *arch);
  return arguments;
}

// The stage's base as an image file; empty where it is none and is not made one: folders, and what
// becomes a folder.
std::string DefinitionBuild::find_base_file(std::size_t stage) {
  const std::string& base = recipe_.bases[stage];
  if (base.empty() || (is_result(stage) && folder_)) return "";
  if (!oci::has_transport(base)) {
    const std::optional<struct stat> status = base::find_status(base);
    return status && S_ISREG(status->st_mode) ? base : "";
  }
  std::string file = work_path(base::cat("base-", stage, ".sif"));
  Command arguments = conversion_of_base();
  // What the result begins with is not compressed anew for it.
  if (!is_result(stage)) arguments.emplace_back("--compression=fast");
  arguments.insert(arguments.end(), {"--", base, file});
  convert(std::move(arguments));
  return file;
}

void DefinitionBuild::open_bases() {
  for (std::size_t i = 0; i < recipe_.stages.size(); ++i) {
    const std::string file = find_base_file(i);
    bases_.push_back(file.empty() ? recipe_.bases[i] : file);
    images_.emplace_back();
    identities_.push_back(file.empty() ? "" : oci::source_identity({file, ""}));
    try {
      if (!file.empty()) images_.back() = std::make_unique<runtime::WorkingImage>(file);
    } catch (const base::Error& problem) {
      base::log_verbose(problem.what());
    }
  }
}

void DefinitionBuild::hide_work() {
  const std::string before = work_.path("");
  hidden_work_.emplace(before.substr(0, before.size() - 1), runtime::find_place_for_hiding());
  for (std::string& base : bases_) {
    if (base.starts_with(before)) base = work_path(base.substr(before.size()));
  }
}

// What is packed must be what was served.
void DefinitionBuild::check_base(std::size_t stage) const {
  if (oci::source_identity({bases_[stage], ""}) == identities_[stage]) return;
  throw base::error("While performing build: the base image ", base::printable(bases_[stage]),
                    " was changed meanwhile");
}

// Empty where it has to be unpacked.
std::string DefinitionBuild::mount_base(std::size_t stage, runtime::IdMap ids) {
  if (!images_[stage]) return "";
  try {
    return images_[stage]->mount_in(make_work_folder(stage_name(stage)), ids);
  } catch (const base::Error& problem) {
    base::log_verbose("the base image is unpacked: ", problem.what());
    images_[stage].reset();
    return "";
  }
}

void DefinitionBuild::unpack_base(const std::string& base, const std::string& root) {
  Command arguments = conversion_of_base();
  arguments.insert(arguments.end(), {"--sandbox", "--force"});
  if (parsed_.flag("fix-perms")) arguments.emplace_back("--fix-perms");
  arguments.insert(arguments.end(), {"--", base.empty() ? make_work_folder("empty") : base, root});
  convert(std::move(arguments));
}

const RootFolder& DefinitionBuild::stage_folder(const std::string& name) const {
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    if (recipe_.stages[i].header_value("stage") == name) return stages_[i];
  }
  throw base::error(
      "While performing build: unable to copy files from stage to container fs: stage ",
      base::printable(name), " was not found");
}

void DefinitionBuild::copy_into(const Stage& stage, RootFolder& root) {
  const std::function<void()> pause = [this] { check_signals(); };
  std::vector<std::string> hidden_folders = {work_.path("")};
  if (folder_) hidden_folders.push_back(folder_->hidden_path());
  for (const definition::FileList& list : stage.files) {
    const RootFolder* from = list.stage.empty() ? nullptr : &stage_folder(list.stage);
    definition::copy_files({list.copies, from, "", hidden_folders}, root, pause);
  }
  for (const definition::App& app : stage.apps)
    definition::copy_files({app.copies, nullptr, "/scif/apps/" + app.name, hidden_folders}, root,
                           pause);
}

void check_executable(const std::string& root) {
  if (runtime::is_noexec(root)) {
    throw base::error("cannot build in ", base::printable(root),
                      ": programs may not be executed there (noexec)")
        .with_hint("APPTAINER_TMPDIR names another place to build in");
  }
}

RootFolder DefinitionBuild::build_stage(const Stage& stage, const std::string& path) {
  check_executable(path);
  RootFolder root(path);
  definition::add_mount_points(root);
  scripts_.run_on_host(stage, "setup", path);
  definition::add_apps(stage, root);
  copy_into(stage, root);
  scripts_.run_post(stage, root);
  const definition::ImageFacts facts{
      recipe_.text, parsed_.text("arch").value_or(std::string(sif::host_go_arch())),
      time_of_build(), request_.replace};
  definition::add_texts(stage, facts, root);
  definition::add_definition(stage, recipe_.text, root);
  BuildScripts::remove_traces(root);
  scripts_.run_test(stage, root);
  return root;
}

void DefinitionBuild::run(runtime::IdMap ids, mode_t callers_umask) {
  hide_work();
  scripts_.use_folder(work_path(""), ids);
  for (std::size_t i = 0; i < recipe_.stages.size(); ++i) {
    const Stage stage = with_chosen_sections(recipe_.stages[i], parsed_.values("section"));
    const bool in_folder = folder_ && is_result(i);
    std::string path = in_folder ? folder_->hidden_path() : work_path(base::cat("rootfs-", i));
    scripts_.run_on_host(stage, "pre", path);
    if (std::string mounted = mount_base(i, ids); !mounted.empty())
      path = std::move(mounted);
    else
      unpack_base(bases_[i], path);
    if (in_folder) path = hidden_result_.emplace(path, make_work_folder("result")).place();
    stages_.push_back(build_stage(stage, path));
  }
  end_children();
  if (folder_) {
    base::log_info("Creating sandbox directory...");
    hidden_result_.reset();
    return folder_->commit();
  }
  base::log_info("Creating SIF file...");
  // What was there at the start may be replaced, and what another build has made meanwhile.
  Command arguments = {"--quiet", "--force"};
  std::string source = stages_.back().path();
  if (const std::size_t last = recipe_.stages.size() - 1; images_[last]) {
    // What was not unpacked is read where it lies, not by way of its mount.
    check_base(last);
    arguments.push_back("--overlay=" + work_path(stage_name(last)));
    source = bases_[last];
  }
  arguments.insert(arguments.end(), {"--", source, request_.destination});
  ::umask(callers_umask);
  convert(std::move(arguments));
}

// In a user namespace, if need be, and always in a mount namespace, out of which no mount comes.
runtime::IdMap become_root(const ParsedOptions& parsed) {
  runtime::IdMap ids = runtime::IdMap::all_ids;
  if (::geteuid() != 0) {
    ids = runtime::enter_user_namespace({.fake_root = true,
                                         .subordinate_ids = !parsed.flag("ignore-subuid"),
                                         .uid = {},
                                         .gid = {}});
  }
  runtime::enter_mount_namespace(0);
  if (::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    throw base::errno_error(errno, "cannot keep mounts to ourselves");
  return ids;
}

// %files may say $PWD, which only shells are sure to have.
void name_directory() {
  if (const auto directory = runtime::find_host_directory(nullptr))
    ::setenv("PWD", directory->physical.c_str(), 0);
}

}  // namespace

bool build_definition(const ParsedOptions& parsed, const DefinitionRequest& request) {
  int signal = 0;
  try {
    name_directory();
    const Recipe recipe = prepare_recipe(parsed, request);
    HeldSignals signals;
    adopt_orphans();
    DefinitionBuild build(parsed, request, recipe, signals);
    find_sifconv();
    build.open_bases();
    const runtime::IdMap ids = become_root(parsed);
    build.run(ids, ::umask(kUmask));
  } catch (const AlreadyTold&) {
    return false;
  } catch (const Interrupted& interrupted) {
    signal = interrupted.signal;
  }
  if (signal != 0) ::raise(signal);
  return true;
}

}  // namespace cmd
