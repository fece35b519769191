// SPDX-License-Identifier: Apache-2.0
// The command line of sifconv as one value.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/output_file.h"
#include "oci/image_source.h"
#include "sif/squashfs_writer.h"

namespace cmd {

struct SifconvRequest {
  enum class Action { convert, push, check_login, help, version };
  Action action = Action::convert;
  oci::SourceSpec source;
  std::string destination;
  oci::SourceSpec push_target;
  std::string cache;     // convert into this cache and print the file's name; empty: into DEST
  bool sandbox = false;  // DEST is a folder
  bool fix_permissions = false;
  bool keeps_owners = false;  // those of a sandbox, by subordinate ids
  std::string go_arch;        // of an image for several; empty: this machine's
  std::string overlay;  // a folder or ext3 image whose changes the source is to have; empty: none
  base::Existing existing = base::Existing::refuse;
  sif::SquashfsOptions squashfs;
  bool progress = true;
  bool json = false;
  base::LogLevel log_level = base::LogLevel::info;
};

// `arguments` excludes the program's name. Throws base::Error for everything that is wrong with
// them.
SifconvRequest parse_sifconv_arguments(std::span<const char* const> arguments);

std::string sifconv_help();

// "zstd", "gzip:9", ... into codec and level; throws Error.
void parse_compression(std::string_view text, sif::SquashfsOptions& options);
// "131072", "128K", "1M": a power of two from 4,096 to 1,048,576; throws Error.
std::uint32_t parse_block_size(std::string_view text);

}  // namespace cmd
