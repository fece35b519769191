// SPDX-License-Identifier: Apache-2.0
// Builtins that declare, set and unset variables, functions and options.
#include <algorithm>
#include <array>

#include "shell/builtins.h"

namespace shell::builtins {

namespace {

enum class Attribute { exported, readonly };

struct Declaration {
  std::string name;
  std::optional<std::string> value;
  bool append = false;
};

// "NAME", "NAME=value" or "NAME+=value"; nullopt for anything else.
std::optional<Declaration> parse_declaration(const std::string& text) {
  Declaration declaration;
  const std::size_t equals = text.find('=');
  declaration.name = text.substr(0, equals);
  if (equals != std::string::npos) {
    declaration.value = text.substr(equals + 1);
    if (declaration.name.ends_with('+')) {
      declaration.append = true;
      declaration.name.pop_back();
    }
  }
  if (!is_name(declaration.name)) return std::nullopt;
  return declaration;
}

void apply(Interpreter& shell, const Declaration& declaration) {
  if (!declaration.value) return;
  std::string value = *declaration.value;
  if (declaration.append) value = shell.variables().value_or(declaration.name, "") + value;
  // SECONDS, too, is a variable once it is declared.
  if (!shell.variables().find(declaration.name)) shell.variables().writable(declaration.name);
  shell.assign_value(declaration.name, std::move(value));
}

void set_attribute(Interpreter& shell, const std::string& name, Attribute attribute, bool on) {
  const Variable* old = shell.variables().find(name);
  if (!old && !on) return;
  // What the shell computes stays as it is now.
  if (const auto computed = old ? std::nullopt : shell.find_dynamic(name); computed)
    shell.variables().set(name, *computed);
  if (attribute == Attribute::readonly) {
    if (!old || !old->readonly) shell.variables().writable(name).readonly = on;
  } else {
    shell.variables().set_export_flag(name, on);
  }
}

int list_attribute(Interpreter& shell, Attribute attribute) {
  const char* command = attribute == Attribute::exported ? "export " : "readonly ";
  for (const std::string& name : shell.variables().names()) {
    const Variable& variable = *shell.variables().find(name);
    if (attribute == Attribute::exported ? !variable.exported : !variable.readonly) continue;
    std::string line = command + name;
    if (variable.value) line += "=" + quoted(*variable.value);
    shell.write_output(line + "\n");
  }
  return 0;
}

int bad_name(Interpreter& shell, const std::string& command, const std::string& text) {
  shell.warn(base::cat(command, ": ", text, ": bad variable name"));
  return 1;
}

int attribute_builtin(Interpreter& shell, const Arguments& arguments, Attribute attribute) {
  std::size_t first = 1;
  bool on = true, functions = false;
  while (first < arguments.size() && arguments[first].starts_with('-')) {
    const std::string& option = arguments[first++];
    if (option == "--") break;
    if (option.find('n') != std::string::npos) on = false;
    if (option.find('f') != std::string::npos) functions = true;
  }
  if (functions) return 0;  // functions are never exported
  if (first >= arguments.size()) return list_attribute(shell, attribute);
  int status = 0;
  for (std::size_t i = first; i < arguments.size(); ++i) {
    const std::optional<Declaration> declaration = parse_declaration(arguments[i]);
    if (!declaration) {
      status = bad_name(shell, arguments[0], arguments[i]);
      continue;
    }
    apply(shell, *declaration);
    set_attribute(shell, declaration->name, attribute, on);
  }
  return status;
}

// Letters of declare's options that are on; throws for those that cannot be had.
std::string declare_options(Interpreter& shell, const Arguments& arguments, std::size_t* first) {
  std::string letters;
  while (*first < arguments.size() && arguments[*first].size() > 1 &&
         (arguments[*first][0] == '-' || arguments[*first][0] == '+')) {
    const std::string& option = arguments[(*first)++];
    if (option == "--") break;
    if (option[0] == '+') continue;
    letters += option.substr(1);
  }
  if (letters.find_first_of("An") != std::string::npos)
    shell.fail(base::cat(arguments[0], ": -", letters, " is not supported"), 1);
  return letters;
}

int query_functions(Interpreter& shell, const Arguments& arguments, std::size_t first) {
  for (std::size_t i = first; i < arguments.size(); ++i) {
    if (!shell.state().functions.contains(arguments[i])) return 1;
    shell.write_output(arguments[i] + "\n");
  }
  return 0;
}

int declare_variables(Interpreter& shell, const Arguments& arguments, bool always_local) {
  std::size_t first = 1;
  const std::string letters = declare_options(shell, arguments, &first);
  const auto has = [&](char letter) { return letters.find(letter) != std::string::npos; };
  if (has('f') || has('F')) return query_functions(shell, arguments, first);
  const bool local = always_local || (shell.state().functions_entered > 0 && !has('g'));
  int status = 0;
  for (std::size_t i = first; i < arguments.size(); ++i) {
    const std::optional<Declaration> declaration = parse_declaration(arguments[i]);
    if (!declaration) {
      if (arguments[i] != "-") status = bad_name(shell, arguments[0], arguments[i]);
      continue;
    }
    if (local) shell.variables().make_local(declaration->name);
    apply(shell, *declaration);
    if (has('a') && !declaration->value) {
      Variable& variable = shell.variables().writable(declaration->name);
      if (!variable.elements) variable.elements.emplace();
    }
    if (has('x')) set_attribute(shell, declaration->name, Attribute::exported, true);
    if (has('r')) set_attribute(shell, declaration->name, Attribute::readonly, true);
  }
  return status;
}

struct NamedOption {
  std::string_view name;
  char letter;
};
constexpr std::array<NamedOption, 9> kOptions = {{{"allexport", 'a'},
                                                  {"errexit", 'e'},
                                                  {"noglob", 'f'},
                                                  {"hashall", 'h'},
                                                  {"monitor", 'm'},
                                                  {"noclobber", 'C'},
                                                  {"nounset", 'u'},
                                                  {"verbose", 'v'},
                                                  {"xtrace", 'x'}}};

void set_flag(Interpreter& shell, char letter, bool on) {
  std::string& flags = shell.state().flags;
  std::erase(flags, letter);
  if (on) flags += letter;
}

int set_named(Interpreter& shell, const std::string& name, bool on) {
  if (name == "pipefail") {
    shell.state().pipefail = on;
    return 0;
  }
  for (const NamedOption& option : kOptions) {
    if (option.name != name) continue;
    set_flag(shell, option.letter, on);
    return 0;
  }
  if (name == "posix" || name == "vi" || name == "emacs" || name == "history" ||
      name == "braceexpand" || name == "ignoreeof" || name == "notify" || name == "nolog")
    return 0;
  shell.fail(base::cat("set: ", name, ": invalid option name"));
}

int list_options(Interpreter& shell) {
  for (const NamedOption& option : kOptions)
    shell.write_output(
        base::cat("set ", shell.flag(option.letter) ? "-" : "+", "o ", option.name, "\n"));
  return 0;
}

int list_variables(Interpreter& shell) {
  for (const std::string& name : shell.variables().names())
    if (const std::string* value = shell.variables().value(name))
      shell.write_output(name + "=" + quoted(*value) + "\n");
  return 0;
}

// getopts: OPTIND names the argument, `getopts_offset` the letter within it.
class OptionScan {
 public:
  OptionScan(Interpreter& shell, const Arguments& arguments)
      : shell_(shell),
        letters_(arguments[1]),
        name_(arguments[2]),
        given_(arguments.size() > 3 ? arguments_from(arguments, 3) : shell.state().arguments),
        index_(static_cast<std::size_t>(std::max<std::int64_t>(
            1, parse_integer(shell.variables().value_or("OPTIND", "1")).value_or(1)))),
        offset_(shell.state().getopts_offset) {}

  int run() {
    // The arguments may be others than those of the last call.
    if (shell_.state().getopts_index != index_ || index_ > given_.size() ||
        offset_ >= given_[index_ - 1].size())
      offset_ = 0;
    if (offset_ == 0) {
      if (index_ > given_.size() || given_[index_ - 1].size() < 2 || given_[index_ - 1][0] != '-')
        return finish("?", index_, 1);
      if (given_[index_ - 1] == "--") return finish("?", index_ + 1, 1);
      offset_ = 1;
    }
    const std::string& argument = given_[index_ - 1];
    const char letter = argument[offset_];
    std::string behind = argument.substr(offset_ + 1);
    const std::size_t found = letter == ':' ? std::string::npos : letters_.find(letter);
    if (found != std::string::npos && letters_.substr(found + 1).starts_with(':'))
      return take_value(letter, std::move(behind));
    offset_ = behind.empty() ? 0 : offset_ + 1;
    const std::size_t next = behind.empty() ? index_ + 1 : index_;
    if (found == std::string::npos) return complain("?", letter, "illegal option -", next);
    shell_.variables().unset("OPTARG");
    return finish(std::string(1, letter), next, 0);
  }

 private:
  // The rest of the argument, or the next one.
  int take_value(char letter, std::string behind) {
    offset_ = 0;
    const bool is_next = behind.empty();
    if (is_next && index_ >= given_.size())
      return complain(":", letter, "no argument for -", index_ + 1);
    shell_.assign_value("OPTARG", is_next ? given_[index_] : std::move(behind));
    return finish(std::string(1, letter), index_ + (is_next ? 2 : 1), 0);
  }

  // A script whose letters begin with a colon does so itself, by `silent_name`.
  int complain(const char* silent_name, char letter, std::string_view why, std::size_t next) {
    if (letters_.starts_with(':')) {
      shell_.assign_value("OPTARG", std::string(1, letter));
      return finish(silent_name, next, 0);
    }
    shell_.warn(base::cat("getopts: ", why, letter));
    return finish("?", next, 0);
  }

  int finish(std::string found, std::size_t next, int status) {
    shell_.assign_value(name_, std::move(found));
    shell_.assign_value("OPTIND", std::to_string(next));
    shell_.state().getopts_index = next;
    return status;
  }

  Interpreter& shell_;
  const std::string& letters_;
  const std::string& name_;
  const Arguments given_;
  const std::size_t index_;
  std::size_t& offset_;
};

}  // namespace

int export_(Interpreter& shell, const Arguments& arguments) {
  return attribute_builtin(shell, arguments, Attribute::exported);
}

int readonly(Interpreter& shell, const Arguments& arguments) {
  return attribute_builtin(shell, arguments, Attribute::readonly);
}

int local(Interpreter& shell, const Arguments& arguments) {
  if (shell.state().functions_entered == 0) {
    shell.warn("local: not in a function");
    return 1;
  }
  return declare_variables(shell, arguments, true);
}

int declare(Interpreter& shell, const Arguments& arguments) {
  return declare_variables(shell, arguments, false);
}

int unset(Interpreter& shell, const Arguments& arguments) {
  bool functions = false, variables = false;
  int status = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name.starts_with('-')) {
      functions = functions || name.find('f') != std::string::npos;
      variables = variables || name.find('v') != std::string::npos;
      continue;
    }
    const bool known = shell.variables().find(name) != nullptr;
    if (functions || (!known && !variables)) {
      shell.state().functions.erase(name);
    } else if (!is_name(name)) {
      status = bad_name(shell, "unset", name);
    } else if (known && shell.variables().find(name)->readonly) {
      shell.fail(base::cat("unset: ", name, ": is read only"));
    } else {
      shell.variables().unset(name);
    }
  }
  return status;
}

int set(Interpreter& shell, const Arguments& arguments) {
  if (arguments.size() == 1) return list_variables(shell);
  std::size_t i = 1;
  bool replaces = false;
  for (; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      replaces = true;
      ++i;
      break;
    }
    if (argument == "-" || argument.empty() || (argument[0] != '-' && argument[0] != '+')) break;
    const bool on = argument[0] == '-';
    for (const char letter : argument.substr(1)) {
      if (letter == 'o') {
        if (i + 1 >= arguments.size()) return list_options(shell);
        set_named(shell, arguments[++i], on);
      } else {
        set_flag(shell, letter, on);
      }
    }
  }
  if (replaces || i < arguments.size()) shell.state().arguments = arguments_from(arguments, i);
  return 0;
}

int shift(Interpreter& shell, const Arguments& arguments) {
  std::vector<std::string>& parameters = shell.state().arguments;
  std::int64_t count = 1;
  if (arguments.size() > 1) count = parse_integer(arguments[1]).value_or(-1);
  if (count < 0) shell.fail("shift: bad number");
  if (count > static_cast<std::int64_t>(parameters.size())) return 1;
  parameters.erase(parameters.begin(), parameters.begin() + count);
  return 0;
}

int getopts(Interpreter& shell, const Arguments& arguments) {
  if (arguments.size() < 3) shell.fail("getopts: usage: getopts optstring name [arg ...]");
  return OptionScan(shell, arguments).run();
}

}  // namespace shell::builtins
