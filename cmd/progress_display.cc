// SPDX-License-Identifier: Apache-2.0
#include "cmd/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "base/text.h"

namespace cmd {
namespace {

constexpr std::chrono::milliseconds kSampling{150};
constexpr std::chrono::seconds kLineInterval{5};
constexpr unsigned kDefaultWidth = 80;
constexpr unsigned kMinBarWidth = 10;
constexpr unsigned kMaxBarWidth = 50;
constexpr std::string_view kClearLine = "\r\x1b[K";

bool draws_on_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

unsigned terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kDefaultWidth;
}

void write_terminal(std::string_view text) {
  // A failed write to standard error has nowhere to be reported.
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(std::clamp(seconds, 0.0, 359999.0));
  std::array<char, 32> text{};
  if (whole >= 3600)
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  else
    std::snprintf(text.data(), text.size(), "%ld:%02ld", whole / 60, whole % 60);
  return text.data();
}

double rate_of(const ProgressSample& sample) {
  return sample.seconds > 0.05 ? static_cast<double>(sample.done) / sample.seconds : 0;
}

std::string rate_text(const ProgressSample& sample) {
  return base::human_size(static_cast<std::uint64_t>(rate_of(sample))) + "/s";
}

// Empty until it can be told.
std::string remaining_text(const ProgressSample& sample) {
  const double rate = rate_of(sample);
  if (rate <= 0 || sample.total <= sample.done) return "";
  return clock_text(static_cast<double>(sample.total - sample.done) / rate) + " left";
}

unsigned percent_of(const ProgressSample& sample) {
  const auto share = static_cast<double>(sample.done) / static_cast<double>(sample.total);
  return static_cast<unsigned>(std::min(share, 1.0) * 100);
}

}  // namespace

std::string progress_bar(const ProgressSample& sample, unsigned width) {
  std::string tail = "  " + rate_text(sample);
  if (sample.total == 0)
    return (sample.label + " " + base::human_size(sample.done) + tail).substr(0, width);
  if (const std::string remaining = remaining_text(sample); !remaining.empty())
    tail += "  " + remaining;
  std::array<char, 8> percent{};
  std::snprintf(percent.data(), percent.size(), "%3u%%", percent_of(sample));
  const std::size_t fixed = sample.label.size() + 5 + 4 + tail.size();
  if (fixed + kMinBarWidth > width)
    return (sample.label + " " + percent.data() + tail).substr(0, width);
  const std::size_t inside = std::min<std::size_t>(width - fixed, kMaxBarWidth);
  const std::size_t filled = inside * percent_of(sample) / 100;
  std::string bar(filled, '=');
  if (filled < inside) bar += '>';
  bar.resize(inside, ' ');
  return sample.label + " [" + bar + "] " + percent.data() + tail;
}

std::string progress_line(const ProgressSample& sample) {
  std::string line = sample.label + ": ";
  if (sample.total == 0)
    line += base::human_size(sample.done);
  else
    line += base::cat(percent_of(sample), "% of ", base::human_size(sample.total));
  line += ", " + rate_text(sample);
  const std::string remaining = remaining_text(sample);
  return remaining.empty() ? line : line + ", " + remaining;
}

ProgressDisplay::ProgressDisplay(const oci::ConvertProgress& progress)
    : progress_(progress), terminal_(draws_on_terminal()) {}

void ProgressDisplay::start() {
  phase_start_ = last_line_ = Clock::now();
  thread_ = std::thread([this] { run(); });
}

ProgressSample ProgressDisplay::sample() {
  const oci::Phase phase = progress_.phase;
  if (phase_ != phase) phase_start_ = Clock::now();
  phase_ = phase;
  ProgressSample now;
  now.seconds = std::chrono::duration<double>(Clock::now() - phase_start_).count();
  if (phase == oci::Phase::reading) {
    now.label = "Reading";
    now.done = progress_.read_done;
    now.total = progress_.read_total;
  } else {
    now.label = "Compressing";
    now.done = progress_.write.bytes_done;
    now.total = progress_.write.bytes_total;
  }
  return now;
}

void ProgressDisplay::show() {
  const ProgressSample now = sample();
  // Plain layers are only indexed, which takes no time worth a bar.
  if (now.done == 0 && now.total == 0) return;
  if (!terminal_) {
    if (Clock::now() - last_line_ < kLineInterval) return;
    last_line_ = Clock::now();
    base::log_info(progress_line(now));
    return;
  }
  const unsigned width = terminal_width();
  // The cursor waits in the first column, so that a message replaces the bar.
  write_terminal(progress_bar(now, width > 1 ? width - 1 : 1) + "\x1b[K\r");
  drawn_ = true;
}

void ProgressDisplay::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kSampling, [this] { return finished_; })) show();
}

void ProgressDisplay::clear() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  if (drawn_) write_terminal(kClearLine);
  drawn_ = false;
}

void ProgressDisplay::finish() {
  clear();
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace cmd
