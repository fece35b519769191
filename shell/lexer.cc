// SPDX-License-Identifier: Apache-2.0
#include "shell/lexer.h"

#include <array>
#include <cctype>

namespace shell {

namespace {

// Longest first, so that the first match is the operator.
constexpr std::array<std::string_view, 24> kOperators = {
    "<<-", "<<<", ";;&", "&>>", "<<", ">>", "<&", ">&", "<>", ">|", "&&", "||",
    ";;",  ";&",  "|&",  "&>",  "<",  ">",  ";",  "&",  "|",  "(",  ")",  "\n"};
constexpr std::string_view kOperatorStarts = "<>;&|()\n";

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// The delimiter of a here-document as text; tells whether any part of it was quoted.
std::string delimiter_text(const std::vector<WordPart>& parts, bool* quoted) {
  std::string text;
  for (const WordPart& part : parts) {
    if (part.kind != PartKind::literal) *quoted = true;
    text += part.kind == PartKind::double_quotes ? delimiter_text(part.parts, quoted) : part.text;
  }
  return text;
}

}  // namespace

void Lexer::fail(std::string_view message) const { fail_at(line_, message); }

void Lexer::fail_at(int line, std::string_view message) const {
  throw SyntaxError(base::cat(name_, ":", line, ": ", message));
}

void Lexer::deeper() {
  if (++depth_ > kMaxNesting)
    fail(base::cat("constructs are nested deeper than ", kMaxNesting, " levels"));
}

void Lexer::advance(std::size_t count) {
  for (std::size_t i = 0; i < count && position_ < text_.size(); ++i)
    if (text_[position_++] == '\n') ++line_;
}

void Lexer::skip_blanks() {
  while (!at_end()) {
    if (is_blank(at(0))) {
      advance();
    } else if (at(0) == '\\' && at(1) == '\n') {
      advance(2);
    } else if (at(0) == '#') {
      while (!at_end() && at(0) != '\n') advance();
    } else {
      return;
    }
  }
}

const Token& Lexer::peek() {
  if (!peeked_) {
    token_ = read_token();
    peeked_ = true;
  }
  return token_;
}

Token Lexer::next() {
  peek();
  peeked_ = false;
  return std::move(token_);
}

Token Lexer::read_token() {
  skip_blanks();
  Token token;
  token.line = line_;
  if (at_end()) {
    if (!here_documents_.empty()) read_here_documents();
    return token;
  }
  std::size_t digits = 0;
  while (std::isdigit(static_cast<unsigned char>(at(digits)))) ++digits;
  if (digits > 0 && (at(digits) == '<' || at(digits) == '>')) {
    if (digits > 3) fail("file descriptor out of range");
    token.kind = TokenKind::io_number;
    token.text = text_.substr(position_, digits);
    advance(digits);
    return token;
  }
  if (read_operator(&token)) return token;
  token.kind = TokenKind::word;
  token.word = read_word(Stop::metacharacter);
  token.literal = token.word.parts.size() == 1 && token.word.parts[0].kind == PartKind::literal;
  if (token.literal) token.text = token.word.parts[0].text;
  return token;
}

bool Lexer::read_operator(Token* token) {
  const std::string_view rest = text_.substr(position_);
  if (rest.empty() || kOperatorStarts.find(rest.front()) == rest.npos) return false;
  for (const std::string_view op : kOperators) {
    if (!rest.starts_with(op)) continue;
    if ((op == "<" || op == ">") && at(1) == '(') fail("process substitution is not supported");
    advance(op.size());
    token->kind = op == "\n" ? TokenKind::newline : TokenKind::op;
    token->text = op;
    if (op == "\n" && !here_documents_.empty()) read_here_documents();
    return true;
  }
  return false;
}

Token Lexer::next_regex() {
  skip_blanks();
  Token token;
  token.kind = TokenKind::word;
  token.line = line_;
  token.word = read_word(Stop::regex);
  return token;
}

std::shared_ptr<const Word> Lexer::add_here_document(const Word& delimiter, bool strip_tabs) {
  HereDocument document;
  document.text = std::make_shared<Word>();
  document.strip_tabs = strip_tabs;
  document.quoted = false;
  document.delimiter = delimiter_text(delimiter.parts, &document.quoted);
  here_documents_.push_back(document);
  return document.text;
}

void Lexer::read_here_documents() {
  std::vector<HereDocument> documents;
  documents.swap(here_documents_);
  for (const HereDocument& document : documents) {
    const int line = line_;
    const std::string text = here_document_text(document);
    if (document.quoted) {
      WordPart part;
      part.kind = PartKind::quoted;
      part.text = text;
      document.text->parts.push_back(std::move(part));
    } else {
      *document.text = quoted_word(text, line);
    }
  }
}

// End of file ends a here-document too, as in other shells.
std::string Lexer::here_document_text(const HereDocument& document) {
  std::string text;
  while (!at_end()) {
    if (document.strip_tabs)
      while (at(0) == '\t') advance();
    std::string_view line = text_.substr(position_, text_.find('\n', position_) - position_);
    if (line == document.delimiter) {
      advance(line.size() + 1);
      return text;
    }
    // An escaped newline joins lines before the delimiter is looked for.
    if (!document.quoted && line.ends_with('\\') && !line.ends_with("\\\\") &&
        position_ + line.size() < text_.size()) {
      text += line.substr(0, line.size() - 1);
      advance(line.size() + 1);
      const std::size_t end = text_.find('\n', position_);
      line = text_.substr(position_, end - position_);
    }
    text += line;
    text += '\n';
    advance(line.size() + 1);
  }
  return text;
}

Word Lexer::quoted_word(std::string_view text, int line) const {
  Lexer inner(text, name_, line, depth_);
  inner.deeper();
  WordPart quotes;
  quotes.kind = PartKind::double_quotes;
  Word content;
  while (!inner.at_end()) inner.read_part(Stop::never, true, &content);
  quotes.parts = std::move(content.parts);
  Word word;
  word.parts.push_back(std::move(quotes));
  return word;
}

// Offset of the "))" that closes the arithmetic text starting at `start`, npos if it is none.
// Quotes, substitutions and nested parentheses are skipped.
std::size_t Lexer::find_arithmetic_end(std::size_t start) const {
  std::size_t depth = 0;
  for (std::size_t i = start; i < text_.size(); ++i) {
    const char c = text_[i];
    if (c == '\\') {
      ++i;
    } else if (c == '\'' || c == '"' || c == '`') {
      const std::size_t close = text_.find(c, i + 1);
      if (close == std::string_view::npos) return close;
      i = close;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')') {
      if (depth > 0) {
        --depth;
      } else {
        return i + 1 < text_.size() && text_[i + 1] == ')' ? i : std::string_view::npos;
      }
    }
  }
  return std::string_view::npos;
}

Word Lexer::arithmetic_body() {
  const std::size_t end = find_arithmetic_end(position_);
  if (end == std::string_view::npos) fail("no closing )) for ((");
  const std::size_t start = position_;
  const int line = line_;
  advance(end + 2 - start);
  return quoted_word(text_.substr(start, end - start), line);
}

std::vector<Word> Lexer::arithmetic_for_header() {
  const std::size_t end = find_arithmetic_end(position_);
  if (end == std::string_view::npos) fail("no closing )) for ((");
  const std::string_view header = text_.substr(position_, end - position_);
  const int line = line_;
  std::vector<Word> parts;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= header.size(); ++i) {
    if (i < header.size() && header[i] != ';') continue;
    parts.push_back(quoted_word(header.substr(start, i - start), line));
    start = i + 1;
  }
  if (parts.size() != 3) fail("for (( needs three expressions");
  advance(header.size() + 2);
  return parts;
}

}  // namespace shell
