// SPDX-License-Identifier: Apache-2.0
// Extended regular expressions of [[ =~ ]] (XBD 9.4), by the C library, which bounds neither its
// memory nor its time: expressions and texts for which it would take much are refused.
#pragma once

#include <regex.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shell {

class RegularExpression {
 public:
  // Throws Error for what is none, has back-references, or would cost too much with such a text.
  RegularExpression(const std::string& expression, std::size_t text_size);
  ~RegularExpression() { ::regfree(&compiled_); }
  RegularExpression(const RegularExpression&) = delete;
  RegularExpression& operator=(const RegularExpression&) = delete;

  // Of the expression and one match, in steps of a script.
  std::uint64_t steps() const { return work_ / kWorkOfAStep; }
  // What stands for the whole and for each group, "" for one without a part in it; nullopt if the
  // text does not match.
  std::optional<std::vector<std::string>> match(const std::string& text) const;

 private:
  static constexpr std::uint64_t kWorkOfAStep = 16;

  regex_t compiled_{};
  std::uint64_t work_;
};

}  // namespace shell
