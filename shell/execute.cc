// SPDX-License-Identifier: Apache-2.0
// Lists, pipelines in this process, and compound commands (XCU 2.9).
#include <optional>
#include <utility>

#include "shell/builtins.h"
#include "shell/expansion.h"
#include "shell/guards.h"
#include "shell/pattern.h"
#include "shell/regular_expression.h"

namespace shell {

namespace {

// Commands run inside commands and functions inside functions: this bounds the native stack.
constexpr int kMaxExecutionDepth = 700;

}  // namespace

class Interpreter::DepthGuard {
 public:
  explicit DepthGuard(Interpreter* shell) : shell_(shell) {
    if (shell_->depth_ >= kMaxExecutionDepth)
      throw base::error(shell_->script_, ": line ", shell_->line_,
                        ": functions or commands are nested too deeply");
    ++shell_->depth_;
  }
  ~DepthGuard() { --shell_->depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Interpreter* shell_;
};

int Interpreter::execute(const Command& command) {
  const DepthGuard depth(this);
  step();
  if (command.line > 0) line_ = command.line;
  try {
    if (const auto* simple = std::get_if<SimpleCommand>(&command.body)) {
      state_.status = execute_simple(*simple, command);
      check_errexit(state_.status);
      return state_.status;
    }
    return execute_compound(command);
  } catch (const CommandFailure& failure) {
    state_.status = failure.status;
    check_errexit(state_.status);
    return state_.status;
  }
}

int Interpreter::execute_compound(const Command& command) {
  RedirectionGuard redirections(this, &capture_);
  const bool ready = redirections.apply(command.redirections);
  state_.status = ready ? execute_body(command) : 1;
  return state_.status;
}

void Interpreter::check_errexit(int status) {
  if (status != 0 && untested_ == 0 && flow_ == Flow::none && flag('e')) throw ExitRequest{status};
}

int Interpreter::execute_body(const Command& command) {
  int status = 0;
  if (const auto* list = std::get_if<List>(&command.body)) return execute_list(*list);
  if (const auto* group = std::get_if<Group>(&command.body)) return execute(*group->body);
  if (const auto* branch = std::get_if<If>(&command.body)) return execute_if(*branch);
  if (const auto* loop = std::get_if<Loop>(&command.body)) return execute_loop(*loop);
  if (const auto* loop = std::get_if<For>(&command.body)) return execute_for(*loop);
  if (const auto* loop = std::get_if<ArithmeticFor>(&command.body))
    return execute_arithmetic_for(*loop);
  if (const auto* cases = std::get_if<Case>(&command.body)) return execute_case(*cases);
  if (const auto* function = std::get_if<FunctionDefinition>(&command.body)) {
    state_.functions[function->name] = function->body;
    return 0;
  }
  if (const auto* pipeline = std::get_if<Pipeline>(&command.body)) {
    status = execute_pipeline(*pipeline);
    if (pipeline->negated) return status;  // set -e does not look at it
  } else if (const auto* subshell = std::get_if<Subshell>(&command.body)) {
    status = execute_subshell(*subshell->body);
  } else if (const auto* expression = std::get_if<Arithmetic>(&command.body)) {
    status = arithmetic(expression->expression) == 0;
  } else {
    status = condition(std::get<Condition>(command.body)) ? 0 : 1;
  }
  check_errexit(status);
  return status;
}

int Interpreter::execute_list(const List& list) {
  int status = 0;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const ListItem& item = list.items[i];
    const bool tested = item.follows == Connector::and_if || item.follows == Connector::or_if;
    if (item.follows == Connector::background) {
      status = state_.status = execute_background(item.command);
    } else {
      const ValueGuard<int> guard(&untested_, untested_ + (tested ? 1 : 0));
      status = execute(*item.command);
    }
    if (flow_ != Flow::none) return state_.status;
    // Skip what the connectors rule out: a && b || c is read from left to right.
    while (i < list.items.size() && ((list.items[i].follows == Connector::and_if && status != 0) ||
                                     (list.items[i].follows == Connector::or_if && status == 0)))
      ++i;
  }
  return status;
}

int Interpreter::execute_if(const If& command) {
  for (const If::Branch& branch : command.branches) {
    int status = 0;
    {
      const ValueGuard<int> guard(&untested_, untested_ + 1);
      status = execute(*branch.condition);
    }
    if (flow_ != Flow::none) return state_.status;
    if (status == 0) return execute(*branch.body);
  }
  return command.otherwise ? execute(*command.otherwise) : 0;
}

// After a loop's body: whether the loop goes on.
bool Interpreter::loop_continues() {
  if (flow_ == Flow::none) return true;
  if (flow_ == Flow::return_from || --flow_levels_ > 0) return false;
  return std::exchange(flow_, Flow::none) == Flow::continue_loop;
}

int Interpreter::execute_loop(const Loop& loop) {
  const ValueGuard<int> loops(&state_.loops, state_.loops + 1);
  int status = 0;
  while (true) {
    step();
    int tested = 0;
    {
      const ValueGuard<int> guard(&untested_, untested_ + 1);
      tested = execute(*loop.condition);
    }
    if (!loop_continues()) break;
    if ((tested == 0) == loop.until) return status;
    status = execute(*loop.body);
    if (!loop_continues()) break;
  }
  return flow_ == Flow::return_from ? state_.status : status;
}

int Interpreter::execute_for(const For& loop) {
  std::vector<std::string> values;
  if (loop.over_arguments) values = state_.arguments;
  for (const Word& word : loop.words) expand_fields(*this, word, &values);
  if (!is_name(loop.name)) fail(base::cat(loop.name, ": bad for loop variable"));
  const ValueGuard<int> loops(&state_.loops, state_.loops + 1);
  int status = 0;
  for (std::string& value : values) {
    assign_value(loop.name, std::move(value));
    status = execute(*loop.body);
    if (!loop_continues()) break;
  }
  return flow_ == Flow::return_from ? state_.status : status;
}

int Interpreter::execute_arithmetic_for(const ArithmeticFor& loop) {
  const ValueGuard<int> loops(&state_.loops, state_.loops + 1);
  int status = 0;
  const bool endless =
      expand_text(*this, loop.condition).find_first_not_of(" \t\n") == std::string::npos;
  for (arithmetic(loop.initial); endless || arithmetic(loop.condition) != 0;
       arithmetic(loop.step)) {
    step();
    status = execute(*loop.body);
    if (!loop_continues()) break;
  }
  return flow_ == Flow::return_from ? state_.status : status;
}

int Interpreter::execute_case(const Case& command) {
  const std::string subject = expand_text(*this, command.subject);
  int status = 0;
  bool fall_through = false;
  for (const Case::Branch& branch : command.branches) {
    bool chosen = std::exchange(fall_through, false);
    for (std::size_t i = 0; i < branch.patterns.size() && !chosen; ++i)
      chosen = Pattern(expand_pattern(*this, branch.patterns[i])).matches(subject);
    if (!chosen) continue;
    status = branch.body ? execute(*branch.body) : 0;
    if (branch.ending == Case::Ending::stop || flow_ != Flow::none) return status;
    fall_through = branch.ending == Case::Ending::fall_through;
  }
  return status;
}

bool Interpreter::condition(const Condition& node) {
  step();
  switch (node.kind) {
    case Condition::Kind::negation:
      return !condition(node.operands[0]);
    case Condition::Kind::conjunction:
      for (const Condition& operand : node.operands)
        if (!condition(operand)) return false;
      return true;
    case Condition::Kind::disjunction:
      for (const Condition& operand : node.operands)
        if (condition(operand)) return true;
      return false;
    case Condition::Kind::unary:
      return test_unary(*this, node.op, expand_text(*this, node.left));
    case Condition::Kind::binary:
      return condition_comparison(node);
  }
  return false;
}

bool Interpreter::condition_comparison(const Condition& node) {
  const std::string left = expand_text(*this, node.left);
  if (node.op == "=" || node.op == "==" || node.op == "!=") {
    const bool equal = Pattern(expand_pattern(*this, node.right)).matches(left);
    return equal != (node.op == "!=");
  }
  const std::string right = expand_text(*this, node.right);
  if (node.op == "=~") return matches_regex(left, right);
  if (node.op.size() == 3 && is_numeric_comparison(node.op)) {
    const std::int64_t number =
        arithmetic_text(left);  // first: the right side may read what it sets
    return compare_numbers(node.op, number, arithmetic_text(right));
  }
  const std::optional<bool> result = test_binary(left, node.op, right);
  if (!result) fail(base::cat("[[: ", node.op, ": unknown operator"));
  return *result;
}

bool Interpreter::matches_regex(const std::string& text, const std::string& expression) {
  std::optional<RegularExpression> regex;
  try {
    regex.emplace(expression, text.size());
  } catch (const base::Error& error) {
    fail(base::cat("[[: ", error.what()));
  }
  step(regex->steps());
  const std::optional<std::vector<std::string>> groups = regex->match(text);
  Variable& variable = variables().writable("BASH_REMATCH");
  variable.elements.emplace();
  if (!groups) return false;
  for (std::size_t i = 0; i < groups->size(); ++i)
    (*variable.elements)[static_cast<std::int64_t>(i)] = (*groups)[i];
  return true;
}

}  // namespace shell
