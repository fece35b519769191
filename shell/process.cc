// SPDX-License-Identifier: Apache-2.0
// What needs processes: external commands, pipelines, subshells, substitutions, background jobs.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "base/syscalls.h"
#include "shell/builtins.h"
#include "shell/guards.h"
#include "shell/program.h"

namespace shell {

namespace {

constexpr int kFailure = 2;
constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;
constexpr int kSignalBase = 128;

void strip_newlines(std::string* text) {
  std::erase(*text, '\0');
  while (!text->empty() && text->back() == '\n') text->pop_back();
}

// The end of a forked child: nothing may unwind into the frames that it has from its parent.
template <typename Run>
[[noreturn]] void end_child(const Interpreter& shell, Run run) noexcept {
  int status = kFailure;
  try {
    status = run();
  } catch (const std::exception& error) {
    shell.warn(error.what());
  }
  ::_exit(status & 0xFF);
}

// The simple one that `body` consists of, whatever encloses it; nullptr if there is more to do.
const Command* only_command(const Command& body) {
  const Command* command = &body;
  for (;;) {
    if (std::holds_alternative<SimpleCommand>(command->body)) return command;
    const auto* list = std::get_if<List>(&command->body);
    const auto* pipeline = std::get_if<Pipeline>(&command->body);
    const auto* group = std::get_if<Group>(&command->body);
    if (list && list->items.size() == 1 && list->items[0].follows != Connector::background) {
      command = list->items[0].command.get();
    } else if (pipeline && pipeline->commands.size() == 1 && !pipeline->negated) {
      command = pipeline->commands[0].get();
    } else if (group) {
      command = group->body.get();
    } else {
      return nullptr;
    }
  }
}

// $(<file), which is the file's text.
bool reads_a_file(const Command& command) {
  const SimpleCommand& simple = std::get<SimpleCommand>(command.body);
  return simple.words.empty() && simple.assignments.empty() && command.redirections.size() == 1 &&
         command.redirections[0].op == RedirectionOp::input && command.redirections[0].fd == 0;
}

}  // namespace

pid_t Interpreter::fork_child() {
  const pid_t pid = base::fork_or_throw("cannot start a subshell");
  if (pid == 0) {
    in_subshell_ = true;
    capture_ = nullptr;
    state_.exit_trap.clear();
  }
  return pid;
}

void Interpreter::run_child(const Command& body) {
  const Command* const only = only_command(body);
  last_ = only ? std::get_if<SimpleCommand>(&only->body) : nullptr;
  end_child(*this, [&] { return run_to_exit([&] { return execute(body); }); });
}

int Interpreter::wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return kNotFound;
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string Interpreter::find_program(const std::string& name) const {
  return shell::find_program(name, state_.variables.value_or("PATH", "/usr/bin:/bin"));
}

void Interpreter::exec_program(const std::vector<std::string>& arguments) {
  if (options_.programs != Options::Programs::run)
    throw base::error("could not execute \"", base::join(arguments, " "),
                      "\": execution is disabled");
  if (!in_subshell_ && options_.on_exec) options_.on_exec(arguments, variables().environment());
  const std::string path = find_program(arguments[0]);
  if (!path.empty()) become_program(path, arguments, variables().environment());
  const int error = errno;
  warn(base::cat(arguments[0], ": ", error == ENOENT ? "not found" : base::errno_text(error)));
  throw ExitRequest{error == ENOENT ? kNotFound : kNotExecutable};
}

int Interpreter::run_external(const std::vector<std::string>& arguments) {
  if (options_.programs == Options::Programs::refuse)
    throw base::error("could not execute \"", base::join(arguments, " "),
                      "\": execution is disabled");
  const std::string path =
      options_.programs == Options::Programs::run ? find_program(arguments[0]) : std::string();
  if (path.empty()) {
    const bool denied = options_.programs == Options::Programs::run && errno == EACCES;
    warn(base::cat(arguments[0], denied ? ": permission denied" : ": not found"));
    return denied ? kNotExecutable : kNotFound;
  }
  // A capturing substitution was judged to need no process; it may have been wrong.
  base::Pipe pipe;
  if (capture_) pipe = base::make_pipe();
  std::string* const capture = capture_;
  const pid_t pid = is_last_ ? 0 : fork_child();
  if (pid == 0) {
    if (pipe.write_end) ::dup2(pipe.write_end.get(), STDOUT_FILENO);
    end_child(*this, [&] {
      become_program(path, arguments, variables().environment());
      const int error = errno;
      warn(base::cat(arguments[0], ": ", base::errno_text(error)));
      return error == ENOENT ? kNotFound : kNotExecutable;
    });
  }
  if (capture) {
    pipe.write_end.reset();
    capture->append(read_child_output(pipe.read_end.get()));
  }
  return wait_for(pid);
}

std::string Interpreter::read_child_output(int fd) {
  std::string output;
  char buffer[4096];
  while (true) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return output;
    output.append(buffer, static_cast<std::size_t>(count));
    if (output.size() > options_.max_value_bytes)
      throw base::error(script_, ": the output of a command substitution grows too large");
  }
}

std::string Interpreter::substitute(const CommandPtr& command) {
  substitution_status = 0;
  if (!command) return {};
  if (const Command* only = only_command(*command);
      only && reads_a_file(*only) && options_.programs == Options::Programs::run)
    return substitute_file(*only);
  const bool in_process =
      options_.programs != Options::Programs::run || runs_in_process(*command, state_.functions);
  std::string output = in_process ? substitute_in_process(*command) : substitute_forked(*command);
  state_.status = substitution_status;
  strip_newlines(&output);
  return output;
}

std::string Interpreter::substitute_file(const Command& command) {
  RedirectionGuard redirections(this, &capture_);
  const bool is_open = redirections.apply(command.redirections);
  std::string output = is_open ? read_child_output(STDIN_FILENO) : std::string();
  state_.status = substitution_status = is_open ? 0 : 1;
  strip_newlines(&output);
  return output;
}

std::string Interpreter::substitute_in_process(const Command& command) {
  std::string output;
  const ValueGuard<std::string*> capture(&capture_, &output);
  const int status = in_process_subshell(command);
  substitution_status = status;
  return output;
}

std::string Interpreter::substitute_forked(const Command& command) {
  base::Pipe pipe = base::make_pipe();
  const pid_t pid = fork_child();
  if (pid == 0) {
    ::dup2(pipe.write_end.get(), STDOUT_FILENO);
    pipe.write_end.reset();
    pipe.read_end.reset();
    run_child(command);
  }
  pipe.write_end.reset();
  std::string output = read_child_output(pipe.read_end.get());
  substitution_status = wait_for(pid);
  return output;
}

// A subshell without a process: the state is copied, and put back afterwards.
int Interpreter::in_process_subshell(const Command& body) {
  State copy = state_;
  const ValueGuard<State> state(&state_, std::move(copy));
  const ValueGuard<Flow> flow(&flow_, Flow::none);
  const ValueGuard<bool> subshell(&in_subshell_, true);
  state_.exit_trap.clear();
  return run_to_exit([&] { return execute(body); });
}

int Interpreter::execute_subshell(const Command& body) {
  if (options_.programs != Options::Programs::run || runs_in_process(body, state_.functions))
    return in_process_subshell(body);
  const pid_t pid = fork_child();
  if (pid == 0) run_child(body);
  return wait_for(pid);
}

int Interpreter::execute_background(const CommandPtr& command) {
  if (options_.programs != Options::Programs::run) return in_process_subshell(*command);
  const pid_t pid = fork_child();
  if (pid == 0) {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) ::dup2(null, STDIN_FILENO);
    run_child(*command);
  }
  state_.last_background = pid;
  return 0;
}

int Interpreter::execute_pipeline(const Pipeline& pipeline) {
  const ValueGuard<int> guard(&untested_, untested_ + (pipeline.negated ? 1 : 0));
  int status = 0;
  if (pipeline.commands.size() == 1) {
    status = execute(*pipeline.commands[0]);
  } else if (options_.programs != Options::Programs::run) {
    status = execute_pipeline_in_process(pipeline);
  } else {
    status = execute_pipeline_forked(pipeline);
  }
  if (pipeline.negated && flow_ == Flow::none) status = status == 0;
  return status;
}

int Interpreter::execute_pipeline_forked(const Pipeline& pipeline) {
  std::vector<pid_t> children;
  base::UniqueFd previous;
  std::string* const capture = capture_;
  base::Pipe captured;
  if (capture) captured = base::make_pipe();
  for (std::size_t i = 0; i < pipeline.commands.size(); ++i) {
    const bool last = i + 1 == pipeline.commands.size();
    base::Pipe pipe;
    if (!last) pipe = base::make_pipe();
    const pid_t pid = fork_child();
    if (pid == 0) {
      if (previous) ::dup2(previous.get(), STDIN_FILENO);
      if (!last) ::dup2(pipe.write_end.get(), STDOUT_FILENO);
      if (last && capture) ::dup2(captured.write_end.get(), STDOUT_FILENO);
      previous.reset();
      pipe = {};
      captured = {};
      run_child(*pipeline.commands[i]);
    }
    children.push_back(pid);
    previous = std::move(pipe.read_end);
  }
  previous.reset();
  if (capture) {
    captured.write_end.reset();
    capture->append(read_child_output(captured.read_end.get()));
  }
  int status = 0, failed = 0;
  for (const pid_t child : children) {
    status = wait_for(child);
    if (status != 0) failed = status;
  }
  return state_.pipefail ? failed : status;
}

// Where nothing may fork: one after the other, without the pipes.
int Interpreter::execute_pipeline_in_process(const Pipeline& pipeline) {
  int status = 0;
  for (std::size_t i = 0; i < pipeline.commands.size(); ++i) {
    const bool last = i + 1 == pipeline.commands.size();
    std::string discarded;
    const ValueGuard<std::string*> capture(&capture_, last ? capture_ : &discarded);
    status = in_process_subshell(*pipeline.commands[i]);
  }
  return status;
}

namespace {

// Walks a command to find out whether a subshell of it can do without a process. Gives up on
// whatever it cannot see through, and after a number of steps.
class ContainedCheck {
 public:
  explicit ContainedCheck(const std::map<std::string, CommandPtr>& functions)
      : functions_(functions) {}

  bool command(const CommandPtr& pointer) { return !pointer || command(*pointer); }
  bool command(const Command& command) {
    if (--budget_ < 0 || !command.redirections.empty()) return false;
    if (const auto* simple = std::get_if<SimpleCommand>(&command.body))
      return this->simple(*simple);
    if (const auto* list = std::get_if<List>(&command.body)) {
      for (const ListItem& item : list->items)
        if (item.follows == Connector::background || !this->command(item.command)) return false;
      return true;
    }
    if (const auto* group = std::get_if<Group>(&command.body)) return this->command(group->body);
    if (const auto* branches = std::get_if<If>(&command.body)) {
      for (const If::Branch& branch : branches->branches)
        if (!this->command(branch.condition) || !this->command(branch.body)) return false;
      return this->command(branches->otherwise);
    }
    if (const auto* loop = std::get_if<Loop>(&command.body))
      return this->command(loop->condition) && this->command(loop->body);
    if (const auto* loop = std::get_if<For>(&command.body)) return this->command(loop->body);
    if (const auto* cases = std::get_if<Case>(&command.body)) {
      for (const Case::Branch& branch : cases->branches)
        if (!this->command(branch.body)) return false;
      return true;
    }
    return std::holds_alternative<Condition>(command.body) ||
           std::holds_alternative<Arithmetic>(command.body);
  }

 private:
  bool simple(const SimpleCommand& simple) {
    if (simple.words.empty()) return true;
    std::string name;
    for (const WordPart& part : simple.words[0].parts) {
      if (part.kind != PartKind::literal && part.kind != PartKind::quoted) return false;
      name += part.text;
    }
    const Builtin* builtin = find_builtin(name);
    const auto function = functions_.find(name);
    if (function != functions_.end() && !(builtin && builtin->special))
      return command(function->second);
    return builtin && builtin->contained;
  }

  const std::map<std::string, CommandPtr>& functions_;
  int budget_ = 200;
};

}  // namespace

bool runs_in_process(const Command& command, const std::map<std::string, CommandPtr>& functions) {
  return ContainedCheck(functions).command(command);
}

}  // namespace shell
