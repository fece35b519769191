// SPDX-License-Identifier: Apache-2.0
// An image as it is written, wherever it came from: its merged tree and what goes around it.
#pragma once

#include <memory>
#include <string>

#include "oci/image_source.h"
#include "oci/progress.h"
#include "sif/sif_writer.h"
#include "sif/tree.h"

namespace oci {

struct FlattenOptions {
  SourceSpec source;
  std::string go_arch{};       // of an image for several; empty: this machine's
  std::string spool_folder{};  // for nameless scratch files
  unsigned threads = 1;
  std::string overlay{};  // a folder or ext3 image of `exec --overlay`: the image has its changes
};

class FlatImage {
 public:
  FlatImage() = default;
  virtual ~FlatImage() = default;
  FlatImage(const FlatImage&) = delete;
  FlatImage& operator=(const FlatImage&) = delete;

  // As long as this lives; what the tree's files refer to does, too.
  virtual const sif::Tree& tree() const = 0;

  // Proves what is not proven yet: digests of data that is read in place. To be run beside the
  // writing, in a thread of its own; throws Error. Returns early once stop() was called.
  virtual void verify() {}
  virtual void stop() {}

  sif::SifLayout layout;
  std::string reference;  // empty for an unnamed image
  std::string id;         // "sha256:...": of the image, or of a tree without one
  std::size_t layers = 0;
  std::uint64_t source_bytes = 0;
};

// Reads and merges; throws Error for whatever is wrong with the source.
std::unique_ptr<FlatImage> flatten(const FlattenOptions& options, ConvertProgress& progress);

// The two kinds: layers that are merged, and files that are there already.
std::unique_ptr<FlatImage> flatten_layers(const FlattenOptions& options, ConvertProgress& progress);
// nullptr when SOURCE is neither a folder nor a SIF nor a squashfs file.
std::unique_ptr<FlatImage> find_local_image(const FlattenOptions& options);

// A version 8 UUID (RFC 9562: of our own making), so that the same image keeps its identity.
std::array<std::uint8_t, 16> uuid_of(const std::string& digest);

}  // namespace oci
