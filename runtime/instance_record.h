// SPDX-License-Identifier: Apache-2.0
// What is kept of a running instance, so that other commands of the same user on the same host find
// it: one small file each in the user's configuration folder, beside the logs. A record is believed
// only while the process it names is the one that it was written for.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/environment.h"
#include "runtime/identity.h"
#include "runtime/passwd_file.h"

namespace runtime {

// Process numbers are used again; the time of the start and of the boot tell which one is meant.
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::string boot_id;
  bool operator==(const ProcessIdentity&) const = default;
};
ProcessIdentity identity_of(pid_t pid);  // throws when there is no such process

struct InstanceRecord {
  std::string name, image;
  ProcessIdentity init;  // PID 1 of the instance, as the host numbers it
  std::string log_out, log_err;
  // What a command that joins needs of the environment that the instance was started with.
  std::string image_name, home;
  std::vector<std::string> path_front, path_back, library_front, library_back;
  // What it may do, and with it who joins.
  Capabilities capabilities = 0;
  std::string seccomp_profile;  // absolute path; empty: none
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

// Copies what a joining command shares with the instance.
void remember_environment(const EnvironmentRequest& from, InstanceRecord& to);
void recall_environment(const InstanceRecord& from, EnvironmentRequest& to);

class InstanceFolder {
 public:
  // That of the caller on this host, below an absolute path.
  InstanceFolder(const Account& caller, const std::string& top);

  // Empty but for its name and its logs' places. Throws for a name that is none.
  InstanceRecord make_record(std::string_view name) const;
  // Held while records are made; makes the folders.
  base::UniqueFd lock() const;
  // Records of living instances whose name matches the pattern (fnmatch(3)), by name. Those of dead
  // ones are removed.
  std::vector<InstanceRecord> find(const std::string& pattern) const;
  // Throws "no instance found with name NAME".
  InstanceRecord get(std::string_view name) const;
  void save(const InstanceRecord& record) const;
  // Whether the record of that name is still of this process.
  bool has(const InstanceRecord& record) const;
  // Only then.
  void remove(const InstanceRecord& record) const noexcept;

 private:
  std::string path_of(std::string_view name) const;
  std::optional<InstanceRecord> load(std::string_view name) const;

  std::string records_, logs_;
};

// Sends a signal to exactly that process; false if it is gone.
bool signal_process(const ProcessIdentity& process, int number);
bool is_alive(const ProcessIdentity& process);

}  // namespace runtime
