// SPDX-License-Identifier: Apache-2.0
#include "oci/image_config.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <optional>

#include "base/error.h"
#include "oci/digest.h"
#include "oci/json.h"

namespace oci {
namespace {

// Docker accepts "CMD": "true" in old images for ["true"].
std::vector<std::string> words_of(const JsonValue& object, const std::string& key) {
  const std::optional<JsonValue> member = object.find(key);
  if (!member) return {};
  if (member->raw().is_string()) return {member->text()};
  return member->texts();
}

// No C string can hold a NUL: a variable or an argument with one would be cut short silently.
void refuse_nul(const std::vector<std::string>& texts, const std::string& place) {
  for (const std::string& text : texts) {
    if (text.find('\0') != std::string::npos)
      throw base::error(place, " contains a NUL character: ", base::printable(text));
  }
}

std::vector<std::string> diff_ids_of(const JsonValue& document) {
  const std::optional<JsonValue> rootfs = document.find("rootfs");
  if (!rootfs) return {};
  std::vector<std::string> ids = rootfs->texts_of("diff_ids");
  if (ids.size() > kMaxLayers)
    throw base::error(rootfs->place(), ": ", ids.size(), " layers, more than ", kMaxLayers);
  for (const std::string& id : ids) {
    if (!is_sha256_digest(id))
      throw base::error(rootfs->place(), ": not a sha256 diff ID: ", base::printable(id));
  }
  return ids;
}

void read_config_object(const JsonValue& object, ImageConfig& config) {
  config.env = object.texts_of("Env");
  config.entrypoint = words_of(object, "Entrypoint");
  config.cmd = words_of(object, "Cmd");
  config.labels = object.text_map_of("Labels");
  refuse_nul(config.env, object.place() + ".Env");
  refuse_nul(config.entrypoint, object.place() + ".Entrypoint");
  refuse_nul(config.cmd, object.place() + ".Cmd");
  config.config_json = object.raw().dump();
}

}  // namespace

ImageConfig parse_image_config(std::string_view text, const std::string& name) {
  const JsonValue document = JsonValue::parse(text, name);
  ImageConfig config;
  config.architecture = document.text_of("architecture");
  config.os = document.text_of("os");
  // Go's zero time is year 1: the builder did not say.
  config.created = std::max<std::int64_t>(0, parse_rfc3339(document.text_of("created")));
  config.diff_ids = diff_ids_of(document);
  config.config_json = "{}";
  if (const std::optional<JsonValue> object = document.find("config"))
    read_config_object(*object, config);
  return config;
}

std::int64_t parse_rfc3339(std::string_view text) {
  // sscanf wants a terminated string; the longest sensible one has 35 characters.
  const std::string copy(text.substr(0, 64));
  std::tm time{};
  int consumed = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &consumed) != 6 ||
      consumed == 0) {
    return 0;
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  std::size_t zone = copy.find_first_not_of(".0123456789", static_cast<std::size_t>(consumed));
  int hours = 0, minutes = 0;
  std::array<char, 2> sign{"+"};
  if (zone == std::string::npos) return 0;
  if (copy[zone] != 'Z' && copy[zone] != 'z' &&
      std::sscanf(copy.c_str() + zone, "%1[+-]%2d:%2d", sign.data(), &hours, &minutes) != 3) {
    return 0;
  }
  const std::int64_t offset = (hours * 60 + minutes) * 60;
  return static_cast<std::int64_t>(::timegm(&time)) - (sign[0] == '-' ? -offset : offset);
}

std::string format_rfc3339(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 64> text{};
  if (::gmtime_r(&time, &parts) == nullptr) return "";
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace oci
