// SPDX-License-Identifier: Apache-2.0
#include "runtime/bind_spec.h"

#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

// Splits at unescaped separators and keeps the escapes, so that a later split still sees them.
std::vector<std::string> split_unescaped(std::string_view text, char separator) {
  std::vector<std::string> fields(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == separator) {
      fields.emplace_back();
      continue;
    }
    fields.back() += text[i];
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == ':'))
      fields.back() += text[++i];
  }
  return fields;
}

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == ':')) ++i;
    plain += text[i];
  }
  return plain;
}

constexpr std::string_view kInside = "image-src=", kPartition = "id=";

bool is_option(std::string_view option) {
  return option == "ro" || option == "rw" || option == "nonested" || option.starts_with(kInside) ||
         option.starts_with(kPartition);
}

void set_inside(BindSpec& bind, std::string_view path) { bind.inside = absolute_path(path, "/"); }

void set_partition(BindSpec& bind, std::string_view number, std::string_view text) {
  bind.partition = base::find_number<std::uint32_t>(number).value_or(0);
  if (bind.partition == 0) {
    throw base::error("bind ", base::printable(text), ": id=", base::printable(number),
                      " is no partition's id");
  }
  if (!bind.inside) bind.inside = "/";
}

void apply_option(BindSpec& bind, std::string_view option, std::string_view text) {
  if (option.starts_with(kInside)) return set_inside(bind, option.substr(kInside.size()));
  if (option.starts_with(kPartition))
    return set_partition(bind, option.substr(kPartition.size()), text);
  if (!is_option(option)) {
    throw base::error("bind ", base::printable(text), ": unknown option ", base::printable(option),
                      ", expected ro, rw, image-src=PATH, id=N or nonested");
  }
  if (option == "nonested") bind.nested = false;
  if (option == "ro" || option == "rw") bind.read_only = option == "ro";
}

BindSpec make_bind(std::string_view source, std::string_view destination, std::string_view text,
                   std::string_view working_directory) {
  if (source.empty()) throw base::error("bind ", base::printable(text), ": the source is empty");
  if (source.find('\0') != std::string_view::npos ||
      destination.find('\0') != std::string_view::npos)
    throw base::error("bind ", base::printable(text), ": a path holds a NUL byte");
  BindSpec bind;
  bind.source = absolute_path(source, working_directory);
  if (destination.empty()) {
    bind.destination = bind.source;
  } else if (destination[0] != '/') {
    throw base::error("bind ", base::printable(text), ": the destination ",
                      base::printable(destination), " must be an absolute path");
  } else {
    bind.destination = absolute_path(destination, "/");
  }
  if (bind.destination == "/") {
    throw base::error("bind ", base::printable(text),
                      ": the container's root cannot be bound over");
  }
  return bind;
}

BindSpec parse_bind(std::string_view text, std::string_view working_directory) {
  const std::vector<std::string> fields = split_unescaped(text, ':');
  if (fields.size() > 3) {
    throw base::error("bind ", base::printable(text),
                      ": more than three fields, expected SRC[:DST[:OPTIONS]]");
  }
  const auto field = [&](std::size_t i) {
    return i < fields.size() ? unescape(base::trimmed(fields[i])) : std::string();
  };
  BindSpec bind = make_bind(field(0), field(1), text, working_directory);
  if (fields.size() > 2) apply_option(bind, field(2), text);
  return bind;
}

BindSpec parse_mount(const std::string& text, std::string_view working_directory) {
  std::optional<std::string> source, destination;
  BindSpec options;
  const std::vector<std::string> fields =
      base::split_csv(text, base::cat("mount ", base::printable(text)));
  for (const std::string& field : fields) {
    const std::size_t equals = field.find('=');
    const std::string key = field.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
    if (key == "type") {
      if (value != "bind") {
        throw base::error("mount ", base::printable(text), ": type ", base::printable(value),
                          " is not supported, only bind is");
      }
    } else if (key == "src" || key == "source") {
      source = value;
    } else if (key == "dst" || key == "destination" || key == "target") {
      destination = value;
    } else if (key == "ro" || key == "readonly") {
      options.read_only = value.empty() || value == "true" || value == "1";
    } else if (key == "nonested") {
      options.nested = false;
    } else if (key == "image-src") {
      set_inside(options, value);
    } else if (key == "id") {
      set_partition(options, value, text);
    } else {
      throw base::error("mount ", base::printable(text), ": unknown key ", base::printable(key));
    }
  }
  if (!source || !destination) {
    throw base::error("mount ", base::printable(text),
                      ": expected type=bind,source=SRC,destination=DST[,ro]");
  }
  if (destination->empty())
    throw base::error("mount ", base::printable(text), ": the destination is empty");
  BindSpec bind = make_bind(*source, *destination, text, working_directory);
  options.source = std::move(bind.source);
  options.destination = std::move(bind.destination);
  return options;
}

}  // namespace

std::vector<BindSpec> parse_bind_list(std::string_view text, std::string_view working_directory) {
  std::vector<BindSpec> binds;
  bool takes_options = false;
  for (const std::string& item : split_unescaped(text, ',')) {
    const std::string field(base::trimmed(item));
    // "src:dst:ro,nonested": a further option of the bind before.
    if (takes_options && is_option(field)) {
      apply_option(binds.back(), field, text);
      continue;
    }
    if (field.empty()) continue;  // a trailing comma, as scripts leave it
    binds.push_back(parse_bind(field, working_directory));
    takes_options = split_unescaped(field, ':').size() == 3;
  }
  return binds;
}

std::vector<BindSpec> parse_mounts(std::string_view text, std::string_view working_directory) {
  std::vector<BindSpec> binds;
  for (const std::string& line : base::split(text, '\n')) {
    const std::string record(line.substr(0, line.find_last_not_of('\r') + 1));
    if (!record.empty()) binds.push_back(parse_mount(record, working_directory));
  }
  return binds;
}

std::string absolute_path(std::string_view path, std::string_view base) {
  return normal_path(path.starts_with('/') ? std::string(path) : base::cat(base, "/", path));
}

}  // namespace runtime
