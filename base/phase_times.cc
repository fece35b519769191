// SPDX-License-Identifier: Apache-2.0
#include "base/phase_times.h"

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <sstream>

namespace base {
namespace {

std::int64_t nanoseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void put_line(std::ostream& out, std::int64_t wall, std::int64_t cpu, std::string_view name) {
  out << std::setw(9) << wall / 1000 << std::setw(9) << cpu / 1000 << "  " << name << "\n";
}

}  // namespace

PhaseTimes::PhaseTimes(bool wanted) : wanted_(wanted) {
  if (!wanted) return;
  last_wall_ = nanoseconds(CLOCK_MONOTONIC);
  last_cpu_ = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
}

void PhaseTimes::add(std::string_view name) {
  const std::int64_t wall = nanoseconds(CLOCK_MONOTONIC);
  const std::int64_t cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  // With --pid another process went on, whose CPU time starts from nothing.
  phases_.push_back({name, wall - last_wall_, std::max<std::int64_t>(cpu - last_cpu_, 0)});
  last_wall_ = wall;
  last_cpu_ = cpu;
}

std::string PhaseTimes::report() const {
  std::ostringstream out;
  out << "  wall us   cpu us\n";
  std::int64_t wall = 0, cpu = 0;
  for (const Phase& phase : phases_) {
    put_line(out, phase.wall, phase.cpu, phase.name);
    wall += phase.wall;
    cpu += phase.cpu;
  }
  put_line(out, wall, cpu, "until the program starts");
  return out.str();
}

}  // namespace base
