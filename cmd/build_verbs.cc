// SPDX-License-Identifier: Apache-2.0
// build, pull and push: Apptainer's command lines for what sifconv does, and building from
// definition files.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/definition_build.h"
#include "cmd/exit_codes.h"
#include "cmd/sifconv_call.h"
#include "cmd/verbs.h"
#include "definition/definition_file.h"
#include "oci/image_source.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::string_view kNeedsEncryption = "images are not encrypted here";

template <std::size_t M, std::size_t N>
constexpr std::array<OptionRow, M + N> joined(const std::array<OptionRow, M>& own,
                                              const std::array<OptionRow, N>& shared) {
  std::array<OptionRow, M + N> all{};
  std::ranges::copy(shared, std::ranges::copy(own, all.begin()).out);
  return all;
}

// clang-format off
// Of every verb that converts.
constexpr auto kConvertingRows = std::to_array<OptionRow>({
    {.name = "authfile", .kind = text, .value = "FILE", .help = "passwords for registries, as docker login keeps them",
     .env = "AUTH_FILE"},
    {.name = "no-https", .help = "speak to a registry without encryption", .env = "NOHTTPS NO_HTTPS"},
    {.name = "docker-login", .help = "ask for the name and password of the registry", .env = "DOCKER_LOGIN"},
    {.name = "docker-host", .kind = text, .value = "ADDRESS", .help = "the Docker engine to ask"},
    {.name = "help", .letter = 'h', .help = "this text"},
    // Through the environment only: a command line is for everyone to see.
    {.name = "docker-username", .kind = text}, {.name = "docker-password", .kind = text},
    // Of definition files, whose bases are kept and which are built somewhere.
    {.name = "disable-cache", .env = "DISABLE_CACHE"}, {.name = "tmpdir", .kind = text, .env = "TMPDIR"},
    // Accepted without effect: they are always so.
    {.name = "reproducible", .env = "REPRODUCIBLE"}, {.name = "library", .kind = text},
    {.name = "arch-variant", .kind = text},
});

constexpr std::string_view kOfDefinitions = "Definition files";
constexpr auto kBuildTable = joined(std::to_array<OptionRow>({
    {.name = "force", .letter = 'F', .help = "replace DEST if it exists", .env = "FORCE"},
    {.name = "sandbox", .letter = 's', .help = "make a folder instead of a SIF", .env = "SANDBOX"},
    {.name = "fakeroot", .letter = 'f', .help = "in a sandbox, keep owners by the ids that /etc/subuid grants",
     .env = "FAKEROOT"},
    {.name = "fix-perms", .help = "in a sandbox, make everything readable and writable for you",
     .env = "FIXPERMS"},
    {.name = "arch", .kind = text, .value = "ARCH", .help = "of an image for several architectures"},
    {.name = "update", .letter = 'u', .help = "start from DEST, a sandbox, in place of the base image",
     .env = "UPDATE", .group = kOfDefinitions},
    {.name = "notest", .letter = 'T', .help = "leave %test out", .env = "NOTEST", .group = kOfDefinitions},
    {.name = "section", .kind = list, .value = "NAME,...",
     .help = "setup, files, post, environment, labels, test: only these; none: none of them",
     .group = kOfDefinitions},
    {.name = "build-arg", .kind = list, .value = "NAME=VALUE,...", .help = "what {{ NAME }} stands for; repeatable",
     .group = kOfDefinitions},
    {.name = "build-arg-file", .kind = text, .value = "FILE", .help = "lines of NAME=VALUE",
     .group = kOfDefinitions},
    {.name = "warn-unused-build-args", .help = "warn of those that stand nowhere, instead of failing",
     .group = kOfDefinitions},
    {.name = "bind", .letter = 'B', .kind = texts, .value = "SRC[:DST[:OPTS]]",
     .help = "as in exec, for %post and %test", .group = kOfDefinitions},
    {.name = "mount", .kind = texts, .value = "SPEC", .help = "likewise", .group = kOfDefinitions},
    {.name = "nv", .help = "NVIDIA's driver for %post and %test", .env = "NV", .group = kOfDefinitions},
    {.name = "nvccli", .env = "NVCCLI"},
    {.name = "rocm", .help = "AMD's likewise", .env = "ROCM", .group = kOfDefinitions},
    {.name = "writable-tmpfs", .help = "let %test write, to no avail", .group = kOfDefinitions},
    {.name = "ignore-subuid", .help = "be root without the ids that /etc/subuid grants",
     .group = kOfDefinitions},
    // Accepted without effect: they are always so, or of no account here.
    {.name = "userns"},
    {.name = "json"}, {.name = "no-cleanup", .env = "NO_CLEANUP"},
    {.name = "ignore-fakeroot-command"}, {.name = "ignore-userns"},
    {.name = "mksquashfs-args", .kind = text, .env = "MKSQUASHFS_ARGS"},
    {.name = "encrypt", .letter = 'e', .refused = kNeedsEncryption},
    {.name = "passphrase", .refused = kNeedsEncryption},
    {.name = "pem-path", .kind = text, .refused = kNeedsEncryption},
    {.name = "data", .refused = "an image without a root file system is no use to a runner"},
}), kConvertingRows);

constexpr auto kPullTable = joined(std::to_array<OptionRow>({
    {.name = "force", .letter = 'F', .help = "replace the file if it exists", .env = "FORCE"},
    {.name = "name", .kind = text, .value = "FILE", .help = "the file to write"},
    {.name = "dir", .kind = text, .value = "DIR", .help = "where to write it", .env = "PULLDIR PULLFOLDER"},
    {.name = "sandbox", .help = "make a folder instead of a SIF"},
    {.name = "arch", .kind = text, .value = "ARCH", .help = "of an image for several architectures", .env = "PULL_ARCH"},
    // Accepted without effect: signatures are checked by `verify`.
    {.name = "allow-unsigned", .letter = 'U'}, {.name = "allow-unauthenticated"}, {.name = "no-cleanup"},
}), kConvertingRows);

constexpr auto kPushTable = joined(std::to_array<OptionRow>({
    // Accepted without effect: they are for library://.
    {.name = "allow-unsigned", .letter = 'U'}, {.name = "description", .letter = 'D', .kind = text},
}), kConvertingRows);
// clang-format on

bool exists(const std::string& path) { return base::find_status(path, false).has_value(); }

// Archives, images and compressed data have zeros near their beginning, if not there a magic
// number.
bool is_text(std::string_view start) {
  constexpr std::array<std::string_view, 3> kCompressed = {"\x1F\x8B", "\x28\xB5\x2F\xFD", "BZh"};
  return start.find('\0') == start.npos &&
         std::ranges::none_of(kCompressed, [&](auto magic) { return start.starts_with(magic); });
}

// The beginning of a file, or of what is in a pipe, where it stays.
std::string peek(const base::UniqueFd& file, bool is_pipe, const std::string& name) {
  constexpr std::size_t kStart = 4096;
  std::string start(kStart, '\0');
  const auto bytes = std::as_writable_bytes(std::span(start));
  if (!is_pipe) {
    start.resize(base::pread_up_to(file.get(), bytes, 0, name));
    return start;
  }
  base::Pipe copy = base::make_pipe();
  if (::tee(file.get(), copy.write_end.get(), kStart, 0) < 0)
    throw base::errno_error(errno, "cannot read ", base::printable(name));
  copy.write_end.reset();
  start.resize(base::read_up_to(copy.read_end.get(), bytes, name));
  return start;
}

// The text of a definition file; nullopt where SOURCE is an image in whatever form.
std::optional<std::string> find_definition(const std::string& source) {
  const std::optional<struct stat> status = base::find_status(source);
  if (!status) {
    throw base::error("Unable to build from ", base::printable(source), ": unable to open file ",
                      base::printable(source), ": no such file or directory");
  }
  const bool is_pipe = S_ISFIFO(status->st_mode);
  if (!is_pipe && !S_ISREG(status->st_mode)) return std::nullopt;
  const base::UniqueFd file = base::open_file(source, O_RDONLY);
  if (!is_text(peek(file, is_pipe, source))) return std::nullopt;
  return base::read_small_file(file.get(), source, definition::kMaxDefinition);
}

bool may_replace(const std::string& destination) {
  if (::isatty(STDIN_FILENO) != 1) return false;
  const auto answer = base::ask(base::cat("Build target '", base::printable(destination),
                                          "' already exists and will be deleted during the build "
                                          "process. Do you want to continue? [N/y] "));
  return answer == "y" || answer == "Y";
}

// Who makes the same file meanwhile made it as well: the last one stays, whole. A folder may be
// anybody's work.
std::vector<std::string> conversion(const ParsedOptions& parsed, const std::string& source,
                                    const std::string& destination, bool replace) {
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  if (replace || !parsed.flag("sandbox")) arguments.emplace_back("--force");
  if (parsed.flag("sandbox")) arguments.emplace_back("--sandbox");
  if (const auto& arch = parsed.text("arch")) arguments.push_back("--arch=" + *arch);
  arguments.insert(arguments.end(), {"--", source, destination});
  return arguments;
}

bool is_update(const ParsedOptions& parsed, const std::string& destination) {
  if (!parsed.flag("update")) return false;
  if (!parsed.flag("sandbox"))
    throw base::error("--update goes with --sandbox: only a folder can be changed");
  if (!exists(destination))
    throw base::error("could not update sandbox ", base::printable(destination), ": doesn't exist");
  return !parsed.flag("force");  // which starts afresh
}

// Whether what exists is to be replaced. Throws if it may not be.
bool decide_to_replace(const ParsedOptions& parsed, const std::string& destination) {
  if (parsed.flag("force")) return true;
  if (!exists(destination)) return false;
  if (may_replace(destination)) return true;
  throw base::error("While checking build target: build target '", base::printable(destination),
                    "' already exists. Use --force if you want to overwrite it");
}

bool convert_to(const ParsedOptions& parsed, const std::string& source,
                const std::string& destination, bool replace) {
  base::log_info("Starting build...");
  std::vector<std::string> arguments = conversion(parsed, source, destination, replace);
  if (parsed.flag("fix-perms")) arguments.insert(arguments.begin(), "--fix-perms");
  if (parsed.flag("fakeroot")) arguments.insert(arguments.begin(), "--fakeroot");
  return run_sifconv(arguments) == EXIT_SUCCESS;
}

// As Apptainer's build takes both: "docker:NAME" without slashes, and "out/" for a file that is not
// there.
std::string build_source(const std::string& word) {
  constexpr std::string_view kDocker = "docker:";
  if (!word.starts_with(kDocker) || word.starts_with("docker://") || exists(word)) return word;
  return "docker://" + word.substr(kDocker.size());
}
std::string build_target(std::string word) {
  while (word.size() > 1 && word.ends_with('/') && !exists(word)) word.pop_back();
  return word;
}

int build(const ParsedOptions& parsed) {
  const std::string destination = build_target(parsed.positionals()[0]);
  const std::string source = build_source(parsed.positionals()[1]);
  parsed.throw_if_refused();
  if (destination.empty()) throw base::error("the build target's name is empty");
  const bool update = is_update(parsed, destination);
  const bool replace = update || decide_to_replace(parsed, destination);
  std::optional<std::string> definition;
  if (!oci::has_transport(source)) definition = find_definition(source);
  bool built = false;
  if (definition) {
    built =
        build_definition(parsed, {source, *std::move(definition), destination, replace, update});
  } else if (parsed.flag("update")) {
    throw base::error("--update is for definition files, and ", base::printable(source),
                      " is none");
  } else {
    built = convert_to(parsed, source, destination, replace);
  }
  if (!built) return kExitFatal;
  base::log_info("Build complete: ", base::printable(destination));
  return EXIT_SUCCESS;
}

// name_tag.sif: the last part of the address, "latest" where it has no tag. A web server's file
// keeps its name.
std::string pulled_name(std::string_view source) {
  if (source.starts_with("http://") || source.starts_with("https://"))
    return std::string(source.substr(source.rfind('/') + 1));
  const std::string_view last =
      source.substr(source.find_last_of("/:") == std::string_view::npos ? 0 : source.find(':') + 1);
  std::string_view name = last.substr(std::min(last.rfind('/') + 1, last.size()));
  const std::size_t colon = name.find(':');
  std::string tag(colon == std::string_view::npos ? "latest" : name.substr(colon + 1));
  if (tag.find('@') == std::string::npos) tag.resize(std::min(tag.find_first_of(":,"), tag.size()));
  std::ranges::replace(tag, ':', '_');  // of a digest behind the tag
  return base::cat(name.substr(0, colon), "_", tag, ".sif");
}

int pull(const ParsedOptions& parsed) {
  parsed.throw_if_refused();
  const std::vector<std::string>& words = parsed.positionals();
  const std::string& source = words.back();
  if (!oci::has_transport(source)) throw base::error("No transport type URI supplied");
  std::string target = words.size() == 2 ? words[0] : pulled_name(source);
  if (const auto& name = parsed.text("name"); name && !name->empty()) target = *name;
  if (target.empty()) {
    throw base::error(base::printable(source), " names no file")
        .with_hint("pull FILE.sif ADDRESS gives it a name");
  }
  if (const auto& folder = parsed.text("dir"); folder && !folder->empty())
    target = *folder + "/" + target;
  if (!parsed.flag("force") && exists(target)) {
    throw base::error("Image file already exists: \"", base::printable(target),
                      "\" - will not overwrite")
        .with_hint("--force replaces it");
  }
  base::log_info(oci::activity(oci::parse_source(source)));
  const int status = run_sifconv(conversion(parsed, source, target, parsed.flag("force")));
  return status == EXIT_SUCCESS ? EXIT_SUCCESS : kExitFatal;
}

int push(const ParsedOptions& parsed) {
  parsed.throw_if_refused();
  const std::string& target = parsed.positionals()[1];
  if (!target.starts_with("oras://"))
    throw base::error("cannot push to ", base::printable(target), ": oras://HOST/NAME is needed");
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  arguments.insert(arguments.end(), {"--push", "--", parsed.positionals()[0], target});
  if (run_sifconv(arguments) != EXIT_SUCCESS) return kExitFatal;
  base::log_info("Upload complete");
  return EXIT_SUCCESS;
}

}  // namespace

int run_build_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("DEST SOURCE", kBuildTable);
  if (!parsed) return EXIT_SUCCESS;
  if (parsed->positionals().size() != 2) {
    invocation.throw_usage(
        base::cat("accepts 2 arg(s), received ", parsed->positionals().size(), ": DEST SOURCE"));
  }
  invocation.understood(*parsed);
  return build(*parsed);
}

int run_push_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("IMAGE URI", kPushTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::size_t count = parsed->positionals().size();
  if (count != 2) invocation.throw_usage(base::cat("accepts 2 arg(s), received ", count));
  invocation.understood(*parsed);
  return push(*parsed);
}

int run_pull_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("[OUTPUT FILE] URI", kPullTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::size_t count = parsed->positionals().size();
  if (count != 1 && count != 2)
    invocation.throw_usage(base::cat("accepts between 1 and 2 arg(s), received ", count));
  invocation.understood(*parsed);
  return pull(*parsed);
}

}  // namespace cmd
