// SPDX-License-Identifier: Apache-2.0
// Splits shell text into operators and words. Shell words nest commands ($(...)), so the lexer
// calls the parser for them; both share one nesting limit against hostile input.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "shell/ast.h"

namespace shell {

inline constexpr int kMaxNesting = 120;

// Text that is no shell script, or one that needs a construct this interpreter lacks.
class SyntaxError : public base::Error {
 public:
  using Error::Error;
};

enum class TokenKind { end, newline, word, io_number, op };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  // of an operator or number; of a word that is one unquoted literal
  Word word;
  int line = 0;
  bool is(std::string_view op) const { return kind == TokenKind::op && text == op; }
  // An unquoted literal word, as reserved words are.
  bool is_literal(std::string_view value) const {
    return kind == TokenKind::word && literal && text == value;
  }
  bool literal = false;
};

class Lexer {
 public:
  Lexer(std::string_view text, std::string_view name, int line, int depth)
      : text_(text), name_(name), line_(line), depth_(depth) {}

  const Token& peek();
  Token next();
  // Whether `character` follows the last token taken without a blank; none may be peeked.
  bool followed_by(char character) const { return !peeked_ && at(0) == character; }
  // Up to the end of a regular expression word in [[ x =~ word ]].
  Token next_regex();
  // "((" was taken: the text up to the matching "))".
  Word arithmetic_body();
  // "(( a; b; c ))" of a for loop.
  std::vector<Word> arithmetic_for_header();
  // A here-document whose delimiter was just read; its text follows the current line.
  std::shared_ptr<const Word> add_here_document(const Word& delimiter, bool strip_tabs);

  std::size_t position() const { return position_; }
  int line() const { return line_; }
  int depth() const { return depth_; }
  void deeper();
  void shallower() { --depth_; }
  [[noreturn]] void fail(std::string_view message) const;
  [[noreturn]] void fail_at(int line, std::string_view message) const;

 private:
  struct HereDocument {
    std::shared_ptr<Word> text;
    std::string delimiter;
    bool strip_tabs;
    bool quoted;
  };

  char at(std::size_t offset) const {
    return position_ + offset < text_.size() ? text_[position_ + offset] : '\0';
  }
  bool at_end() const { return position_ >= text_.size(); }
  void advance(std::size_t count = 1);
  void skip_blanks();
  Token read_token();
  bool read_operator(Token* token);
  void read_here_documents();
  std::string here_document_text(const HereDocument& document);

  // word_reader.cc
  enum class Stop { metacharacter, brace, brace_slash, quote, never, regex, bracket, brace_colon };
  Word read_word(Stop stop);
  bool stops(Stop stop, int* parens) const;
  void read_part(Stop stop, bool in_quotes, Word* word);
  void read_single_quotes(Word* word);
  void read_ansi_quotes(Word* word);
  std::string ansi_escape();
  void read_double_quotes(Word* word);
  void read_backslash(bool in_quotes, Stop stop, Word* word);
  void read_backquotes(bool in_quotes, Word* word);
  bool read_dollar(bool in_quotes, Word* word);
  void read_command_substitution(Word* word);
  bool read_arithmetic_expansion(Word* word);
  void read_braced_parameter(bool in_quotes, Word* word);
  void read_parameter_operator(bool in_quotes, WordPart* part);
  void read_replacement(bool in_quotes, WordPart* part);
  void read_substring(WordPart* part);
  std::string read_parameter_name();
  std::shared_ptr<const Word> read_argument(Stop stop, bool in_quotes);
  std::size_t find_arithmetic_end(std::size_t start) const;
  Word quoted_word(std::string_view text, int line) const;

  std::string_view text_;
  std::string name_;
  std::size_t position_ = 0;
  int line_;
  int depth_;
  bool peeked_ = false;
  Token token_;
  std::vector<HereDocument> here_documents_;
};

// One level of nesting while it lives.
class Nesting {
 public:
  explicit Nesting(Lexer* lexer) : lexer_(lexer) { lexer_->deeper(); }
  ~Nesting() { lexer_->shallower(); }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Lexer* lexer_;
};

}  // namespace shell
