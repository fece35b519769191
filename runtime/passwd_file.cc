// SPDX-License-Identifier: Apache-2.0
#include "runtime/passwd_file.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/child_program.h"
#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

constexpr std::size_t kPasswdFields = 7;
constexpr std::size_t kGroupFields = 4;
constexpr std::size_t kMaxGetentAnswer = 1 << 20;
constexpr std::size_t kMaxHostFile = 64 << 20;  // sites keep thousands of accounts

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view id_field(std::string_view line) {
  for (int skipped = 0; skipped < 2; ++skipped) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    line.remove_prefix(colon + 1);
  }
  return line.substr(0, line.find(':'));
}

// The line's fields if it is an entry of that id. Most lines are not, and are not taken apart.
std::optional<std::vector<std::string>> fields_of(std::string_view line, std::size_t count,
                                                  unsigned id) {
  if (base::find_number<unsigned>(id_field(line)) != id) return std::nullopt;
  std::vector<std::string> fields = base::split(line, ':');
  if (fields.size() != count || fields[0].empty()) return std::nullopt;
  return fields;
}

std::optional<std::vector<std::string>> find_fields(std::string_view text, std::size_t count,
                                                    unsigned id) {
  while (!text.empty()) {
    if (auto fields = fields_of(take_line(text), count, id)) return fields;
  }
  return std::nullopt;
}

// A field may not end its line or its field.
std::string safe_field(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return c == ':' || c == '\n'; }, '_');
  return out;
}

// Standard output of `getent DATABASE ID...`; empty if it cannot be run.
std::string ask_getent(std::string database, std::span<const gid_t> ids) {
  std::vector<std::string> words = {"getent", std::move(database)};
  for (const gid_t id : ids) words.push_back(std::to_string(id));
  try {
    return base::ask_program(std::move(words), "", kMaxGetentAnswer, base::Complaints::hidden).text;
  } catch (const base::Error&) {
    return {};
  }
}

}  // namespace

std::optional<Account> find_account(std::string_view passwd_text, uid_t uid) {
  const auto fields = find_fields(passwd_text, kPasswdFields, uid);
  if (!fields) return std::nullopt;
  return Account{
      (*fields)[0], uid,          base::find_number<unsigned>((*fields)[3]).value_or(uid),
      (*fields)[4], (*fields)[5], (*fields)[6]};
}

std::optional<Group> find_group(std::string_view group_text, gid_t gid) {
  const auto fields = find_fields(group_text, kGroupFields, gid);
  if (!fields) return std::nullopt;
  return Group{(*fields)[0], gid};
}

std::optional<Account> find_host_account(uid_t uid) {
  if (const auto text = base::find_small_file("/etc/passwd", kMaxHostFile)) {
    if (auto account = find_account(*text, uid)) return account;
  }
  return find_account(ask_getent("passwd", std::array{uid}), uid);
}

std::vector<Group> find_host_groups(std::span<const gid_t> gids) {
  std::vector<Group> groups;
  std::vector<gid_t> unknown;
  const std::string text = base::find_small_file("/etc/group", kMaxHostFile).value_or("");
  for (const gid_t gid : gids) {
    if (auto group = find_group(text, gid)) {
      groups.push_back(std::move(*group));
    } else {
      unknown.push_back(gid);
    }
  }
  if (unknown.empty()) return groups;
  const std::string answer = ask_getent("group", unknown);
  for (const gid_t gid : unknown) {
    if (auto group = find_group(answer, gid)) groups.push_back(std::move(*group));
  }
  return groups;
}

std::string passwd_with(std::string_view image_text, const Account& caller, std::string_view home) {
  std::string out;
  bool found = false;
  for (std::string_view rest = image_text; !rest.empty();) {
    const std::string_view line = take_line(rest);
    auto fields = found ? std::nullopt : fields_of(line, kPasswdFields, caller.uid);
    if (!fields) {
      out += base::cat(line, "\n");
      continue;
    }
    found = true;
    (*fields)[5] = safe_field(home);
    out += base::join(*fields, ":") + '\n';
  }
  if (!found) {
    out += base::cat(safe_field(caller.name), ":x:", caller.uid, ":", caller.gid, ":",
                     safe_field(caller.gecos), ":", safe_field(home), ":", safe_field(caller.shell),
                     "\n");
  }
  return out;
}

std::string group_with(std::string_view image_text, std::span<const Group> groups,
                       std::string_view user) {
  std::string out(image_text);
  if (!out.empty() && out.back() != '\n') out += '\n';
  for (const Group& group : groups)
    out += base::cat(safe_field(group.name), ":x:", group.gid, ":", safe_field(user), "\n");
  return out;
}

}  // namespace runtime
