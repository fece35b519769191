// SPDX-License-Identifier: Apache-2.0
// Streaming decompression of layers and of whole archives. The codecs' own libraries are called
// directly rather than libarchive's filters, which neither check gzip's checksum nor notice bytes
// after the last member. Memory is bounded whatever the stream asks for.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace oci {

enum class Compression { none, gzip, zstd, xz, bzip2, lz4 };

const char* compression_name(Compression compression);

// By the magic number; `start` is the beginning of the data (6 bytes tell all).
Compression detect_compression(std::span<const std::byte> start);
inline constexpr std::size_t kMagicSize = 6;

// One frame at a time of a compressed format. Not thread-safe.
class FrameDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool frame_done = false;
  };
  virtual ~FrameDecoder() = default;
  // Throws base::Error with the library's reason when the data is corrupt or asks for too much
  // memory. After frame_done the next call begins a new frame.
  virtual Step step(std::span<const std::byte> in, std::span<std::byte> out) = 0;
};

// `name` appears in messages.
std::unique_ptr<FrameDecoder> make_frame_decoder(Compression compression, const std::string& name);

// Fills a buffer from a stream and gives the count; less than asked only at its end.
using ReadStream = std::function<std::size_t(std::span<std::byte>)>;

// A stream of the inflated bytes. Several frames in a row are one stream (as gzip and zstd files
// may be made of); anything else after a frame, and an end within a frame, throws base::Error
// naming `name`.
class Inflater {
 public:
  Inflater(Compression compression, ReadStream input, std::string name);
  std::size_t read(std::span<std::byte> out);

 private:
  bool refill();
  void skip_stream_padding();
  bool begin_frame();

  Compression compression_;
  ReadStream input_;
  std::string name_;
  std::unique_ptr<FrameDecoder> decoder_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> pending_;
  bool in_frame_ = false;
  bool input_ended_ = false;
  bool ended_ = false;
};

// The inflated bytes of `input`, or its own if there is no compression.
ReadStream inflated_stream(Compression compression, ReadStream input, const std::string& name);

}  // namespace oci
