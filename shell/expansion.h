// SPDX-License-Identifier: Apache-2.0
// Word expansions in the order of XCU 2.6: tilde, parameter, command, arithmetic; then field
// splitting and pathname expansion where the context allows them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "shell/ast.h"
#include "shell/interpreter.h"

namespace shell {

// A field on its way: the text with a class for every byte.
//   'q' quoted   'l' literal of the script   'e' result of an expansion, subject to splitting
//   'm' no text: marks that quotes stood here, so that an empty field is kept
struct Field {
  std::string text;
  std::string mask;
  void append(std::string_view more, char kind) {
    text += more;
    mask.append(more.size(), kind);
  }
};

// Arguments of a command: every expansion. To `fields`, as a word may give none or many.
void expand_fields(Interpreter& shell, const Word& word, std::vector<std::string>* fields);
// One string: no splitting, no pathname expansion. Of assignments, tildes follow ':' too.
std::string expand_text(Interpreter& shell, const Word& word, bool assignment = false);
// A pattern: quoted characters escaped with a backslash.
std::string expand_pattern(Interpreter& shell, const Word& word);

class WordExpansion {
 public:
  WordExpansion(Interpreter& shell, bool splits) : shell_(shell), splits_(splits), fields_(1) {}

  void word(const Word& word, bool assignment);
  std::vector<Field>& fields() { return fields_; }

 private:
  void part(const WordPart& part, char literal_kind);
  void double_quotes(const WordPart& part);
  void append(std::string_view text, char kind) { fields_.back().append(text, kind); }
  void break_field() { fields_.emplace_back(); }
  std::size_t tilde(const std::string& text, bool assignment, bool last_part);
  void literal_with_tildes(const std::string& text, bool assignment, bool last_part);

  // parameter.cc
  struct Value {
    std::vector<std::string> items;
    bool set = false;
    bool list = false;    // $@, $*, ${a[@]}: item by item
    bool joined = false;  // $*, ${a[*]}: joined when quoted
  };
  void parameter(const WordPart& part, bool quoted);
  Value lookup(const WordPart& part);
  Value indices(const WordPart& part);
  Value lookup_name(const std::string& name, const Word* index);
  std::optional<std::string> special_parameter(const std::string& name);
  bool default_operator(const WordPart& part, const Value& value, bool quoted);
  void transform(const WordPart& part, Value* value);
  void slice(const WordPart& part, Value* value);
  std::string replace(const WordPart& part, const std::string& text);
  std::string remove(const WordPart& part, const std::string& text);
  void emit(const Value& value, bool quoted);
  void argument(const Word& word, bool quoted);
  bool is_empty_list(const WordPart& part);

  Interpreter& shell_;
  bool splits_;
  std::vector<Field> fields_;
};

// Splits by IFS; gives the fields' final text and mask, without the fields that vanish.
std::vector<Field> split_fields(const Field& field, const std::string& ifs);
std::string pattern_of(const Field& field);

}  // namespace shell
