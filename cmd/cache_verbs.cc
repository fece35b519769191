// SPDX-License-Identifier: Apache-2.0
// cache: lists and removes the images that were converted because a run named them by an address,
// and what Apptainer keeps beside them.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/text.h"
#include "cmd/verbs.h"
#include "oci/image_cache.h"
#include "runtime/launch.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::string_view kKinds = "library, oci, shub, blob, net, oras or all";
constexpr auto kCacheListTable = std::to_array<OptionRow>({
    {.name = "type", .letter = 'T', .kind = list, .value = "TYPE,...", .help = kKinds},
    {.name = "verbose", .letter = 'v', .help = "show each entry"},
    {.name = "help", .letter = 'h', .help = "this text"},
});
constexpr auto kCleanTable = std::to_array<OptionRow>({
    {.name = "days", .letter = 'D', .kind = text, .value = "N", .help = "only what is older"},
    {.name = "dry-run", .letter = 'n', .help = "only tell what would be removed"},
    {.name = "force", .letter = 'f', .help = "do not ask"},
    {.name = "type", .letter = 'T', .kind = list, .value = "TYPE,...", .help = kKinds},
    {.name = "help", .letter = 'h', .help = "this text"},
});

struct Alias {
  std::string_view name, kind;
};
constexpr auto kAliases =
    std::to_array<Alias>({{"oci", oci::kCachedImages}, {"blobs", oci::kCachedBlobs}});

// In the order of the cache's kinds.
std::vector<std::string_view> chosen_kinds(const Invocation& invocation,
                                           const ParsedOptions& parsed) {
  const std::vector<std::string_view> all(oci::kCacheKinds.begin(), oci::kCacheKinds.end());
  std::vector<std::string_view> named;
  for (std::string_view name : parsed.values("type")) {
    if (name == "all") return all;
    for (const Alias& alias : kAliases)
      if (name == alias.name) name = alias.kind;
    if (std::ranges::find(all, name) == all.end())
      invocation.throw_usage(
          base::cat("--type ", base::printable(name), ": ", kKinds, " is needed"));
    named.push_back(name);
  }
  if (named.empty()) return all;
  std::vector<std::string_view> kinds;
  for (const std::string_view kind : all)
    if (std::ranges::find(named, kind) != named.end()) kinds.push_back(kind);
  return kinds;
}

std::string own_cache() {
  return oci::cache_folder([](const char* name) { return std::getenv(name); },
                           runtime::gather_host_facts(nullptr).caller.home);
}

// Apptainer's units: never less than KiB nor more than GiB.
std::string kibibytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 3> kUnits = {"KiB", "MiB", "GiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.2f %s", value, kUnits.at(unit));
  return text.data();
}

void print_row(std::string_view name, const std::string& date, const std::string& size,
               std::string_view kind) {
  base::print(base::padded(name, 24), " ", base::padded(date, 22), " ", base::padded(size, 16), " ",
              kind, "\n");
}

std::string local_date(time_t when) {
  struct tm parts {};
  ::localtime_r(&when, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

struct Sum {
  std::size_t count = 0;
  std::uint64_t size = 0;
};

int list_cache(const Invocation& invocation) {
  const auto parsed = invocation.parse("", kCacheListTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::vector<std::string_view> kinds = chosen_kinds(invocation, *parsed);
  invocation.understood(*parsed);
  const std::string cache = own_cache();
  const bool verbose = parsed->flag("verbose");
  if (verbose) print_row("NAME", "DATE CREATED", "SIZE", "TYPE");
  Sum images, blobs;
  for (const std::string_view kind : kinds) {
    const bool is_blob = kind == oci::kCachedBlobs;
    Sum& sum = is_blob ? blobs : images;
    for (const oci::CacheEntry& entry :
         oci::cache_entries(base::cat(cache, "/", kind, is_blob ? "/blobs/sha256" : ""))) {
      if (verbose) {
        print_row(base::printable(entry.name.substr(0, 22)), local_date(entry.modified),
                  kibibytes(entry.size), kind);
      }
      ++sum.count;
      sum.size += entry.size;
    }
  }
  if (verbose) base::print("\n");
  const bool has_blobs = kinds.front() == oci::kCachedBlobs;
  const bool has_images = !has_blobs || kinds.size() > 1;
  base::print("There are");
  if (has_images)
    base::print(" ", images.count, " container file(s) using ", kibibytes(images.size));
  if (has_images && has_blobs) base::print(" and");
  if (has_blobs) base::print(" ", blobs.count, " oci blob file(s) using ", kibibytes(blobs.size));
  base::print(" of space\nTotal space used: ", kibibytes(images.size + blobs.size), "\n");
  return EXIT_SUCCESS;
}

bool user_agrees() {
  const auto answer = base::ask(
      "This will delete everything in your cache (containers from all sources and OCI "
      "blobs).\nHint: You can see exactly what would be deleted by canceling and using "
      "the --dry-run option.\nDo you want to continue? [y/N] ");
  if (!answer) throw base::error("no answer on standard input").with_hint("--force does not ask");
  return answer == "y" || answer == "Y" || answer == "yes";
}

void clean_kind(const std::string& cache, std::string_view kind, time_t newest, bool dry) {
  const std::string folder = base::cat(cache, "/", kind);
  const std::vector<oci::CacheEntry> entries = oci::cache_entries(folder);
  if (entries.empty()) base::log_info("No cached files to remove at ", base::printable(folder));
  for (const oci::CacheEntry& entry : entries) {
    if (entry.modified > newest) continue;
    base::log_info("Removing ", kind, " cache entry: ", base::printable(entry.name));
    if (dry) continue;
    std::error_code failure;
    std::filesystem::remove_all(folder + "/" + entry.name, failure);
    if (failure) {
      throw base::errno_error(failure.value(), "cannot remove ",
                              base::printable(folder + "/" + entry.name));
    }
  }
}

int clean_cache(const Invocation& invocation) {
  const auto parsed = invocation.parse("", kCleanTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::vector<std::string_view> kinds = chosen_kinds(invocation, *parsed);
  const std::int64_t days = invocation.integer(*parsed, "days").value_or(0);
  invocation.understood(*parsed);
  const bool dry = parsed->flag("dry-run");
  if (dry) {
    base::print("User requested a dry run. Not actually deleting any data!\n");
    base::flush_output();
  } else if (!parsed->flag("force") && !user_agrees()) {
    base::log_info("Nothing was removed");
    return EXIT_SUCCESS;
  }
  constexpr time_t kDay = 24 * 60 * 60;
  constexpr std::int64_t kMostDays = std::numeric_limits<time_t>::max() / kDay;
  const time_t newest = days > 0 ? std::time(nullptr) - std::min(days, kMostDays) * kDay
                                 : std::numeric_limits<time_t>::max();
  const std::string cache = own_cache();
  for (const std::string_view kind : kinds) clean_kind(cache, kind, newest, dry);
  return EXIT_SUCCESS;
}

constexpr auto kCacheVerbs = std::to_array<VerbRow>({
    {"list", list_cache, "show how much it holds"},
    {"clean", clean_cache, "remove what it holds"},
});

}  // namespace

int run_cache_verb(const Invocation& invocation) {
  return run_second_word(invocation, kCacheVerbs);
}

}  // namespace cmd
