// SPDX-License-Identifier: Apache-2.0
// The part of the lexer that reads the operators of ${parameter...} (XCU 2.6.2 and bash's).
#include "shell/lexer.h"

namespace shell {

std::shared_ptr<const Word> Lexer::read_argument(Stop stop, bool in_quotes) {
  auto word = std::make_shared<Word>();
  int parens = 0;
  while (!at_end() && !stops(stop, &parens)) read_part(stop, in_quotes, word.get());
  if (in_quotes) {
    WordPart quotes;
    quotes.kind = PartKind::double_quotes;
    quotes.parts = std::move(word->parts);
    word->parts.clear();
    word->parts.push_back(std::move(quotes));
  }
  return word;
}

void Lexer::read_parameter_operator(bool in_quotes, WordPart* part) {
  if (at(0) == ':') {
    if (std::string_view("-=?+").find(at(1)) == std::string_view::npos) return read_substring(part);
    part->colon = true;
    advance();
  }
  const char c = at(0);
  const bool doubled = at(1) == c;
  switch (c) {
    case '-':
    case '=':
    case '?':
    case '+':
      part->op = c == '-'   ? ParameterOp::use_default
                 : c == '=' ? ParameterOp::assign_default
                 : c == '?' ? ParameterOp::require
                            : ParameterOp::use_alternative;
      advance();
      part->argument = read_argument(Stop::brace, in_quotes);
      return;
    case '#':
    case '%':
      if (c == '#')
        part->op = doubled ? ParameterOp::remove_long_prefix : ParameterOp::remove_prefix;
      else
        part->op = doubled ? ParameterOp::remove_long_suffix : ParameterOp::remove_suffix;
      advance(doubled ? 2 : 1);
      part->argument = read_argument(Stop::brace, false);
      return;
    case '^':
    case ',':
      if (c == '^')
        part->op = doubled ? ParameterOp::upper_all : ParameterOp::upper_first;
      else
        part->op = doubled ? ParameterOp::lower_all : ParameterOp::lower_first;
      advance(doubled ? 2 : 1);
      if (at(0) != '}') fail("${x^pattern} is not supported");
      return;
    case '/':
      return read_replacement(in_quotes, part);
    default:
      fail("bad substitution");
  }
}

void Lexer::read_replacement(bool in_quotes, WordPart* part) {
  advance();
  part->op = ParameterOp::replace_first;
  if (at(0) == '/') {
    part->op = ParameterOp::replace_all;
    advance();
  } else if (at(0) == '#') {
    part->op = ParameterOp::replace_prefix;
    advance();
  } else if (at(0) == '%') {
    part->op = ParameterOp::replace_suffix;
    advance();
  }
  part->argument = read_argument(Stop::brace_slash, false);
  if (at(0) != '/') return;
  advance();
  part->second = read_argument(Stop::brace, in_quotes);
}

void Lexer::read_substring(WordPart* part) {
  part->op = ParameterOp::substring;
  advance();
  part->argument = read_argument(Stop::brace_colon, true);
  if (at(0) != ':') return;
  advance();
  part->second = read_argument(Stop::brace, true);
}

}  // namespace shell
