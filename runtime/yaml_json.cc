// SPDX-License-Identifier: Apache-2.0
#include "runtime/yaml_json.h"

#include <yaml.h>

#include <charconv>
#include <cstdint>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace runtime {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxEvents = 200000;

json plain_scalar(std::string_view value) {
  if (value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL")
    return nullptr;
  if (value == "true" || value == "false") return value == "true";
  std::int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error == std::errc() && stop == end) return number;
  return value;
}

class Event {
 public:
  Event() = default;
  ~Event() { yaml_event_delete(&event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  yaml_event_t* get() { return &event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_{};
};

class Parser {
 public:
  Parser(std::string_view text, std::string_view name) : name_(base::printable(name)) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Parser() { yaml_parser_delete(&parser_); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  void next(Event& event) {
    if (yaml_parser_parse(&parser_, event.get()) != 0) return;
    const bool has_place =
        parser_.error == YAML_SCANNER_ERROR || parser_.error == YAML_PARSER_ERROR;
    throw base::error(name_, ", line ", (has_place ? parser_.problem_mark : parser_.mark).line + 1,
                      ": ", parser_.problem != nullptr ? parser_.problem : "no memory left");
  }
  [[noreturn]] void refuse(const Event& event, std::string_view what) const {
    throw base::error(name_, ", line ", event->start_mark.line + 1, ": ", what,
                      " is not supported here");
  }

 private:
  yaml_parser_t parser_{};
  std::string name_;
};

// Builds the value from events: no tree of the library's stands between, so aliases cannot multiply
// and depth is what we allow.
class Builder {
 public:
  explicit Builder(const Parser& parser) : parser_(parser) {}

  // False at the end of the document.
  bool take(const Event& event) {
    if (++events_ > kMaxEvents) parser_.refuse(event, "a file of this size");
    switch (event->type) {
      case YAML_ALIAS_EVENT:
        parser_.refuse(event, "an alias");
      case YAML_SCALAR_EVENT:
        add_scalar(event);
        break;
      case YAML_SEQUENCE_START_EVENT:
        open(event, json::array());
        break;
      case YAML_MAPPING_START_EVENT:
        open(event, json::object());
        break;
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        close();
        break;
      case YAML_DOCUMENT_END_EVENT:
      case YAML_STREAM_END_EVENT:
        return false;
      default:
        break;
    }
    return true;
  }
  json result() && { return std::move(root_); }

 private:
  struct Level {
    json value;
    std::string key;
    bool has_key = false;
  };

  bool wants_key() const {
    return !levels_.empty() && levels_.back().value.is_object() && !levels_.back().has_key;
  }

  void add_scalar(const Event& event) {
    const auto& scalar = event->data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    const bool is_plain = scalar.plain_implicit != 0 && scalar.style == YAML_PLAIN_SCALAR_STYLE;
    json value = is_plain ? plain_scalar(text) : json(text);
    if (!wants_key()) return add(std::move(value));
    if (value.is_null()) parser_.refuse(event, "a key that is no word");
    levels_.back().key = text;
    levels_.back().has_key = true;
  }

  void add(json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else {
      level.value[level.key] = std::move(value);
      level.has_key = false;
    }
  }

  void open(const Event& event, json value) {
    if (levels_.size() == kMaxDepth) parser_.refuse(event, "nesting this deep");
    if (wants_key()) parser_.refuse(event, "a key that is no word");
    levels_.push_back({std::move(value), {}, false});
  }

  void close() {
    json value = std::move(levels_.back().value);
    levels_.pop_back();
    add(std::move(value));
  }

  const Parser& parser_;
  json root_;
  std::vector<Level> levels_;
  std::size_t events_ = 0;
};

}  // namespace

json yaml_to_json(std::string_view text, std::string_view name) {
  Parser parser(text, name);
  Builder builder(parser);
  for (bool more = true; more;) {
    Event event;
    parser.next(event);
    more = builder.take(event);
  }
  return std::move(builder).result();
}

}  // namespace runtime
