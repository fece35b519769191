// SPDX-License-Identifier: Apache-2.0
#include "runtime/cdi_spec.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "runtime/yaml_json.h"

namespace runtime {
namespace {

using nlohmann::json;

// In order: a file's version is a position in this list.
constexpr auto kVersions = std::to_array<std::string_view>(
    {"0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"});
constexpr auto kHookNames = std::to_array<std::string_view>(
    {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"});

// Of mounts: what we do anyway, and "ro". Ours have no devices and no set-user-id programs.
constexpr auto kKnownOptions = std::to_array<std::string_view>(
    {"ro", "rw", "bind", "rbind", "nosuid", "nodev", "exec", "private", "rprivate", "slave",
     "rslave", "defaults", "relatime", "norelatime", "atime", "noatime"});
constexpr int kMaxJsonDepth = 32;

bool is_list_of(const json& value, bool (json::*is_right)() const noexcept) {
  return value.is_array() &&
         std::ranges::all_of(value, [&](const json& member) { return (member.*is_right)(); });
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alphanumeric(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

bool is_name(std::string_view text, bool digit_first, std::string_view marks) {
  if (text.empty() || !(is_letter(text.front()) || (digit_first && is_alphanumeric(text.front()))))
    return false;
  return is_alphanumeric(text.back()) && std::ranges::all_of(text, [&](char c) {
           return is_alphanumeric(c) || marks.find(c) != std::string_view::npos;
         });
}

class SpecParser {
 public:
  explicit SpecParser(std::string_view name) : name_(base::printable(name)) {}
  CdiSpec parse(const json& root);

 private:
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw base::error("CDI file ", name_, ": ", parts...);
  }
  // Features newer than the version that the file claims make it invalid.
  void demand(std::string_view version, std::string_view feature) const;

  void check_object(const json& value, std::string_view where,
                    std::initializer_list<std::string_view> fields) const;
  std::string text(const json& object, std::string_view key, std::string_view where,
                   bool required = false) const;
  std::vector<std::string> texts(const json& object, std::string_view key,
                                 std::string_view where) const;
  const json& list(const json& object, std::string_view key, std::string_view where) const;
  void check_integer(const json& object, std::string_view key, std::string_view where) const;
  void check_extra(const json& value, std::string_view key, std::string_view where) const;
  void check_annotations(const json& object, std::string_view where) const;

  CdiEdits edits(const json& object, std::string_view where) const;
  std::vector<std::string> environment(const json& object, std::string_view where) const;
  CdiDeviceNode node(const json& value, std::string_view where) const;
  CdiMount mount(const json& value, std::string_view where) const;
  CdiHook hook(const json& value, std::string_view where) const;
  CdiDevice device(const json& value) const;

  std::string name_;
  std::size_t version_ = 0;
};

void SpecParser::demand(std::string_view version, std::string_view feature) const {
  const auto needed = std::ranges::find(kVersions, version) - kVersions.begin();
  if (version_ < static_cast<std::size_t>(needed))
    fail(feature, " needs cdiVersion ", version, ", the file claims ", kVersions[version_]);
}

void SpecParser::check_object(const json& value, std::string_view where,
                              std::initializer_list<std::string_view> fields) const {
  if (!value.is_object()) fail(where, ": expected an object, found ", value.type_name());
  for (const auto& [key, member] : value.items()) {
    if (std::ranges::find(fields, key) == fields.end())
      fail(where, ": unknown field \"", base::printable(key), "\"");
  }
}

std::string SpecParser::text(const json& object, std::string_view key, std::string_view where,
                             bool required) const {
  const auto member = object.find(key);
  const bool absent = member == object.end() || member->is_null();
  if (!absent && member->is_number_integer()) return member->dump();  // YAML's name: 0
  if (!absent && !member->is_string())
    fail(where, ".", key, ": expected a text, found ", member->type_name());
  std::string value = absent ? "" : member->get<std::string>();
  if (required && value.empty()) fail(where, ".", key, " is missing");
  if (value.find('\0') != std::string::npos) fail(where, ".", key, " contains a NUL");
  return value;
}

const json& SpecParser::list(const json& object, std::string_view key,
                             std::string_view where) const {
  static const json kEmpty = json::array();
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return kEmpty;
  if (!member->is_array()) fail(where, ".", key, ": expected a list, found ", member->type_name());
  return *member;
}

std::vector<std::string> SpecParser::texts(const json& object, std::string_view key,
                                           std::string_view where) const {
  std::vector<std::string> values;
  for (const json& value : list(object, key, where)) {
    if (value.is_string()) {
      values.push_back(value.get<std::string>());
    } else if (value.is_number_integer()) {
      values.push_back(value.dump());
    } else {
      fail(where, ".", key, ": expected texts, found ", value.type_name());
    }
    if (values.back().find('\0') != std::string::npos) fail(where, ".", key, " contains a NUL");
  }
  return values;
}

void SpecParser::check_integer(const json& object, std::string_view key,
                               std::string_view where) const {
  const auto member = object.find(key);
  if (member != object.end() && !member->is_null() && !member->is_number_integer())
    fail(where, ".", key, ": expected a number, found ", member->type_name());
}

void SpecParser::check_annotations(const json& object, std::string_view where) const {
  const auto member = object.find("annotations");
  if (member == object.end() || member->is_null()) return;
  demand("0.6.0", "annotations");
  if (!member->is_object()) fail(where, ".annotations: expected an object");
  for (const auto& [key, value] : member->items()) {
    if (!value.is_string()) fail(where, ".annotations.", base::printable(key), ": expected a text");
  }
}

std::vector<std::string> SpecParser::environment(const json& object, std::string_view where) const {
  std::vector<std::string> values = texts(object, "env", where);
  for (const std::string& value : values) {
    const std::size_t equals = value.find('=');
    if (equals == std::string::npos || equals == 0)
      fail(where, ".env: \"", base::printable(value), "\" is not NAME=value");
  }
  return values;
}

CdiDeviceNode SpecParser::node(const json& value, std::string_view where) const {
  check_object(
      value, where,
      {"path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"});
  CdiDeviceNode out{text(value, "path", where, true), text(value, "hostPath", where), {}};
  if (out.host_path.empty()) {
    out.host_path = out.path;
  } else {
    demand("0.5.0", "hostPath of a device node");
  }
  const std::string type = text(value, "type", where);
  if (!type.empty() && type != "b" && type != "c" && type != "u" && type != "p")
    fail(where, ".type: \"", base::printable(type), "\" is no type of a device node");
  const std::string permissions = text(value, "permissions", where);
  if (permissions.find_first_not_of("rwm") != std::string::npos)
    fail(where, ".permissions: \"", base::printable(permissions), "\" has more than r, w and m");
  for (const std::string_view key : {"major", "minor", "fileMode", "uid", "gid"})
    check_integer(value, key, where);
  // The node is the host's own, with its numbers, mode and owner.
  for (const std::string_view key : {"fileMode", "uid", "gid"}) {
    if (value.contains(key) && !value.at(key).is_null())
      out.beyond_us.push_back(base::cat(key, " ", value.at(key).dump()));
  }
  const bool reads = permissions.find('r') != std::string::npos;
  const bool writes = permissions.find('w') != std::string::npos;
  if (!permissions.empty() && !(reads && writes))
    out.beyond_us.push_back("permissions " + permissions);
  return out;
}

CdiMount SpecParser::mount(const json& value, std::string_view where) const {
  check_object(value, where, {"hostPath", "containerPath", "type", "options"});
  CdiMount out;
  out.container_path = text(value, "containerPath", where, true);
  const std::string type = text(value, "type", where);
  if (!type.empty()) demand("0.4.0", "type of a mount");
  out.temporary = type == "tmpfs";
  out.impossible = !out.temporary && !type.empty() && type != "bind" && type != "none";
  if (out.impossible) out.beyond_us.push_back("type " + base::printable(type));
  out.host_path = text(value, "hostPath", where, !out.temporary && !out.impossible);
  for (const std::string& option : texts(value, "options", where)) {
    if (option == "ro") out.read_only = true;
    if (std::ranges::find(kKnownOptions, option) == kKnownOptions.end())
      out.beyond_us.push_back("option " + base::printable(option));
  }
  return out;
}

CdiHook SpecParser::hook(const json& value, std::string_view where) const {
  check_object(value, where, {"hookName", "path", "args", "env", "timeout"});
  CdiHook out{text(value, "hookName", where, true), text(value, "path", where, true),
              texts(value, "args", where)};
  if (std::ranges::find(kHookNames, out.name) == kHookNames.end())
    fail(where, ".hookName: \"", base::printable(out.name), "\" is no hook of the OCI runtime");
  environment(value, where);
  check_integer(value, "timeout", where);
  return out;
}

// Not read any further, but a file is valid or not.
void SpecParser::check_extra(const json& value, std::string_view key,
                             std::string_view where) const {
  const bool is_right = key == "intelRdt"         ? value.is_object()
                        : key == "additionalGids" ? is_list_of(value, &json::is_number_integer)
                                                  : is_list_of(value, &json::is_object);
  if (!is_right) fail(where, ".", key, ": not what the specification describes");
}

CdiEdits SpecParser::edits(const json& object, std::string_view where) const {
  CdiEdits out;
  const auto member = object.find("containerEdits");
  if (member == object.end() || member->is_null()) return out;
  const std::string place = base::cat(where, ".containerEdits");
  check_object(
      *member, place,
      {"env", "deviceNodes", "mounts", "hooks", "additionalGids", "intelRdt", "netDevices"});
  out.environment = environment(*member, place);
  for (const json& value : list(*member, "deviceNodes", place))
    out.nodes.push_back(node(value, place + ".deviceNodes"));
  for (const json& value : list(*member, "mounts", place))
    out.mounts.push_back(mount(value, place + ".mounts"));
  for (const json& value : list(*member, "hooks", place))
    out.hooks.push_back(hook(value, place + ".hooks"));
  struct Field {
    std::string_view key, version;
  };
  for (const Field& field :
       {Field{"additionalGids", "0.7.0"}, {"intelRdt", "0.7.0"}, {"netDevices", "1.1.0"}}) {
    const auto extra = member->find(field.key);
    if (extra == member->end() || extra->is_null()) continue;
    check_extra(*extra, field.key, place);
    if (extra->empty()) continue;
    demand(field.version, field.key);
    out.beyond_us.emplace_back(field.key);
  }
  return out;
}

CdiDevice SpecParser::device(const json& value) const {
  check_object(value, "devices", {"name", "annotations", "containerEdits"});
  CdiDevice out{text(value, "name", "devices", true), {}};
  if (!is_cdi_device_name(out.name))
    fail("devices.name: \"", base::printable(out.name), "\" is no device name");
  if (!is_letter(out.name.front())) demand("0.5.0", "a device name that starts with a digit");
  const std::string where = base::cat("devices[", out.name, "]");
  check_annotations(value, where);
  const auto member = value.find("containerEdits");
  if (member == value.end() || member->empty()) fail(where, ": containerEdits are missing");
  out.edits = edits(value, where);
  return out;
}

CdiSpec SpecParser::parse(const json& root) {
  check_object(root, "top level",
               {"cdiVersion", "kind", "annotations", "devices", "containerEdits"});
  const std::string version = text(root, "cdiVersion", "top level", true);
  const auto known = std::ranges::find(kVersions, version);
  if (known == kVersions.end()) fail("cdiVersion ", base::printable(version), " is unknown");
  version_ = static_cast<std::size_t>(known - kVersions.begin());
  CdiSpec spec;
  spec.kind = text(root, "kind", "top level", true);
  if (!is_cdi_kind(spec.kind))
    fail("kind \"", base::printable(spec.kind), "\" is not VENDOR/CLASS");
  if (spec.kind.find('.', spec.kind.find('/')) != std::string::npos)
    demand("0.6.0", "a dot in the class");
  check_annotations(root, "top level");
  std::set<std::string> names;
  for (const json& value : list(root, "devices", "top level")) {
    spec.devices.push_back(device(value));
    const std::string& name = spec.devices.back().name;
    if (!names.insert(name).second) fail("device ", name, " stands there twice");
  }
  if (spec.devices.empty()) fail("there are no devices");
  spec.edits = edits(root, "top level");
  return spec;
}

json parse_json(std::string_view text, std::string_view name) {
  if (base::is_nested_deeper(text, kMaxJsonDepth)) {
    throw base::error("CDI file ", base::printable(name), ": nesting deeper than ", kMaxJsonDepth,
                      " levels");
  }
  try {
    return json::parse(text);
  } catch (const json::parse_error& error) {
    throw base::error("CDI file ", base::printable(name), ": no valid JSON at byte ", error.byte);
  } catch (const json::out_of_range&) {
    throw base::error("CDI file ", base::printable(name), ": a number is out of range");
  }
}

}  // namespace

bool is_cdi_kind(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && is_name(text.substr(0, slash), false, "_-.") &&
         is_name(text.substr(slash + 1), false, "_-.");
}

bool is_cdi_device_name(std::string_view text) { return is_name(text, true, "_-.:"); }

CdiSpec parse_cdi_spec(std::string_view text, std::string_view name) {
  if (text.size() > kMaxCdiSpecSize) {
    throw base::error("CDI file ", base::printable(name), ": ", text.size(),
                      " bytes, more than the limit of ", kMaxCdiSpecSize);
  }
  if (!name.ends_with(".json")) return SpecParser(name).parse(yaml_to_json(text, name));
  return SpecParser(name).parse(parse_json(text, name));
}

}  // namespace runtime
