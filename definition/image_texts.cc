// SPDX-License-Identifier: Apache-2.0
#include "definition/image_texts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "definition/syntax.h"
#include "oci/json.h"
#include "oci/singularity_d.h"
#include "runtime/path_in_root.h"
#include "runtime/root_tree.h"

namespace definition {
namespace {

constexpr const char* kFolder = "/.singularity.d/";
constexpr const char* kLabels = "/.singularity.d/labels.json";
constexpr const char* kEnvironment = "/.singularity.d/env/90-environment.sh";
constexpr const char* kAppsEnvironment = "/.singularity.d/env/94-appsbase.sh";
constexpr const char* kDefinition = "/.singularity.d/Singularity";
constexpr const char* kHistory = "/.singularity.d/bootstrap_history/Apptainer";
constexpr int kMaxHistory = 1000;
constexpr mode_t kScriptMode = 0755, kTextMode = 0644;

struct ScriptRow {
  std::string_view section, said;
};
constexpr std::array<ScriptRow, 3> kScripts = {{{"startscript", "Adding startscript"},
                                                {"runscript", "Adding runscript"},
                                                {"test", "Adding testscript"}}};

using Labels = std::map<std::string, std::string>;

// With the interpreter that its first line or its section names.
std::string script_text(const Section& section) {
  std::string_view first = "#!/bin/sh", rest = section.text;
  const std::size_t begin = rest.find_first_not_of(" \t\r\n");
  std::string named;
  if (begin != std::string_view::npos && rest.substr(begin).starts_with("#!")) {
    rest = rest.substr(begin);
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    first = rest.substr(0, end);
    rest = rest.substr(std::min(end + 1, rest.size()));
  } else if (const std::string_view interpreter = interpreter_of(section); !interpreter.empty()) {
    named = base::cat("#!", interpreter);
    first = named;
  }
  return base::cat(first, "\n\n", rest, "\n");
}

// A section without a line leaves what the base image has.
const Section* find_filled(const Stage& stage, std::string_view name) {
  const Section* section = stage.find(name);
  return section == nullptr || section->text.empty() ? nullptr : section;
}

// A text that is no object of texts holds no labels.
Labels read_labels(const RootFolder& root, const std::string& file) {
  const std::optional<std::string> text = root.find_text(file);
  if (!text) return {};
  try {
    return oci::JsonValue::parse(*text, file).text_map();
  } catch (const base::Error& problem) {
    base::log_warning(problem.what());
    return {};
  }
}

void write_labels(const Labels& labels, const std::string& file, RootFolder& root) {
  root.write_text(file, oci::indented_json(nlohmann::ordered_json(labels)), kTextMode);
}

// Monday_30_November_2026_5:39:51_UTC
std::string build_date(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> day{}, month{};
  std::strftime(day.data(), day.size(), "%A", &parts);
  std::strftime(month.data(), month.size(), "%B", &parts);
  return base::cat(day.data(), "_", parts.tm_mday, "_", month.data(), "_", 1900 + parts.tm_year,
                   "_", parts.tm_hour, ":", parts.tm_min, ":", parts.tm_sec, "_UTC");
}

void add_generated_labels(const Stage& stage, const ImageFacts& facts, const RootFolder& root,
                          Labels& labels) {
  constexpr std::string_view kHelp = "/.singularity.d/runscript.help";
  labels["org.label-schema.schema-version"] = "1.0";
  labels["org.label-schema.build-arch"] = facts.go_arch;
  labels["org.label-schema.build-date"] = build_date(facts.built);
  if (root.find_text(std::string(kHelp))) {
    labels["org.label-schema.usage"] = kHelp;
    labels["org.label-schema.usage.apptainer.runscript.help"] = kHelp;
  }
  for (const auto& [key, value] : stage.header)
    labels["org.label-schema.usage.singularity.deffile." + key] = value;
}

void add_labels(const Stage& stage, const ImageFacts& facts, RootFolder& root) {
  Labels labels = read_labels(root, kLabels);
  add_generated_labels(stage, facts, root, labels);
  const Section* section = stage.find("labels");
  std::string text = section == nullptr ? "" : section->text;
  if (section != nullptr) base::log_info("Adding labels");
  text += root.find_text(kPostLabels).value_or("");
  Labels own;  // of a name that is given twice, the last value counts
  for (const auto& [key, value] : parse_labels(text)) own[key] = value;
  for (const auto& [key, value] : own) {
    if (labels.contains(key) && !facts.replace_labels) {
      base::log_warning("Label: ", base::printable(key),
                        " already exists and force option is false, not overwriting");
    } else {
      labels[key] = value;
    }
  }
  write_labels(labels, kLabels, root);
}

std::string app_environment(const std::string& app) {
  const std::string root = "/scif/apps/" + app, data = "/scif/data/" + app;
  return base::cat("#!/bin/sh\n\nSCIF_APPNAME=", app, "\nSCIF_APPROOT=\"", root,
                   "\"\nSCIF_APPMETA=\"", root,
                   "/scif\"\nSCIF_DATA=\"/scif/data\"\nSCIF_APPDATA=\"", data,
                   "\"\nSCIF_APPINPUT=\"", data, "/input\"\nSCIF_APPOUTPUT=\"", data,
                   "/output\"\nexport SCIF_APPDATA SCIF_APPNAME SCIF_APPROOT SCIF_APPMETA "
                   "SCIF_APPINPUT SCIF_APPOUTPUT SCIF_DATA\n");
}

// A variable's name cannot hold all that an app's may.
std::string as_variable(std::string_view name) {
  std::string out(name);
  std::ranges::replace_if(
      out, [](char c) { return !is_name_character(c); }, '_');
  return out;
}

struct AppTextRow {
  std::string_view section, file;  // below the app's scif folder
  bool is_script;
  std::string_view variable;
};
constexpr std::array<AppTextRow, 5> kAppTexts = {
    {{"env", "env/90-environment.sh", false, "SCIF_APPENV_"},
     {"run", "runscript", true, "SCIF_APPRUN_"},
     {"start", "startscript", true, "SCIF_APPSTART_"},
     {"test", "test", true, ""},
     {"help", "runscript.help", false, ""}}};

// What all apps see of this one.
std::string app_exports(const App& app) {
  const std::string name = as_variable(app.name);
  const std::string root = "/scif/apps/" + app.name;
  std::string text = base::cat("# The app ", app.name, "\n");
  const auto export_as = [&](std::string_view variable, std::string_view value) {
    text += base::cat("export ", variable, name, "=\"", value, "\"\n");
  };
  export_as("SCIF_APPDATA_", "/scif/data/" + app.name);
  export_as("SCIF_APPMETA_", root + "/scif");
  export_as("SCIF_APPROOT_", root);
  export_as("SCIF_APPBIN_", root + "/bin");
  export_as("SCIF_APPLIB_", root + "/lib");
  export_as("SCIF_APPLABELS_", root + "/scif/labels.json");
  for (const AppTextRow& row : kAppTexts) {
    if (!row.variable.empty() && app.sections.contains(row.section))
      export_as(row.variable, base::cat(root, "/scif/", row.file));
  }
  return text;
}

void add_app(const App& app, RootFolder& root) {
  const std::string folder = "/scif/apps/" + app.name, meta = folder + "/scif/";
  for (const std::string& made :
       {folder + "/bin", folder + "/lib", "/scif/data/" + app.name + "/input",
        "/scif/data/" + app.name + "/output"})
    root.make_folder(made);
  root.write_text(meta + "env/01-base.sh", app_environment(app.name), kScriptMode);
  for (const AppTextRow& row : kAppTexts) {
    const auto found = app.sections.find(row.section);
    if (found == app.sections.end() || found->second.text.empty()) continue;
    const bool is_help = row.section == "help";
    root.write_text(base::cat(meta, row.file),
                    row.is_script ? script_text(found->second) : found->second.text,
                    is_help ? kTextMode : kScriptMode);
  }
  Labels labels = {{"SCIF_APP_NAME", app.name}};
  if (const auto found = app.sections.find("labels"); found != app.sections.end()) {
    for (const auto& [key, value] : parse_labels(found->second.text)) labels[key] = value;
  }
  write_labels(labels, meta + "labels.json", root);
}

bool has_entry(const RootFolder& root, const std::string& folder, std::string_view name) {
  const std::optional<base::UniqueFd> found = runtime::find_in_root(root.fd(), folder);
  struct stat status {};
  return found &&
         ::fstatat(found->get(), std::string(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

void add_mount_points(RootFolder& root) {
  for (const oci::NeededFolder& needed : oci::needed_folders()) {
    const std::string path = base::cat("/", needed.path);
    if (has_entry(root, std::string(runtime::parent_path(path)), runtime::base_name(path)))
      continue;
    const base::UniqueFd made = root.make_folder(path);
    ::chmod(base::cat("/proc/self/fd/", made.get()).c_str(), needed.mode);
  }
  for (const std::string_view name : oci::needed_files())
    if (!has_entry(root, "/etc", name)) root.write_text(base::cat("/etc/", name), "", kTextMode);
}

void add_texts(const Stage& stage, const ImageFacts& facts, RootFolder& root) {
  if (const Section* help = find_filled(stage, "help")) {
    base::log_info("Adding help info");
    root.write_text(base::cat(kFolder, "runscript.help"), help->text + "\n", kTextMode);
  }
  add_labels(stage, facts, root);
  if (const Section* environment = find_filled(stage, "environment")) {
    base::log_info("Adding environment to container");
    root.write_text(kEnvironment,
                    base::cat(root.find_text(kEnvironment).value_or("#!/bin/sh\n"), "\n",
                              environment->text, "\n"),
                    kScriptMode);
  }
  for (const ScriptRow& row : kScripts) {
    const Section* section = find_filled(stage, row.section);
    if (section == nullptr) continue;
    base::log_info(row.said);
    root.write_text(base::cat(kFolder, row.section), script_text(*section), kScriptMode);
  }
}

void add_definition(const Stage& stage, std::string_view text, RootFolder& root) {
  const std::string bootstrap = base::lower_case(stage.header_value("bootstrap"));
  const bool has_history = bootstrap == "localimage" || bootstrap == "oras";
  const std::optional<std::string> old = has_history ? root.find_text(kDefinition) : std::nullopt;
  if (old) {
    int number = 0;
    while (number < kMaxHistory && root.find_text(base::cat(kHistory, number))) ++number;
    root.write_text(base::cat(kHistory, number), *old, kTextMode);
  }
  root.write_text(kDefinition, text, kTextMode);
}

void add_apps(const Stage& stage, RootFolder& root) {
  if (stage.apps.empty()) return;
  std::string exports = root.find_text(kAppsEnvironment).value_or("#!/bin/sh\n");
  for (const App& app : stage.apps) {
    add_app(app, root);
    exports += app_exports(app);
  }
  root.write_text(kAppsEnvironment, exports, kScriptMode);
}

std::string post_script(const Stage& stage) {
  const Section* post = stage.find("post");
  std::string text = post == nullptr ? "" : post->text;
  for (const App& app : stage.apps) {
    const auto install = app.sections.find("install");
    if (install == app.sections.end()) continue;
    text += base::cat("cd /\n. /scif/apps/", app.name, "/scif/env/01-base.sh\ncd /scif/apps/",
                      app.name, "\n", install->second.text, "cd /\n");
  }
  return text;
}

std::string_view interpreter_of(const Section& section) {
  const std::string_view arguments = section.arguments;
  return arguments.starts_with("-c ") ? base::trimmed(arguments.substr(3)) : std::string_view();
}

}  // namespace definition
