// SPDX-License-Identifier: Apache-2.0
// Messages on standard error, in Apptainer's form ("WARNING: text"), since schedulers and workflow
// engines parse them. Thread-safe; one write(2) a message, so lines of several processes do not
// interleave.
#pragma once

#include <string_view>

#include "base/error.h"

namespace base {

// The numbers are Apptainer's (APPTAINER_MESSAGELEVEL).
enum class LogLevel {
  fatal = -4,
  error = -3,
  warning = -2,
  log = -1,
  info = 1,
  verbose = 2,
  debug = 5
};

// Set once at start, before any thread exists.
void set_log_level(LogLevel least_important);
LogLevel log_level();
void set_log_color(bool allowed);

void log_message(LogLevel level, std::string_view text);

template <typename... Parts>
void log_info(const Parts&... parts) {
  if (log_level() >= LogLevel::info) log_message(LogLevel::info, cat(parts...));
}
template <typename... Parts>
void log_warning(const Parts&... parts) {
  if (log_level() >= LogLevel::warning) log_message(LogLevel::warning, cat(parts...));
}
template <typename... Parts>
void log_verbose(const Parts&... parts) {
  if (log_level() >= LogLevel::verbose) log_message(LogLevel::verbose, cat(parts...));
}
template <typename... Parts>
void log_debug(const Parts&... parts) {
  if (log_level() >= LogLevel::debug) log_message(LogLevel::debug, cat(parts...));
}

// "FATAL:   message" and, if there is one, "hint: ..." on a line of its own.
void log_fatal(const Error& error);

}  // namespace base
