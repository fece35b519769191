// SPDX-License-Identifier: Apache-2.0
// Compound commands, function definitions and [[ ]] (XCU 2.9.4, 2.9.5).
#include "shell/parser.h"

namespace shell {

CommandPtr Parser::compound_command() {
  const Token& token = lexer_.peek();
  if (token.is("(")) return parenthesis_command();
  if (token.kind != TokenKind::word || !token.literal) return nullptr;
  const std::string word = token.text;
  if (word == "if") return if_command();
  if (word == "while" || word == "until") return loop_command(word == "until");
  if (word == "for") return for_command();
  if (word == "case") return case_command();
  if (word == "function") return keyword_function();
  if (word == "[[") return condition_command();
  if (word == "select" || word == "coproc" || word == "time")
    lexer_.fail(base::cat(word, " is not supported"));
  if (word != "{") return at_list_end() ? (unexpected(token), nullptr) : nullptr;
  Command command;
  command.line = lexer_.next().line;
  command.body = Group{list(false)};
  expect_word("}");
  return finish(std::move(command));
}

CommandPtr Parser::parenthesis_command() {
  Command command;
  command.line = lexer_.next().line;
  if (lexer_.followed_by('(')) {
    lexer_.next();
    command.body = Arithmetic{lexer_.arithmetic_body()};
    return finish(std::move(command));
  }
  command.body = Subshell{list(false)};
  expect_operator(")");
  return finish(std::move(command));
}

CommandPtr Parser::if_command() {
  Command command;
  If body;
  command.line = lexer_.next().line;
  while (true) {
    If::Branch branch;
    branch.condition = list(false);
    expect_word("then");
    branch.body = list(false);
    body.branches.push_back(std::move(branch));
    if (!lexer_.peek().is_literal("elif")) break;
    lexer_.next();
  }
  if (lexer_.peek().is_literal("else")) {
    lexer_.next();
    body.otherwise = list(false);
  }
  expect_word("fi");
  command.body = std::move(body);
  return finish(std::move(command));
}

CommandPtr Parser::do_group() {
  expect_word("do");
  CommandPtr body = list(false);
  expect_word("done");
  return body;
}

CommandPtr Parser::loop_command(bool until) {
  Command command;
  Loop loop;
  loop.until = until;
  command.line = lexer_.next().line;
  loop.condition = list(false);
  loop.body = do_group();
  command.body = std::move(loop);
  return finish(std::move(command));
}

CommandPtr Parser::for_command() {
  Command command;
  For loop;
  command.line = lexer_.next().line;
  if (lexer_.peek().is("(")) return arithmetic_for();
  const Token name = lexer_.next();
  if (name.kind != TokenKind::word || !name.literal) unexpected(name);
  loop.name = name.text;
  skip_newlines();
  loop.over_arguments = !lexer_.peek().is_literal("in");
  if (!loop.over_arguments) {
    lexer_.next();
    while (lexer_.peek().kind == TokenKind::word) loop.words.push_back(lexer_.next().word);
  }
  if (lexer_.peek().is(";")) lexer_.next();
  skip_newlines();
  loop.body = do_group();
  command.body = std::move(loop);
  return finish(std::move(command));
}

CommandPtr Parser::arithmetic_for() {
  Command command;
  ArithmeticFor loop;
  command.line = lexer_.next().line;
  if (!lexer_.followed_by('(')) unexpected(lexer_.peek());
  lexer_.next();
  std::vector<Word> header = lexer_.arithmetic_for_header();
  loop.initial = std::move(header[0]);
  loop.condition = std::move(header[1]);
  loop.step = std::move(header[2]);
  if (lexer_.peek().is(";")) lexer_.next();
  skip_newlines();
  loop.body = do_group();
  command.body = std::move(loop);
  return finish(std::move(command));
}

CommandPtr Parser::case_command() {
  Command command;
  Case body;
  command.line = lexer_.next().line;
  if (lexer_.peek().kind != TokenKind::word) unexpected(lexer_.peek());
  body.subject = lexer_.next().word;
  skip_newlines();
  expect_word("in");
  skip_newlines();
  while (!lexer_.peek().is_literal("esac")) {
    body.branches.push_back(case_branch());
    skip_newlines();
  }
  lexer_.next();
  command.body = std::move(body);
  return finish(std::move(command));
}

Case::Branch Parser::case_branch() {
  Case::Branch branch;
  if (lexer_.peek().is("(")) lexer_.next();
  while (true) {
    if (lexer_.peek().kind != TokenKind::word) unexpected(lexer_.peek());
    branch.patterns.push_back(lexer_.next().word);
    if (!lexer_.peek().is("|")) break;
    lexer_.next();
  }
  expect_operator(")");
  branch.body = list(true);
  const Token& ending = lexer_.peek();
  if (ending.is(";&")) branch.ending = Case::Ending::fall_through;
  if (ending.is(";;&")) branch.ending = Case::Ending::test_next;
  if (ending.is(";;") || ending.is(";&") || ending.is(";;&")) {
    lexer_.next();
  } else if (!ending.is_literal("esac")) {
    unexpected(ending);
  }
  return branch;
}

CommandPtr Parser::keyword_function() {
  lexer_.next();
  const Token name = lexer_.next();
  if (name.kind != TokenKind::word || !name.literal) unexpected(name);
  return function_definition(name.text);
}

// The name was taken; "()" may follow.
CommandPtr Parser::function_definition(std::string name) {
  const Nesting nesting(&lexer_);
  Command command;
  FunctionDefinition definition;
  command.line = lexer_.peek().line;
  definition.name = std::move(name);
  if (lexer_.peek().is("(")) {
    lexer_.next();
    expect_operator(")");
  }
  skip_newlines();
  definition.body = compound_command();
  if (!definition.body) unexpected(lexer_.peek());
  command.body = std::move(definition);
  return std::make_shared<const Command>(std::move(command));
}

CommandPtr Parser::condition_command() {
  Command command;
  command.line = lexer_.next().line;
  command.body = condition_or();
  expect_word("]]");
  return finish(std::move(command));
}

Condition Parser::condition_or() {
  Condition node;
  node.kind = Condition::Kind::disjunction;
  node.operands.push_back(condition_and());
  while (lexer_.peek().is("||")) {
    lexer_.next();
    node.operands.push_back(condition_and());
  }
  return node.operands.size() == 1 ? Condition(node.operands[0]) : node;
}

Condition Parser::condition_and() {
  Condition node;
  node.kind = Condition::Kind::conjunction;
  node.operands.push_back(condition_primary());
  while (lexer_.peek().is("&&")) {
    lexer_.next();
    node.operands.push_back(condition_primary());
  }
  return node.operands.size() == 1 ? Condition(node.operands[0]) : node;
}

Condition Parser::condition_primary() {
  const Nesting nesting(&lexer_);
  skip_newlines();
  Condition node;
  if (lexer_.peek().is_literal("!")) {
    lexer_.next();
    node.kind = Condition::Kind::negation;
    node.operands.push_back(condition_primary());
    return node;
  }
  if (lexer_.peek().is("(")) {
    lexer_.next();
    node = condition_or();
    expect_operator(")");
    skip_newlines();
    return node;
  }
  if (lexer_.peek().kind != TokenKind::word || lexer_.peek().is_literal("]]"))
    unexpected(lexer_.peek());
  const Token first = lexer_.next();
  const bool is_operator = first.literal && first.text.size() == 2 && first.text[0] == '-';
  if (is_operator && lexer_.peek().kind == TokenKind::word && !lexer_.peek().is_literal("]]")) {
    node.op = first.text;
    node.left = lexer_.next().word;
    skip_newlines();
    return node;
  }
  return condition_binary(first.word);
}

Condition Parser::condition_binary(Word left) {
  Condition node;
  node.op = "-n";
  node.left = std::move(left);
  const Token& token = lexer_.peek();
  const bool named = token.kind == TokenKind::word && token.literal && token.text != "]]";
  if (token.is("<") || token.is(">") || named) {
    node.kind = Condition::Kind::binary;
    node.op = lexer_.next().text;
    const Token right = node.op == "=~" ? lexer_.next_regex() : lexer_.next();
    if (right.kind != TokenKind::word) unexpected(right);
    node.right = right.word;
  }
  skip_newlines();
  return node;
}

}  // namespace shell
