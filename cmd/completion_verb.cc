// SPDX-License-Identifier: Apache-2.0
// completion SHELL: a script that completes command lines. It asks the program's own --help, so it
// knows what the program knows, under whatever name it was called.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/output.h"
#include "base/text.h"
#include "cmd/verbs.h"

namespace cmd {
namespace {

// PROGRAM stands for the name that this one was called by.
constexpr std::string_view kBash =
    R"script(_PROGRAM_words() {  # what --help of a command line lists: options for -*, else commands
  local line
  "$@" --help 2>/dev/null </dev/null | while IFS= read -r line; do
    case $line in
      "  "[a-z]*"  "*) line=${line#  }; printf '%s\n' "${line%% *}" ;;
      *" --"[a-z]*) line=--${line#* --}; line=${line%% *}; printf '%s\n' "${line%%[!a-z0-9-]*}" ;;
    esac
  done
}
_PROGRAM() {
  local word=${COMP_WORDS[COMP_CWORD]} given=() found each
  for each in "${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
    [[ $each == [a-z]* && ${#given[@]} -lt 2 ]] && given+=("$each")
  done
  case ${given[0]-} in
    instance|cache|overlay|registry|sif) ;;
    *) given=(${given[0]+"${given[0]}"}) ;;
  esac
  COMPREPLY=()
  found=$(_PROGRAM_words "${COMP_WORDS[0]}" ${given[@]+"${given[@]}"})
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$(grep -e ^-- <<<"$found")" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$(grep -v -e ^-- <<<"$found")" -- "$word"))
  fi
}
complete -o default -F _PROGRAM PROGRAM
)script";

constexpr std::string_view kZshStart =
    "#compdef PROGRAM\nautoload -U +X bashcompinit && bashcompinit\n";

constexpr std::string_view kFish =
    R"script(function __PROGRAM_words  # what --help of the words before lists, options and commands
  set -l words
  for each in (commandline -opc)
    if string match -qr '^[a-z]' -- $each; and test (count $words) -lt 3
      set -a words $each
    end
  end
  if not contains -- "$words[2]" instance cache overlay registry sif
    set words $words[1..2]
  end
  $words --help 2>/dev/null </dev/null | string match -rg '^  ([a-z-]+)  +|(?:^|\s)(--[a-z][a-z0-9-]*)' | string match -v ''
end
complete -c PROGRAM -a '(__PROGRAM_words)'
)script";

struct ShellRow {
  std::string_view name, start, script;
};
constexpr auto kShells =
    std::to_array<ShellRow>({{"bash", "", kBash}, {"zsh", kZshStart, kBash}, {"fish", "", kFish}});

constexpr auto kTable = std::to_array<OptionRow>(
    {{.name = "help", .letter = 'h', .help = "this text"}, {.name = "no-descriptions"}});

std::string with_name(std::string_view script, const std::string& program) {
  constexpr std::string_view kPlace = "PROGRAM";
  std::string out(script);
  for (std::size_t at = 0; (at = out.find(kPlace, at)) != out.npos; at += program.size())
    out.replace(at, kPlace.size(), program);
  return out;
}

}  // namespace

int run_completion_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("bash|zsh|fish", kTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& shell = invocation.only_argument(*parsed);
  const auto* row = std::ranges::find(kShells, shell, &ShellRow::name);
  if (row == kShells.end())
    invocation.throw_usage(base::cat("no completion for ", base::printable(shell)));
  invocation.understood(*parsed);
  base::print(with_name(row->start, invocation.program()),
              with_name(row->script, invocation.program()));
  return EXIT_SUCCESS;
}

}  // namespace cmd
