// SPDX-License-Identifier: Apache-2.0
#include "shell/brace_expansion.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace shell {
namespace {

constexpr std::size_t kMaxWords = 100'000;
constexpr std::size_t kMaxPieces = 4 << 20;  // of all words together

// A character of the script, or a part of the word that is none: quoted text, an expansion.
struct Piece {
  char c = '\0';
  const WordPart* part = nullptr;
};
using Pieces = std::vector<Piece>;

Pieces pieces_of(const Word& word) {
  Pieces pieces;
  for (const WordPart& part : word.parts) {
    if (part.kind != PartKind::literal) {
      pieces.push_back({'\0', &part});
    } else {
      for (const char c : part.text) pieces.push_back({c, nullptr});
    }
  }
  return pieces;
}

Word word_of(const Pieces& pieces) {
  Word word;
  bool is_literal = false;
  for (const Piece& piece : pieces) {
    if (piece.part != nullptr) {
      word.parts.push_back(*piece.part);
    } else if (is_literal) {
      word.parts.back().text += piece.c;
    } else {
      word.parts.emplace_back().text = piece.c;
    }
    is_literal = piece.part == nullptr;
  }
  return word;
}

Pieces literal(std::string_view text) {
  Pieces pieces;
  for (const char c : text) pieces.push_back({c, nullptr});
  return pieces;
}

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = !text.empty() && problem == std::errc() &&
                         end == text.data() + text.size() && std::abs(value / 2) < INT64_MAX / 4;
  return is_number ? std::optional(value) : std::nullopt;
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

// What stands in {x..y} or {x..y..step}; nullopt if it is none.
std::optional<std::vector<Pieces>> find_sequence(std::string_view inside) {
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
  const std::size_t width = is_padded ? std::max(first.size(), last.size()) : 0;
  std::vector<Pieces> words;
  for (std::int64_t value = *from; *from <= *to ? value <= *to : value >= *to;
       value += *from <= *to ? step : -step) {
    words.push_back(
        literal(letters ? std::string(1, static_cast<char>(value)) : padded(value, width)));
    if (words.size() > kMaxWords) throw base::error("a brace expansion gives too many words");
  }
  return words;
}

class BraceExpansion {
 public:
  std::vector<Pieces> expand(const Pieces& pieces) {
    for (std::size_t open = 0; open < pieces.size(); ++open) {
      if (pieces[open].c != '{') continue;
      std::vector<std::size_t> commas;
      const std::size_t close = find_close(pieces, open, &commas);
      if (close == pieces.size()) continue;
      const auto inside = find_inside(pieces, open, close, commas);
      if (!inside) continue;
      return joined({pieces.begin(), at(pieces, open)}, *inside,
                    expand({at(pieces, close + 1), pieces.end()}));
    }
    count(pieces.size());
    return {pieces};
  }

 private:
  static Pieces::const_iterator at(const Pieces& pieces, std::size_t index) {
    return pieces.begin() + static_cast<std::ptrdiff_t>(index);
  }

  // The brace that ends what begins at `open`, and the commas that belong to it.
  static std::size_t find_close(const Pieces& pieces, std::size_t open,
                                std::vector<std::size_t>* commas) {
    int depth = 0;
    for (std::size_t i = open; i < pieces.size(); ++i) {
      const char c = pieces[i].c;
      if (c == '{') ++depth;
      if (c == ',' && depth == 1) commas->push_back(i);
      if (c == '}' && --depth == 0) return i;
    }
    return pieces.size();
  }

  std::optional<std::vector<Pieces>> find_inside(const Pieces& pieces, std::size_t open,
                                                 std::size_t close,
                                                 const std::vector<std::size_t>& commas) {
    if (commas.empty()) {
      std::string text;
      for (std::size_t i = open + 1; i < close; ++i) text += pieces[i].c;
      return find_sequence(text);
    }
    std::vector<Pieces> words;
    std::size_t start = open + 1;
    for (std::size_t i = 0; i <= commas.size(); ++i) {
      const std::size_t end = i < commas.size() ? commas[i] : close;
      for (Pieces& word : expand({at(pieces, start), at(pieces, end)}))
        words.push_back(std::move(word));
      start = end + 1;
    }
    return words;
  }

  std::vector<Pieces> joined(const Pieces& front, const std::vector<Pieces>& middles,
                             const std::vector<Pieces>& ends) {
    std::vector<Pieces> words;
    for (const Pieces& middle : middles) {
      for (const Pieces& end : ends) {
        Pieces word = front;
        word.insert(word.end(), middle.begin(), middle.end());
        word.insert(word.end(), end.begin(), end.end());
        count(word.size());
        words.push_back(std::move(word));
      }
    }
    return words;
  }

  void count(std::size_t size) {
    pieces_ += size;
    if (++words_ > kMaxWords || pieces_ > kMaxPieces)
      throw base::error("a brace expansion gives too many words");
  }

  std::size_t words_ = 0, pieces_ = 0;
};

}  // namespace

bool has_brace(const Word& word) {
  return std::ranges::any_of(word.parts, [](const WordPart& part) {
    return part.kind == PartKind::literal && part.text.find('{') != std::string::npos;
  });
}

std::vector<Word> expand_braces(const Word& word) {
  std::vector<Word> words;
  for (const Pieces& pieces : BraceExpansion().expand(pieces_of(word)))
    words.push_back(word_of(pieces));
  return words;
}

}  // namespace shell
