// SPDX-License-Identifier: Apache-2.0
#include "oci/deflate_table.h"

#include <algorithm>

namespace oci {
namespace {

struct Base {
  std::uint16_t value;
  std::uint8_t extra;
};

// RFC 1951, section 3.2.5.
constexpr std::array<Base, 29> kLengths = {
    {{3, 0},  {4, 0},  {5, 0},  {6, 0},   {7, 0},   {8, 0},   {9, 0},   {10, 0},  {11, 1}, {13, 1},
     {15, 1}, {17, 1}, {19, 2}, {23, 2},  {27, 2},  {31, 2},  {35, 3},  {43, 3},  {51, 3}, {59, 3},
     {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0}}};
constexpr std::array<Base, 30> kDistances = {
    {{1, 0},     {2, 0},     {3, 0},     {4, 0},      {5, 1},      {7, 1},
     {9, 2},     {13, 2},    {17, 3},    {25, 3},     {33, 4},     {49, 4},
     {65, 5},    {97, 5},    {129, 6},   {193, 6},    {257, 7},    {385, 7},
     {513, 8},   {769, 8},   {1025, 9},  {1537, 9},   {2049, 10},  {3073, 10},
     {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13}}};
constexpr unsigned kEndOfBlock = 256;

DeflateWord meaning_of(DeflateAlphabet alphabet, unsigned symbol, unsigned bits) {
  if (alphabet == DeflateAlphabet::distances) {
    if (symbol >= kDistances.size()) return {};
    return DeflateWord::base(kDistances[symbol].value, kDistances[symbol].extra, bits);
  }
  if (alphabet == DeflateAlphabet::code_lengths || symbol < kEndOfBlock)
    return DeflateWord::literal(symbol, bits);
  if (symbol == kEndOfBlock) return DeflateWord::end_of_block(bits);
  const unsigned index = symbol - kEndOfBlock - 1;
  if (index >= kLengths.size()) return {};
  return DeflateWord::base(kLengths[index].value, kLengths[index].extra, bits);
}

// Codes are sent from their first bit on, tables are indexed from the last bit on.
unsigned reversed(unsigned code, unsigned length) {
  unsigned out = 0;
  for (unsigned i = 0; i < length; ++i) out |= (code >> i & 1) << (length - 1 - i);
  return out;
}

using Counts = std::array<unsigned, kMaxCodeLength + 1>;  // of codes by their length

bool is_code(DeflateAlphabet alphabet, const Counts& counts) {
  int free = 1;
  unsigned longest = 0;
  for (unsigned length = 1; length <= kMaxCodeLength; ++length) {
    free = free * 2 - static_cast<int>(counts[length]);
    if (free < 0) return false;
    if (counts[length] > 0) longest = length;
  }
  return free == 0 || longest == 0 || (alphabet != DeflateAlphabet::code_lengths && longest == 1);
}

class TableFiller {
 public:
  TableFiller(DeflateAlphabet alphabet, const Counts& counts, unsigned first_bits,
              std::span<DeflateWord> words)
      : alphabet_(alphabet),
        left_(counts),
        first_bits_(first_bits),
        first_(words.first(std::size_t{1} << first_bits)),
        rest_(words.subspan(first_.size())) {
    std::ranges::fill(first_, DeflateWord());
  }

  // Codes come in their order.
  void add(unsigned symbol, unsigned code, unsigned length) {
    unsigned index = reversed(code, length);
    std::span<DeflateWord> table = first_;
    unsigned bits = length;
    if (length > first_bits_) {
      table = table_behind(index & ((1U << first_bits_) - 1), length);
      index >>= first_bits_;
      bits -= first_bits_;
    }
    const DeflateWord word = meaning_of(alphabet_, symbol, bits);
    for (; index < table.size(); index += 1U << bits) table[index] = word;
    --left_[length];
  }

 private:
  std::span<DeflateWord> table_behind(unsigned prefix, unsigned length) {
    DeflateWord& link = first_[prefix];
    if (!link.is_table()) {
      const unsigned bits = bits_behind(length);
      link = DeflateWord::table(static_cast<unsigned>(first_.size() + used_), bits, first_bits_);
      std::ranges::fill(rest_.subspan(used_, std::size_t{1} << bits), DeflateWord());
      used_ += std::size_t{1} << bits;
    }
    return rest_.subspan(link.start() - first_.size(), std::size_t{1} << link.index_bits());
  }

  // What the longest code with the prefix of the next one, of `length`, has behind it: codes come
  // by their length, and those of one prefix fill it.
  unsigned bits_behind(unsigned length) const {
    unsigned bits = length - first_bits_;
    for (int free = 1 << bits; length < kMaxCodeLength; free *= 2, ++bits, ++length) {
      free -= static_cast<int>(left_[length]);
      if (free <= 0) break;
    }
    return bits;
  }

  const DeflateAlphabet alphabet_;
  Counts left_;
  const unsigned first_bits_;
  const std::span<DeflateWord> first_, rest_;
  std::size_t used_ = 0;  // of rest_
};

}  // namespace

bool fill_deflate_table(DeflateAlphabet alphabet, std::span<const std::uint8_t> lengths,
                        unsigned first_bits, std::span<DeflateWord> words) {
  Counts counts{};
  for (const std::uint8_t length : lengths) ++counts[length];
  counts[0] = 0;
  if (!is_code(alphabet, counts)) return false;

  std::array<unsigned, kMaxCodeLength + 2> starts{};  // of each length among the sorted symbols
  for (unsigned length = 1; length <= kMaxCodeLength; ++length)
    starts[length + 1] = starts[length] + counts[length];
  std::array<std::uint16_t, kMaxDeflateSymbols> sorted{};
  for (unsigned symbol = 0; symbol < lengths.size(); ++symbol)
    if (lengths[symbol] != 0)
      sorted[starts[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);

  TableFiller filler(alphabet, counts, first_bits, words);
  unsigned code = 0, next = 0;
  for (unsigned length = 1; length <= kMaxCodeLength; ++length, code <<= 1)
    for (unsigned i = 0; i < counts[length]; ++i) filler.add(sorted[next++], code++, length);
  return true;
}

}  // namespace oci
