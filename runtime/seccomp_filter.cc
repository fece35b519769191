// SPDX-License-Identifier: Apache-2.0
#include "runtime/seccomp_filter.h"

#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRules = 10000;

struct Word {
  std::string_view name;
  std::uint32_t value;
};
constexpr auto kActions = std::to_array<Word>({{"SCMP_ACT_KILL", SCMP_ACT_KILL},
                                               {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
                                               {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
                                               {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
                                               {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
                                               {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
                                               {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
                                               {"SCMP_ACT_LOG", SCMP_ACT_LOG}});
constexpr auto kComparisons = std::to_array<Word>({{"SCMP_CMP_NE", SCMP_CMP_NE},
                                                   {"SCMP_CMP_LT", SCMP_CMP_LT},
                                                   {"SCMP_CMP_LE", SCMP_CMP_LE},
                                                   {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                                   {"SCMP_CMP_GE", SCMP_CMP_GE},
                                                   {"SCMP_CMP_GT", SCMP_CMP_GT},
                                                   {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}});
// Go's names of architectures, which includes.arches and excludes.arches use.
constexpr auto kArchitectures = std::to_array<Word>({{"amd64", SCMP_ARCH_X86_64},
                                                     {"x86", SCMP_ARCH_X86},
                                                     {"x32", SCMP_ARCH_X32},
                                                     {"arm64", SCMP_ARCH_AARCH64},
                                                     {"arm", SCMP_ARCH_ARM},
                                                     {"ppc64le", SCMP_ARCH_PPC64LE},
                                                     {"s390x", SCMP_ARCH_S390X},
                                                     {"riscv64", SCMP_ARCH_RISCV64}});

// Reads a profile into a libseccomp context, piece by piece.
class ProfileReader {
 public:
  ProfileReader(std::string_view name, Capabilities capabilities, scmp_filter_ctx context)
      : name_(base::printable(name)), capabilities_(capabilities), context_(context) {}

  void read(const json& profile);

 private:
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw base::error("seccomp profile ", name_, ": ", parts...);
  }
  template <typename Table>
  std::uint32_t word(const Table& table, const std::string& text) const {
    const auto* found = std::ranges::find(table, text, &Word::name);
    if (found == table.end()) fail("unknown word ", base::printable(text));
    return found->value;
  }
  std::string text(const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string()) fail(key, " must be a text");
    return found->get<std::string>();
  }
  std::uint64_t number(const json& object, const char* key, std::uint64_t absent) const {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return absent;
    if (!found->is_number_unsigned()) fail(key, " must be a number");
    return found->get<std::uint64_t>();
  }
  const json& list(const json& object, const char* key) const {
    static const json kEmpty = json::array();
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return kEmpty;
    if (!found->is_array()) fail(key, " must be a list");
    return *found;
  }
  std::uint32_t action(const json& object, const char* key, const char* errno_key) const;
  bool applies(const json& rule) const;
  bool condition_holds(const json& condition, bool all) const;
  std::vector<scmp_arg_cmp> comparisons(const json& rule) const;
  void add_rules(const json& rule);
  void add_rule(std::uint32_t wanted, int number, std::span<const scmp_arg_cmp> arguments,
                std::string_view name);

  std::string name_;
  Capabilities capabilities_;
  scmp_filter_ctx context_;  // borrowed
  std::uint32_t default_action_ = 0;
  std::size_t rules_ = 0;
};

std::uint32_t ProfileReader::action(const json& object, const char* key,
                                    const char* errno_key) const {
  const std::uint32_t value = word(kActions, text(object, key));
  const auto data = static_cast<std::uint32_t>(number(object, errno_key, EPERM)) & 0xFFFF;
  if (value == SCMP_ACT_ERRNO(0)) return SCMP_ACT_ERRNO(data);
  return value == SCMP_ACT_TRACE(0) ? SCMP_ACT_TRACE(data) : value;
}

// Docker's own extensions: rules for some architectures, or for containers with capabilities.
bool ProfileReader::condition_holds(const json& condition, bool all) const {
  bool any = false, every = true;
  const auto count = [&](bool holds) {
    any = any || holds;
    every = every && holds;
  };
  for (const json& name : list(condition, "caps"))
    count((capability_bit(name.get<std::string>()) & capabilities_) != 0);
  const json& arches = list(condition, "arches");
  if (!arches.empty()) {
    count(std::ranges::any_of(arches, [](const json& arch) {
      const auto* found = std::ranges::find(kArchitectures, arch.get<std::string>(), &Word::name);
      return found != kArchitectures.end() && found->value == seccomp_arch_native();
    }));
  }
  return all ? every : any;
}

bool ProfileReader::applies(const json& rule) const {
  const auto includes = rule.find("includes"), excludes = rule.find("excludes");
  if (includes != rule.end() && includes->is_object() && !condition_holds(*includes, true))
    return false;
  return excludes == rule.end() || !excludes->is_object() || !condition_holds(*excludes, false);
}

std::vector<scmp_arg_cmp> ProfileReader::comparisons(const json& rule) const {
  std::vector<scmp_arg_cmp> found;
  for (const json& argument : list(rule, "args")) {
    scmp_arg_cmp comparison{};
    const std::uint64_t index = number(argument, "index", 6);
    if (index > 5) fail("a system call has six arguments, index ", index, " is not among them");
    comparison.arg = static_cast<unsigned>(index);
    comparison.op = static_cast<scmp_compare>(word(kComparisons, text(argument, "op")));
    comparison.datum_a = number(argument, "value", 0);
    comparison.datum_b = number(argument, "valueTwo", 0);
    found.push_back(comparison);
  }
  return found;
}

bool has_repeated_argument(std::span<const scmp_arg_cmp> comparisons) {
  for (std::size_t i = 1; i < comparisons.size(); ++i)
    if (std::ranges::count(comparisons.first(i), comparisons[i].arg, &scmp_arg_cmp::arg) > 0)
      return true;
  return false;
}

void ProfileReader::add_rules(const json& rule) {
  if (!rule.is_object()) fail("a rule must be an object");
  const std::uint32_t wanted = action(rule, "action", "errnoRet");
  // libseccomp refuses rules that do what is done anyway.
  if (!applies(rule) || wanted == default_action_) return;
  std::vector<std::string> names;
  if (rule.contains("name")) names.push_back(text(rule, "name"));
  for (const json& name : list(rule, "names")) names.push_back(name.get<std::string>());
  const std::vector<scmp_arg_cmp> arguments = comparisons(rule);
  for (const std::string& name : names) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    if (!has_repeated_argument(arguments)) {
      add_rule(wanted, number, arguments, name);
      continue;
    }
    // libseccomp takes one comparison of an argument; runc has any of them do then.
    for (const scmp_arg_cmp& comparison : arguments)
      add_rule(wanted, number, {&comparison, 1}, name);
  }
}

void ProfileReader::add_rule(std::uint32_t wanted, int number,
                             std::span<const scmp_arg_cmp> arguments, std::string_view name) {
  if (++rules_ > kMaxRules) fail("more than ", kMaxRules, " rules");
  const int problem = seccomp_rule_add_array(
      context_, wanted, number, static_cast<unsigned>(arguments.size()), arguments.data());
  if (problem != 0)
    throw base::errno_error(-problem, "seccomp profile ", name_, ": rule for ",
                            base::printable(name));
}

void ProfileReader::read(const json& profile) {
  if (!profile.is_object()) fail("expected an object");
  default_action_ = action(profile, "defaultAction", "defaultErrnoRet");
  if (seccomp_reset(context_, default_action_) != 0) fail("cannot start a filter");
  // no_new_privs is set already; a program for another architecture is none of the image's.
  seccomp_attr_set(context_, SCMP_FLTATR_CTL_NNP, 0);
  if (seccomp_arch_native() == SCMP_ARCH_X86_64) {
    seccomp_arch_add(context_, SCMP_ARCH_X86);
    seccomp_arch_add(context_, SCMP_ARCH_X32);
  }
  for (const json& rule : list(profile, "syscalls")) add_rules(rule);
}

}  // namespace

void SeccompFilter::Release::operator()(void* context) const { seccomp_release(context); }

SeccompFilter::SeccompFilter(std::string_view text, std::string_view name,
                             Capabilities capabilities)
    : context_(seccomp_init(SCMP_ACT_ALLOW)) {
  if (!context_) throw base::error("cannot make a seccomp filter");
  try {
    ProfileReader(name, capabilities, context_.get()).read(json::parse(text));
  } catch (const json::exception& problem) {
    throw base::error("seccomp profile ", base::printable(name), ": ",
                      base::printable(problem.what()));
  }
}

void SeccompFilter::install() const {
  if (const int problem = seccomp_load(context_.get()); problem != 0)
    throw base::errno_error(-problem, "cannot install the seccomp filter");
}

std::optional<SeccompFilter> load_filter(const std::string& path, Capabilities capabilities) {
  if (path.empty()) return std::nullopt;
  return SeccompFilter(base::read_small_file(path), path, capabilities);
}

}  // namespace runtime
