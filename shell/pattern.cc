// SPDX-License-Identifier: Apache-2.0
#include "shell/pattern.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "base/text.h"

namespace shell {

namespace {

struct NamedClass {
  std::string_view name;
  int (*contains)(int);
};
constexpr std::array<NamedClass, 12> kClasses = {{{"alnum", std::isalnum},
                                                  {"alpha", std::isalpha},
                                                  {"blank", std::isblank},
                                                  {"cntrl", std::iscntrl},
                                                  {"digit", std::isdigit},
                                                  {"graph", std::isgraph},
                                                  {"lower", std::islower},
                                                  {"print", std::isprint},
                                                  {"punct", std::ispunct},
                                                  {"space", std::isspace},
                                                  {"upper", std::isupper},
                                                  {"xdigit", std::isxdigit}}};

bool add_named_class(std::string_view name, std::bitset<256>* set) {
  for (const NamedClass& entry : kClasses) {
    if (entry.name != name) continue;
    for (int c = 0; c < 256; ++c)
      if (entry.contains(c)) set->set(static_cast<std::size_t>(c));
    return true;
  }
  return false;
}

// End of the bracket expression that starts at `start`, npos if it is not closed.
std::size_t bracket_end(std::string_view pattern, std::size_t start) {
  std::size_t i = start + 1;
  if (i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^')) ++i;
  for (bool first = true; i < pattern.size(); ++i, first = false) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern.substr(i).starts_with("[:")) {
      const std::size_t close = pattern.find(":]", i + 2);
      if (close != std::string_view::npos) i = close + 1;
    } else if (pattern[i] == ']' && !first) {
      return i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Pattern::Pattern(std::string_view escaped) {
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    Element element{Element::Kind::character, escaped[i]};
    if (escaped[i] == '\\' && i + 1 < escaped.size()) {
      element.character = escaped[++i];
    } else if (escaped[i] == '*') {
      element.kind = Element::Kind::star;
      if (!elements_.empty() && elements_.back().kind == Element::Kind::star) continue;
    } else if (escaped[i] == '?') {
      element.kind = Element::Kind::any;
    } else if (escaped[i] == '[' && bracket_end(escaped, i) != std::string_view::npos) {
      add_bracket(escaped, &i);
      continue;
    }
    elements_.push_back(element);
  }
}

void Pattern::add_bracket(std::string_view pattern, std::size_t* position) {
  const std::size_t end = bracket_end(pattern, *position);
  Element element{Element::Kind::set};
  std::size_t i = *position + 1;
  const bool negated = pattern[i] == '!' || pattern[i] == '^';
  if (negated) ++i;
  const auto take = [&] {
    if (pattern[i] == '\\' && i + 1 < end) ++i;
    return static_cast<unsigned char>(pattern[i++]);
  };
  while (i < end) {
    if (pattern.substr(i).starts_with("[:")) {
      const std::size_t close = pattern.find(":]", i + 2);
      if (close < end && add_named_class(pattern.substr(i + 2, close - i - 2), &element.set)) {
        i = close + 2;
        continue;
      }
    }
    const unsigned first = take();
    unsigned last = first;
    if (i + 1 < end && pattern[i] == '-') {
      ++i;
      last = take();
    }
    for (unsigned c = first; c <= last; ++c) element.set.set(c);
  }
  if (negated) element.set.flip();
  elements_.push_back(element);
  *position = end;
}

// Feeds the text, last character first for a suffix, and gives the length at which the pattern's
// end is first or last reached.
std::optional<std::size_t> Pattern::run(std::string_view text, bool reverse, bool longest,
                                        bool whole) const {
  const std::size_t count = elements_.size();
  const auto element = [&](std::size_t i) -> const Element& {
    return elements_[reverse ? count - 1 - i : i];
  };
  std::vector<char> states(count + 1, 0), following(count + 1, 0);
  const auto enter = [&](std::vector<char>* set, std::size_t i) {
    for (; !(*set)[i]; ++i) {
      (*set)[i] = 1;
      if (i == count || element(i).kind != Element::Kind::star) break;
    }
  };
  enter(&states, 0);
  std::optional<std::size_t> found;
  for (std::size_t length = 0;; ++length) {
    if (states[count] && (!whole || length == text.size())) {
      found = length;
      if (!longest) return found;
    }
    if (length == text.size()) return found;
    const char c = reverse ? text[text.size() - 1 - length] : text[length];
    bool alive = false;
    std::fill(following.begin(), following.end(), 0);
    for (std::size_t i = 0; i < count; ++i) {
      if (!states[i]) continue;
      const Element& e = element(i);
      const bool fits = e.kind == Element::Kind::character ? e.character == c
                        : e.kind == Element::Kind::set     ? e.set[static_cast<unsigned char>(c)]
                                                           : true;
      if (!fits) continue;
      enter(&following, e.kind == Element::Kind::star ? i : i + 1);
      alive = true;
    }
    if (!alive) return found;
    states.swap(following);
  }
}

bool Pattern::matches(std::string_view text) const {
  return run(text, false, false, true).has_value();
}
std::optional<std::size_t> Pattern::prefix(std::string_view text, bool longest) const {
  return run(text, false, longest, false);
}
std::optional<std::size_t> Pattern::suffix(std::string_view text, bool longest) const {
  return run(text, true, longest, false);
}

bool has_wildcard(std::string_view escaped) {
  const std::size_t last_close = escaped.rfind(']');
  const auto may_close = [&](std::size_t open) {
    return last_close != std::string_view::npos && last_close >= open + 2;
  };
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] == '\\') {
      ++i;
    } else if (escaped[i] == '*' || escaped[i] == '?' || (escaped[i] == '[' && may_close(i))) {
      return true;
    }
  }
  return false;
}

std::string unescape_pattern(std::string_view escaped) {
  std::string text;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] == '\\' && i + 1 < escaped.size()) ++i;
    text += escaped[i];
  }
  return text;
}

void append_escaped(std::string* pattern, char character) {
  if (std::string_view("*?[]\\!^-:").find(character) != std::string_view::npos) *pattern += '\\';
  *pattern += character;
}

namespace {

std::vector<std::string> matching_names(const std::string& directory, std::string_view pattern) {
  const Pattern matcher(pattern);
  const bool hidden = pattern.starts_with('.') || pattern.starts_with("\\.");
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(
      ::opendir(directory.empty() ? "." : directory.c_str()), ::closedir);
  if (!dir) return names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with('.') && !hidden) continue;
    if (matcher.matches(name)) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

// One pattern component at a time, so that the depth of a pattern costs no stack.
std::vector<std::string> matching_paths(std::string_view escaped) {
  std::vector<std::string> found = {""};
  std::size_t start = 0;
  while (start < escaped.size() && !found.empty()) {
    if (escaped[start] == '/') {
      for (std::string& path : found) path += '/';
      ++start;
      continue;
    }
    const std::size_t end = std::min(escaped.find('/', start), escaped.size());
    const std::string_view component = escaped.substr(start, end - start);
    std::vector<std::string> next;
    for (const std::string& path : found) {
      if (!has_wildcard(component)) {
        struct stat status;
        const std::string candidate = path + unescape_pattern(component);
        if (::lstat(candidate.c_str(), &status) == 0) next.push_back(candidate);
        continue;
      }
      for (const std::string& name : matching_names(path, component)) next.push_back(path + name);
    }
    found = std::move(next);
    start = end;
  }
  return found;
}

}  // namespace shell
