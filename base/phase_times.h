// SPDX-License-Identifier: Apache-2.0
// Where the time of a start goes: wall and CPU time of one phase after the other. Costs one branch
// a phase unless it is wanted. Belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace base {

class PhaseTimes {
 public:
  // The first phase begins now.
  explicit PhaseTimes(bool wanted = false);

  bool wanted() const { return wanted_; }
  // Ends the phase that began at the last call. `name` is a literal.
  void end_phase(std::string_view name) {
    if (wanted_) add(name);
  }
  // One line a phase in microseconds, and their sum.
  std::string report() const;

 private:
  struct Phase {
    std::string_view name;
    std::int64_t wall, cpu;  // nanoseconds
  };
  void add(std::string_view name);

  bool wanted_;
  std::vector<Phase> phases_;
  std::int64_t last_wall_ = 0, last_cpu_ = 0;
};

}  // namespace base
