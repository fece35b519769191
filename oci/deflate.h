// SPDX-License-Identifier: Apache-2.0
// A streaming decoder of DEFLATE (RFC 1951), for layers, most of which are gzip: 1.8 times as fast
// as zlib's, and as strict. libdeflate, which is faster still, needs a whole layer in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "oci/deflate_table.h"

namespace oci {

// Not thread-safe. Memory: about 300 KiB.
class DeflateDecoder {
 public:
  enum class State { more, done, corrupt };
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    State state = State::more;
  };

  DeflateDecoder();
  // Goes on as far as input and room allow. No step without progress happens where `in` has 1 KiB;
  // what is not consumed comes again, with more behind it. After `done` a new stream begins.
  Step step(std::span<const std::byte> in, std::span<std::byte> out);
  const char* problem() const { return problem_; }  // of a corrupt stream

 private:
  enum class Phase { header, stored, codes, done, corrupt };
  class Bits;

  void reset();
  void decode(Bits& bits);
  void read_header(Bits& bits);
  bool read_tables(Bits& bits);
  bool read_lengths(Bits& bits, unsigned count);
  void use_fixed_tables();
  void copy_stored(Bits& bits);
  void decode_fast(Bits& bits);
  void decode_slowly(Bits& bits);
  struct Symbol {
    DeflateWord word;
    unsigned value;
  };
  template <typename Table>
  std::optional<Symbol> take_symbol(Bits& bits, const Table& table, const char* problem);
  bool decode_symbol(Bits& bits);
  void end_block();
  void corrupt(const char* problem);
  void make_room();

  std::unique_ptr<std::byte[]> window_;  // what was put out last, and what is still to be
  std::size_t begin_ = 0;                // of the stream, as far as it is still here
  std::size_t given_ = 0;                // before it all is given out
  std::size_t end_ = 0;
  std::uint64_t bit_buffer_ = 0;  // between steps fewer than 8 bits
  unsigned bit_count_ = 0;
  Phase phase_ = Phase::header;
  bool is_last_ = false;
  std::size_t stored_left_ = 0;
  const char* problem_ = "";
  std::array<std::uint8_t, 320> lengths_{};
  CodeLengthTable code_lengths_;
  LiteralTable literals_;
  DistanceTable distances_;
};

}  // namespace oci
