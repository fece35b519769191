// SPDX-License-Identifier: Apache-2.0
#include "cmd/build_scripts.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "definition/image_texts.h"
#include "definition/root_emulation.h"
#include "runtime/bind_spec.h"
#include "runtime/root_tree.h"
#include "runtime/working_directory.h"

namespace cmd {
namespace {

using definition::RootFolder;
using definition::Section;
using definition::Stage;

constexpr const char* kNotMounted =
    "cwd,/etc/passwd,/etc/group,/etc/localtime,/etc/resolv.conf,/etc/hosts";
// Of the host's, copies are bound: scripts may write to them, to no avail.
constexpr std::array<const char*, 2> kNetworkFiles = {"/etc/resolv.conf", "/etc/hosts"};
constexpr const char* kAptFile = "/.build.apt.conf";
constexpr const char* kEnvironmentFile = "/.singularity.d/env/91-environment.sh";

// "exit status 3", "signal: Killed"
std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return base::cat("signal: ", ::strsignal(WTERMSIG(status)));
  return base::cat("exit status ", WEXITSTATUS(status));
}

// As one value among others between commas, whatever it holds.
std::string csv_quoted(std::string text) {
  for (std::size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2)
    text.insert(at, 1, '"');
  return base::cat("\"", text, "\"");
}

}  // namespace

void BuildScripts::use_folder(const std::string& folder, runtime::IdMap ids) {
  folder_ = folder;
  for (const char* file : kNetworkFiles) {
    if (const auto text = base::find_small_file(file))
      write_file(runtime::base_name(file), *text, 0644);
  }
  has_users_ = ids == runtime::IdMap::all_ids;
  root_emulation_ = write_file("root.json", definition::root_emulation(has_users_));
}

int BuildScripts::run_program(const char* name, const std::function<void()>& become,
                              WhenAsked rule) {
  const Ending ending = run_child(signals_, name, become, rule);
  if (ending.signal != 0) {
    end_children();
    throw Interrupted{ending.signal};
  }
  return ending.status;
}

std::string BuildScripts::write_file(std::string_view name, std::string_view text,
                                     mode_t mode) const {
  std::string file = folder_ + std::string(name);
  ::unlink(file.c_str());
  base::write_all(base::open_file(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode).get(), text,
                  file);
  return file;
}

// %pre and %setup run where this program does, as root of the namespace.
void BuildScripts::run_on_host(const Stage& stage, const char* section, const std::string& root) {
  const Section* script = stage.find(section);
  if (script == nullptr) return;
  base::log_info("Running ", section, " scriptlet");
  // It may go elsewhere.
  const auto directory = runtime::find_host_directory(nullptr);
  const std::string absolute = runtime::absolute_path(root, directory ? directory->physical : "/");
  const std::string file = write_file(section, script->text);
  Command command = definition::split_words(definition::interpreter_of(*script));
  if (command.empty()) command = {"/bin/sh", "-ex"};
  command.push_back(file);
  const int status = run_program(section, [&] {
    for (const char* prefix : {"APPTAINER_", "SINGULARITY_"}) {
      ::setenv(base::cat(prefix, "ROOTFS").c_str(), absolute.c_str(), 1);
      ::setenv(base::cat(prefix, "ENVIRONMENT").c_str(), kEnvironmentFile, 1);
    }
    become_program(command[0], command, "the definition names it as the interpreter");
  });
  if (status != 0) {
    throw base::error("While performing build: failed to run %", section,
                      " script: ", describe_status(status));
  }
}

// A container as a build has it: root's, with what the host has for names and devices, but nothing
// of the user's own. All that it started ends with it.
BuildScripts::Command BuildScripts::container_call(const char* verb) const {
  Command call = {"sifrun"};
  if (base::log_level() < base::LogLevel::info) call.emplace_back("--quiet");
  if (base::log_level() >= base::LogLevel::verbose) call.emplace_back("--verbose");
  call.insert(call.end(), {verb, "--pid", "--no-home", "--conda=off", "--pwd", "/", "--add-caps",
                           "all", "--no-mount", kNotMounted});
  for (const char* file : kNetworkFiles) {
    const std::string copy = folder_ + std::string(runtime::base_name(file));
    if (!base::find_status(copy)) continue;
    call.emplace_back("--mount");
    call.push_back(base::cat("type=bind,", csv_quoted("source=" + copy), ",destination=", file));
  }
  call.insert(call.end(), {"--security", csv_quoted("seccomp:" + root_emulation_)});
  for (const char* option : {"nv", "nvccli", "rocm"}) {
    if (parsed_.flag(option)) call.push_back(base::cat("--", option));
  }
  if (!parsed_.flag("nv") && !parsed_.flag("nvccli")) call.emplace_back("--no-nv");
  for (const char* option : {"bind", "mount"}) {
    for (const std::string& value : parsed_.values(option))
      call.insert(call.end(), {base::cat("--", option), value});
  }
  return call;
}

[[noreturn]] void become_container(const std::vector<std::string>& call) {
  become_program("/proc/self/exe", call, "");
}

void BuildScripts::run_post(const Stage& stage, RootFolder& root) {
  const std::string script = definition::post_script(stage);
  if (script.empty()) return;
  base::log_info("Running post scriptlet");
  root.write_text(definition::kPostScript, script, 0755);
  root.write_text(definition::kPostLabels, "", 0644);
  std::string variables = base::cat("APPTAINER_LABELS=", definition::kPostLabels,
                                    ",SINGULARITY_LABELS=", definition::kPostLabels);
  if (!has_users_) {
    root.write_text(kAptFile, definition::kAptConfiguration, 0644);
    variables += base::cat(",APT_CONFIG=", kAptFile);
  }
  Command call = container_call("exec");
  call.insert(call.end(), {"--writable", "--cleanenv", "--env", variables, root.path()});
  const Section* post = stage.find("post");
  Command command = definition::split_words(post == nullptr ? std::string_view()
                                                            : definition::interpreter_of(*post));
  if (command.empty()) command = {"/bin/sh", "-ex"};
  command.emplace_back(definition::kPostScript);
  call.insert(call.end(), command.begin(), command.end());
  const int status = run_program("%post", [&] { become_container(call); });
  if (status != 0) {
    throw base::error("While performing build: while running %post section: ",
                      describe_status(status));
  }
}

void BuildScripts::remove_traces(RootFolder& root) {
  for (const char* file : {definition::kPostScript, definition::kPostLabels, kAptFile})
    root.remove(file);
}

void BuildScripts::run_test(const Stage& stage, const RootFolder& root) {
  const Section* test = stage.find("test");
  if (test == nullptr || test->text.empty() || parsed_.flag("notest")) return;
  base::log_info("Running testscript");
  Command call = container_call("test");
  if (parsed_.flag("writable-tmpfs")) call.emplace_back("--writable-tmpfs");
  call.push_back(root.path());
  const int status = run_program("%test", [&] { become_container(call); });
  if (status != 0) {
    throw base::error("While performing build: failed to execute %test script: ",
                      describe_status(status));
  }
}

}  // namespace cmd
