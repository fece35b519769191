// SPDX-License-Identifier: Apache-2.0
#include "oci/image_metadata.h"

#include <utility>

#include "oci/json.h"

namespace oci {
namespace {

using nlohmann::ordered_json;

void parse_app(const JsonValue& from, AppMetadata& to) {
  to.environment = from.text_map_of("environment");
  to.labels = from.text_map_of("labels");
  to.runscript = from.text_of("runscript");
  to.test = from.text_of("test");
  to.helpfile = from.text_of("helpfile");
  to.startscript = from.text_of("startscript");
}

template <typename Value>
void add(ordered_json& object, const char* key, const Value& value) {
  if (!value.empty()) object[key] = value;
}

void add_app(ordered_json& object, const AppMetadata& app) {
  add(object, "environment", app.environment);
  add(object, "labels", app.labels);
  add(object, "runscript", app.runscript);
  add(object, "test", app.test);
  add(object, "helpfile", app.helpfile);
}

}  // namespace

ImageMetadata parse_image_metadata(std::string_view text, const std::string& name) {
  ImageMetadata metadata;
  const auto data = JsonValue::parse(text, name).find("data");
  const auto attributes = data ? data->find("attributes") : std::nullopt;
  if (!attributes) return metadata;
  parse_app(*attributes, metadata);
  metadata.deffile = attributes->text_of("deffile");
  if (const auto apps = attributes->find("apps")) {
    for (const auto& [app, value] : apps->members()) parse_app(value, metadata.apps[app]);
  }
  return metadata;
}

TextMap parse_labels(std::string_view text, const std::string& name) {
  return JsonValue::parse(text, name).text_map();
}

std::string metadata_document(const ImageMetadata& metadata) {
  ordered_json attributes = ordered_json::object();
  for (const auto& [name, app] : metadata.apps) {
    ordered_json& entry = attributes["apps"][name] = ordered_json::object();
    add_app(entry, app);
    add(entry, "startscript", app.startscript);
  }
  add_app(attributes, metadata);
  add(attributes, "deffile", metadata.deffile);
  add(attributes, "startscript", metadata.startscript);
  ordered_json document;
  document["data"]["attributes"] = std::move(attributes);
  document["type"] = "container";
  return indented_json(document);
}

}  // namespace oci
