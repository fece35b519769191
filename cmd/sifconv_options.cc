// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv_options.h"

#include <array>
#include <bit>
#include <optional>

#include "base/cpu_count.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/options.h"
#include "sif/codec.h"
#include "sif/sif_format.h"

namespace cmd {
namespace {

constexpr unsigned kMaxThreads = 1024;

constexpr std::array<OptionRow, 21> kOptions = {{
    {.name = "force", .letter = 'f', .help = "replace DEST if it exists", .group = "Options"},
    {.name = "ref",
     .kind = OptionKind::text,
     .value = "NAME:TAG",
     .help = "the image to take if the archive holds several",
     .group = "Options"},
    {.name = "arch",
     .kind = OptionKind::text,
     .value = "ARCH",
     .help = "the architecture to take of an image for several (default: this machine's)",
     .group = "Options"},
    {.name = "sandbox",
     .letter = 's',
     .help = "make a folder with the image's files",
     .group = "Options"},
    {.name = "fix-perms",
     .help = "with --sandbox: all of it readable and writable for you",
     .group = "Options"},
    {.name = "fakeroot",
     .help = "with --sandbox: owners of your own, by the ids that /etc/subuid grants you",
     .group = "Options"},
    {.name = "overlay",
     .kind = OptionKind::text,
     .value = "OVERLAY",
     .help = "SOURCE, a SIF, with the changes in a folder or ext3 image of `exec --overlay`",
     .group = "Options"},
    {.name = "cache",
     .kind = OptionKind::text,
     .value = "FOLDER",
     .help = "convert into this cache unless it is there, and print the file's name; no DEST",
     .group = "Options"},
    {.name = "authfile",
     .kind = OptionKind::text,
     .value = "FILE",
     .help = "the names and passwords for registries, as docker login keeps them",
     .group = "Options"},
    {.name = "push",
     .help = "send the SIF file SOURCE to DEST, which is oras://HOST/NAME[:TAG]",
     .group = "Options"},
    {.name = "check-login",
     .help = "SOURCE is docker://HOST: only see whether it takes the name and password",
     .group = "Options"},
    {.name = "no-https", .help = "speak to a registry without encryption", .group = "Options"},
    {.name = "compression",
     .kind = OptionKind::text,
     .value = "CODEC[:LEVEL]",
     .help = "zstd (default), gzip, lz4 or xz; fast, small: a codec and level chosen for that",
     .group = "Options"},
    {.name = "block-size",
     .kind = OptionKind::text,
     .value = "SIZE",
     .help = "compress in blocks of SIZE, 4K to 1M (default 128K)",
     .group = "Options"},
    {.name = "threads",
     .kind = OptionKind::text,
     .value = "N",
     .help = "compressing threads (default: the CPUs that this process may use)",
     .group = "Options"},
    {.name = "no-progress", .help = "show no progress", .group = "Messages"},
    {.name = "quiet", .letter = 'q', .help = "only warnings and errors", .group = "Messages"},
    {.name = "verbose", .letter = 'v', .help = "tell each step", .group = "Messages"},
    {.name = "json",
     .help = "print the result as one JSON object on standard output",
     .group = "Messages"},
    {.name = "help", .letter = 'h', .help = "print this text", .group = "Messages"},
    {.name = "version", .help = "print the version", .group = "Messages"},
}};

struct CodecChoice {
  std::string_view name;
  sif::Codec codec;
  int default_level;
};
// Levels beyond these cost several times the CPU for a few per cent of size. The last two name an
// aim; `bench/run convert` shows what they cost and give.
constexpr std::array<CodecChoice, 6> kCodecs = {{
    {"zstd", sif::Codec::zstd, 3},
    {"gzip", sif::Codec::gzip, 6},
    {"lz4", sif::Codec::lz4, 9},
    {"xz", sif::Codec::xz, 6},
    {"fast", sif::Codec::lz4, 1},
    {"small", sif::Codec::zstd, 14},
}};

unsigned parse_threads(const std::string& text) {
  const std::optional<unsigned> count = base::find_number<unsigned>(text);
  if (!count || *count == 0 || *count > kMaxThreads)
    throw base::error("--threads ", base::printable(text), ": a number from 1 to ", kMaxThreads,
                      " is needed");
  return *count;
}

// For --push.
void read_push(const std::vector<std::string>& names, SifconvRequest& request) {
  if (names.size() == 2) request.push_target = oci::parse_source(names[1]);
  if (request.push_target.transport != oci::Transport::oras)
    throw base::error("--push: SOURCE and oras://HOST/NAME[:TAG] are needed");
  request.source.path = names[0];
}

// An OCI image layout without its "oci:": its files would make no image that runs.
bool is_layout(const oci::SourceSpec& source) {
  return source.transport == oci::Transport::file &&
         base::find_status(source.path + "/oci-layout") &&
         base::find_status(source.path + "/index.json");
}

void read_positionals(const ParsedOptions& parsed, SifconvRequest& request) {
  const std::vector<std::string>& names = parsed.positionals();
  if (names.empty()) throw base::error("SOURCE is missing");
  if (names.size() > 2)
    throw base::error("too many arguments: ", base::printable(names[2]), " after SOURCE and DEST");
  if (request.action == SifconvRequest::Action::push) return read_push(names, request);
  request.source = oci::parse_source(names[0]);
  if (is_layout(request.source)) request.source.transport = oci::Transport::layout_folder;
  if (request.action == SifconvRequest::Action::check_login) {
    if (names.size() == 2 || request.source.transport != oci::Transport::registry)
      throw base::error("--check-login: docker://HOST is needed, and nothing else");
    return;
  }
  if (!request.cache.empty()) {
    if (names.size() == 2) throw base::error("--cache and DEST exclude each other");
    return;
  }
  request.destination = names.size() == 2 ? names[1] : oci::default_destination(request.source);
  if (request.destination.empty()) throw base::error("DEST is empty");
  if (request.destination == "-") {
    throw base::error(
        "DEST must be a file: an image is not written in order and cannot go to "
        "standard output");
  }
}

}  // namespace

void parse_compression(std::string_view text, sif::SquashfsOptions& options) {
  const std::size_t colon = text.find(':');
  for (const CodecChoice& choice : kCodecs) {
    if (choice.name != text.substr(0, colon)) continue;
    options.codec = choice.codec;
    options.level = choice.default_level;
    if (colon == std::string_view::npos) return;
    const std::optional<unsigned> level = base::find_number<unsigned>(text.substr(colon + 1));
    if (!level || *level > 100)
      throw base::error("--compression ", base::printable(text), ": the level is not a number");
    options.level = static_cast<int>(*level);
    return;
  }
  throw base::error("--compression ", base::printable(text),
                    ": zstd, gzip, lz4, xz, fast or small is needed");
}

std::uint32_t parse_block_size(std::string_view text) {
  std::string_view digits = text;
  unsigned unit = 1;
  if (digits.ends_with('K') || digits.ends_with('k')) unit = 1 << 10;
  if (digits.ends_with('M') || digits.ends_with('m')) unit = 1 << 20;
  if (unit != 1) digits.remove_suffix(1);
  const std::optional<unsigned> count = base::find_number<unsigned>(digits);
  const std::uint64_t size = std::uint64_t{count.value_or(0)} * unit;
  if (size < sif::kMinBlockSize || size > sif::kMaxBlockSize || !std::has_single_bit(size)) {
    throw base::error("--block-size ", base::printable(text),
                      ": a power of two from 4K to 1M is needed");
  }
  return static_cast<std::uint32_t>(size);
}

SifconvRequest parse_sifconv_arguments(std::span<const char* const> arguments) {
  const ParsedOptions parsed = parse_options(kOptions, arguments, {}, Ordering::mixed);
  SifconvRequest request;
  if (parsed.flag("push")) request.action = SifconvRequest::Action::push;
  if (parsed.flag("check-login")) request.action = SifconvRequest::Action::check_login;
  if (parsed.flag("help")) request.action = SifconvRequest::Action::help;
  if (parsed.flag("version")) request.action = SifconvRequest::Action::version;
  if (request.action > SifconvRequest::Action::check_login) return request;
  request.cache = parsed.text("cache").value_or("");
  request.sandbox = parsed.flag("sandbox");
  request.fix_permissions = parsed.flag("fix-perms");
  request.keeps_owners = parsed.flag("fakeroot");
  read_positionals(parsed, request);
  if (parsed.text("ref")) request.source.reference = *parsed.text("ref");
  request.source.registry.no_https = parsed.flag("no-https");
  request.source.registry.auth = {parsed.text("authfile").value_or(""), oci::usual_auth_files()};
  request.push_target.registry = request.source.registry;
  request.go_arch = parsed.text("arch").value_or("");
  if (!request.go_arch.empty() && sif::sif_arch_code(request.go_arch) == "00")
    throw base::error("--arch ", base::printable(request.go_arch), " is no architecture")
        .with_hint("those of Go are meant: amd64, arm64, 386, arm, ppc64le, riscv64, s390x");
  request.overlay = parsed.text("overlay").value_or("");
  if (!request.overlay.empty() && request.source.transport != oci::Transport::file)
    throw base::error("--overlay: SOURCE must be a SIF or squashfs file");
  if (parsed.flag("force")) request.existing = base::Existing::replace;
  if (parsed.text("compression")) parse_compression(*parsed.text("compression"), request.squashfs);
  if (parsed.text("block-size"))
    request.squashfs.block_size = parse_block_size(*parsed.text("block-size"));
  request.squashfs.threads =
      parsed.text("threads") ? parse_threads(*parsed.text("threads")) : base::allowed_cpu_count();
  // Made once for its check of the level, before any work is done.
  sif::make_compressor(request.squashfs.codec, request.squashfs.level, request.squashfs.block_size);
  request.json = parsed.flag("json");
  if (parsed.flag("verbose")) request.log_level = base::LogLevel::verbose;
  if (parsed.flag("quiet")) request.log_level = base::LogLevel::warning;
  request.progress = !parsed.flag("no-progress") && !parsed.flag("quiet");
  return request;
}

std::string sifconv_help() {
  return R"(Converts an image saved by Docker into a SIF image for sifrun, Apptainer and Singularity.

Usage:
  sifconv [options] SOURCE [DEST]

SOURCE is a file written by `docker save` (also by podman or skopeo), plain or compressed as a
whole, or - for standard input. Also: docker-archive:FILE[:NAME:TAG], oci-archive:FILE[:TAG],
oci:FOLDER[:TAG], docker-daemon:NAME[:TAG] (DOCKER_HOST), docker://[HOST/]NAME[:TAG], a SIF, a
squashfs file, or a folder. oras://HOST/NAME[:TAG], http://... and https://... name a SIF that is
copied as it is.
DEST is SOURCE's name with .sif in the current folder unless it is given.

)" + options_help(kOptions) +
         R"(
Examples:
  docker save my_image -o my_image.tar
  sifconv my_image.tar                       writes my_image.sif
  docker save my_image | sifconv - my_image.sif
  sifconv --ref debian:12 several.tar.gz debian.sif
  sifconv --force --compression xz:9 my_image.tar /data/small.sif

Nothing is left behind when a conversion fails or is interrupted; an existing DEST stays as it was.
)";
}

}  // namespace cmd
