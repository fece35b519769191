// SPDX-License-Identifier: Apache-2.0
#include "shell/arithmetic.h"

#include <array>
#include <cctype>

#include "base/error.h"

namespace shell {

namespace {

constexpr int kMaxArithmeticDepth = 64;
// Variables hold expressions in turn: without a limit, a="a+a" would cost exponential time.
constexpr int kMaxVariableReads = 10'000;

struct BinaryOperator {
  std::string_view text;
  int precedence;
};
// Longer operators first where one starts with another.
constexpr std::array<BinaryOperator, 19> kOperators = {{{"||", 1},
                                                        {"&&", 2},
                                                        {"==", 6},
                                                        {"!=", 6},
                                                        {"<<", 8},
                                                        {">>", 8},
                                                        {"<=", 7},
                                                        {">=", 7},
                                                        {"**", 11},
                                                        {"|", 3},
                                                        {"^", 4},
                                                        {"&", 5},
                                                        {"<", 7},
                                                        {">", 7},
                                                        {"+", 9},
                                                        {"-", 9},
                                                        {"*", 10},
                                                        {"/", 10},
                                                        {"%", 10}}};
constexpr int kPowerPrecedence = 11;

class Evaluator {
 public:
  Evaluator(std::string_view text, const ArithmeticVariables& variables, int depth, int* reads)
      : text_(text), variables_(variables), depth_(depth), reads_(reads) {}

  std::int64_t whole() {
    skip();
    if (position_ == text_.size()) return 0;
    const std::int64_t value = comma(true);
    if (position_ != text_.size()) fail("syntax error");
    return value;
  }

 private:
  class Level {
   public:
    explicit Level(Evaluator* evaluator) : evaluator_(evaluator) {
      if (++evaluator_->depth_ > kMaxArithmeticDepth) evaluator_->fail("nested too deeply");
    }
    ~Level() { --evaluator_->depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Evaluator* evaluator_;
  };

  [[noreturn]] void fail(std::string_view why) const {
    throw base::error("arithmetic expression \"", base::printable(text_), "\": ", why);
  }
  char at(std::size_t offset) const {
    return position_ + offset < text_.size() ? text_[position_ + offset] : '\0';
  }
  void skip() {
    while (position_ < text_.size() &&
           (std::isspace(static_cast<unsigned char>(text_[position_])) || text_[position_] == '"'))
      ++position_;
  }
  bool take(std::string_view token) {
    if (!text_.substr(position_).starts_with(token)) return false;
    position_ += token.size();
    skip();
    return true;
  }

  std::int64_t comma(bool live) {
    std::int64_t value = assignment(live);
    while (take(",")) value = assignment(live);
    return value;
  }

  std::string name() {
    const std::size_t start = position_;
    if (!std::isalpha(static_cast<unsigned char>(at(0))) && at(0) != '_') return {};
    while (std::isalnum(static_cast<unsigned char>(at(0))) || at(0) == '_') ++position_;
    const std::string result(text_.substr(start, position_ - start));
    skip();
    return result;
  }

  // A variable or an element.
  std::string reference(bool live) {
    std::string target = name();
    if (target.empty() || !take("[")) return target;
    target += base::cat("[", comma(live), "]");
    if (!take("]")) fail("\"]\" expected");
    return target;
  }

  std::int64_t variable(const std::string& name) {
    if (++*reads_ > kMaxVariableReads) fail("reads too many variables");
    const std::string value = variables_.get(name);
    return Evaluator(value, variables_, depth_ + 1, reads_).whole_of_variable();
  }
  std::int64_t whole_of_variable() {
    const Level level(this);
    return whole();
  }
  void assign(const std::string& name, std::int64_t value) {
    variables_.set(name, std::to_string(value));
  }

  // name op= value, right-associative.
  std::int64_t assignment(bool live) {
    const Level level(this);
    const std::size_t start = position_;
    if (!reference(false).empty()) {  // the index is evaluated below, once
      for (const std::string_view op :
           {"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="}) {
        if (!text_.substr(position_).starts_with(op)) continue;
        if (op == "=" && at(1) == '=') break;
        position_ = start;
        const std::string target = reference(live);
        take(op);
        std::int64_t value = assignment(live);
        if (op != "=" && live)
          value = apply(op.substr(0, op.size() - 1), variable(target), value, live);
        if (live) assign(target, value);
        return value;
      }
    }
    position_ = start;
    return conditional(live);
  }

  std::int64_t conditional(bool live) {
    const std::int64_t condition = binary(1, live);
    if (!take("?")) return condition;
    const std::int64_t yes = assignment(live && condition != 0);
    if (!take(":")) fail("\":\" expected");
    const std::int64_t no = assignment(live && condition == 0);
    return condition != 0 ? yes : no;
  }

  const BinaryOperator* find_operator() const {
    const std::string_view rest = text_.substr(position_);
    for (const BinaryOperator& op : kOperators) {
      if (!rest.starts_with(op.text)) continue;
      // "a <<= 1" and its kin are assignments, which stand elsewhere.
      const bool assigns =
          rest.substr(op.text.size()).starts_with('=') && op.precedence != 6 && op.precedence != 7;
      return assigns ? nullptr : &op;
    }
    return nullptr;
  }

  // Precedence climbing: binary operators of at least the given precedence.
  std::int64_t binary(int precedence, bool live) {
    const Level level(this);
    std::int64_t left = unary(live);
    while (const BinaryOperator* op = find_operator()) {
      if (op->precedence < precedence) return left;
      take(op->text);
      const bool skipped = (op->text == "&&" && left == 0) || (op->text == "||" && left != 0);
      const int next = op->precedence == kPowerPrecedence ? op->precedence : op->precedence + 1;
      const std::int64_t right = binary(next, live && !skipped);
      left = skipped ? (left != 0) : apply(op->text, left, right, live);
    }
    return left;
  }

  std::int64_t apply(std::string_view op, std::int64_t a, std::int64_t b, bool live) const {
    const auto ua = static_cast<std::uint64_t>(a), ub = static_cast<std::uint64_t>(b);
    const auto wrap = [](std::uint64_t v) { return static_cast<std::int64_t>(v); };
    if (op == "||") return (a != 0) || (b != 0);
    if (op == "&&") return (a != 0) && (b != 0);
    if (op == "|") return a | b;
    if (op == "^") return a ^ b;
    if (op == "&") return a & b;
    if (op == "==") return a == b;
    if (op == "!=") return a != b;
    if (op == "<") return a < b;
    if (op == "<=") return a <= b;
    if (op == ">") return a > b;
    if (op == ">=") return a >= b;
    if (op == "<<") return wrap(ua << (ub & 63));
    if (op == ">>") return a >> (ub & 63);
    if (op == "+") return wrap(ua + ub);
    if (op == "-") return wrap(ua - ub);
    if (op == "*") return wrap(ua * ub);
    if (op == "**") return power(a, b, live);
    if (b == 0) {
      if (live) fail("division by zero");
      return 0;
    }
    if (b == -1) return op == "/" ? wrap(0 - ua) : 0;  // the one quotient that overflows
    return op == "/" ? a / b : a % b;
  }

  std::int64_t power(std::int64_t a, std::int64_t b, bool live) const {
    if (b < 0) {
      if (live) fail("exponent less than 0");
      return 0;
    }
    std::uint64_t result = 1, factor = static_cast<std::uint64_t>(a);
    for (; b > 0; b >>= 1, factor *= factor)
      if (b & 1) result *= factor;
    return static_cast<std::int64_t>(result);
  }

  std::int64_t unary(bool live) {
    const Level level(this);
    for (const std::string_view op : {"++", "--"}) {
      const std::size_t start = position_;
      if (!take(op)) continue;
      const std::string target = reference(live);
      if (target.empty()) {
        position_ = start;
        break;
      }
      return step(target, op, true, live);
    }
    if (take("!")) return unary(live) == 0;
    if (take("~")) return ~unary(live);
    if (take("+")) return unary(live);
    if (take("-")) return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(unary(live)));
    return primary(live);
  }

  std::int64_t step(const std::string& target, std::string_view op, bool before, bool live) {
    if (!live) return 0;
    const std::int64_t old = variable(target);
    const std::int64_t changed = apply(op.substr(0, 1), old, 1, live);
    assign(target, changed);
    return before ? changed : old;
  }

  std::int64_t primary(bool live) {
    if (take("(")) {
      const std::int64_t value = comma(live);
      if (!take(")")) fail("\")\" expected");
      return value;
    }
    if (std::isdigit(static_cast<unsigned char>(at(0)))) return number();
    const std::string target = reference(live);
    if (target.empty()) fail("operand expected");
    if (take("++")) return step(target, "+", false, live);
    if (take("--")) return step(target, "-", false, live);
    return live ? variable(target) : 0;
  }

  static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'z') return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z') return c - 'A' + 36;
    if (c == '@') return 62;
    if (c == '_') return 63;
    return 64;
  }

  std::int64_t number() {
    unsigned base = 10;
    if (at(0) == '0' && (at(1) == 'x' || at(1) == 'X')) {
      base = 16;
      position_ += 2;
    } else if (at(0) == '0') {
      base = 8;
    }
    std::uint64_t value = 0;
    const std::size_t start = position_;
    while (true) {
      const char c = at(0);
      if (c == '#' && base == 10 && position_ > start) {
        if (value < 2 || value > 64) fail("invalid base");
        base = static_cast<unsigned>(value);
        value = 0;
        ++position_;
        continue;
      }
      int digit = digit_value(c);
      if (base <= 36 && digit >= 36 && digit < 62) digit -= 26;
      if (digit >= 64 || (digit >= 62 && base < 63)) break;
      if (digit >= static_cast<int>(base)) fail("value too great for base");
      value = value * base + static_cast<unsigned>(digit);
      ++position_;
    }
    skip();
    return static_cast<std::int64_t>(value);
  }

  std::string_view text_;
  const ArithmeticVariables& variables_;
  int depth_;
  int* reads_;
  std::size_t position_ = 0;
};

}  // namespace

std::int64_t evaluate_arithmetic(std::string_view expression,
                                 const ArithmeticVariables& variables) {
  int reads = 0;
  return Evaluator(expression, variables, 0, &reads).whole();
}

}  // namespace shell
