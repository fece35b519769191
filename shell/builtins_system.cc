// SPDX-License-Identifier: Apache-2.0
// Builtins that change or show attributes of the process: cd, pwd, umask, ulimit.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "base/text.h"
#include "shell/builtins.h"

namespace shell::builtins {

namespace {

std::string physical_directory() {
  char buffer[PATH_MAX];
  return ::getcwd(buffer, sizeof buffer) ? buffer : "";
}

// "." and ".." taken out by text, as a logical cd does.
std::string normalized(const std::string& path) {
  std::vector<std::string> kept;
  for (const std::string& part : base::split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(part);
    }
  }
  return "/" + base::join(kept, "/");
}

// PWD if it names the current directory; whatever it names where that is all that cd changes.
std::string logical_directory(const Interpreter& shell, const std::string& pwd) {
  if (pwd.starts_with('/') && !shell.changes_process()) return pwd;
  struct stat here, there;
  if (pwd.starts_with('/') && ::stat(".", &here) == 0 && ::stat(pwd.c_str(), &there) == 0 &&
      here.st_dev == there.st_dev && here.st_ino == there.st_ino)
    return pwd;
  return physical_directory();
}

constexpr std::size_t kMaxDirectories = 1000;  // of pushd

struct Limit {
  char letter;
  __rlimit_resource resource;
  rlim_t unit;
};
constexpr std::array<Limit, 10> kLimits = {{{'c', RLIMIT_CORE, 512},
                                            {'d', RLIMIT_DATA, 1024},
                                            {'f', RLIMIT_FSIZE, 512},
                                            {'l', RLIMIT_MEMLOCK, 1024},
                                            {'m', RLIMIT_RSS, 1024},
                                            {'n', RLIMIT_NOFILE, 1},
                                            {'s', RLIMIT_STACK, 1024},
                                            {'t', RLIMIT_CPU, 1},
                                            {'u', RLIMIT_NPROC, 1},
                                            {'v', RLIMIT_AS, 1024}}};

std::optional<rlim_t> limit_value(const std::string& text, const rlimit& current, rlim_t unit) {
  if (text == "unlimited") return RLIM_INFINITY;
  if (text == "hard") return current.rlim_max;
  if (text == "soft") return current.rlim_cur;
  const std::optional<std::int64_t> number = parse_integer(text);
  if (!number || *number < 0 || static_cast<rlim_t>(*number) > RLIM_INFINITY / unit)
    return std::nullopt;
  return static_cast<rlim_t>(*number) * unit;
}

// Where scripts change nothing of the process, it is enough that this could become its directory.
bool enter(const Interpreter& shell, const std::string& directory) {
  if (shell.changes_process()) return ::chdir(directory.c_str()) == 0;
  struct stat status;
  if (::stat(directory.c_str(), &status) != 0) return false;
  errno = ENOTDIR;
  return S_ISDIR(status.st_mode) && ::access(directory.c_str(), X_OK) == 0;
}

// False, with a message printed, where scripts must not.
bool may_change_process(Interpreter& shell, const std::string& command) {
  if (shell.changes_process()) return true;
  shell.warn(command + ": disabled, as programs are");
  return false;
}

}  // namespace

int cd(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  bool physical = false;
  while (first < arguments.size() && arguments[first].size() > 1 && arguments[first][0] == '-') {
    if (arguments[first] == "-P") physical = shell.changes_process();
    ++first;
  }
  const std::string old = logical_directory(shell, shell.variables().value_or("PWD", ""));
  std::string target =
      first < arguments.size() ? arguments[first] : shell.variables().value_or("HOME", "");
  const bool back = target == "-";
  if (back) target = shell.variables().value_or("OLDPWD", "");
  if (target.empty()) {
    if (first < arguments.size() && !back) return 0;
    shell.warn(back ? "cd: OLDPWD not set" : "cd: HOME not set");
    return 1;
  }
  const std::string full = target.starts_with('/') ? target : old + "/" + target;
  const std::string logical = normalized(full);
  const bool is_entered = enter(shell, physical ? target : logical) ||
                          (shell.changes_process() && enter(shell, target));
  if (!is_entered) {
    shell.warn(base::cat("cd: ", target, ": ", base::errno_text(errno)));
    return 1;
  }
  shell.assign_value("OLDPWD", old);
  shell.assign_value("PWD", physical ? physical_directory() : logical_directory(shell, logical));
  if (back) shell.write_output(shell.variables().value_or("PWD", "") + "\n");
  return 0;
}

int dirs(Interpreter& shell, const Arguments&) {
  std::string text = logical_directory(shell, shell.variables().value_or("PWD", ""));
  const std::vector<std::string>& below = shell.state().directories;
  for (auto directory = below.rbegin(); directory != below.rend(); ++directory)
    text += " " + *directory;
  shell.write_output(text + "\n");
  return 0;
}

// Without a folder, it changes places with the one on top.
int pushd(Interpreter& shell, const Arguments& arguments) {
  std::vector<std::string>& below = shell.state().directories;
  const std::string here = logical_directory(shell, shell.variables().value_or("PWD", ""));
  if (arguments.size() < 2 && below.empty()) {
    shell.warn("pushd: no other directory");
    return 1;
  }
  if (below.size() == kMaxDirectories) {
    shell.warn("pushd: too many directories");
    return 1;
  }
  const std::string target = arguments.size() < 2 ? below.back() : arguments[1];
  if (const int status = cd(shell, {"cd", "--", target}); status != 0) return status;
  if (arguments.size() < 2) below.pop_back();
  below.push_back(here);
  return dirs(shell, {});
}

int popd(Interpreter& shell, const Arguments&) {
  std::vector<std::string>& below = shell.state().directories;
  if (below.empty()) {
    shell.warn("popd: directory stack empty");
    return 1;
  }
  if (const int status = cd(shell, {"cd", "--", below.back()}); status != 0) return status;
  below.pop_back();
  return dirs(shell, {});
}

int pwd(Interpreter& shell, const Arguments& arguments) {
  const bool physical = arguments.size() > 1 && arguments[1] == "-P";
  const std::string directory =
      physical ? physical_directory()
               : logical_directory(shell, shell.variables().value_or("PWD", ""));
  shell.write_output(directory + "\n");
  return 0;
}

int umask(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  if (first < arguments.size() && arguments[first] == "-S") ++first;
  if (first >= arguments.size()) {
    const mode_t old = ::umask(0);
    ::umask(old);
    std::string text = "0000\n";
    for (int digit = 0; digit < 3; ++digit)
      text[static_cast<std::size_t>(3 - digit)] =
          static_cast<char>('0' + ((old >> (3 * digit)) & 7));
    shell.write_output(text);
    return 0;
  }
  if (!may_change_process(shell, "umask")) return 1;
  mode_t mask = 0;
  for (const char c : arguments[first]) {
    if (c < '0' || c > '7' || mask > 0777) {
      shell.warn(base::cat("umask: ", arguments[first], ": not an octal number"));
      return 1;
    }
    mask = mask * 8 + static_cast<mode_t>(c - '0');
  }
  ::umask(mask & 0777);
  return 0;
}

int ulimit(Interpreter& shell, const Arguments& arguments) {
  char letter = 'f';
  bool soft = false, hard = false;
  std::string value;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (!arguments[i].starts_with('-')) {
      value = arguments[i];
      continue;
    }
    for (const char c : arguments[i].substr(1)) {
      soft = soft || c == 'S';
      hard = hard || c == 'H';
      if (c != 'S' && c != 'H') letter = c;
    }
  }
  for (const Limit& limit : kLimits) {
    if (limit.letter != letter) continue;
    rlimit current;
    ::getrlimit(limit.resource, &current);
    if (value.empty()) {
      const rlim_t shown = hard ? current.rlim_max : current.rlim_cur;
      shell.write_output(shown == RLIM_INFINITY ? "unlimited\n"
                                                : std::to_string(shown / limit.unit) + "\n");
      return 0;
    }
    if (!may_change_process(shell, "ulimit")) return 1;
    const std::optional<rlim_t> wanted = limit_value(value, current, limit.unit);
    if (wanted && (soft || !hard)) current.rlim_cur = *wanted;
    if (wanted && (hard || !soft)) current.rlim_max = *wanted;
    if (wanted && ::setrlimit(limit.resource, &current) == 0) return 0;
    shell.warn(base::cat("ulimit: cannot set the limit to ", value));
    return 1;
  }
  shell.warn(base::cat("ulimit: -", letter, ": unknown option"));
  return 2;
}

}  // namespace shell::builtins
