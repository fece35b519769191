// SPDX-License-Identifier: Apache-2.0
// Command line and environment of arbitrary bytes: parsing ends in values or in base::Error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "cmd/options.h"

namespace {
constexpr cmd::OptionRow kTable[] = {
    {.name = "flag", .letter = 'f', .env = "FLAG"},
    {.name = "text", .letter = 't', .kind = cmd::OptionKind::text, .env = "TEXT OTHER"},
    {.name = "list", .letter = 'l', .kind = cmd::OptionKind::list, .env = "LIST"},
    {.name = "texts",
     .letter = 'x',
     .kind = cmd::OptionKind::texts,
     .env = "TEXTS",
     .env_appends = true},
    {.name = "env", .kind = cmd::OptionKind::assignments, .env = "ENV"},
    {.name = "alias", .letter = 'a', .kind = cmd::OptionKind::text, .same_as = "text"},
};
}  // namespace

// The first line is the environment, fields between NULs; the rest are the arguments.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t newline = std::min(input.find('\n'), input.size());
  const std::vector<std::string> environment = base::split(input.substr(0, newline), '\0');
  const std::vector<std::string> words = base::split(input.substr(newline), '\0');
  std::vector<const char*> entries;
  for (const std::string& entry : environment) entries.push_back(entry.c_str());
  entries.push_back(nullptr);
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  try {
    const cmd::ParsedOptions parsed =
        cmd::parse_options(kTable, arguments, {{"A_", "S_"}, entries.data()},
                           size % 2 == 0 ? cmd::Ordering::options_first : cmd::Ordering::mixed);
    if (parsed.positionals().size() > words.size()) __builtin_trap();
  } catch (const base::Error&) {
  }
  return 0;
}
