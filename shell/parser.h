// SPDX-License-Identifier: Apache-2.0
// Grammar of shell scripts (POSIX.1-2017 XCU 2.10): text to syntax tree. A whole script is parsed
// before any of it runs, so a script that this interpreter cannot do is refused without effects.
#pragma once

#include <string_view>

#include "shell/ast.h"
#include "shell/lexer.h"

namespace shell {

// Throws SyntaxError ("NAME:LINE: ..."). Gives null for a script without commands.
CommandPtr parse_script(std::string_view text, std::string_view name, int line = 1, int depth = 0);

// Parses the inside of $( ... ) from the start of `text`; `*consumed` is set past the closing
// parenthesis, `*line` to its line.
CommandPtr parse_substitution(std::string_view text, std::string_view name, int depth,
                              std::size_t* consumed, int* line);

// name, name= or name+= at the start of a word: the assignment it makes, if it makes one.
std::optional<Assignment> find_assignment(const Word& word);

class Parser {
 public:
  Parser(std::string_view text, std::string_view name, int line, int depth)
      : lexer_(text, name, line, depth) {}

  CommandPtr script();
  CommandPtr until_parenthesis();
  std::size_t position() const { return lexer_.position(); }
  int line() const { return lexer_.line(); }

 private:
  // parser.cc
  CommandPtr list(bool allow_empty);
  bool at_list_end();
  bool read_connector(ListItem* item);
  CommandPtr pipeline();
  CommandPtr command();
  CommandPtr simple_command();
  void array_elements(Assignment* assignment);
  bool assignment_word(SimpleCommand* command, const Token& token);
  bool redirection(Command* command);
  bool is_redirection(const Token& token) const;
  void skip_newlines();
  void expect_word(std::string_view reserved);
  void expect_operator(std::string_view op);
  [[noreturn]] void unexpected(const Token& token) const;

  // parser_compound.cc
  CommandPtr compound_command();
  CommandPtr if_command();
  CommandPtr loop_command(bool until);
  CommandPtr for_command();
  CommandPtr arithmetic_for();
  CommandPtr case_command();
  Case::Branch case_branch();
  CommandPtr function_definition(std::string name);
  CommandPtr keyword_function();
  CommandPtr do_group();
  CommandPtr parenthesis_command();
  CommandPtr finish(Command command);
  CommandPtr condition_command();
  Condition condition_or();
  Condition condition_and();
  Condition condition_primary();
  Condition condition_binary(Word left);

  Lexer lexer_;
};

}  // namespace shell
