// SPDX-License-Identifier: Apache-2.0
#include "shell/regular_expression.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace shell {

namespace {

constexpr std::size_t kMaxBytes = 4096;
constexpr std::size_t kMaxShown = 60;
// Optional elements cost glibc memory by the square of their number.
constexpr std::size_t kMaxElements = 2000;
constexpr std::size_t kMaxRepetitions = 1 << 15;  // RE_DUP_MAX and a bit: glibc refuses more
// Of elements by bytes of the text. Each byte may bring glibc a new state of its automaton, of some
// KiB and every element, which it then looks for among all the others: with this limit, a match
// stays below 100 MiB and some seconds.
constexpr std::uint64_t kMaxWork = 2 << 20;
// The same of what is searched for: each byte of the text may be the beginning, from which all that
// repetition reaches is looked at again, so that time grows by the square of the product.
constexpr std::uint64_t kMaxSearchWork = 1 << 18;
constexpr std::uint64_t kSearchPerWork = 512;  // of that square, for one of the products above

[[noreturn]] void refuse(std::string_view expression, std::string_view why) {
  throw base::error(base::printable(expression.substr(0, kMaxShown)), ": ", why);
}

// How many elements the C library makes of an expression: it writes repetitions out, (x){200} as
// 200 copies and x+ as xx*. More than it really is for what it does not accept.
class ElementCount {
 public:
  explicit ElementCount(std::string_view expression) : expression_(expression) {}

  std::size_t run() {
    for (; at_ < expression_.size(); ++at_) {
      switch (expression_[at_]) {
        case '\\':
          escape();
          break;
        case '[':
          skip_bracket();
          add(1);
          break;
        case '(':
          enclosing_.push_back(sum_);
          sum_ = last_ = 0;
          break;
        case ')':
          close();
          break;
        case '*':
        case '?':
          repeat(1);
          break;
        case '+':
          repeat(2);
          break;
        case '{':
          interval();
          break;
        default:
          add(1);
      }
      if (sum_ > kMaxElements)
        refuse(expression_, "the regular expression repeats too much to be compiled");
    }
    return sum_;
  }

 private:
  void add(std::size_t elements) {
    last_ = elements;
    sum_ += elements;
  }

  void repeat(std::size_t copies) {
    const std::size_t once = last_;
    sum_ -= once;
    add((once + 1) * copies);
  }

  void escape() {
    const char next = at_ + 1 < expression_.size() ? expression_[++at_] : '\0';
    // No part of the standard; and a match with them takes exponential time.
    if (next >= '1' && next <= '9')
      refuse(expression_, "back-references in a regular expression are not supported");
    add(1);
  }

  void close() {
    if (enclosing_.empty()) return add(1);
    const std::size_t inside = sum_;
    sum_ = enclosing_.back();
    enclosing_.pop_back();
    add(inside + 2);
  }

  // To the bracket that closes; not where there is none.
  void skip_bracket() {
    std::size_t i = at_ + 1;
    if (i < expression_.size() && expression_[i] == '^') ++i;
    for (bool is_first = true; i < expression_.size(); ++i, is_first = false) {
      if (expression_[i] == ']' && !is_first) {
        at_ = i;
        return;
      }
      const char kind = i + 1 < expression_.size() ? expression_[i + 1] : '\0';
      if (expression_[i] != '[' || (kind != ':' && kind != '.' && kind != '=')) continue;
      const char end[] = {kind, ']'};
      i = expression_.find(std::string_view(end, 2), i + 2);
      if (i == std::string_view::npos) return;
      ++i;
    }
  }

  std::optional<std::size_t> number() {
    std::optional<std::size_t> value;
    for (; at_ < expression_.size() && std::isdigit(static_cast<unsigned char>(expression_[at_]));
         ++at_)
      value = std::min(value.value_or(0) * 10 + static_cast<std::size_t>(expression_[at_] - '0'),
                       kMaxRepetitions);
    return value;
  }

  // {3}, {3,}, {3,5}, {,5}; one that does not close is an error in the C library.
  void interval() {
    ++at_;
    const std::size_t least = number().value_or(0);
    std::size_t copies = least;
    if (at_ < expression_.size() && expression_[at_] == ',') {
      ++at_;
      copies = number().value_or(least + 1);
    }
    repeat(std::max<std::size_t>(copies, 1));
    if (at_ >= expression_.size() || expression_[at_] != '}') --at_;
  }

  std::string_view expression_;
  std::size_t at_ = 0;
  std::size_t sum_ = 0, last_ = 0;      // of the innermost open group, and of its last part
  std::vector<std::size_t> enclosing_;  // sums of the groups around it
};

std::uint64_t work_of(const std::string& expression, std::size_t text_size) {
  if (expression.size() > kMaxBytes) refuse(expression, "the regular expression is too long");
  const std::uint64_t elements = std::max<std::size_t>(ElementCount(expression).run(), 1);
  const bool is_anchored = expression.starts_with('^') && expression.find('|') == std::string::npos;
  const bool is_search = !is_anchored && expression.find_first_of("*+{") != std::string::npos;
  if (text_size > (is_search ? kMaxSearchWork : kMaxWork) / elements)
    refuse(expression, "the text is too long for such a regular expression");
  const std::uint64_t once = elements * (elements + text_size);
  const std::uint64_t product = elements * text_size;
  const std::uint64_t of_search = product * product / kSearchPerWork;
  return is_search ? once + of_search : once;
}

}  // namespace

RegularExpression::RegularExpression(const std::string& expression, std::size_t text_size)
    : work_(work_of(expression, text_size)) {
  if (::regcomp(&compiled_, expression.c_str(), REG_EXTENDED) != 0)
    refuse(expression, "bad regular expression");
}

std::optional<std::vector<std::string>> RegularExpression::match(const std::string& text) const {
  std::vector<regmatch_t> groups(compiled_.re_nsub + 1);
  if (::regexec(&compiled_, text.c_str(), groups.size(), groups.data(), 0) != 0)
    return std::nullopt;
  std::vector<std::string> found;
  for (const regmatch_t& group : groups) {
    const auto begin = static_cast<std::size_t>(std::max(group.rm_so, 0));
    const auto end = static_cast<std::size_t>(std::max(group.rm_eo, 0));
    found.push_back(text.substr(begin, end - begin));
  }
  return found;
}

}  // namespace shell
