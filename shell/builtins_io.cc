// SPDX-License-Identifier: Apache-2.0
// echo and printf.
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "shell/builtins.h"

namespace shell::builtins {

namespace {

constexpr int kMaxPrintfWidth = 65536;

// Expands backslash escapes; false if \c asks to stop. `zero_octal`: \0ooo as in echo and %b.
bool append_escapes(std::string_view text, bool zero_octal, std::string* out) {
  static constexpr std::string_view kNames = "abefnrtv\\\"'";
  static constexpr std::string_view kValues = "\a\b\033\f\n\r\t\v\\\"'";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      *out += text[i];
      continue;
    }
    const char kind = text[++i];
    const std::size_t simple = kNames.find(kind);
    if (simple != std::string_view::npos && !(zero_octal && (kind == '"' || kind == '\''))) {
      *out += kValues[simple];
    } else if (kind == 'c') {
      return false;
    } else if (kind >= '0' && kind <= '7') {
      std::size_t digits = zero_octal && kind == '0' ? 4 : 3;
      unsigned value = 0;
      while (digits-- > 0 && i < text.size() && text[i] >= '0' && text[i] <= '7')
        value = value * 8 + static_cast<unsigned>(text[i++] - '0');
      --i;
      *out += static_cast<char>(value);
    } else if (kind == 'x') {
      unsigned value = 0;
      std::size_t digits = 0;
      while (digits < 2 && i + 1 < text.size() &&
             std::isxdigit(static_cast<unsigned char>(text[i + 1]))) {
        const char c = text[++i];
        value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        ++digits;
      }
      if (digits == 0)
        *out += "\\x";
      else
        *out += static_cast<char>(value);
    } else {
      *out += '\\';
      *out += kind;
    }
  }
  return true;
}

// Formats the arguments of one printf call.
class Printf {
 public:
  Printf(Interpreter& shell, const Arguments& arguments, std::size_t first)
      : shell_(shell), arguments_(arguments), next_(first) {}

  // To standard output, or into the variable where one is named.
  int run(const std::string& format, const std::string& variable) {
    do {
      const std::size_t before = next_;
      if (!once(format) || next_ == before) break;
    } while (next_ < arguments_.size());
    if (variable.empty()) {
      shell_.write_output(out_);
    } else {
      shell_.assign_value(variable, out_);
    }
    return status_;
  }

 private:
  std::string take() { return next_ < arguments_.size() ? arguments_[next_++] : std::string(); }

  // False if the output ends here.
  bool once(const std::string& format) {
    std::string literal;
    for (std::size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%') {
        literal += format[i];
        if (format[i] == '\\' && i + 1 < format.size()) literal += format[++i];
        continue;
      }
      if (!append_escapes(literal, false, &out_)) return false;
      literal.clear();
      if (i + 1 < format.size() && format[i + 1] == '%') {
        out_ += '%';
        ++i;
      } else if (!conversion(format, &i)) {
        return false;
      }
    }
    return append_escapes(literal, false, &out_);
  }

  int star_or_number(const std::string& format, std::size_t* i) {
    std::int64_t value = 0;
    if (*i < format.size() && format[*i] == '*') {
      ++*i;
      value = parse_integer(take()).value_or(0);
    } else {
      while (*i < format.size() && format[*i] >= '0' && format[*i] <= '9' &&
             value < kMaxPrintfWidth)
        value = value * 10 + (format[(*i)++] - '0');
    }
    if (value > kMaxPrintfWidth || value < -kMaxPrintfWidth)
      shell_.fail("printf: the field width is too large", 1);
    return static_cast<int>(value);
  }

  bool conversion(const std::string& format, std::size_t* position) {
    std::size_t i = *position + 1;
    std::string flags = "%";
    while (i < format.size() && std::string_view("-+ 0#").find(format[i]) != std::string_view::npos)
      flags += format[i++];
    int width = star_or_number(format, &i);
    if (width < 0) {
      flags += '-';
      width = -width;
    }
    int precision = -1;
    if (i < format.size() && format[i] == '.') {
      ++i;
      precision = star_or_number(format, &i);
    }
    while (i < format.size() &&
           std::string_view("hlLjzt").find(format[i]) != std::string_view::npos)
      ++i;
    *position = i;
    const char kind = i < format.size() ? format[i] : '\0';
    switch (kind) {
      case 's':
        return text(flags, width, precision, take());
      case 'q':
        return text(flags, width, precision, quoted(take()));
      case 'c':
        return text(flags, width, precision, take().substr(0, 1));
      case 'b': {
        std::string expanded;
        const bool more = append_escapes(take(), true, &expanded);
        return text(flags, width, precision, expanded) && more;
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        formatted((flags + "*.*ll" + kind).c_str(), width, precision, integer());
        return true;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        formatted((flags + "*.*" + kind).c_str(), width, precision,
                  std::strtod(take().c_str(), nullptr));
        return true;
      default:
        shell_.warn(base::cat("printf: %", kind, ": invalid directive"));
        status_ = 1;
        return false;
    }
  }

  bool text(const std::string& flags, int width, int precision, std::string value) {
    if (precision >= 0 && value.size() > static_cast<std::size_t>(precision))
      value.resize(static_cast<std::size_t>(precision));
    const std::size_t padding = static_cast<std::size_t>(width) > value.size()
                                    ? static_cast<std::size_t>(width) - value.size()
                                    : 0;
    const bool left = flags.find('-') != std::string::npos;
    if (!left) out_.append(padding, ' ');
    out_ += value;
    if (left) out_.append(padding, ' ');
    return true;
  }

  long long integer() {
    const std::string argument = take();
    if (argument.empty()) return 0;
    if (argument[0] == '\'' || argument[0] == '"')
      return argument.size() > 1 ? static_cast<unsigned char>(argument[1]) : 0;
    char* end = nullptr;
    errno = 0;
    const long long value = std::strtoll(argument.c_str(), &end, 0);
    if (*end != '\0' || errno != 0) {
      shell_.warn(base::cat("printf: ", argument, ": invalid number"));
      status_ = 1;
    }
    return value;
  }

  template <typename T>
  void formatted(const char* format, int width, int precision, T value) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    // The format is built above from checked letters.
    const int size = std::snprintf(nullptr, 0, format, width, precision, value);
    if (size < 0) return;
    std::string buffer(static_cast<std::size_t>(size) + 1, '\0');
    std::snprintf(buffer.data(), buffer.size(), format, width, precision, value);
#pragma GCC diagnostic pop
    out_.append(buffer, 0, static_cast<std::size_t>(size));
  }

  Interpreter& shell_;
  const Arguments& arguments_;
  std::size_t next_;
  std::string out_;
  int status_ = 0;
};

}  // namespace

int echo(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  bool newline = true, escapes = false;
  for (; first < arguments.size(); ++first) {
    const std::string& option = arguments[first];
    if (option.size() < 2 || option[0] != '-' ||
        option.find_first_not_of("neE", 1) != std::string::npos)
      break;
    for (const char letter : option.substr(1)) {
      if (letter == 'n')
        newline = false;
      else
        escapes = letter == 'e';
    }
  }
  std::string text;
  for (std::size_t i = first; i < arguments.size(); ++i) {
    if (i > first) text += ' ';
    if (!escapes) {
      text += arguments[i];
    } else if (!append_escapes(arguments[i], true, &text)) {
      newline = false;
      break;
    }
  }
  if (newline) text += '\n';
  shell.write_output(text);
  return 0;
}

int printf_(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  std::string variable;
  if (first + 1 < arguments.size() && arguments[first] == "-v") {
    variable = arguments[first + 1];
    if (!is_name(variable)) {
      shell.warn(base::cat("printf: ", variable, ": bad variable name"));
      return 2;
    }
    first += 2;
  }
  if (first < arguments.size() && arguments[first] == "--") ++first;
  if (first >= arguments.size()) {
    shell.warn("printf: usage: printf format [arguments]");
    return 2;
  }
  return Printf(shell, arguments, first + 1).run(arguments[first], variable);
}

}  // namespace shell::builtins
