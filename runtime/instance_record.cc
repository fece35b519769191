// SPDX-License-Identifier: Apache-2.0
#include "runtime/instance_record.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/pidfd.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

using nlohmann::json;

constexpr std::string_view kSuffix = ".json";
constexpr std::size_t kMaxNameSize = 128;
constexpr std::size_t kMaxRecordSize = 1 << 20;

struct TextField {
  const char* key;
  std::string InstanceRecord::*member;
};
constexpr std::array kTexts = {TextField{"name", &InstanceRecord::name},
                               TextField{"image", &InstanceRecord::image},
                               TextField{"log_out", &InstanceRecord::log_out},
                               TextField{"log_err", &InstanceRecord::log_err},
                               TextField{"home", &InstanceRecord::home},
                               TextField{"image_name", &InstanceRecord::image_name},
                               TextField{"seccomp_profile", &InstanceRecord::seccomp_profile}};

struct ListField {
  const char* key;
  std::vector<std::string> InstanceRecord::*member;
  std::vector<std::string> EnvironmentRequest::*source;
};
constexpr std::array kLists = {
    ListField{"path_front", &InstanceRecord::path_front, &EnvironmentRequest::path_front},
    ListField{"path_back", &InstanceRecord::path_back, &EnvironmentRequest::path_back},
    ListField{"library_front", &InstanceRecord::library_front, &EnvironmentRequest::library_front},
    ListField{"library_back", &InstanceRecord::library_back, &EnvironmentRequest::library_back}};

void check_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kMaxNameSize &&
                    std::ranges::all_of(name, [](unsigned char c) {
                      return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
                    });
  if (!fits) throw base::error(base::printable(name), " is not a valid instance name");
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  std::string text = name.data();
  std::ranges::replace(text, '/', '_');
  return text.empty() || text.starts_with('.') ? "localhost" : text;
}

void make_private_folders(const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      throw base::errno_error(errno, "cannot make ", base::printable(part));
    if (slash == std::string::npos) return;
  }
}

std::optional<ProcessIdentity> find_identity(pid_t pid) {
  const auto text = base::find_small_file(base::cat("/proc/", pid, "/stat"));
  if (!text) return std::nullopt;
  // The command's name in parentheses may hold anything; the start time is the 22nd field.
  std::istringstream fields(text->substr(std::min(text->rfind(')') + 1, text->size())));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  ProcessIdentity identity{pid, 0, base::read_small_file("/proc/sys/kernel/random/boot_id")};
  if (!(fields >> identity.start_time)) return std::nullopt;
  return identity;
}

json to_json(const InstanceRecord& record) {
  json out = {{"pid", record.init.pid},
              {"start_time", record.init.start_time},
              {"boot_id", record.init.boot_id}};
  for (const TextField& field : kTexts) out[field.key] = record.*field.member;
  for (const ListField& field : kLists) out[field.key] = record.*field.member;
  out["capabilities"] = record.capabilities;
  if (record.uid) out["uid"] = *record.uid;
  if (record.gid) out["gid"] = *record.gid;
  return out;
}

InstanceRecord from_json(const json& in) {
  InstanceRecord record;
  record.init = {in.at("pid"), in.at("start_time"), in.at("boot_id")};
  for (const TextField& field : kTexts) record.*field.member = in.at(field.key);
  for (const ListField& field : kLists)
    record.*field.member = in.at(field.key).get<std::vector<std::string>>();
  record.capabilities = in.at("capabilities");
  if (in.contains("uid")) record.uid = in.at("uid").get<uid_t>();
  if (in.contains("gid")) record.gid = in.at("gid").get<gid_t>();
  return record;
}

}  // namespace

ProcessIdentity identity_of(pid_t pid) {
  std::optional<ProcessIdentity> found = find_identity(pid);
  if (!found) throw base::errno_error(ESRCH, "process ", pid);
  return std::move(*found);
}

bool is_alive(const ProcessIdentity& process) { return find_identity(process.pid) == process; }

bool signal_process(const ProcessIdentity& process, int number) {
  // The descriptor first: what is found out afterwards is about the process that it stands for.
  const base::UniqueFd fd = open_process(process.pid);
  const bool supported = fd || errno != ENOSYS;  // before Linux 5.3
  if (!is_alive(process)) return false;
  const long sent = supported ? ::syscall(SYS_pidfd_send_signal, fd.get(), number, nullptr, 0)
                              : ::kill(process.pid, number);
  if (sent != 0 && errno != ESRCH)
    throw base::errno_error(errno, "cannot send a signal to process ", process.pid);
  return sent == 0;
}

void remember_environment(const EnvironmentRequest& from, InstanceRecord& to) {
  to.image = from.image_path;
  to.image_name = from.image_name;
  to.home = from.container_home;
  for (const ListField& field : kLists) to.*field.member = from.*field.source;
}

void recall_environment(const InstanceRecord& from, EnvironmentRequest& to) {
  to.image_path = from.image;
  to.image_name = from.image_name;
  to.container_home = from.home;
  to.instance_name = from.name;
  for (const ListField& field : kLists) to.*field.source = from.*field.member;
}

InstanceFolder::InstanceFolder(const Account& caller, const std::string& top) {
  const std::string place = base::cat("/", host_name(), "/", caller.name);
  records_ = normal_path(top + "/instances/sifrun" + place);
  logs_ = normal_path(top + "/instances/logs" + place);
}

InstanceRecord InstanceFolder::make_record(std::string_view name) const {
  check_name(name);
  InstanceRecord record;
  record.name = name;
  record.log_out = base::cat(logs_, "/", name, ".out");
  record.log_err = base::cat(logs_, "/", name, ".err");
  return record;
}

base::UniqueFd InstanceFolder::lock() const {
  make_private_folders(records_);
  make_private_folders(logs_);
  base::UniqueFd file = base::open_file(records_ + "/.lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (::flock(file.get(), LOCK_EX) != 0) throw base::errno_error(errno, "cannot lock ", records_);
  return file;
}

std::string InstanceFolder::path_of(std::string_view name) const {
  return base::cat(records_, "/", name, kSuffix);
}

std::optional<InstanceRecord> InstanceFolder::load(std::string_view name) const {
  try {
    const auto text = base::find_small_file(path_of(name), kMaxRecordSize);
    if (!text) return std::nullopt;
    InstanceRecord record = from_json(json::parse(*text));
    if (record.name != name) return std::nullopt;
    return record;
  } catch (const json::exception&) {
    return std::nullopt;  // of another version: not ours to join
  } catch (const base::Error& error) {
    base::log_warning("instance ", name, " is passed over: ", error.what());
    return std::nullopt;
  }
}

std::vector<InstanceRecord> InstanceFolder::find(const std::string& pattern) const {
  std::vector<InstanceRecord> found;
  const RootTree host;
  for (const std::string& file : host.list(records_)) {
    if (!file.ends_with(kSuffix)) continue;
    const std::string name = file.substr(0, file.size() - kSuffix.size());
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) != 0) continue;
    std::optional<InstanceRecord> record = load(name);
    if (!record) continue;
    if (is_alive(record->init)) {
      found.push_back(std::move(*record));
    } else {
      remove(*record);
    }
  }
  return found;
}

InstanceRecord InstanceFolder::get(std::string_view name) const {
  check_name(name);
  std::optional<InstanceRecord> record = load(name);
  if (!record || !is_alive(record->init))
    throw base::error("no instance found with name ", name)
        .with_hint("`instance list` shows those that run");
  return std::move(*record);
}

void InstanceFolder::save(const InstanceRecord& record) const {
  base::AtomicOutputFile file(path_of(record.name), 0600, base::Existing::replace);
  ::fchmod(file.fd(), 0600);  // whatever the umask
  base::write_all(file.fd(), to_json(record).dump(-1, ' ', false, json::error_handler_t::replace),
                  record.name);
  file.commit();
}

bool InstanceFolder::has(const InstanceRecord& record) const {
  const std::optional<InstanceRecord> stored = load(record.name);
  return stored && stored->init == record.init;
}

void InstanceFolder::remove(const InstanceRecord& record) const noexcept {
  try {
    if (has(record)) ::unlink(path_of(record.name).c_str());
  } catch (const base::Error&) {
    // It is found dead by whoever looks next.
  }
}

}  // namespace runtime
