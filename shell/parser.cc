// SPDX-License-Identifier: Apache-2.0
#include "shell/parser.h"

#include <array>
#include <cctype>
#include <map>

#include "shell/unsupported.h"

namespace shell {

namespace {

constexpr std::array<std::string_view, 8> kListEnds = {"then", "else", "elif", "fi",
                                                       "do",   "done", "esac", "}"};

const std::map<std::string_view, RedirectionOp>& redirection_operators() {
  static const std::map<std::string_view, RedirectionOp> kMap = {
      {"<", RedirectionOp::input},           {">", RedirectionOp::output},
      {">|", RedirectionOp::output_force},   {">>", RedirectionOp::append},
      {"<>", RedirectionOp::read_write},     {"<&", RedirectionOp::duplicate_in},
      {">&", RedirectionOp::duplicate_out},  {"<<", RedirectionOp::here_document},
      {"<<-", RedirectionOp::here_document}, {"<<<", RedirectionOp::here_string},
      {"&>", RedirectionOp::both},           {"&>>", RedirectionOp::both_append}};
  return kMap;
}

bool reads(RedirectionOp op) {
  return op == RedirectionOp::input || op == RedirectionOp::read_write ||
         op == RedirectionOp::duplicate_in || op == RedirectionOp::here_document ||
         op == RedirectionOp::here_string;
}

// A word's text if it is made of literals and quoted text only: the name of a command.
std::string static_text(const Word& word) {
  std::string text;
  for (const WordPart& part : word.parts) {
    if (part.kind != PartKind::literal && part.kind != PartKind::quoted) return {};
    text += part.text;
  }
  return text;
}

bool is_declaration(const Word& word) {
  const std::string name = static_text(word);
  return name == "export" || name == "readonly" || name == "local" || name == "declare" ||
         name == "typeset";
}

}  // namespace

std::optional<Assignment> find_assignment(const Word& word) {
  if (word.parts.empty() || word.parts[0].kind != PartKind::literal) return std::nullopt;
  const std::string& text = word.parts[0].text;
  std::size_t end = 0;
  while (end < text.size() &&
         (text[end] == '_' || std::isalnum(static_cast<unsigned char>(text[end]))))
    ++end;
  if (end == 0 || std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
  Assignment assignment;
  assignment.name = text.substr(0, end);
  if (end < text.size() && text[end] == '[') {
    const std::size_t close = text.find(']', end);
    if (close == std::string::npos) return std::nullopt;
    WordPart quoted;
    quoted.kind = PartKind::quoted;
    quoted.text = text.substr(end + 1, close - end - 1);
    auto index = std::make_shared<Word>();
    index->parts.push_back(std::move(quoted));
    assignment.index = index;
    end = close + 1;
  }
  if (end < text.size() && text[end] == '+') {
    assignment.append = true;
    ++end;
  }
  if (end >= text.size() || text[end] != '=') return std::nullopt;
  assignment.value = word;
  assignment.value.parts[0].text.erase(0, end + 1);
  if (assignment.value.parts[0].text.empty())
    assignment.value.parts.erase(assignment.value.parts.begin());
  return assignment;
}

CommandPtr parse_script(std::string_view text, std::string_view name, int line, int depth) {
  return Parser(text, name, line, depth).script();
}

CommandPtr parse_substitution(std::string_view text, std::string_view name, int depth,
                              std::size_t* consumed, int* line) {
  Parser parser(text, name, *line, depth);
  CommandPtr command = parser.until_parenthesis();
  *consumed = parser.position();
  *line = parser.line();
  return command;
}

void Parser::unexpected(const Token& token) const {
  std::string what = "end of file";
  if (token.kind == TokenKind::newline) what = "newline";
  if (token.kind == TokenKind::word && !token.literal) what = "word";
  if (!token.text.empty() && token.kind != TokenKind::newline)
    what = base::cat("\"", base::printable(token.text), "\"");
  lexer_.fail_at(token.line, base::cat("syntax error: unexpected ", what));
}

void Parser::skip_newlines() {
  while (lexer_.peek().kind == TokenKind::newline) lexer_.next();
}

void Parser::expect_word(std::string_view reserved) {
  if (!lexer_.peek().is_literal(reserved)) unexpected(lexer_.peek());
  lexer_.next();
}

void Parser::expect_operator(std::string_view op) {
  if (!lexer_.peek().is(op)) unexpected(lexer_.peek());
  lexer_.next();
}

CommandPtr Parser::script() {
  CommandPtr command = list(true);
  if (lexer_.peek().kind != TokenKind::end) unexpected(lexer_.peek());
  return command;
}

CommandPtr Parser::until_parenthesis() {
  CommandPtr command = list(true);
  // Nothing is read beyond it: what follows does not belong to this parser.
  expect_operator(")");
  return command;
}

bool Parser::at_list_end() {
  const Token& token = lexer_.peek();
  if (token.kind == TokenKind::end) return true;
  if (token.kind == TokenKind::op)
    return token.text == ")" || token.text.starts_with(";;") || token.text == ";&";
  if (token.kind != TokenKind::word || !token.literal) return false;
  for (const std::string_view end : kListEnds)
    if (token.text == end) return true;
  return false;
}

// Null for an empty list, which only a whole script or a substitution may be.
CommandPtr Parser::list(bool allow_empty) {
  const Nesting nesting(&lexer_);
  skip_newlines();
  List list;
  Command command;
  command.line = lexer_.peek().line;
  while (!at_list_end()) {
    ListItem item;
    item.command = pipeline();
    const bool more = read_connector(&item);
    list.items.push_back(std::move(item));
    if (!more) break;
  }
  if (list.items.empty()) {
    if (!allow_empty) unexpected(lexer_.peek());
    return nullptr;
  }
  if (list.items.size() == 1 && list.items[0].follows == Connector::sequence)
    return list.items[0].command;
  command.body = std::move(list);
  return std::make_shared<const Command>(std::move(command));
}

// Reads what separates an item from the next one; false if the list must end here.
bool Parser::read_connector(ListItem* item) {
  const Token& token = lexer_.peek();
  if (token.is("&&") || token.is("||")) {
    item->follows = token.is("&&") ? Connector::and_if : Connector::or_if;
    lexer_.next();
    skip_newlines();
    if (at_list_end()) unexpected(lexer_.peek());
    return true;
  }
  if (token.is("&") || token.is(";")) {
    if (token.is("&")) item->follows = Connector::background;
    lexer_.next();
    skip_newlines();
    return true;
  }
  if (token.kind != TokenKind::newline) return false;
  skip_newlines();
  return true;
}

CommandPtr Parser::pipeline() {
  Pipeline pipeline;
  const int line = lexer_.peek().line;
  while (lexer_.peek().is_literal("!")) {
    pipeline.negated = !pipeline.negated;
    lexer_.next();
  }
  while (true) {
    pipeline.commands.push_back(command());
    if (lexer_.peek().is("|&")) lexer_.fail("|& is not supported");
    if (!lexer_.peek().is("|")) break;
    lexer_.next();
    skip_newlines();
  }
  if (pipeline.commands.size() == 1 && !pipeline.negated) return pipeline.commands[0];
  Command command;
  command.line = line;
  command.body = std::move(pipeline);
  return std::make_shared<const Command>(std::move(command));
}

CommandPtr Parser::command() {
  const Nesting nesting(&lexer_);
  if (CommandPtr compound = compound_command()) return compound;
  return simple_command();
}

CommandPtr Parser::finish(Command command) {
  while (redirection(&command)) {
  }
  return std::make_shared<const Command>(std::move(command));
}

bool Parser::is_redirection(const Token& token) const {
  return token.kind == TokenKind::io_number ||
         (token.kind == TokenKind::op && redirection_operators().contains(token.text));
}

bool Parser::redirection(Command* command) {
  if (!is_redirection(lexer_.peek())) return false;
  Redirection redirection;
  int fd = -1;
  if (lexer_.peek().kind == TokenKind::io_number) fd = std::stoi(lexer_.next().text);
  const Token op = lexer_.next();
  const auto found = redirection_operators().find(op.text);
  if (op.kind != TokenKind::op || found == redirection_operators().end()) unexpected(op);
  redirection.op = found->second;
  redirection.fd = fd >= 0 ? fd : reads(redirection.op) ? 0 : 1;
  if (lexer_.peek().kind != TokenKind::word) unexpected(lexer_.peek());
  redirection.target = lexer_.next().word;
  if (redirection.op == RedirectionOp::here_document)
    redirection.here_document = lexer_.add_here_document(redirection.target, op.text == "<<-");
  command->redirections.push_back(std::move(redirection));
  return true;
}

void Parser::array_elements(Assignment* assignment) {
  lexer_.next();
  assignment->elements.emplace();
  while (true) {
    skip_newlines();
    if (lexer_.peek().is(")")) break;
    if (lexer_.peek().kind != TokenKind::word) unexpected(lexer_.peek());
    assignment->elements->push_back(lexer_.next().word);
  }
  lexer_.next();
}

// Takes the word as an assignment where one may stand; false if it is none.
bool Parser::assignment_word(SimpleCommand* command, const Token& token) {
  const bool declaration = !command->words.empty() && is_declaration(command->words[0]);
  if (!command->words.empty() && !declaration) return false;
  std::optional<Assignment> assignment = find_assignment(token.word);
  if (!assignment) return false;
  if (assignment->value.parts.empty() && lexer_.followed_by('(')) array_elements(&*assignment);
  if (declaration) {
    command->words.push_back(token.word);
    command->declarations.resize(command->words.size());
    command->declarations.back() = std::move(assignment);
  } else {
    command->assignments.push_back(std::move(*assignment));
  }
  return true;
}

CommandPtr Parser::simple_command() {
  Command command;
  SimpleCommand simple;
  command.line = lexer_.peek().line;
  while (true) {
    if (redirection(&command)) continue;
    if (lexer_.peek().kind != TokenKind::word) break;
    const Token token = lexer_.next();
    if (assignment_word(&simple, token)) continue;
    simple.words.push_back(token.word);
    if (simple.words.size() == 1 && simple.assignments.empty() && command.redirections.empty() &&
        token.literal && lexer_.peek().is("("))
      return function_definition(token.text);
  }
  if (simple.words.empty() && simple.assignments.empty() && command.redirections.empty())
    unexpected(lexer_.peek());
  if (const std::string what = find_unsupported(simple); !what.empty())
    lexer_.fail(base::cat(what, " is not supported"));
  if (!simple.declarations.empty()) simple.declarations.resize(simple.words.size());
  command.body = std::move(simple);
  return std::make_shared<const Command>(std::move(command));
}

}  // namespace shell
