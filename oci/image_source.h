// SPDX-License-Identifier: Apache-2.0
// SOURCE of the command line -> an uncompressed archive that can be read at any position.
#pragma once

#include <string>
#include <string_view>

#include "oci/decompress.h"
#include "oci/digest.h"
#include "oci/file_source.h"
#include "oci/progress.h"

namespace oci {

struct SourceSpec {
  std::string path;       // "-": standard input
  std::string reference;  // of the image in the archive; may be empty
};

// "x.tar", "-", "docker-archive:x.tar[:ref]", "docker-archive://x.tar[:ref]" and the same with
// oci-archive. Throws for other transports ("docker://").
SourceSpec parse_source(std::string_view text);

// The archive's file name with .sif for .tar, .tgz, .tar.zst and the like; throws for "-".
std::string default_destination(const SourceSpec& source);

// Copies a stream into a nameless file in `folder`, inflating it on the way and hashing what is
// written if `hash` is given.
FileSource spool(Compression compression, const ReadStream& input, const std::string& folder,
                 const std::string& name, Sha256* hash = nullptr);

// A plain file is read in place. What cannot be (a pipe, a compressed archive) is spooled first.
FileSource open_archive(const SourceSpec& source, const std::string& spool_folder,
                        ConvertProgress& progress);

}  // namespace oci
