// SPDX-License-Identifier: Apache-2.0
#include "cmd/definition_recipe.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/image_fetch.h"
#include "definition/base_image.h"
#include "definition/build_arguments.h"
#include "runtime/launch.h"

namespace cmd {
namespace {

definition::BuildArguments given_arguments(const ParsedOptions& parsed) {
  definition::BuildArguments given;
  if (const auto& file = parsed.text("build-arg-file"))
    definition::add_argument_lines(base::read_small_file(*file), given);
  for (const std::string& assignment : parsed.values("build-arg"))
    definition::add_argument(assignment, given);
  return given;
}

std::string text_with_arguments(const ParsedOptions& parsed, const DefinitionRequest& request) {
  const definition::BuildArguments given = given_arguments(parsed);
  std::set<std::string, std::less<>> used;
  std::string text;
  try {
    text = definition::substitute(request.text, given, used);
  } catch (const base::Error& problem) {
    throw base::error("Unable to build from ", base::printable(request.name), ": ", problem.what());
  }
  std::vector<std::string> unused;
  for (const auto& [name, value] : given) {
    if (!used.contains(name)) unused.push_back(base::printable(name));
  }
  if (unused.empty()) return text;
  const std::string names = base::join(unused, " ");
  if (!parsed.flag("warn-unused-build-args")) {
    throw base::error("unused build args: ", names,
                      ". Use option --warn-unused-build-args to show a warning instead of a fatal "
                      "message");
  }
  base::log_warning("Unused build args: ", names);
  return text;
}

// What is in a registry is fetched into the cache once. Of another architecture only the one image
// is wanted.
std::string fetch_base(const ParsedOptions& parsed, const definition::BaseImage& base,
                       const std::optional<std::string>& cache) {
  if (!base.is_remote || !cache || parsed.text("arch")) return base.source;
  const std::optional<std::string> path = fetch_into_cache(parsed, base.source, *cache);
  if (!path) throw AlreadyTold();
  return *path;
}

}  // namespace

Recipe prepare_recipe(const ParsedOptions& parsed, const DefinitionRequest& request) {
  Recipe recipe{text_with_arguments(parsed, request), {}, {}};
  try {
    recipe.stages = definition::parse_definition(recipe.text, request.name);
  } catch (const base::Error& problem) {
    throw base::error("Unable to build from ", base::printable(request.name), ": ", problem.what());
  }
  std::vector<definition::BaseImage> bases;
  for (const definition::Stage& stage : recipe.stages)
    bases.push_back(definition::base_image(stage));
  if (request.update) bases.back() = {request.destination, false};
  base::log_info("Starting build...");
  const bool any_remote = std::ranges::any_of(bases, &definition::BaseImage::is_remote);
  std::optional<std::string> cache;
  if (any_remote) cache = find_image_cache(parsed, runtime::gather_host_facts(nullptr).caller.home);
  for (const definition::BaseImage& base : bases)
    recipe.bases.push_back(fetch_base(parsed, base, cache));
  return recipe;
}

}  // namespace cmd
