// SPDX-License-Identifier: Apache-2.0
// Runs shell scripts in this process: environment scripts of images that may have no shell. Only
// external commands, pipelines, background jobs and substitutions that need them fork. Not for
// threads: it changes the working directory, file descriptors and umask as scripts ask.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "shell/ast.h"
#include "shell/lexer.h"
#include "shell/variables.h"

namespace shell {

inline constexpr std::size_t kMaxScriptBytes = std::size_t{16} << 20;
inline constexpr int kSyntaxErrorStatus = 2;

// Thrown where a script ends the shell: the exit builtin, set -e, a fatal expansion error.
struct ExitRequest {
  int status = 0;
};

// Thrown where a shell gives up a command but not the script.
struct CommandFailure {
  int status = 1;
};

class Interpreter;

struct Options {
  enum class Programs { run, absent, refuse };
  // absent: as if none was installed. Unless they run, nothing forks, and scripts change nothing of
  // this process: its directory, umask, limits, signals and open files.
  Programs programs = Programs::run;
  bool files = true;            // redirections, `.` and pathname expansion
  std::uint64_t max_steps = 0;  // 0: unlimited
  std::size_t max_value_bytes = std::size_t{64} << 20;
  // Errors that end a POSIX shell (in arithmetic, of a special builtin, an assignment to what is
  // read-only) end the command alone, as in Apptainer's shell and mostly in bash.
  bool forgives_errors = false;
  // Takes over the exec builtin of the shell itself (not of subshells): must not return.
  std::function<void(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& environment)>
      on_exec;
  // A file given to `.` that this interpreter cannot parse: gives the status, or rethrows.
  std::function<int(Interpreter& shell, const std::string& path, const SyntaxError& error)>
      on_unsupported;
};

// $SECONDS: those since the shell began, or since they were assigned; not of a variable of the name
// that is declared or exported.
class Seconds {
 public:
  void restart(const std::string& value);
  std::string text() const;

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  std::int64_t first_ = 0;
};

// What a subshell has a copy of.
struct State {
  Variables variables;
  std::map<std::string, CommandPtr> functions;
  std::vector<std::string> arguments;  // $1...
  std::string name = "sh";             // $0
  std::string flags;                   // letters of `set`: a e f u x
  bool pipefail = false;
  int status = 0;
  pid_t last_background = 0;
  std::string exit_trap;
  int loops = 0;  // enclosing loops
  int functions_entered = 0;
  int sources = 0;
  // Of getopts: the argument that OPTIND named last, and the place inside it.
  std::size_t getopts_index = 0, getopts_offset = 0;
  std::vector<std::string> directories;  // of pushd, the last one on top
  Seconds seconds;
};

class Interpreter {
 public:
  explicit Interpreter(Options options = {}) : options_(std::move(options)) {
    state_.variables.set("IFS", " \t\n");
    state_.variables.set("OPTIND", "1");
  }

  // Parses, then runs. Gives the exit status; throws SyntaxError before anything ran, ExitRequest
  // if the script ends the shell. `name` stands in messages.
  int run_text(std::string_view text, const std::string& name);
  // The same for a file, as the `.` builtin does it.
  int run_file(const std::string& path);
  int run_source(std::string_view text, const std::string& path);
  // To be called when ExitRequest arrives at the top, or at the end of the script.
  int run_exit_trap(int status);
  // What a shell does from its start to its end: gives the status of `run`, or of the ExitRequest
  // that ended it, or of the EXIT trap.
  template <typename Run>
  int run_to_exit(Run run) {
    int status = 0;
    try {
      status = run();
    } catch (const ExitRequest& request) {
      status = request.status;
    }
    return run_exit_trap(status);
  }

  State& state() { return state_; }
  Variables& variables() { return state_.variables; }
  const Options& options() const { return options_; }
  bool changes_process() const { return options_.programs == Options::Programs::run; }

  // For expansion and builtins.
  void step(std::uint64_t count = 1);
  int execute(const Command& command);
  int execute_text(std::string_view text);
  std::string substitute(const CommandPtr& command);
  std::int64_t arithmetic(const Word& expression);
  std::int64_t arithmetic_text(const std::string& expression);
  void assign(const Assignment& assignment);
  void assign_value(const std::string& name, std::string value);
  bool flag(char letter) const { return state_.flags.find(letter) != std::string::npos; }
  void write_output(std::string_view text);
  void warn(std::string_view message) const;
  // Prints the message and ends the shell.
  [[noreturn]] void fatal(std::string_view message, int status = 2) const;
  // Prints the message and ends the shell, or the command: Options::forgives_errors.
  [[noreturn]] void fail(std::string_view message, int status = 2) const;
  int call_function(const Command& body, const std::vector<std::string>& arguments);
  int run_external(const std::vector<std::string>& arguments);
  // By PATH; empty if there is none, with errno ENOENT or EACCES.
  std::string find_program(const std::string& name) const;
  int run_builtin_or_external(const std::vector<std::string>& arguments, bool allow_functions);
  [[noreturn]] void exec_program(const std::vector<std::string>& arguments);
  int wait_for(pid_t pid);
  bool apply_redirection(const Redirection& redirection);
  // What shells compute when it is asked for; a variable of the name comes first.
  std::optional<std::string> find_dynamic(const std::string& name) const;
  int current_line() const { return line_; }
  pid_t process() const { return process_; }
  const std::string& script_name() const { return script_; }

  enum class Flow { none, break_loop, continue_loop, return_from };
  void request(Flow flow, int levels) {
    flow_ = flow;
    flow_levels_ = levels;
  }
  // Status of the last command substitution: that of a command made of assignments only.
  int substitution_status = 0;

 private:
  class DepthGuard;

  int execute_compound(const Command& command);
  int execute_body(const Command& command);
  [[noreturn]] void end_command(int status) const;  // or the shell
  std::int64_t index_to_assign(const std::string& name, const Elements& elements,
                               std::int64_t index) const;
  void assign_element(const std::string& name, std::int64_t index, const std::string& value,
                      bool append = false);
  void check_size(const std::string& name, std::size_t size) const;
  int execute_simple(const SimpleCommand& simple, const Command& command);
  int execute_with_assignments(const SimpleCommand& simple,
                               const std::vector<std::string>& arguments);
  int execute_list(const List& list);
  int execute_pipeline(const Pipeline& pipeline);
  int execute_pipeline_forked(const Pipeline& pipeline);
  int execute_pipeline_in_process(const Pipeline& pipeline);
  int execute_if(const If& command);
  int execute_loop(const Loop& loop);
  int execute_for(const For& loop);
  int execute_arithmetic_for(const ArithmeticFor& loop);
  int execute_case(const Case& command);
  int execute_subshell(const Command& body);
  int execute_background(const CommandPtr& command);
  bool condition(const Condition& node);
  bool condition_comparison(const Condition& node);
  bool matches_regex(const std::string& text, const std::string& expression);
  std::vector<std::string> command_arguments(const SimpleCommand& simple);
  void assign_array(const Assignment& assignment);
  // Ends the shell if the variable is read-only.
  Variable& assignable(const std::string& name);
  bool loop_continues();
  void check_errexit(int status);
  void trace(const std::vector<std::string>& arguments) const;

  // process.cc
  pid_t fork_child();
  [[noreturn]] void run_child(const Command& body);
  std::string substitute_in_process(const Command& command);
  std::string substitute_forked(const Command& command);
  std::string substitute_file(const Command& command);
  std::string read_child_output(int fd);
  int in_process_subshell(const Command& body);

  Options options_;
  State state_;
  Flow flow_ = Flow::none;
  int flow_levels_ = 0;
  int depth_ = 0;
  std::uint64_t steps_ = 0;
  int untested_ = 0;  // nesting of contexts in which set -e does not act
  bool in_subshell_ = false;
  // Of a process that has nothing else to do: it becomes the program itself. As in other shells, no
  // copy of the shell then waits, with the files that the command has redirected still open.
  const SimpleCommand* last_ = nullptr;
  bool is_last_ = false;            // the command being executed
  std::string* capture_ = nullptr;  // output of a substitution that runs in this process
  std::string script_ = "sh";
  int line_ = 0;
  const pid_t process_ = ::getpid();
};

// Whether the command surely needs no process of its own and touches no file: then a substitution
// or subshell of it can run in this process.
bool runs_in_process(const Command& command, const std::map<std::string, CommandPtr>& functions);

}  // namespace shell
