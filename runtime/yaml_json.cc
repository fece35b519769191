// SPDX-License-Identifier: Apache-2.0
#include "runtime/yaml_json.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace runtime {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 200000;

json plain_scalar(const std::string& value) {
  if (value.empty() || value == "~" || value == "null") return nullptr;
  if (value == "true" || value == "false") return value == "true";
  std::int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error == std::errc() && stop == end) return number;
  return value;
}

// Builds the value from events: no tree of the library's stands between, so aliases cannot multiply
// and depth is what we allow.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view name) : name_(name) {}
  json take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add(mark, nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { fail(mark, "an alias"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    // "?" marks a plain scalar, "!" a quoted one.
    add(mark, tag == "?" ? plain_scalar(value) : json(value), &value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, json::object());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    json value;
    std::string key;
    bool has_key = false;
  };

  [[noreturn]] void fail(const YAML::Mark& mark, std::string_view what) const {
    throw base::error(base::printable(name_), ", line ", mark.line + 1, ": ", what,
                      " is not supported here");
  }

  void add(const YAML::Mark& mark, json value, const std::string* text = nullptr) {
    if (++nodes_ > kMaxNodes) fail(mark, "a file of this size");
    if (levels_.empty()) {
      root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else if (!level.has_key) {
      if (text == nullptr) fail(mark, "a key that is no word");
      level.key = *text;
      level.has_key = true;
    } else {
      level.value[level.key] = std::move(value);
      level.has_key = false;
    }
  }

  void open(const YAML::Mark& mark, json value) {
    if (levels_.size() == kMaxDepth) fail(mark, "nesting this deep");
    if (!levels_.empty() && levels_.back().value.is_object() && !levels_.back().has_key)
      fail(mark, "a key that is no word");
    levels_.push_back({std::move(value), {}, false});
    last_mark_ = mark;
  }

  void close() {
    json value = std::move(levels_.back().value);
    levels_.pop_back();
    add(last_mark_, std::move(value));
  }

  std::string name_;
  json root_;
  std::vector<Level> levels_;
  std::size_t nodes_ = 0;
  YAML::Mark last_mark_;
};

}  // namespace

json yaml_to_json(std::string_view text, std::string_view name) {
  std::istringstream stream{std::string(text)};
  Builder builder(name);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& failure) {
    throw base::error(base::printable(name), ", line ", failure.mark.line + 1, ": ", failure.msg);
  }
  return builder.take();
}

}  // namespace runtime
