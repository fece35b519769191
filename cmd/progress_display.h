// SPDX-License-Identifier: Apache-2.0
// Shows a conversion's progress on standard error: a bar with rate and remaining time on a
// terminal, a line every few seconds elsewhere (job logs).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "oci/progress.h"

namespace cmd {

// One moment of one phase.
struct ProgressSample {
  std::string label;
  std::uint64_t done = 0, total = 0;  // bytes; a total of 0 is unknown
  double seconds = 0;                 // since the phase began
};

// "Compressing [=====>     ]  45%  123.4 MiB/s  0:12 left", at most `width` columns.
std::string progress_bar(const ProgressSample& sample, unsigned width);
// "Compressing: 45% of 2.8 GiB, 123.4 MiB/s, 0:12 left".
std::string progress_line(const ProgressSample& sample);

class ProgressDisplay {
 public:
  // `progress` is borrowed. Nothing is shown before start().
  explicit ProgressDisplay(const oci::ConvertProgress& progress);
  ~ProgressDisplay() { finish(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void start();
  // Removes the bar and ends the drawing thread.
  void finish();
  // The bar alone, for good; from any thread.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void run();
  void show();
  ProgressSample sample();

  const oci::ConvertProgress& progress_;
  bool terminal_;
  oci::Phase phase_ = oci::Phase::reading;
  Clock::time_point phase_start_, last_line_;
  std::mutex mutex_;  // guards what follows and the terminal
  std::condition_variable wake_;
  bool finished_ = false;
  bool drawn_ = false;
  std::thread thread_;
};

}  // namespace cmd
