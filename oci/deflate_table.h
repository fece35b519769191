// SPDX-License-Identifier: Apache-2.0
// Decoding tables of DEFLATE's canonical Huffman codes (RFC 1951, section 3.2): the next bits of
// the stream index a table of words, longer codes go on in tables behind it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace oci {

inline constexpr unsigned kMaxCodeLength = 15;
inline constexpr std::size_t kMaxDeflateSymbols = 288;

// What the next bits of the stream stand for. Bits 0-5: how many bits that takes, extra bits
// included; 8-12: how many without those; 13-15: kinds of which only the decoder's rare turns see
// one; 16-30: the value; 31: a literal.
class DeflateWord {
 public:
  // No code begins like this.
  constexpr DeflateWord() : word_(kRare) {}
  // A byte, or a code length.
  static constexpr DeflateWord literal(unsigned value, unsigned bits) {
    return DeflateWord(kLiteral | value << 16 | bits << 8 | bits);
  }
  // Of a length or distance; the extra bits behind the code are added.
  static constexpr DeflateWord base(unsigned value, unsigned extra, unsigned bits) {
    return DeflateWord(value << 16 | bits << 8 | (bits + extra));
  }
  static constexpr DeflateWord end_of_block(unsigned bits) {
    return DeflateWord(kRare | kEnd | bits << 8 | bits);
  }
  // Longer codes go on in a table that begins at word `start` and is indexed by `index_bits`.
  static constexpr DeflateWord table(unsigned start, unsigned index_bits, unsigned bits) {
    return DeflateWord(kRare | kTable | start << 16 | index_bits << 8 | bits);
  }

  constexpr bool is_literal() const { return (word_ & kLiteral) != 0; }
  constexpr bool is_rare() const { return (word_ & kRare) != 0; }  // or one of these:
  constexpr bool is_end() const { return (word_ & kEnd) != 0; }
  constexpr bool is_table() const { return (word_ & kTable) != 0; }
  constexpr bool is_invalid() const { return is_rare() && !is_end() && !is_table(); }
  constexpr unsigned bits() const { return word_ & 63; }
  constexpr unsigned start() const { return word_ >> 16; }
  constexpr unsigned index_bits() const { return word_ >> 8 & 31; }
  constexpr unsigned byte() const { return word_ >> 16 & 0xFF; }
  // With the extra bits, which `stream` has behind the code that it begins with.
  constexpr unsigned value(std::uint64_t stream) const {
    const auto all = static_cast<std::uint32_t>(stream) & ((1U << bits()) - 1);
    return (word_ >> 16 & 0x7FFF) + (all >> (word_ >> 8 & 31));
  }

 private:
  static constexpr std::uint32_t kLiteral = 1U << 31, kRare = 1 << 15, kTable = 1 << 14,
                                 kEnd = 1 << 13;
  explicit constexpr DeflateWord(std::uint32_t word) : word_(word) {}
  std::uint32_t word_;
};

enum class DeflateAlphabet { code_lengths, literals_and_lengths, distances };

// `Size` is what no code exceeds, as zlib's program `enough` computes it for as many symbols, first
// bits and bits: 128 for 19, 7 and 7; 2342 for 288, 11 and 15; 594 for 32, 9 and 15 (rounded up).
template <unsigned FirstBits, std::size_t Size>
struct DeflateTable {
  std::array<DeflateWord, Size> words;

  DeflateWord first(std::uint64_t stream) const { return words[stream & ((1U << FirstBits) - 1)]; }
  // After the bits of `link`.
  DeflateWord behind(DeflateWord link, std::uint64_t stream) const {
    return words[link.start() + (stream & ((1U << link.index_bits()) - 1))];
  }
};
using CodeLengthTable = DeflateTable<7, 128>;
using LiteralTable = DeflateTable<11, 2400>;
using DistanceTable = DeflateTable<9, 600>;

// Fills `words` for the code lengths of all symbols (0: the symbol has none). False for lengths
// that no code can have, and for a code that leaves bits without meaning, unless it is of no symbol
// or a single one of one bit; as zlib judges them.
bool fill_deflate_table(DeflateAlphabet alphabet, std::span<const std::uint8_t> lengths,
                        unsigned first_bits, std::span<DeflateWord> words);

}  // namespace oci
