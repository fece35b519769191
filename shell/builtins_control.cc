// SPDX-License-Identifier: Apache-2.0
// Builtins that direct the flow of a script.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/syscalls.h"
#include "shell/builtins.h"
#include "shell/guards.h"

namespace shell::builtins {

namespace {

using Flow = Interpreter::Flow;

int leave_loops(Interpreter& shell, const Arguments& arguments, Flow flow) {
  std::int64_t levels = 1;
  if (arguments.size() > 1) levels = parse_integer(arguments[1]).value_or(0);
  if (levels < 1) shell.fail(base::cat(arguments[0], ": bad number"));
  const int loops = shell.state().loops;
  if (loops > 0) shell.request(flow, static_cast<int>(std::min<std::int64_t>(levels, loops)));
  return 0;
}

int status_argument(Interpreter& shell, const Arguments& arguments) {
  if (arguments.size() < 2) return shell.state().status;
  const std::optional<std::int64_t> status = parse_integer(arguments[1]);
  if (!status) shell.fatal(base::cat(arguments[0], ": ", arguments[1], ": bad number"));
  return static_cast<int>(*status & 0xFF);
}

std::string join_from(const Arguments& arguments, std::size_t first) {
  return base::join(arguments_from(arguments, first), " ");
}

constexpr std::string_view kReservedWords[] = {"if",   "then", "else", "elif",  "fi",    "do",
                                               "done", "case", "esac", "while", "until", "for",
                                               "{",    "}",    "!",    "in",    "[["};

// One line about what the name stands for; empty if it stands for nothing. `brief` is the form of
// command -v.
std::string description(Interpreter& shell, const std::string& name, bool brief) {
  if (std::find(std::begin(kReservedWords), std::end(kReservedWords), name) !=
      std::end(kReservedWords))
    return brief ? name : name + " is a shell keyword";
  if (shell.state().functions.contains(name)) return brief ? name : name + " is a function";
  if (find_builtin(name)) return brief ? name : name + " is a shell builtin";
  if (shell.options().programs != Options::Programs::run) return {};
  const std::string path = shell.find_program(name);
  if (path.empty()) return {};
  return brief ? path : name + " is " + path;
}

struct SignalName {
  std::string_view name;
  int number;
};
constexpr std::array<SignalName, 14> kSignals = {{{"HUP", SIGHUP},
                                                  {"INT", SIGINT},
                                                  {"QUIT", SIGQUIT},
                                                  {"TERM", SIGTERM},
                                                  {"USR1", SIGUSR1},
                                                  {"USR2", SIGUSR2},
                                                  {"PIPE", SIGPIPE},
                                                  {"ALRM", SIGALRM},
                                                  {"CHLD", SIGCHLD},
                                                  {"TSTP", SIGTSTP},
                                                  {"TTIN", SIGTTIN},
                                                  {"TTOU", SIGTTOU},
                                                  {"CONT", SIGCONT},
                                                  {"XCPU", SIGXCPU}}};

std::optional<int> signal_number(std::string_view name) {
  if (const auto number = parse_integer(name)) {
    if (*number >= 0 && *number < NSIG) return static_cast<int>(*number);
    return std::nullopt;
  }
  if (name == "EXIT") return 0;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const SignalName& entry : kSignals)
    if (entry.name == name) return entry.number;
  return std::nullopt;
}

}  // namespace

int colon(Interpreter&, const Arguments&) { return 0; }
int false_(Interpreter&, const Arguments&) { return 1; }

int break_(Interpreter& shell, const Arguments& arguments) {
  return leave_loops(shell, arguments, Flow::break_loop);
}

int continue_(Interpreter& shell, const Arguments& arguments) {
  return leave_loops(shell, arguments, Flow::continue_loop);
}

int return_(Interpreter& shell, const Arguments& arguments) {
  const int status = status_argument(shell, arguments);
  shell.request(Flow::return_from, 1);
  return status;
}

int exit_(Interpreter& shell, const Arguments& arguments) {
  throw ExitRequest{status_argument(shell, arguments)};
}

int eval(Interpreter& shell, const Arguments& arguments) {
  try {
    return shell.execute_text(join_from(arguments, 1));
  } catch (const SyntaxError& error) {
    shell.warn(error.what());  // as bash: the script goes on
    return 2;
  }
}

int source(Interpreter& shell, const Arguments& arguments) {
  const std::size_t first = arguments.size() > 1 && arguments[1] == "--" ? 2 : 1;
  if (arguments.size() <= first)
    shell.fail(base::cat(arguments[0], ": filename argument required"));
  std::string path = arguments[first];
  if (path.find('/') == std::string::npos) {
    for (const std::string& directory : base::split(shell.variables().value_or("PATH", ""), ':')) {
      const std::string candidate = directory.empty() ? path : directory + "/" + path;
      if (::access(candidate.c_str(), R_OK) != 0) continue;
      path = candidate;
      break;
    }
  }
  std::optional<ValueGuard<Arguments>> parameters;
  if (arguments.size() > first + 1)
    parameters.emplace(&shell.state().arguments, arguments_from(arguments, first + 1));
  try {
    return shell.run_file(path);
  } catch (const SyntaxError& error) {
    shell.warn(error.what());
    return 2;
  }
}

int exec(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  // Other words with a dash are commands, as they are to a POSIX shell.
  while (first < arguments.size()) {
    const std::string& option = arguments[first];
    const bool has_value = option == "-a" && first + 1 < arguments.size();
    if (option != "--" && option != "-c" && option != "-l" && !has_value) break;
    first += has_value ? 2 : 1;
    if (option == "--") break;
  }
  if (first >= arguments.size()) return 0;
  shell.exec_program(arguments_from(arguments, first));
}

int command(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  bool describe = false, brief = true;
  while (first < arguments.size() && arguments[first].size() > 1 && arguments[first][0] == '-') {
    const std::string& option = arguments[first++];
    if (option == "--") break;
    describe = describe || option.find_first_of("vV") != std::string::npos;
    if (option.find('V') != std::string::npos) brief = false;
  }
  if (first >= arguments.size()) return 0;
  if (!describe) return shell.run_builtin_or_external(arguments_from(arguments, first), false);
  int status = 0;
  for (std::size_t i = first; i < arguments.size(); ++i) {
    const std::string text = description(shell, arguments[i], brief);
    if (text.empty())
      status = 127;
    else
      shell.write_output(text + "\n");
  }
  return status;
}

int builtin(Interpreter& shell, const Arguments& arguments) {
  if (arguments.size() < 2) return 0;
  if (!find_builtin(arguments[1])) {
    shell.warn(base::cat("builtin: ", arguments[1], ": not a shell builtin"));
    return 1;
  }
  return shell.run_builtin_or_external(arguments_from(arguments, 1), false);
}

int type(Interpreter& shell, const Arguments& arguments) {
  int status = 0;
  bool kind_only = false, path_only = false;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i].starts_with('-') && arguments[i].size() > 1) {
      kind_only = arguments[i] == "-t";
      path_only = arguments[i] == "-p" || arguments[i] == "-P";
      continue;
    }
    if (path_only) {
      const std::string path = description(shell, arguments[i], true);
      if (path.starts_with('/')) shell.write_output(path + "\n");
      if (path.empty()) status = 1;
      continue;
    }
    const std::string text = description(shell, arguments[i], false);
    if (text.empty()) {
      status = 1;
      if (!kind_only) shell.warn(base::cat("type: ", arguments[i], ": not found"));
    } else if (kind_only) {
      const bool file =
          text.ends_with("/" + arguments[i]) || text.find(" is /") != std::string::npos;
      shell.write_output(file ? "file\n" : text.substr(text.rfind(' ') + 1) + "\n");
    } else {
      shell.write_output(text + "\n");
    }
  }
  return status;
}

// Only EXIT is ever acted upon; ignoring and resetting a signal is done for programs to inherit.
int trap(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  if (first < arguments.size() && arguments[first] == "--") ++first;
  if (first >= arguments.size()) {
    const std::string& action = shell.state().exit_trap;
    if (!action.empty()) shell.write_output("trap -- " + quoted(action) + " EXIT\n");
    return 0;
  }
  if (arguments[first] == "-p" || arguments[first] == "-l") return 0;
  std::string action = "-";
  const bool resets = parse_integer(arguments[first]).has_value() || first + 1 == arguments.size();
  if (!resets) action = arguments[first++];
  for (std::size_t i = first; i < arguments.size(); ++i) {
    if (arguments[i] == "-") continue;
    const std::optional<int> number = signal_number(arguments[i]);
    if (number == 0) shell.state().exit_trap = action == "-" ? "" : action;
    if (!number || *number == 0) continue;
    if (shell.changes_process()) ::signal(*number, action.empty() ? SIG_IGN : SIG_DFL);
  }
  return 0;
}

int wait(Interpreter& shell, const Arguments& arguments) {
  if (shell.options().programs != Options::Programs::run) return 0;
  int status = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::optional<std::int64_t> pid = parse_integer(arguments[i]);
    status = pid && *pid > 0 ? shell.wait_for(static_cast<pid_t>(*pid)) : 127;
  }
  if (arguments.size() > 1) return status;
  while (::wait(nullptr) > 0 || errno == EINTR) {
  }
  return 0;
}

int let(Interpreter& shell, const Arguments& arguments) {
  std::int64_t value = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) value = shell.arithmetic_text(arguments[i]);
  return value == 0;
}

}  // namespace shell::builtins
