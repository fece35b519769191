// SPDX-License-Identifier: Apache-2.0
#include "oci/json.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace oci {

using nlohmann::json;

namespace {

// Go's decoder takes "cmd" for "Cmd" where there is no such key.
json::const_iterator find_in_other_case(const json& object, const std::string& key) {
  const std::string wanted = base::lower_case(key);
  auto member = object.begin();
  while (member != object.end() && base::lower_case(member.key()) != wanted) ++member;
  return member;
}

}  // namespace

JsonValue JsonValue::parse(std::string_view text, std::string name) {
  if (text.size() > kMaxJsonSize)
    throw base::error(base::printable(name), " is too large: ", text.size(), " bytes");
  if (base::is_nested_deeper(text, kMaxJsonDepth))
    throw base::error(base::printable(name), ": JSON nested deeper than ", kMaxJsonDepth);
  // Without exceptions: the library's messages quote raw bytes of the document.
  json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) throw base::error(base::printable(name), " is not valid JSON");
  return {std::make_shared<const json>(std::move(document)), base::printable(name) + ": "};
}

JsonValue JsonValue::child(const json& value, std::string place) const {
  return {std::shared_ptr<const json>(value_, &value), std::move(place)};
}

void JsonValue::expect(bool is_right, std::string_view wanted) const {
  if (is_right) return;
  throw base::error(place_, place_.ends_with(": ") ? "it" : "", " is ", value_->type_name(),
                    ", not ", wanted);
}

std::optional<JsonValue> JsonValue::find(const std::string& key) const {
  expect(value_->is_object(), "an object");
  auto member = value_->find(key);
  if (member == value_->end()) member = find_in_other_case(*value_, key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return child(*member, place_ + (place_.ends_with(' ') ? "" : ".") + base::printable(key));
}

JsonValue JsonValue::get(const std::string& key) const {
  std::optional<JsonValue> member = find(key);
  if (!member)
    throw base::error(place_, place_.ends_with(' ') ? "" : ": ", "the key ", key, " is missing");
  return *std::move(member);
}

std::string JsonValue::text() const {
  if (value_->is_null()) return "";
  expect(value_->is_string(), "a text");
  return value_->get<std::string>();
}

std::vector<JsonValue> JsonValue::items() const {
  expect(value_->is_array(), "a list");
  std::vector<JsonValue> found;
  for (const json& item : *value_)
    found.push_back(child(item, base::cat(place_, "[", found.size(), "]")));
  return found;
}

std::vector<std::string> JsonValue::texts() const {
  std::vector<std::string> found;
  for (const JsonValue& item : items()) found.push_back(item.text());
  return found;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::members() const {
  expect(value_->is_object(), "an object");
  std::vector<std::pair<std::string, JsonValue>> found;
  for (const auto& [key, value] : value_->items())
    found.emplace_back(key, child(value, place_ + "." + base::printable(key)));
  return found;
}

std::map<std::string, std::string> JsonValue::text_map() const {
  std::map<std::string, std::string> found;
  for (const auto& [key, value] : members()) found.emplace(key, value.text());
  return found;
}

std::string JsonValue::text_of(const std::string& key) const {
  const std::optional<JsonValue> member = find(key);
  return member ? member->text() : "";
}

std::vector<JsonValue> JsonValue::items_of(const std::string& key) const {
  const std::optional<JsonValue> member = find(key);
  return member ? member->items() : std::vector<JsonValue>();
}

std::vector<std::string> JsonValue::texts_of(const std::string& key) const {
  const std::optional<JsonValue> member = find(key);
  return member ? member->texts() : std::vector<std::string>();
}

std::map<std::string, std::string> JsonValue::text_map_of(const std::string& key) const {
  const std::optional<JsonValue> member = find(key);
  return member ? member->text_map() : std::map<std::string, std::string>();
}

std::string indented_json(const nlohmann::ordered_json& value) {
  // These stand in texts only, so that replacing them afterwards is safe.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEscapes = {
      {{"<", "\\u003c"},
       {">", "\\u003e"},
       {"&", "\\u0026"},
       {"\u2028", "\\u2028"},
       {"\u2029", "\\u2029"}}};
  std::string text = value.dump(1, '\t', false, json::error_handler_t::replace);
  for (const auto& [plain, escaped] : kEscapes) {
    for (std::size_t at = 0; (at = text.find(plain, at)) != std::string::npos; at += escaped.size())
      text.replace(at, plain.size(), escaped);
  }
  return text;
}

}  // namespace oci
