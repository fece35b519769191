// SPDX-License-Identifier: Apache-2.0
// inspect and run-help: what an image tells about itself, without running anything of it.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "cmd/verbs.h"
#include "oci/image_metadata.h"
#include "runtime/image_files.h"
#include "sif/sif_reader.h"

namespace cmd {
namespace {

using oci::AppMetadata;
using oci::ImageMetadata;
using enum OptionKind;

constexpr auto kInspectTable = std::to_array<OptionRow>({
    {.name = "labels", .letter = 'l', .help = "labels (shown if nothing else is asked for)"},
    {.name = "deffile", .letter = 'd', .help = "the definition file that the image was built from"},
    {.name = "runscript", .letter = 'r', .help = "what `run` runs"},
    {.name = "startscript", .letter = 's', .help = "what `instance start` runs"},
    {.name = "test", .letter = 't', .help = "what `test` runs"},
    {.name = "environment", .letter = 'e', .help = "scripts that set the environment"},
    {.name = "helpfile", .letter = 'H', .help = "the text of `run-help`"},
    {.name = "list-apps", .help = "names of the apps in the image"},
    {.name = "app", .kind = text, .value = "NAME", .help = "the same of an app"},
    {.name = "all", .help = "everything, as JSON"},
    {.name = "json", .letter = 'j', .help = "print JSON"},
    {.name = "help", .letter = 'h', .help = "this text"},
});

constexpr auto kRunHelpTable = std::to_array<OptionRow>({
    {.name = "app",
     .kind = text,
     .value = "NAME",
     .help = "the help of an app",
     .env = "APP APPNAME"},
    {.name = "help", .letter = 'h', .help = "this text"},
});

// Sections that are one text; `file` is its name below the image's or the app's folder of scripts.
struct TextSection {
  std::string_view option;
  std::string_view file;
  std::string AppMetadata::*member;
};
constexpr auto kTexts = std::to_array<TextSection>({
    {"runscript", "runscript", &AppMetadata::runscript},
    {"startscript", "startscript", &AppMetadata::startscript},
    {"test", "test", &AppMetadata::test},
    {"helpfile", "runscript.help", &AppMetadata::helpfile},
});
constexpr std::string_view kImageScripts = "/.singularity.d/";

std::string app_scripts(const std::string& app) { return "/scif/apps/" + app + "/scif/"; }

std::string without_last_newlines(std::string text) {
  text.resize(text.find_last_not_of('\n') + 1);
  return text;
}

std::string text_of(const runtime::ImageFiles& files, const std::string& path) {
  return without_last_newlines(files.read(path).value_or(""));
}

bool shown_environment(std::string_view name, bool of_app) {
  const bool own = name.starts_with('9') && name.ends_with("-environment.sh");
  return own || (!of_app && name.starts_with("10-docker") && name.ends_with(".sh"));
}

void read_scripts(const runtime::ImageFiles& files, const std::string& folder, bool of_app,
                  AppMetadata& to) {
  for (const TextSection& section : kTexts)
    to.*section.member = text_of(files, base::cat(folder, section.file));
  for (const std::string& name : files.list(folder + "env")) {
    const std::string path = folder + "env/" + name;
    if (!shown_environment(name, of_app)) continue;
    if (const auto text = files.read(path)) to.environment[path] = without_last_newlines(*text);
  }
  if (const auto text = files.read(folder + "labels.json")) {
    try {
      to.labels = oci::parse_labels(*text, folder + "labels.json");
    } catch (const base::Error& error) {
      base::log_warning("Unable to parse labels: ", error.what());
    }
  }
}

// What image builders keep beside the file system; nullopt if the image is no SIF or has nothing.
std::optional<ImageMetadata> find_stored_metadata(const std::string& path) {
  const std::optional<sif::SifFile> file = sif::find_sif(path);
  if (!file) return std::nullopt;
  const sif::SifDescriptor* object = sif::find_object(file->container, oci::kMetadataObject);
  if (object == nullptr) return std::nullopt;
  try {
    const std::string text = sif::read_object(*file, *object, runtime::ImageFiles::kMaxTextSize);
    return oci::parse_image_metadata(text, std::string(oci::kMetadataObject));
  } catch (const base::Error& error) {
    base::log_warning("Unable to read ", oci::kMetadataObject, " SIF descriptor: ", error.what());
    return std::nullopt;
  }
}

// A SIF's definition is an object, exact to the last newline, also where an old builder kept
// nothing else.
std::optional<std::string> find_stored_definition(const std::string& path) {
  const std::optional<sif::SifFile> file = sif::find_sif(path);
  if (!file) return std::nullopt;
  for (const sif::SifDescriptor& object : file->container.descriptors) {
    if (object.type == sif::DataType::definition_file)
      return sif::read_object(*file, object, runtime::ImageFiles::kMaxTextSize);
  }
  return std::nullopt;
}

ImageMetadata read_metadata(const std::string& path) {
  if (auto stored = find_stored_metadata(path)) return std::move(*stored);
  const runtime::ImageFiles files(path);
  ImageMetadata metadata;
  const std::string folder(kImageScripts);
  read_scripts(files, folder, false, metadata);
  metadata.deffile = find_stored_definition(path).value_or(text_of(files, folder + "Singularity"));
  for (const std::string& app : files.list("/scif/apps")) {
    if (files.is_directory(app_scripts(app)))
      read_scripts(files, app_scripts(app), true, metadata.apps[app]);
  }
  return metadata;
}

void keep_sections(const ParsedOptions& parsed, bool labels, AppMetadata& of) {
  for (const TextSection& section : kTexts)
    if (!parsed.flag(section.option)) (of.*section.member).clear();
  if (!parsed.flag("environment")) of.environment.clear();
  if (!labels) of.labels.clear();
}

ImageMetadata keep_wanted(const ParsedOptions& parsed, ImageMetadata all) {
  if (parsed.flag("all")) return all;
  static constexpr auto kOthers = std::to_array<std::string_view>(
      {"deffile", "runscript", "startscript", "test", "environment", "helpfile", "list-apps"});
  const bool labels =
      parsed.flag("labels") ||
      std::ranges::none_of(kOthers, [&](std::string_view name) { return parsed.flag(name); });
  if (!parsed.flag("deffile")) all.deffile.clear();
  const std::string app = parsed.text("app").value_or("");
  if (app.empty()) {
    keep_sections(parsed, labels, all);
    if (!parsed.flag("list-apps")) all.apps.clear();
    return all;
  }
  ImageMetadata of_app;
  of_app.deffile = all.deffile;
  if (parsed.flag("list-apps")) of_app.apps = all.apps;
  if (const auto found = all.apps.find(app); found != all.apps.end()) {
    keep_sections(parsed, labels, found->second);
    of_app.apps[app] = found->second;
  }
  return of_app;
}

void print_line(std::string_view text) {
  if (!text.empty()) base::print(text, "\n");
}

void print_sections(const ImageMetadata& image, const AppMetadata& of) {
  print_line(image.deffile);
  print_line(of.runscript);
  print_line(of.startscript);
  print_line(of.test);
  print_line(of.helpfile);
  for (const auto& [path, text] : of.environment) base::print("=== ", path, " ===\n", text, "\n\n");
  for (const auto& [label, value] : of.labels) base::print(label, ": ", value, "\n");
}

}  // namespace

int run_inspect_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("IMAGE", kInspectTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& path = invocation.only_argument(*parsed);
  invocation.understood(*parsed);
  const ImageMetadata shown = keep_wanted(*parsed, read_metadata(path));
  if (parsed->flag("json") || parsed->flag("all")) {
    base::print(oci::metadata_document(shown), "\n");
    return EXIT_SUCCESS;
  }
  if (parsed->flag("list-apps")) {
    for (const auto& [app, metadata] : shown.apps) base::print(app, "\n");
  }
  const auto app = shown.apps.find(parsed->text("app").value_or(""));
  print_sections(shown, app == shown.apps.end() ? shown : app->second);
  return EXIT_SUCCESS;
}

int run_help_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("IMAGE", kRunHelpTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& path = invocation.only_argument(*parsed);
  invocation.understood(*parsed);
  const std::string app = parsed->text("app").value_or("");
  const std::string folder = app.empty() ? std::string(kImageScripts) : app_scripts(app);
  const auto text = runtime::ImageFiles(path).read(folder + "runscript.help");
  base::print(without_last_newlines(text.value_or("No help sections were defined for this image")),
              "\n");
  return EXIT_SUCCESS;
}

}  // namespace cmd
