// SPDX-License-Identifier: Apache-2.0
#include "shell/program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/syscalls.h"
#include "shell/builtins.h"

namespace shell {

namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// errno value if the file cannot be run, 0 if it can.
int refusal(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return errno == EACCES ? EACCES : ENOENT;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return ::access(path.c_str(), X_OK) == 0 ? 0 : EACCES;
}

bool names_a_shell(std::string_view first_line) {
  const std::size_t end = first_line.find_first_of(" \t\r", first_line.find_first_not_of(" \t"));
  const std::string_view interpreter = first_line.substr(0, end);
  const std::string_view name = interpreter.substr(interpreter.rfind('/') + 1);
  return name == "sh" || name == "bash" || name == "dash" || name == "ash";
}

bool is_interpretable(const std::string& text, int exec_error) {
  const std::string_view first_line = std::string_view(text).substr(0, text.find('\n'));
  if (first_line.starts_with("#!"))
    return exec_error == ENOENT && names_a_shell(first_line.substr(2));
  return exec_error == ENOEXEC && first_line.find('\0') == std::string_view::npos;
}

}  // namespace

std::string find_program(const std::string& name, std::string_view search_path,
                         const PathPredicate& is_absent) {
  if (name.empty()) {
    errno = ENOENT;
    return {};
  }
  int error = ENOENT;
  if (name.find('/') != std::string::npos) {
    error = refusal(name);
    if (error == 0) return name;
    errno = error;
    return {};
  }
  for (const std::string& directory : base::split(search_path, ':')) {
    const std::string path = directory.empty() ? "./" + name : directory + "/" + name;
    if (is_absent && is_absent(path)) continue;
    const int why = refusal(path);
    if (why == 0) return path;
    if (why == EACCES) error = EACCES;
  }
  errno = error;
  return {};
}

void become_script(Options options, const std::string& text, const std::string& path,
                   std::vector<std::string> arguments,
                   const std::vector<std::string>& environment) {
  Interpreter interpreter(std::move(options));
  interpreter.variables().import_environment(environment);
  interpreter.state().name = path;
  interpreter.state().arguments = std::move(arguments);
  const int status = interpreter.run_to_exit([&] { return interpreter.run_text(text, path); });
  ::_exit(status & 0xFF);
}

void become_program(const std::string& path, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment) {
  ::execve(path.c_str(), pointers(arguments).data(), pointers(environment).data());
  const int error = errno;
  if (error == ENOEXEC || error == ENOENT) {
    std::optional<std::string> text;
    try {
      text = base::read_small_file(path, kMaxScriptBytes);
    } catch (const base::Error&) {
      // Unreadable or too large: no script for us.
    }
    if (text && is_interpretable(*text, error)) {
      try {
        become_script({}, *text, path, arguments_from(arguments, 1), environment);
      } catch (const base::Error& failure) {
        base::log_message(base::LogLevel::error, failure.what());
        ::_exit(kSyntaxErrorStatus);
      }
    }
  }
  errno = error;
}

}  // namespace shell
