// SPDX-License-Identifier: Apache-2.0
// Builtin commands (XCU 2.14 and bash's that scripts expect).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shell/interpreter.h"

namespace shell {

using Arguments = std::vector<std::string>;

inline Arguments arguments_from(const Arguments& arguments, std::size_t first) {
  return Arguments(arguments.begin() + static_cast<std::ptrdiff_t>(first), arguments.end());
}

struct Builtin {
  std::string_view name;
  int (*run)(Interpreter& shell, const Arguments& arguments);
  // Special in the sense of POSIX: assignments before it stay, functions do not hide it.
  bool special = false;
  // Touches neither files nor processes nor what subshells do not copy.
  bool contained = false;
};

const Builtin* find_builtin(const std::string& name);
bool is_special_builtin(const std::string& name);

// Operators of test and [[ ]]. Unknown binary operators give nullopt.
bool is_unary_test(std::string_view op);
bool test_unary(Interpreter& shell, std::string_view op, const std::string& operand);
std::optional<bool> test_binary(const std::string& left, std::string_view op,
                                const std::string& right);
bool is_numeric_comparison(std::string_view op);
bool compare_numbers(std::string_view op, std::int64_t left, std::int64_t right);

// Decimal integer with optional sign; nullopt for anything else.
std::optional<std::int64_t> parse_integer(std::string_view text);
// 'text' in single quotes where needed, so that a shell reads it back.
std::string quoted(std::string_view text);

namespace builtins {

// builtins_control.cc
int colon(Interpreter& shell, const Arguments& arguments);
int false_(Interpreter& shell, const Arguments& arguments);
int break_(Interpreter& shell, const Arguments& arguments);
int continue_(Interpreter& shell, const Arguments& arguments);
int return_(Interpreter& shell, const Arguments& arguments);
int exit_(Interpreter& shell, const Arguments& arguments);
int eval(Interpreter& shell, const Arguments& arguments);
int source(Interpreter& shell, const Arguments& arguments);
int exec(Interpreter& shell, const Arguments& arguments);
int command(Interpreter& shell, const Arguments& arguments);
int builtin(Interpreter& shell, const Arguments& arguments);
int type(Interpreter& shell, const Arguments& arguments);
int trap(Interpreter& shell, const Arguments& arguments);
int wait(Interpreter& shell, const Arguments& arguments);
int let(Interpreter& shell, const Arguments& arguments);

// builtins_variables.cc
int export_(Interpreter& shell, const Arguments& arguments);
int readonly(Interpreter& shell, const Arguments& arguments);
int local(Interpreter& shell, const Arguments& arguments);
int declare(Interpreter& shell, const Arguments& arguments);
int unset(Interpreter& shell, const Arguments& arguments);
int set(Interpreter& shell, const Arguments& arguments);
int shift(Interpreter& shell, const Arguments& arguments);
int getopts(Interpreter& shell, const Arguments& arguments);

// builtins_io.cc
int echo(Interpreter& shell, const Arguments& arguments);
int printf_(Interpreter& shell, const Arguments& arguments);
int read(Interpreter& shell, const Arguments& arguments);
int mapfile(Interpreter& shell, const Arguments& arguments);

// builtins_system.cc
int cd(Interpreter& shell, const Arguments& arguments);
int popd(Interpreter& shell, const Arguments& arguments);
int pushd(Interpreter& shell, const Arguments& arguments);
int dirs(Interpreter& shell, const Arguments& arguments);
int pwd(Interpreter& shell, const Arguments& arguments);
int umask(Interpreter& shell, const Arguments& arguments);
int ulimit(Interpreter& shell, const Arguments& arguments);

// test.cc
int test(Interpreter& shell, const Arguments& arguments);

}  // namespace builtins

}  // namespace shell
