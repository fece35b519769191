// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <string>

namespace base {
namespace {

std::atomic<LogLevel> g_level = LogLevel::info;
std::atomic<bool> g_color = true;

struct LevelStyle {
  LogLevel level;
  std::string_view prefix;
  std::string_view color;
};
constexpr std::array<LevelStyle, 6> kStyles = {{
    {LogLevel::fatal, "FATAL:   ", "\x1b[31m"},
    {LogLevel::error, "ERROR:   ", "\x1b[31m"},
    {LogLevel::warning, "WARNING: ", "\x1b[33m"},
    {LogLevel::info, "INFO:    ", "\x1b[34m"},
    {LogLevel::verbose, "VERBOSE: ", ""},
    {LogLevel::debug, "DEBUG   ", ""},
}};

}  // namespace

void set_log_level(LogLevel least_important) { g_level = least_important; }
LogLevel log_level() { return g_level; }
void set_log_color(bool allowed) { g_color = allowed; }

void log_message(LogLevel level, std::string_view text) {
  if (level > g_level) return;
  std::string line;
  for (const LevelStyle& style : kStyles) {
    if (style.level != level) continue;
    const bool color = g_color && !style.color.empty() && ::isatty(STDERR_FILENO) == 1;
    line = color ? cat(style.color, style.prefix, "\x1b[0m") : std::string(style.prefix);
  }
  line += text;
  line += '\n';
  // A failed write to standard error has nowhere to be reported.
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

void log_fatal(const Error& error) {
  std::string text = error.what();
  if (!error.hint().empty()) text += "\nhint:    " + error.hint();
  log_message(LogLevel::fatal, text);
}

}  // namespace base
