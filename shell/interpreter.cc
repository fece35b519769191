// SPDX-License-Identifier: Apache-2.0
// Running scripts, simple commands and functions; execute.cc has the compound commands, process.cc
// what forks.
#include "shell/interpreter.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/syscalls.h"
#include "shell/arithmetic.h"
#include "shell/builtins.h"
#include "shell/expansion.h"
#include "shell/guards.h"
#include "shell/parser.h"

namespace shell {

namespace {

// As in x=([3]=text)
bool names_its_index(const Word& word) {
  const auto is_end = [](const WordPart& part) {
    return part.kind == PartKind::literal && part.text.find("]=") != std::string::npos;
  };
  return !word.parts.empty() && word.parts[0].kind == PartKind::literal &&
         word.parts[0].text.starts_with('[') && std::ranges::any_of(word.parts, is_end);
}

}  // namespace

int Interpreter::run_text(std::string_view text, const std::string& name) {
  const CommandPtr script = parse_script(text, name);
  const ValueGuard<std::string> script_guard(&script_, name);
  const ValueGuard<int> line_guard(&line_, 0);
  if (script)
    execute(*script);
  else
    state_.status = 0;
  if (flow_ == Flow::return_from) flow_ = Flow::none;
  return state_.status;
}

int Interpreter::run_file(const std::string& path) {
  if (!options_.files) throw base::error(path, ": reading of files is disabled");
  std::string text;
  try {
    text = base::read_small_file(path, kMaxScriptBytes);
  } catch (const base::Error& error) {
    warn(error.what());
    return state_.status = 1;
  }
  return run_source(text, path);
}

int Interpreter::run_source(std::string_view text, const std::string& path) {
  const ValueGuard<int> sources(&state_.sources, state_.sources + 1);
  try {
    return run_text(text, path);
  } catch (const SyntaxError& error) {
    if (!options_.on_unsupported) throw;
    return state_.status = options_.on_unsupported(*this, path, error);
  }
}

int Interpreter::execute_text(std::string_view text) {
  const CommandPtr command = parse_script(text, script_, line_ == 0 ? 1 : line_);
  return command ? execute(*command) : state_.status = 0;
}

int Interpreter::run_exit_trap(int status) {
  const std::string action = std::exchange(state_.exit_trap, {});
  if (action.empty()) return status;
  state_.status = status;
  flow_ = Flow::none;
  try {
    execute_text(action);
  } catch (const ExitRequest& request) {
    return request.status;
  } catch (const SyntaxError& error) {
    // Not to the caller, for whom it would say that nothing ran.
    warn(error.what());
    return kSyntaxErrorStatus;
  }
  return status;
}

void Interpreter::step(std::uint64_t count) {
  steps_ += count;
  if (options_.max_steps != 0 && steps_ > options_.max_steps)
    throw base::error(script_, ": the script runs for too many steps");
}

void Interpreter::warn(std::string_view message) const {
  const std::string text = base::cat(script_, ": line ", line_, ": ", message, "\n");
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void Interpreter::fatal(std::string_view message, int status) const {
  warn(message);
  throw ExitRequest{status};
}

void Interpreter::fail(std::string_view message, int status) const {
  warn(message);
  end_command(status);
}

void Interpreter::end_command(int status) const {
  if (options_.forgives_errors) throw CommandFailure{status};
  throw ExitRequest{status};
}

void Interpreter::write_output(std::string_view text) {
  if (capture_) {
    if (capture_->size() + text.size() > options_.max_value_bytes)
      throw base::error(script_, ": the output of a command substitution grows too large");
    capture_->append(text);
    return;
  }
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return warn(base::cat("write error: ", base::errno_text(errno)));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Interpreter::trace(const std::vector<std::string>& arguments) const {
  const std::string text = "+ " + base::join(arguments, " ") + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

std::int64_t Interpreter::arithmetic(const Word& expression) {
  return arithmetic_text(expand_text(*this, expression));
}

std::int64_t Interpreter::arithmetic_text(const std::string& expression) {
  const ArithmeticVariables access = {[this](const std::string& name) {
                                        const std::string* value = variables().element(name);
                                        if (value) return *value;
                                        if (const auto computed = find_dynamic(name))
                                          return *computed;
                                        if (flag('u'))
                                          fatal(base::cat(name, ": parameter not set"));
                                        return std::string();
                                      },
                                      [this](const std::string& name, const std::string& value) {
                                        const auto [array, index] = split_element(name);
                                        if (index) {
                                          assign_element(array, *index, value);
                                        } else {
                                          assign_value(name, value);
                                        }
                                      }};
  try {
    return evaluate_arithmetic(expression, access);
  } catch (const base::Error& error) {
    fail(error.what());
  }
}

Variable& Interpreter::assignable(const std::string& name) {
  const Variable* variable = variables().find(name);
  if (variable && variable->readonly) fail(base::cat(name, ": is read only"));
  return variables().writable(name);
}

void Interpreter::check_size(const std::string& name, std::size_t size) const {
  if (size > options_.max_value_bytes)
    throw base::error(script_, ": ", name, ": the value grows too large");
}

void Interpreter::assign_value(const std::string& name, std::string value) {
  check_size(name, value.size());
  if (name == "SECONDS" && !variables().find(name) && !flag('a'))
    return state_.seconds.restart(value);
  if (name == "OPTIND") state_.getopts_index = 0;  // begins anew, whatever the number
  Variable& variable = assignable(name);
  variables().set(name, std::move(value));
  if (flag('a')) variable.exported = true;
}

void Interpreter::assign_array(const Assignment& assignment) {
  Elements elements;
  const Variable* old = variables().find(assignment.name);
  if (assignment.append && old && old->elements) elements = *old->elements;
  if (assignment.append && old && !old->elements && old->value) elements[0] = *old->value;
  std::int64_t next = elements.empty() ? 0 : elements.rbegin()->first + 1;
  std::size_t size = 0;
  for (const auto& [index, value] : elements) size += sizeof(Elements::value_type) + value.size();
  const auto put = [&](std::int64_t index, std::string value) {
    size += sizeof(Elements::value_type) + value.size();
    check_size(assignment.name, size);
    elements[index] = std::move(value);
    next = index + 1;
  };
  for (const Word& word : *assignment.elements) {
    if (names_its_index(word)) {
      const std::string text = expand_text(*this, word, true);
      const std::size_t end = text.find("]=");
      put(index_to_assign(assignment.name, elements, arithmetic_text(text.substr(1, end - 1))),
          text.substr(end + 2));
      continue;
    }
    std::vector<std::string> fields;
    expand_fields(*this, word, &fields);
    for (std::string& field : fields)
      put(index_to_assign(assignment.name, elements, next), std::move(field));
  }
  Variable& variable = assignable(assignment.name);
  variable.value.reset();
  variable.elements = std::move(elements);
}

void Interpreter::assign(const Assignment& assignment) {
  if (assignment.elements) return assign_array(assignment);
  std::string value = expand_text(*this, assignment.value, true);
  if (!assignment.index) {
    if (assignment.append) value = variables().value_or(assignment.name, "") + value;
    return assign_value(assignment.name, std::move(value));
  }
  assign_element(assignment.name, arithmetic(*assignment.index), value, assignment.append);
}

// From the end if negative.
std::int64_t Interpreter::index_to_assign(const std::string& name, const Elements& elements,
                                          std::int64_t index) const {
  if (index < 0 && !elements.empty()) index += elements.rbegin()->first + 1;
  if (index < 0 || index > kMaxArrayIndex) fail(base::cat(name, ": bad array subscript"), 1);
  return index;
}

// Makes it, and an array of what was none.
void Interpreter::assign_element(const std::string& name, std::int64_t index,
                                 const std::string& value, bool append) {
  Variable& variable = assignable(name);
  if (!variable.elements) {
    variable.elements.emplace();
    if (variable.value) (*variable.elements)[0] = *std::exchange(variable.value, std::nullopt);
  }
  std::string& element = (*variable.elements)[index_to_assign(name, *variable.elements, index)];
  check_size(name, value.size() + (append ? element.size() : 0));
  element = append ? element + value : value;
}

// Arguments of declaration builtins that look like assignments are expanded like assignments; an
// array among them is assigned once its name is declared.
std::vector<std::string> Interpreter::command_arguments(const SimpleCommand& simple) {
  std::vector<std::string> arguments;
  std::size_t counted = 0, size = 0;
  for (std::size_t i = 0; i < simple.words.size(); ++i) {
    const std::optional<Assignment>* assignment =
        simple.declarations.empty() ? nullptr : &simple.declarations[i];
    if (!assignment || !*assignment) {
      expand_fields(*this, simple.words[i], &arguments);
    } else if ((*assignment)->elements) {
      arguments.push_back((*assignment)->name);
    } else {
      const char* op = (*assignment)->append ? "+=" : "=";
      arguments.push_back((*assignment)->name + op +
                          expand_text(*this, (*assignment)->value, true));
    }
    // A function that calls itself with its arguments doubled would fill memory in a few levels.
    for (; counted < arguments.size(); ++counted) size += arguments[counted].size() + 1;
    if (size > options_.max_value_bytes)
      throw base::error(script_, ": line ", line_, ": the arguments of a command grow too large");
  }
  return arguments;
}

int Interpreter::execute_simple(const SimpleCommand& simple, const Command& command) {
  substitution_status = 0;
  const std::vector<std::string> arguments = command_arguments(simple);
  if (flag('x') && !arguments.empty()) trace(arguments);
  if (!arguments.empty() && arguments[0] == "exec" && changes_process()) {
    // The redirections of exec stay.
    for (const Redirection& redirection : command.redirections)
      if (!apply_redirection(redirection)) end_command(1);
    return execute_with_assignments(simple, arguments);
  }
  RedirectionGuard redirections(this, &capture_);
  if (!redirections.apply(command.redirections)) {
    if (!arguments.empty() && is_special_builtin(arguments[0])) end_command(2);
    return 1;
  }
  if (!arguments.empty()) return execute_with_assignments(simple, arguments);
  for (const Assignment& assignment : simple.assignments) assign(assignment);
  return substitution_status;
}

int Interpreter::execute_with_assignments(const SimpleCommand& simple,
                                          const std::vector<std::string>& arguments) {
  const bool permanent = is_special_builtin(arguments[0]);
  ScopeGuard scope(&state_.variables, !permanent && !simple.assignments.empty());
  for (const Assignment& assignment : simple.assignments) {
    if (!permanent) variables().save(assignment.name);
    assign(assignment);
    if (!assignment.elements && !assignment.index)
      variables().writable(assignment.name).exported = true;
  }
  is_last_ = &simple == last_;
  const int status = run_builtin_or_external(arguments, true);
  for (const std::optional<Assignment>& declaration : simple.declarations)
    if (declaration && declaration->elements) assign_array(*declaration);
  return status;
}

int Interpreter::run_builtin_or_external(const std::vector<std::string>& arguments,
                                         bool allow_functions) {
  const Builtin* builtin = find_builtin(arguments[0]);
  if (allow_functions && !(builtin && builtin->special)) {
    const auto function = state_.functions.find(arguments[0]);
    if (function != state_.functions.end()) {
      const CommandPtr body = function->second;  // it may redefine itself
      return call_function(*body, arguments);
    }
  }
  if (builtin) return builtin->run(*this, arguments);
  return run_external(arguments);
}

int Interpreter::call_function(const Command& body, const std::vector<std::string>& arguments) {
  const ScopeGuard scope(&state_.variables, true);
  const ValueGuard<std::vector<std::string>> parameters(&state_.arguments,
                                                        arguments_from(arguments, 1));
  const ValueGuard<int> loops(&state_.loops, 0);
  const ValueGuard<int> functions(&state_.functions_entered, state_.functions_entered + 1);
  const int line = line_;
  int status = execute(body);
  line_ = line;
  if (flow_ == Flow::return_from) {
    flow_ = Flow::none;
    status = state_.status;
  }
  return status;
}

}  // namespace shell
