// SPDX-License-Identifier: Apache-2.0
// JSON documents of an image, which are hostile: bounded depth, and every access says which key of
// which document is not what it should be. As for Go's decoder, absent and null mean the same, and
// so do keys that differ in case, unless there is one that fits exactly.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace oci {

inline constexpr std::uint64_t kMaxJsonSize = 8 << 20;
inline constexpr int kMaxJsonDepth = 64;

// One value of a document with its place, for messages ("manifest.json: [0].Layers").
class JsonValue {
 public:
  // Throws when `text` is no JSON, is nested deeper than kMaxJsonDepth or larger than kMaxJsonSize.
  static JsonValue parse(std::string_view text, std::string name);

  // The member of an object; nullopt when absent or null. Throws when this is no object.
  std::optional<JsonValue> find(const std::string& key) const;
  // Throws when absent.
  JsonValue get(const std::string& key) const;

  // The value as this type; each throws when it is of another.
  std::string text() const;
  std::vector<JsonValue> items() const;
  std::vector<std::string> texts() const;
  std::map<std::string, std::string> text_map() const;
  std::vector<std::pair<std::string, JsonValue>> members() const;

  // The member as this type; empty when absent.
  std::string text_of(const std::string& key) const;
  std::vector<JsonValue> items_of(const std::string& key) const;
  std::vector<std::string> texts_of(const std::string& key) const;
  std::map<std::string, std::string> text_map_of(const std::string& key) const;

  const nlohmann::json& raw() const { return *value_; }
  const std::string& place() const { return place_; }

 private:
  JsonValue(std::shared_ptr<const nlohmann::json> value, std::string place)
      : value_(std::move(value)), place_(std::move(place)) {}
  JsonValue child(const nlohmann::json& value, std::string place) const;
  void expect(bool is_right, std::string_view wanted) const;

  std::shared_ptr<const nlohmann::json> value_;  // shares the whole document
  std::string place_;
};

// Indented by tabs and escaped as Go's encoder does, for scripts that compare texts.
std::string indented_json(const nlohmann::ordered_json& value);

}  // namespace oci
