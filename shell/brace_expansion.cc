// SPDX-License-Identifier: Apache-2.0
#include "shell/brace_expansion.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace shell {
namespace {

constexpr std::size_t kMaxWritten = 1 << 20;  // pieces of a word that has braces
constexpr std::size_t kMaxPieces = 4 << 20;   // of all words together
constexpr int kMaxNesting = 100;              // of braces that expand: it bounds the native stack
constexpr std::size_t kMaxShownText = 60;     // of a word in a message

// A word, piece by piece: a byte of the script, or, from kFirstPart on, a part of the word that is
// no text of the script: quoted text, an expansion.
using Pieces = std::u32string;
constexpr char32_t kFirstPart = 256;

void append_text(std::string_view text, Pieces* pieces) {
  for (const char c : text) *pieces += static_cast<unsigned char>(c);
}

// Parts read as zero bytes, which are no text of a script.
std::string text_of(std::u32string_view pieces) {
  std::string text;
  for (const char32_t piece : pieces) text += piece < kFirstPart ? static_cast<char>(piece) : '\0';
  return text;
}

Pieces pieces_of(const Word& word) {
  Pieces pieces;
  for (std::size_t i = 0; i < word.parts.size(); ++i) {
    if (word.parts[i].kind == PartKind::literal)
      append_text(word.parts[i].text, &pieces);
    else
      pieces += static_cast<char32_t>(kFirstPart + i);
  }
  return pieces;
}

// `original` has the parts.
Word word_of(std::u32string_view pieces, const Word& original) {
  Word word;
  bool is_literal = false;
  for (const char32_t piece : pieces) {
    if (piece >= kFirstPart) {
      word.parts.push_back(original.parts[piece - kFirstPart]);
    } else if (is_literal) {
      word.parts.back().text += static_cast<char>(piece);
    } else {
      word.parts.emplace_back().text = static_cast<char>(piece);
    }
    is_literal = piece < kFirstPart;
  }
  return word;
}

std::optional<std::int64_t> number_of(std::string_view text) {
  const auto value = base::find_number<std::int64_t>(text);
  return value && std::abs(*value / 2) < INT64_MAX / 4 ? value : std::nullopt;
}

// As wide as the wider end where one of them begins with a zero.
std::string padded(std::int64_t value, std::size_t width) {
  std::string digits = std::to_string(std::abs(value));
  const std::size_t sign = value < 0 ? 1 : 0;
  if (digits.size() + sign < width) digits.insert(0, width - sign - digits.size(), '0');
  return (value < 0 ? "-" : "") + digits;
}

bool begins_with_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0';
}

// {x..y} or {x..y..step}
struct Sequence {
  std::int64_t from, to, step;
  bool is_of_letters;
  std::size_t width;

  std::size_t size() const { return static_cast<std::size_t>(std::abs(to - from) / step) + 1; }
  std::string at(std::size_t index) const {
    const std::int64_t distance = static_cast<std::int64_t>(index) * step;
    const std::int64_t value = from <= to ? from + distance : from - distance;
    return is_of_letters ? std::string(1, static_cast<char>(value)) : padded(value, width);
  }
};

// What stands between braces as one; nullopt if it is none.
std::optional<Sequence> find_sequence(std::string_view inside) {
  const std::size_t dots = inside.find("..");
  if (dots == std::string_view::npos) return std::nullopt;
  const std::string_view first = inside.substr(0, dots);
  std::string_view last = inside.substr(dots + 2);
  std::int64_t step = 1;
  if (const std::size_t more = last.find(".."); more != std::string_view::npos) {
    const auto given = number_of(last.substr(more + 2));
    if (!given) return std::nullopt;
    step = std::max<std::int64_t>(std::abs(*given), 1);
    last = last.substr(0, more);
  }
  const auto is_letter = [](std::string_view text) {
    return text.size() == 1 && std::isalpha(static_cast<unsigned char>(text[0])) != 0;
  };
  const bool letters = is_letter(first) && is_letter(last);
  const auto from = letters ? std::optional<std::int64_t>(first[0]) : number_of(first);
  const auto to = letters ? std::optional<std::int64_t>(last[0]) : number_of(last);
  if (!from || !to) return std::nullopt;
  const bool is_padded = !letters && (begins_with_zero(first) || begins_with_zero(last));
  return Sequence{*from, *to, step, letters, is_padded ? std::max(first.size(), last.size()) : 0};
}

[[noreturn]] void refuse(const Pieces& pieces, std::string_view why) {
  throw base::error("the braces in \"", base::printable(text_of(pieces.substr(0, kMaxShownText))),
                    "\" ", why);
}

// Braces that stand for several words.
struct Group {
  std::vector<std::size_t> ends;     // of its alternatives: commas, and the closing brace
  std::optional<Sequence> sequence;  // instead of these
};

// The groups of a word by their opening braces, found in one pass.
std::map<std::size_t, Group> find_groups(const Pieces& pieces) {
  struct Open {
    std::size_t position;
    std::vector<std::size_t> commas{};
    int nesting = 0;  // of the groups inside
  };
  if (pieces.size() > kMaxWritten) refuse(pieces, "stand in too long a word");
  std::map<std::size_t, Group> groups;
  std::vector<Open> open;
  std::size_t last_open = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i] == '{') open.push_back({last_open = i});
    if (open.empty()) continue;
    if (pieces[i] == ',') open.back().commas.push_back(i);
    if (pieces[i] != '}') continue;
    Open closed = std::move(open.back());
    open.pop_back();
    Group group{std::move(closed.commas), std::nullopt};
    // A sequence has no braces inside.
    if (group.ends.empty() && closed.position == last_open)
      group.sequence = find_sequence(
          text_of(std::u32string_view(pieces).substr(last_open + 1, i - last_open - 1)));
    if (!group.ends.empty() || group.sequence) {
      if (++closed.nesting > kMaxNesting) refuse(pieces, "are nested too deeply");
      if (groups.size() == kMaxBraceWords) refuse(pieces, "are too many");
      group.ends.push_back(i);
      groups.emplace(closed.position, std::move(group));
    }
    if (!open.empty()) open.back().nesting = std::max(open.back().nesting, closed.nesting);
  }
  return groups;
}

class BraceExpansion {
 public:
  explicit BraceExpansion(Pieces pieces)
      : pieces_(std::move(pieces)), groups_(find_groups(pieces_)) {}

  std::vector<Pieces> words() const { return between(0, pieces_.size()).words; }

 private:
  struct Words {
    std::vector<Pieces> words;
    std::size_t pieces = 0;  // of all of them
  };

  // Asked before so many are made. Whatever is made on the way is part of the result.
  void check(std::size_t words, std::size_t pieces) const {
    if (words > kMaxBraceWords || pieces > kMaxPieces) refuse(pieces_, "stand for too many words");
  }

  Words between(std::size_t begin, std::size_t end) const {
    Words result{{Pieces()}};
    for (std::size_t i = begin; i < end; ++i) {
      if (const auto group = groups_.find(i); group != groups_.end()) {
        append(group->second.sequence ? sequence(*group->second.sequence)
                                      : alternatives(i, group->second),
               &result);
        i = group->second.ends.back();
      } else {
        append({{pieces_.substr(i, 1)}, 1}, &result);
      }
    }
    return result;
  }

  Words alternatives(std::size_t open, const Group& group) const {
    Words result;
    std::size_t begin = open + 1;
    for (const std::size_t end : group.ends) {
      Words more = between(begin, end);
      result.pieces += more.pieces;
      check(result.words.size() + more.words.size(), result.pieces);
      std::ranges::move(more.words, std::back_inserter(result.words));
      begin = end + 1;
    }
    return result;
  }

  Words sequence(const Sequence& sequence) const {
    check(sequence.size(), sequence.size() > kMaxBraceWords ? 0 : sequence.size() * sequence.width);
    Words result;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      append_text(sequence.at(i), &result.words.emplace_back());
      result.pieces += result.words.back().size();
    }
    return result;
  }

  // Each of `ends` behind each word there is. A single one costs no copies: a long word has many.
  void append(const Words& ends, Words* result) const {
    const std::size_t pieces =
        result->pieces * ends.words.size() + ends.pieces * result->words.size();
    check(result->words.size() * ends.words.size(), pieces);
    result->pieces = pieces;
    if (ends.words.size() == 1) {
      for (Pieces& word : result->words) word += ends.words[0];
      return;
    }
    std::vector<Pieces> words;
    for (const Pieces& front : result->words)
      for (const Pieces& end : ends.words) words.push_back(front + end);
    result->words = std::move(words);
  }

  const Pieces pieces_;
  const std::map<std::size_t, Group> groups_;
};

}  // namespace

bool has_brace(const Word& word) {
  return std::ranges::any_of(word.parts, [](const WordPart& part) {
    return part.kind == PartKind::literal && part.text.find('{') != std::string::npos;
  });
}

void expand_braces(const Word& word, const std::function<void(const Word& word)>& each) {
  for (const Pieces& pieces : BraceExpansion(pieces_of(word)).words()) each(word_of(pieces, word));
}

std::vector<std::string> expand_braces(std::string_view text) {
  Pieces pieces;
  append_text(text, &pieces);
  std::vector<std::string> words;
  for (const Pieces& word : BraceExpansion(std::move(pieces)).words())
    words.push_back(text_of(word));
  return words;
}

}  // namespace shell
