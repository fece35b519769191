// SPDX-License-Identifier: Apache-2.0
// Syntax tree of a shell script (POSIX.1-2017 XCU 2, with the bash constructs that environment
// scripts use). Plain data: built by Parser, walked by Interpreter. The parser bounds its depth.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace shell {

struct Command;
struct Word;
using CommandPtr = std::shared_ptr<const Command>;  // shared: functions outlive their script

enum class ParameterOp {
  none,
  length,           // ${#x}
  use_default,      // ${x-w}
  assign_default,   // ${x=w}
  require,          // ${x?w}
  use_alternative,  // ${x+w}
  remove_prefix,    // ${x#w}
  remove_long_prefix,
  remove_suffix,  // ${x%w}
  remove_long_suffix,
  substring,      // ${x:w:v}
  replace_first,  // ${x/w/v}
  replace_all,
  replace_prefix,  // ${x/#w/v}
  replace_suffix,  // ${x/%w/v}
  upper_first,     // ${x^}
  upper_all,
  lower_first,  // ${x,}
  lower_all,
  names,  // ${!prefix*}
};

enum class PartKind { literal, quoted, double_quotes, parameter, command, arithmetic };

struct WordPart {
  PartKind kind = PartKind::literal;
  std::string text;             // literal and quoted text; the parameter's name
  std::vector<WordPart> parts;  // inside double quotes; the text of an arithmetic expansion
  CommandPtr command;           // null: empty substitution
  // Of a parameter.
  ParameterOp op = ParameterOp::none;
  bool colon = false;                 // ${x:-w}: empty counts as unset
  bool indirect = false;              // ${!x}
  std::shared_ptr<const Word> index;  // ${x[index]}; "@" and "*" as literals
  std::shared_ptr<const Word> argument, second;
};

struct Word {
  std::vector<WordPart> parts;
};

struct Assignment {
  std::string name;
  bool append = false;
  std::shared_ptr<const Word> index;  // name[index]=value
  Word value;
  std::optional<std::vector<Word>> elements;  // name=(a b c)
};

enum class RedirectionOp {
  input,          // <
  output,         // >
  output_force,   // >|
  append,         // >>
  read_write,     // <>
  duplicate_in,   // <&
  duplicate_out,  // >&
  here_document,  // << <<-
  here_string,    // <<<
  both,           // &>
  both_append,    // &>>
};

struct Redirection {
  RedirectionOp op = RedirectionOp::input;
  int fd = 0;
  Word target;
  std::shared_ptr<const Word> here_document;  // its text
};

struct SimpleCommand {
  std::vector<Assignment> assignments;
  std::vector<Word> words;
  // Arguments of declaration builtins that are assignments (`export A=$x`): not split in fields.
  std::vector<std::optional<Assignment>> declarations;
};
struct Pipeline {
  std::vector<CommandPtr> commands;
  bool negated = false;
};
enum class Connector { sequence, background, and_if, or_if };
struct ListItem {
  CommandPtr command;
  Connector follows = Connector::sequence;  // what stands after the command
};
struct List {
  std::vector<ListItem> items;
};
struct Subshell {
  CommandPtr body;
};
struct Group {
  CommandPtr body;
};
struct If {
  struct Branch {
    CommandPtr condition, body;
  };
  std::vector<Branch> branches;
  CommandPtr otherwise;
};
struct Loop {
  CommandPtr condition, body;
  bool until = false;
};
struct For {
  std::string name;
  bool over_arguments = false;  // no `in`
  std::vector<Word> words;
  CommandPtr body;
};
struct ArithmeticFor {
  Word initial, condition, step;
  CommandPtr body;
};
struct Case {
  enum class Ending { stop, fall_through, test_next };  // ;; ;& ;;&
  struct Branch {
    std::vector<Word> patterns;
    CommandPtr body;
    Ending ending = Ending::stop;
  };
  Word subject;
  std::vector<Branch> branches;
};
struct FunctionDefinition {
  std::string name;
  CommandPtr body;
};
struct Arithmetic {
  Word expression;
};
// [[ ... ]]
struct Condition {
  enum class Kind { unary, binary, negation, conjunction, disjunction };
  Kind kind = Kind::unary;
  std::string op;  // "-n", "==", "=~", ...
  Word left, right;
  std::vector<Condition> operands;
};

struct Command {
  std::variant<SimpleCommand, Pipeline, List, Subshell, Group, If, Loop, For, ArithmeticFor, Case,
               FunctionDefinition, Arithmetic, Condition>
      body;
  std::vector<Redirection> redirections;
  int line = 0;
};

}  // namespace shell
