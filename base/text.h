// SPDX-License-Identifier: Apache-2.0
// Small text building blocks that C++20 on GCC 12 lacks (std::format arrives with GCC 13).
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace base {

// As operator<< would. A stream costs more than most texts, and a start of a program makes
// hundreds.
template <typename Part>
void append_part(std::string& out, const Part& part) {
  if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
    out += std::string_view(part);
  } else if constexpr (std::is_same_v<Part, char>) {
    out += part;
  } else if constexpr (std::is_integral_v<Part> && sizeof(Part) > 1) {
    out += std::to_string(part);
  } else {
    std::ostringstream text;
    text << part;
    out += text.str();
  }
}

// "layer ", 3, " of ", n  ->  "layer 3 of 7". Integers print in decimal; char prints as a
// character.
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (append_part(out, parts), ...);
  return out;
}

// Splits at every separator; "a,,b" gives three fields and "" gives one empty field.
std::vector<std::string> split(std::string_view text, char separator);

// One line of comma-separated values; a field in double quotes may hold commas, "" in it is a
// quote. Throws Error, which begins with `origin`, for quotes elsewhere.
std::vector<std::string> split_csv(std::string_view line, std::string_view origin);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The number that the whole text is, in digits of `base` and with '-' for signed types only;
// nullopt where there is more, less or too much.
template <std::integral Number>
std::optional<Number> find_number(std::string_view text, int base = 10) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, number, base);
  if (problem != std::errc() || stop != end) return std::nullopt;
  return number;
}

// Without the blanks (' ', '\t', '\r') around it.
std::string_view trimmed(std::string_view text);

// ASCII letters only, whatever the locale.
std::string lower_case(std::string_view text);

// With blanks behind it, to so many bytes at least.
std::string padded(std::string_view text, std::size_t width);

// Lower-case hexadecimal, two digits a byte.
std::string hex(const void* bytes, std::size_t count);

// Names from archives and images may hold newlines, escape sequences or invalid UTF-8: this form is
// safe to print on a terminal and in one log line ('\n' -> \n, other control and non-ASCII bytes of
// invalid sequences -> \xNN).
std::string printable(std::string_view bytes);

// Whether the brackets of a JSON text nest deeper than that. Asked before it is parsed: a parser
// takes eighty times the memory of a bracket for each level, and nlohmann's callback time that
// grows with the square of a list's length.
bool is_nested_deeper(std::string_view json, int levels);

// 1536 -> "1.5 KiB".
std::string human_size(std::uint64_t bytes);

}  // namespace base
