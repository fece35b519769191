// SPDX-License-Identifier: Apache-2.0
// test, [ and the operators that [[ ]] shares with them.
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "shell/builtins.h"

namespace shell {

namespace {

constexpr std::string_view kUnaryLetters = "abcdefghkLnoprstuvwxzGNOS";
constexpr std::array<std::string_view, 6> kNumeric = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge"};
constexpr int kMaxTestDepth = 64;
constexpr int kTestError = 2;

bool test_mode(char op, const struct stat& status) {
  switch (op) {
    case 'b':
      return S_ISBLK(status.st_mode);
    case 'c':
      return S_ISCHR(status.st_mode);
    case 'd':
      return S_ISDIR(status.st_mode);
    case 'f':
      return S_ISREG(status.st_mode);
    case 'p':
      return S_ISFIFO(status.st_mode);
    case 'S':
      return S_ISSOCK(status.st_mode);
    case 'h':
    case 'L':
      return S_ISLNK(status.st_mode);
    case 'g':
      return status.st_mode & S_ISGID;
    case 'u':
      return status.st_mode & S_ISUID;
    case 'k':
      return status.st_mode & S_ISVTX;
    case 's':
      return status.st_size > 0;
    case 'O':
      return status.st_uid == ::geteuid();
    case 'G':
      return status.st_gid == ::getegid();
    case 'N':
      return status.st_mtime > status.st_atime;
    default:
      return true;  // -a, -e
  }
}

bool newer(const struct stat& a, const struct stat& b) {
  return a.st_mtim.tv_sec != b.st_mtim.tv_sec ? a.st_mtim.tv_sec > b.st_mtim.tv_sec
                                              : a.st_mtim.tv_nsec > b.st_mtim.tv_nsec;
}

bool is_binary_test(std::string_view op) {
  return op == "=" || op == "==" || op == "!=" || op == "<" || op == ">" || op == "-nt" ||
         op == "-ot" || op == "-ef" || is_numeric_comparison(op);
}

// The general form, with -a, -o, ! and parentheses.
class TestExpression {
 public:
  TestExpression(Interpreter& shell, const Arguments& arguments, std::size_t end)
      : shell_(shell), arguments_(arguments), end_(end) {}

  bool whole() {
    const bool result = disjunction();
    if (next_ != end_) fail("unexpected operator");
    return result;
  }

  struct Malformed {
    std::string message;
  };

 private:
  [[noreturn]] void fail(std::string message) const { throw Malformed{std::move(message)}; }
  std::size_t left() const { return end_ - next_; }
  const std::string& at(std::size_t offset) const { return arguments_[next_ + offset]; }
  bool take(std::string_view word) {
    if (left() == 0 || at(0) != word) return false;
    ++next_;
    return true;
  }

  bool disjunction() {
    bool result = conjunction();
    while (take("-o")) result = conjunction() || result;
    return result;
  }
  bool conjunction() {
    bool result = negation();
    while (take("-a")) result = negation() && result;
    return result;
  }
  bool negation() {
    if (++depth_ > kMaxTestDepth) fail("nested too deeply");
    // "!" is an operand where a binary operator follows, or where nothing does.
    const bool operand = left() < 2 || (left() >= 3 && is_binary_test(at(1)));
    bool result;
    if (!operand && at(0) == "!") {
      ++next_;
      result = !negation();
    } else {
      result = primary();
    }
    --depth_;
    return result;
  }
  bool primary() {
    if (left() == 0) fail("argument expected");
    if (left() >= 3 && is_binary_test(at(1))) {
      const std::optional<bool> result = test_binary(at(0), at(1), at(2));
      if (!result) fail(numeric_error());
      next_ += 3;
      return *result;
    }
    if (at(0) == "(" && left() >= 3) {
      ++next_;
      const bool result = disjunction();
      if (!take(")")) fail("closing parenthesis expected");
      return result;
    }
    if (left() >= 2 && is_unary_test(at(0))) {
      next_ += 2;
      return test_unary(shell_, arguments_[next_ - 2], arguments_[next_ - 1]);
    }
    return !arguments_[next_++].empty();
  }
  std::string numeric_error() const {
    return (parse_integer(at(0)) ? at(2) : at(0)) + ": integer expression expected";
  }

  Interpreter& shell_;
  const Arguments& arguments_;
  std::size_t end_;
  std::size_t next_ = 1;
  int depth_ = 0;
};

}  // namespace

bool is_unary_test(std::string_view op) {
  return op.size() == 2 && op[0] == '-' && kUnaryLetters.find(op[1]) != std::string_view::npos;
}

bool test_unary(Interpreter& shell, std::string_view op, const std::string& operand) {
  const char letter = op.size() == 2 ? op[1] : 'n';
  switch (letter) {
    case 'n':
      return !operand.empty();
    case 'z':
      return operand.empty();
    case 'v':
      return shell.variables().element(operand) != nullptr;
    case 'o':
      return operand == "pipefail" && shell.state().pipefail;
    case 't':
      return ::isatty(static_cast<int>(parse_integer(operand).value_or(-1) & 0xFFFF));
    case 'r':
      return ::access(operand.c_str(), R_OK) == 0;
    case 'w':
      return ::access(operand.c_str(), W_OK) == 0;
    case 'x':
      return ::access(operand.c_str(), X_OK) == 0;
    default:
      break;
  }
  struct stat status;
  const bool link = letter == 'h' || letter == 'L';
  const int result = link ? ::lstat(operand.c_str(), &status) : ::stat(operand.c_str(), &status);
  return result == 0 && test_mode(letter, status);
}

bool is_numeric_comparison(std::string_view op) {
  for (const std::string_view name : kNumeric)
    if (op == name) return true;
  return false;
}

bool compare_numbers(std::string_view op, std::int64_t left, std::int64_t right) {
  if (op == "-eq") return left == right;
  if (op == "-ne") return left != right;
  if (op == "-lt") return left < right;
  if (op == "-le") return left <= right;
  if (op == "-gt") return left > right;
  return left >= right;
}

std::optional<bool> test_binary(const std::string& left, std::string_view op,
                                const std::string& right) {
  if (op == "=" || op == "==") return left == right;
  if (op == "!=") return left != right;
  if (op == "<") return left < right;
  if (op == ">") return left > right;
  if (is_numeric_comparison(op)) {
    const auto a = parse_integer(left), b = parse_integer(right);
    if (!a || !b) return std::nullopt;
    return compare_numbers(op, *a, *b);
  }
  struct stat a, b;
  const bool has_a = ::stat(left.c_str(), &a) == 0, has_b = ::stat(right.c_str(), &b) == 0;
  if (op == "-ef") return has_a && has_b && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  if (op == "-nt") return has_a && (!has_b || newer(a, b));
  if (op == "-ot") return has_b && (!has_a || newer(b, a));
  return std::nullopt;
}

int builtins::test(Interpreter& shell, const Arguments& arguments) {
  std::size_t end = arguments.size();
  if (arguments[0] == "[") {
    if (arguments.back() != "]" || end < 2) {
      shell.warn("[: missing ]");
      return kTestError;
    }
    --end;
  }
  if (end == 1) return 1;
  try {
    // With one argument, and after "!", the words are operands whatever they look like.
    if (end == 2) return arguments[1].empty();
    if (end == 3 && arguments[1] == "!") return arguments[2].empty() ? 0 : 1;
    return TestExpression(shell, arguments, end).whole() ? 0 : 1;
  } catch (const TestExpression::Malformed& error) {
    shell.warn(base::cat(arguments[0], ": ", error.message));
    return kTestError;
  }
}

}  // namespace shell
