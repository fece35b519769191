// SPDX-License-Identifier: Apache-2.0
// SOURCE of the command line -> the image's documents and layers, readable at any position.
#pragma once

#include <string>
#include <string_view>

#include "oci/image_members.h"
#include "oci/progress.h"
#include "oci/registry_client.h"

namespace oci {

enum class Transport {
  file,           // an archive, "-" for standard input; a SIF, squashfs or folder with its files
  archive,        // docker-archive:x.tar[:ref], oci-archive:x.tar[:ref]
  layout_folder,  // oci:folder[:ref]
  engine,         // docker-daemon:name[:tag]
  registry,       // docker://[host/]name[:tag][@digest]
  oras,           // oras://host/name[:tag][@digest]: a SIF in a registry
  web,            // http://..., https://...: a SIF or squashfs file
};

struct SourceSpec {
  std::string path;       // or the image's name, or its whole address
  std::string reference;  // of the image in the archive; may be empty
  Transport transport = Transport::file;
  RegistryOptions registry{};
  std::string identity{};       // of oras://: the digest that it has to have; empty: any
  std::string authorization{};  // for a web server: of user and password in the address

  // As a name for messages.
  std::string name() const;
};

// Both "transport:x" and "transport://x" are understood. Throws for other transports.
SourceSpec parse_source(std::string_view text);

// Whether `text` begins with the name of a transport, known here or elsewhere.
bool has_transport(std::string_view text);

// What becomes of it, in Apptainer's words.
std::string_view activity(const SourceSpec& source);

// The archive's file name with .sif for .tar, .tgz, .tar.zst and the like; name_tag.sif of an
// engine's or a registry's image. Throws for "-".
std::string default_destination(const SourceSpec& source);

// What tells this image from all others without reading it whole: a digest where the source has one
// (registry, oras, engine, layout folder), else which file it is and when it was changed.
std::string source_identity(const SourceSpec& source);

// A plain file is read in place. What cannot be (a pipe, a compressed archive, an engine's answer)
// is spooled first.
std::unique_ptr<ImageMembers> open_members(const SourceSpec& source,
                                           const std::string& spool_folder,
                                           ConvertProgress& progress);

}  // namespace oci
