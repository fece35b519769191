// SPDX-License-Identifier: Apache-2.0
#include "runtime/env_scripts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/syscalls.h"
#include "runtime/host_additions.h"
#include "runtime/image_shell.h"
#include "shell/interpreter.h"
#include "shell/pattern.h"
#include "shell/program.h"

namespace runtime {

namespace {

constexpr std::string_view kScripts = "/.singularity.d/env/*.sh";
constexpr const char* kOldScript = "/environment";
constexpr std::uint64_t kMaxFileSteps = 10'000'000;

bool is_regular_file(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// Source text of the double-quoted value which assigns an injected variable.
std::string injection_text(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '"') text += '\\';
    text += c;
  }
  return text;
}

shell::Options script_options() {
  shell::Options options;
  options.on_unsupported = run_with_image_shell;
  options.forgives_errors = true;
  return options;
}

// `exec >file` of a script is for the scripts alone.
class SavedStreams {
 public:
  SavedStreams() {
    for (Stream& stream : streams_) {
      stream.copy.reset(::fcntl(stream.fd, F_DUPFD_CLOEXEC, kFirstCopy));
      stream.was_closed = !stream.copy && errno == EBADF;
    }
  }
  // One that could not be copied, by a limit of the user's, stays as it is.
  void restore() const {
    for (const Stream& stream : streams_) {
      if (stream.copy) ::dup2(stream.copy.get(), stream.fd);
      if (stream.was_closed) ::close(stream.fd);
    }
  }

 private:
  static constexpr int kFirstCopy = 10;  // scripts use those below
  struct Stream {
    int fd;
    base::UniqueFd copy{};
    bool was_closed = false;
  };
  std::array<Stream, 3> streams_ = {{{STDIN_FILENO}, {STDOUT_FILENO}, {STDERR_FILENO}}};
};

// Evaluation of one container's environment, step by step.
class Evaluation {
 public:
  Evaluation(const EnvironmentRequest& request, std::string_view command,
             const std::vector<std::string>& arguments)
      : request_(request),
        host_(forwarded_host_variables(request)),
        injected_(injected_environment(request, evaluate_environment_files(request, arguments))),
        interpreter_(script_options()) {
    interpreter_.state().name = command;
    interpreter_.state().arguments = arguments;
    shell::Variables& variables = interpreter_.variables();
    // Unexported: scripts may look at them.
    variables.set("UID", std::to_string(::getuid()));
    variables.set("EUID", std::to_string(::geteuid()));
    variables.set("GID", std::to_string(::getgid()));
    variables.set_exported("HOME", request.container_home);
    for (const EnvironmentVariable& variable : container_variables(request, command))
      variables.set_exported(variable.name, variable.value);
    set_working_directory();
    for (const std::string& entry : request.host)
      if (entry.starts_with("PATH=") && !request.clean)
        variables.set_exported("USER_PATH", entry.substr(5));
  }

  std::vector<std::string> run() {
    const SavedStreams streams;
    run_scripts();
    streams.restore();
    return_from_scripts();
    apply_path();
    restore_host_variables();
    set_prompt();
    finish();
    std::vector<std::string> environment = interpreter_.variables().environment();
    for (std::string& entry : forwarded_host_entries(request_))
      environment.push_back(std::move(entry));
    return environment;
  }

 private:
  shell::Variables& variables() { return interpreter_.variables(); }

  // What scripts have made read-only stays.
  void set(const std::string& name, const std::string& value) {
    const shell::Variable* old = variables().find(name);
    if (!old || !old->readonly) variables().set_exported(name, value);
  }

  // The host's PWD if it is the logical name of the current directory.
  void set_working_directory() {
    std::string directory = base::find_link_target("/proc/self/cwd").value_or("");
    if (directory.empty()) {
      char buffer[4096];
      directory = ::getcwd(buffer, sizeof buffer) ? buffer : "/";
    }
    for (const std::string& entry : request_.host) {
      struct stat named, current;
      if (entry.starts_with("PWD=/") && ::stat(entry.c_str() + 4, &named) == 0 &&
          ::stat(".", &current) == 0 && named.st_dev == current.st_dev &&
          named.st_ino == current.st_ino)
        directory = entry.substr(4);
    }
    variables().set_exported("PWD", directory);
    directory_name_ = directory;
    directory_.reset(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  // Where a script has gone, and that it has no home, is for the scripts alone.
  void return_from_scripts() {
    [[maybe_unused]] const int ignored = directory_ ? ::fchdir(directory_.get()) : 0;
    set("PWD", directory_name_);
    if (!variables().value("HOME")) set("HOME", request_.container_home);
  }

  void run_scripts() {
    const std::vector<std::string> scripts =
        request_.scripts ? known_paths() : shell::matching_paths(kScripts);
    bool injected = false;
    for (const std::string& path : scripts) {
      const std::string name = path.substr(path.rfind('/') + 1);
      // Its work is done by apply_path().
      if (name == "99-runtimevars.sh" || !(request_.scripts || is_regular_file(path))) continue;
      if (name == "90-environment.sh") ensure_path();
      run_script(path);
      if (name.starts_with("10-docker")) fix_path();
      if (name == "99-base.sh") {
        inject();
        injected = true;
      }
    }
    if (scripts.empty() && is_regular_file(kOldScript)) {
      run_script(kOldScript);
      fix_path();
    }
    if (!injected) inject();
  }

  std::vector<std::string> known_paths() const {
    std::vector<std::string> paths;
    for (const EnvironmentFile& script : *request_.scripts) paths.push_back(script.name);
    return paths;
  }

  void source(const std::string& path) {
    if (request_.scripts) {
      const auto known = std::ranges::find(*request_.scripts, path, &EnvironmentFile::name);
      if (known != request_.scripts->end()) {
        interpreter_.run_source(known->text, path);
        return;
      }
    }
    interpreter_.run_file(path);
  }

  void run_script(const std::string& path) {
    base::log_debug("Sourcing ", path);
    try {
      source(path);
    } catch (const shell::SyntaxError& error) {
      base::log_warning("the environment script is skipped: ", error.what());
    } catch (const shell::ExitRequest& request) {
      ::_exit(interpreter_.run_exit_trap(request.status));
    }
  }

  void ensure_path() {
    if (!variables().value("PATH")) set("PATH", std::string(kDefaultPath));
  }

  void fix_path() { set("PATH", with_default_path(variables().value_or("PATH", ""))); }

  // The value as the user means it: shell text that may name variables and run commands, unless
  // --no-eval.
  std::string evaluated(const std::string& name, const std::string& value) {
    if (request_.no_eval || value.find_first_of("$`\\") == std::string::npos) return value;
    const std::string result = "__sifrun_value";
    try {
      interpreter_.run_text(base::cat(result, "=\"", injection_text(value), "\""), name);
    } catch (const shell::SyntaxError&) {
      base::log_warning("the value of ", name,
                        " is no shell text and is taken as it is: ", base::printable(value));
      return value;
    } catch (const shell::ExitRequest& request) {
      ::_exit(request.status);
    }
    const std::string text = variables().value_or(result, "");
    variables().unset(result);
    return text;
  }

  void inject() {
    ensure_path();
    for (const EnvironmentVariable& variable : injected_.variables) {
      std::string value = evaluated(variable.name, variable.value);
      if (variable.name == "LD_LIBRARY_PATH") {
        if (value.empty()) continue;
        value += base::cat(":", kLibraryDirectory);
      }
      const shell::Variable* old = variables().find(variable.name);
      if (old && old->readonly) {
        base::log_warning(variable.name, " is read-only in the image and keeps its value");
        continue;
      }
      variables().set_exported(variable.name, value);
    }
    apply_library_path();
  }

  void apply_library_path() {
    std::string path = variables().value_or("LD_LIBRARY_PATH", "");
    if (!injected_.prepend_ld_library_path.empty())
      path = base::cat(evaluated("LD_LIBRARY_PATH", injected_.prepend_ld_library_path),
                       path.empty() ? "" : ":", path);
    if (!injected_.append_ld_library_path.empty())
      path = base::cat(path, path.empty() ? "" : ":",
                       evaluated("LD_LIBRARY_PATH", injected_.append_ld_library_path));
    const std::vector<std::string> present = base::split(path, ':');
    for (const std::string& entry : request_.library_back) {
      if (std::find(present.begin(), present.end(), entry) == present.end())
        path = base::cat(path, path.empty() ? "" : ":", entry);
    }
    for (const std::string& entry : request_.library_front)
      path = base::cat(entry, path.empty() ? "" : ":", path);
    if (!path.empty()) set("LD_LIBRARY_PATH", path);
  }

  // What 99-runtimevars.sh does in images that have it, and the host's conda environment.
  void apply_path() {
    ensure_path();
    std::string path = variables().value_or("PATH", "");
    for (auto entry = request_.path_front.rbegin(); entry != request_.path_front.rend(); ++entry)
      path = base::cat(*entry, ":", path);
    for (const std::string& entry : request_.path_back) path = base::cat(path, ":", entry);
    if (!injected_.prepend_path.empty())
      path = base::cat(evaluated("PATH", injected_.prepend_path), ":", path);
    if (!injected_.append_path.empty())
      path = base::cat(path, ":", evaluated("PATH", injected_.append_path));
    if (!injected_.path.empty()) path = evaluated("PATH", injected_.path);
    set("PATH", path);
  }

  void restore_host_variables() {
    for (const EnvironmentVariable& variable : host_) {
      if (variable.name == "PWD" || variable.name == "OPTIND" || variable.name == "EUID") continue;
      const std::string* value = variables().value(variable.name);
      if (!value) {
        variables().set_exported(variable.name, variable.value);
      } else if (value->empty() && !was_injected(variable.name) &&
                 !variables().find(variable.name)->readonly) {
        variables().unset(variable.name);
      }
    }
  }

  bool was_injected(const std::string& name) const {
    return std::any_of(injected_.variables.begin(), injected_.variables.end(),
                       [&](const EnvironmentVariable& variable) { return variable.name == name; });
  }

  // bash resets PS1 from its start-up files; PROMPT_COMMAND sets it once more.
  void set_prompt() {
    if (variables().value_or("PS1", "").empty())
      variables().set_exported("PS1", request_.title + "> ");
    const std::string assignment = "PS1=\"" + variables().value_or("PS1", "") + "\"";
    const std::string* command = variables().value("PROMPT_COMMAND");
    variables().set_exported(
        "PROMPT_COMMAND",
        command && !command->empty()
            ? *command + "; PROMPT_COMMAND=\"${PROMPT_COMMAND%%; PROMPT_COMMAND=*}\"; " + assignment
            : assignment + "; unset PROMPT_COMMAND");
  }

  void finish() {
    for (const char* name : {"APPTAINER_ENVIRONMENT", "SINGULARITY_ENVIRONMENT"})
      if (variables().value_or(name, "").empty())
        variables().set_exported(name, "/.singularity.d/env/91-environment.sh");
    for (const char* name : {"UID", "GID", "EUID", "OPTIND"})
      if (variables().find(name)) variables().set_export_flag(name, false);
    variables().set_export_flag("HOME", true);
  }

  const EnvironmentRequest& request_;
  const std::vector<EnvironmentVariable> host_;
  const InjectedEnvironment injected_;
  shell::Interpreter interpreter_;
  base::UniqueFd directory_;  // where the scripts begin; empty if it may not be opened
  std::string directory_name_;
};

}  // namespace

std::vector<EnvironmentVariable> evaluate_environment_files(
    const EnvironmentRequest& request, const std::vector<std::string>& arguments) {
  std::vector<EnvironmentVariable> result;
  for (const EnvironmentFile& file : request.files) {
    shell::Options options;
    options.programs = shell::Options::Programs::refuse;
    options.files = false;
    options.max_steps = kMaxFileSteps;
    shell::Interpreter interpreter(options);
    interpreter.state().arguments = arguments;
    for (const std::string& entry : request.host) {
      const std::size_t equals = entry.find('=');
      if (equals != std::string::npos && shell::is_name(entry.substr(0, equals)))
        interpreter.variables().set(entry.substr(0, equals), entry.substr(equals + 1));
    }
    interpreter.state().flags = "a";
    try {
      interpreter.run_text(file.text, file.name);
    } catch (const shell::ExitRequest&) {
      throw base::error("while evaluating environment file ", file.name, ": the script exits");
    } catch (const base::Error& error) {
      throw base::error("while evaluating environment file ", file.name, ": ", error.what());
    }
    for (const std::string& entry : interpreter.variables().environment()) {
      const std::size_t equals = entry.find('=');
      result.push_back({entry.substr(0, equals), entry.substr(equals + 1)});
    }
  }
  return result;
}

std::vector<std::string> evaluate_environment(const EnvironmentRequest& request,
                                              std::string_view command,
                                              const std::vector<std::string>& arguments) {
  return Evaluation(request, command, arguments).run();
}

}  // namespace runtime
