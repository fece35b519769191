// SPDX-License-Identifier: Apache-2.0
#include "shell/program.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "base/unique_fd.h"
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

constexpr const char* kOwnProgram = "/proc/self/exe";
constexpr int kMaxInterpreters = 6;  // as the kernel
constexpr std::size_t kMaxFirstLine = 256;

std::optional<std::string> mount_id_of(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  const std::string info =
      base::find_small_file(base::cat("/proc/self/fdinfo/", fd.get())).value_or("");
  const std::size_t at = info.find("mnt_id:");
  if (!fd || at == std::string::npos) return std::nullopt;
  return info.substr(at, info.find('\n', at) - at);
}

// By its link in /proc, not by a name that the container has for it.
bool is_link_to_us(const std::string& path) {
  struct stat file {
  }, own{};
  return ::stat(path.c_str(), &file) == 0 && ::stat(kOwnProgram, &own) == 0 &&
         file.st_dev == own.st_dev && file.st_ino == own.st_ino &&
         mount_id_of(path) == mount_id_of(kOwnProgram);
}

// "#!interpreter argument", as the kernel reads it; empty for what is no script.
std::string interpreter_of(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string line(kMaxFirstLine, '\0');
  const ssize_t size = fd ? ::read(fd.get(), line.data(), line.size()) : -1;
  if (size < 2 || !line.starts_with("#!")) return {};
  line.resize(std::min(line.find('\n'), static_cast<std::size_t>(size)));
  const std::size_t start = line.find_first_not_of(" \t", 2);
  if (start == line.npos) return {};
  return line.substr(start, line.find_first_of(std::string_view(" \t\0", 3), start) - start);
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

bool leads_to_ourselves(const std::string& path) {
  std::string next = path;
  for (int i = 0; i < kMaxInterpreters && !next.empty(); ++i) {
    if (is_link_to_us(next)) return true;
    next = interpreter_of(next);
  }
  return false;
}

void become_program(const std::string& path, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment) {
  if (leads_to_ourselves(path)) {
    errno = EACCES;
    return;
  }
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
