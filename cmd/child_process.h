// SPDX-License-Identifier: Apache-2.0
// Programs that this one starts and waits for. A signal that ends this program ends them first.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cmd {

// Signals that would end this program (Ctrl-C, kill, a closed terminal) are held back while it
// lives, but for those that its caller has it ignore.
class HeldSignals {
 public:
  HeldSignals();
  ~HeldSignals() { release(); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // The next of them; also that a child has ended. Negative after so many seconds without; 0: no
  // limit.
  int wait(int seconds = 0) const;
  // One that has come, or 0; it is not delivered any more.
  int pending() const;
  // Throws when one has come; release() delivers it.
  void throw_if_interrupted() const;
  // As it was before.
  void release() noexcept;

 private:
  sigset_t ending_{}, held_{}, before_{};
  struct sigaction child_action_ {};
};

struct Ending {
  int status = 0;  // as of waitpid
  int signal = 0;  // that came meanwhile and is to end us
};

// What a child does when it is asked to end: who removes what it has begun is waited for, others
// are killed soon, and die with us.
enum class WhenAsked { cleans_up, ends_soon };

// Runs what the child process becomes: `become` never returns there. It does not outlive us, and a
// signal that comes meanwhile asks it to end. `name` appears in messages.
Ending run_child(HeldSignals& signals, const char* name, const std::function<void()>& become,
                 WhenAsked rule = WhenAsked::cleans_up);

// From here on, processes whose parents end become this one's children, so that end_children()
// reaches all that it started.
void adopt_orphans();
// Kills them, and those that they leave.
void end_children() noexcept;

// What a child becomes: the program by that path or name, with its name as the first argument; else
// a message with that hint, and kExitFatal.
[[noreturn]] void become_program(const std::string& program,
                                 const std::vector<std::string>& arguments, std::string_view hint);

}  // namespace cmd
