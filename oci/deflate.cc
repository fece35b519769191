// SPDX-License-Identifier: Apache-2.0
#include "oci/deflate.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace oci {
namespace {

constexpr std::size_t kHistory = 32 << 10;  // how far back a match may reach
constexpr std::size_t kChunk = 192 << 10;   // put out before the history moves to the front
constexpr std::size_t kLimit = kHistory + kChunk;
constexpr std::size_t kMaxMatch = 258;
constexpr std::size_t kSlack = kMaxMatch + 32;  // behind the limit: a match, literals, wide copies
constexpr std::size_t kFastInput = 32;          // more than a turn of the fast loop looks at

constexpr const char* kBadLiteral = "invalid literal/length code";
constexpr const char* kBadDistance = "invalid distance code";
constexpr const char* kTooFar = "invalid distance too far back";

// The order in which the lengths of the code of code lengths are sent (RFC 1951, 3.2.7).
constexpr std::array<std::uint8_t, 19> kOrder = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                 11, 4,  12, 3, 13, 2, 14, 1, 15};

static_assert(std::endian::native == std::endian::little, "bits are loaded as words");

template <unsigned FirstBits, std::size_t Size>
bool fill(DeflateTable<FirstBits, Size>& table, DeflateAlphabet alphabet,
          std::span<const std::uint8_t> lengths) {
  return fill_deflate_table(alphabet, lengths, FirstBits, table.words);
}

// Up to 7 bytes more than `length` are written.
void copy_wide(std::byte* to, unsigned length, unsigned distance) {
  const std::byte* from = to - distance;
  std::byte* const end = to + length;
  if (distance >= 8) {
    do {
      std::memcpy(to, from, 8);
      to += 8;
      from += 8;
    } while (to < end);
  } else if (distance == 1) {
    std::memset(to, static_cast<int>(*from), length);
  } else {
    while (to < end) *to++ = *from++;
  }
}

}  // namespace

// The input, read by bits. A copy is a place to go back to.
class DeflateDecoder::Bits {
 public:
  Bits(std::span<const std::byte> in, std::uint64_t buffer, unsigned count)
      : next_(in.data()), end_(in.data() + in.size()), buffer_(buffer), count_(count) {}

  std::uint64_t buffer() const { return buffer_; }
  unsigned count() const { return count_; }
  const std::byte* next() const { return next_; }
  std::size_t bytes_left() const { return static_cast<std::size_t>(end_ - next_); }

  bool has(unsigned bits) {
    while (count_ < bits && next_ != end_) {
      buffer_ |= std::to_integer<std::uint64_t>(*next_++) << count_;
      count_ += 8;
    }
    return count_ >= bits;
  }
  unsigned take(unsigned bits) {
    const auto value = static_cast<unsigned>(buffer_ & ((std::uint64_t{1} << bits) - 1));
    skip(bits);
    return value;
  }
  void skip(unsigned bits) {
    buffer_ >>= bits;
    count_ -= bits;
  }
  // At least 56 bits, where 8 bytes are left. What is above them is of the next byte already.
  void refill() {
    std::uint64_t word;
    std::memcpy(&word, next_, sizeof word);
    buffer_ |= word << count_;
    next_ += (63 - count_) >> 3;
    count_ |= 56;
  }
  void forget_above() { buffer_ &= (std::uint64_t{1} << count_) - 1; }
  void give_whole_bytes_back() {
    next_ -= count_ / 8;
    count_ %= 8;
    forget_above();
  }
  void read(std::span<std::byte> out) {
    if (out.empty()) return;  // and there may be no input at all
    std::memcpy(out.data(), next_, out.size());
    next_ += out.size();
  }

 private:
  const std::byte* next_;
  const std::byte* end_;
  std::uint64_t buffer_;
  unsigned count_;
};

DeflateDecoder::DeflateDecoder()
    : window_(std::make_unique_for_overwrite<std::byte[]>(kLimit + kSlack)) {}

void DeflateDecoder::reset() {
  begin_ = given_ = end_;
  bit_buffer_ = 0;
  bit_count_ = 0;
  phase_ = Phase::header;
  problem_ = "";
}

DeflateDecoder::Step DeflateDecoder::step(std::span<const std::byte> in, std::span<std::byte> out) {
  if (phase_ == Phase::done && given_ == end_) reset();
  Bits bits(in, bit_buffer_, bit_count_);
  std::size_t produced = 0;
  for (bool goes_on = true; goes_on;) {
    const std::size_t count = std::min(out.size() - produced, end_ - given_);
    if (count > 0) std::memcpy(out.data() + produced, window_.get() + given_, count);
    given_ += count;
    produced += count;
    if (given_ < end_ || phase_ == Phase::done || phase_ == Phase::corrupt) break;
    if (end_ >= kLimit) make_room();
    const std::byte* const before = bits.next();
    const unsigned bits_before = bits.count();
    const Phase phase_before = phase_;
    decode(bits);
    goes_on = bits.next() != before || bits.count() != bits_before || phase_ != phase_before ||
              end_ > given_;
  }
  bits.give_whole_bytes_back();
  bit_buffer_ = bits.buffer();
  bit_count_ = bits.count();
  State state = State::more;
  if (given_ == end_ && phase_ == Phase::corrupt) state = State::corrupt;
  if (given_ == end_ && phase_ == Phase::done) state = State::done;
  return {static_cast<std::size_t>(bits.next() - in.data()), produced, state};
}

void DeflateDecoder::make_room() {
  const std::size_t shift = end_ - kHistory;
  std::memmove(window_.get(), window_.get() + shift, kHistory);
  begin_ = begin_ > shift ? begin_ - shift : 0;
  given_ = end_ = kHistory;
}

void DeflateDecoder::corrupt(const char* problem) {
  phase_ = Phase::corrupt;
  problem_ = problem;
}

void DeflateDecoder::decode(Bits& bits) {
  switch (phase_) {
    case Phase::header:
      return read_header(bits);
    case Phase::stored:
      return copy_stored(bits);
    case Phase::codes:
      decode_fast(bits);
      return decode_slowly(bits);
    case Phase::done:
    case Phase::corrupt:
      return;
  }
}

void DeflateDecoder::end_block() { phase_ = is_last_ ? Phase::done : Phase::header; }

// All of it or nothing.
void DeflateDecoder::read_header(Bits& bits) {
  const Bits before = bits;
  if (!bits.has(3)) return;
  is_last_ = bits.take(1) == 1;
  bool complete = true;
  switch (bits.take(2)) {
    case 0: {
      bits.skip(bits.count() % 8);
      complete = bits.has(32);
      if (!complete) break;
      stored_left_ = bits.take(16);
      if (stored_left_ != (bits.take(16) ^ 0xFFFFU)) return corrupt("invalid stored block lengths");
      phase_ = Phase::stored;
      break;
    }
    case 1:
      use_fixed_tables();
      phase_ = Phase::codes;
      break;
    case 2:
      complete = read_tables(bits);
      break;
    default:
      return corrupt("invalid block type");
  }
  if (!complete) bits = before;
}

void DeflateDecoder::use_fixed_tables() {
  const std::span lengths(lengths_);
  std::ranges::fill(lengths.first(144), std::uint8_t{8});
  std::ranges::fill(lengths.subspan(144, 112), std::uint8_t{9});
  std::ranges::fill(lengths.subspan(256, 24), std::uint8_t{7});
  std::ranges::fill(lengths.subspan(280, 8), std::uint8_t{8});
  fill(literals_, DeflateAlphabet::literals_and_lengths, lengths.first(288));
  std::ranges::fill(lengths.first(32), std::uint8_t{5});
  fill(distances_, DeflateAlphabet::distances, lengths.first(32));
}

// False where the input ends within.
bool DeflateDecoder::read_tables(Bits& bits) {
  if (!bits.has(14)) return false;
  const unsigned literals = bits.take(5) + 257, distances = bits.take(5) + 1;
  const unsigned code_lengths = bits.take(4) + 4;
  if (literals > 286 || distances > 30) {
    corrupt("too many length or distance symbols");
    return true;
  }
  std::array<std::uint8_t, kOrder.size()> lengths{};
  for (unsigned i = 0; i < code_lengths; ++i) {
    if (!bits.has(3)) return false;
    lengths[kOrder[i]] = static_cast<std::uint8_t>(bits.take(3));
  }
  if (!fill(code_lengths_, DeflateAlphabet::code_lengths, lengths)) {
    corrupt("invalid code lengths set");
    return true;
  }
  if (!read_lengths(bits, literals + distances)) return phase_ == Phase::corrupt;
  const std::span all(lengths_);
  if (lengths_[256] == 0) {
    corrupt("invalid code -- missing end-of-block");
  } else if (!fill(literals_, DeflateAlphabet::literals_and_lengths, all.first(literals))) {
    corrupt("invalid literal/lengths set");
  } else if (!fill(distances_, DeflateAlphabet::distances, all.subspan(literals, distances))) {
    corrupt("invalid distances set");
  } else {
    phase_ = Phase::codes;
  }
  return true;
}

// False where the input ends within, and for what is corrupt.
bool DeflateDecoder::read_lengths(Bits& bits, unsigned count) {
  constexpr unsigned kCopy = 16, kLongZeros = 18;
  for (unsigned i = 0; i < count;) {
    bits.has(7 + 7);
    const DeflateWord word = code_lengths_.first(bits.buffer());
    const unsigned symbol = word.byte();
    const unsigned extra = symbol < kCopy ? 0 : symbol == kCopy ? 2 : symbol == kLongZeros ? 7 : 3;
    if (word.is_invalid()) {  // a code without symbols
      corrupt("invalid bit length repeat");
      return false;
    }
    if (word.bits() + extra > bits.count()) return false;
    bits.skip(word.bits());
    if (symbol < kCopy) {
      lengths_[i++] = static_cast<std::uint8_t>(symbol);
      continue;
    }
    const unsigned repeat = bits.take(extra) + (symbol == kLongZeros ? 11 : 3);
    if (i + repeat > count || (symbol == kCopy && i == 0)) {
      corrupt("invalid bit length repeat");
      return false;
    }
    const std::uint8_t length = symbol == kCopy ? lengths_[i - 1] : std::uint8_t{0};
    std::fill_n(lengths_.begin() + i, repeat, length);
    i += repeat;
  }
  return true;
}

void DeflateDecoder::copy_stored(Bits& bits) {
  bits.give_whole_bytes_back();
  const std::size_t count = std::min({stored_left_, bits.bytes_left(), kLimit - end_});
  bits.read({window_.get() + end_, count});
  end_ += count;
  stored_left_ -= count;
  if (stored_left_ == 0) end_block();
}

// As far as there is input and room for turns that need not ask for each.
void DeflateDecoder::decode_fast(Bits& outer) {
  Bits bits = outer;  // here and below: writing through pointers could change members
  std::byte* const window = window_.get();
  const std::byte* const begin = window + begin_;
  std::byte* out = window + end_;
  const char* problem = nullptr;
  bool ended = false;
  while (bits.bytes_left() >= kFastInput && out < window + kLimit) {
    bits.refill();
    DeflateWord word = literals_.first(bits.buffer());
    // Three of the first table take at most 33 of the 56 bits.
    for (int i = 0; i < 3 && word.is_literal(); ++i) {
      bits.skip(word.bits());
      *out++ = static_cast<std::byte>(word.byte());
      word = literals_.first(bits.buffer());
    }
    if (word.is_literal()) continue;
    if (word.is_table()) {
      bits.skip(word.bits());
      word = literals_.behind(word, bits.buffer());
      if (word.is_literal()) {
        bits.skip(word.bits());
        *out++ = static_cast<std::byte>(word.byte());
        continue;
      }
    }
    if (word.is_rare()) {
      bits.skip(word.bits());
      ended = word.is_end();
      if (!ended) problem = kBadLiteral;
      break;
    }
    const unsigned length = word.value(bits.buffer());
    bits.skip(word.bits());
    bits.refill();
    word = distances_.first(bits.buffer());
    if (word.is_table()) {
      bits.skip(word.bits());
      word = distances_.behind(word, bits.buffer());
    }
    const unsigned distance = word.value(bits.buffer());
    bits.skip(word.bits());
    if (word.is_rare() || distance > out - begin) {
      problem = word.is_rare() ? kBadDistance : kTooFar;
      break;
    }
    copy_wide(out, length, distance);
    out += length;
  }
  bits.forget_above();
  end_ = static_cast<std::size_t>(out - window);
  outer = bits;
  if (ended) end_block();
  if (problem != nullptr) corrupt(problem);
}

// One symbol at a time, each wholly or not at all.
void DeflateDecoder::decode_slowly(Bits& bits) {
  while (phase_ == Phase::codes && end_ < kLimit) {
    const Bits before = bits;
    if (!decode_symbol(bits)) {
      bits = before;
      return;
    }
    if (bits.bytes_left() > 2 * kFastInput) return;  // there is enough to go on fast
  }
}

// Takes the next code and its extra bits and gives its word and value; nothing where the input ends
// within, or for what is no code, which is corrupt.
template <typename Table>
std::optional<DeflateDecoder::Symbol> DeflateDecoder::take_symbol(Bits& bits, const Table& table,
                                                                  const char* problem) {
  bits.has(32);
  DeflateWord word = table.first(bits.buffer());
  std::uint64_t stream = bits.buffer();
  unsigned size = word.bits();
  if (word.is_table()) {
    stream >>= size;
    word = table.behind(word, stream);
    size += word.bits();
  }
  if (word.is_invalid() && bits.count() >= kMaxCodeLength) corrupt(problem);
  if (word.is_invalid() || size > bits.count()) return std::nullopt;
  bits.skip(size);
  return Symbol{word, word.value(stream)};
}

// False where the input ends within, and for what is corrupt.
bool DeflateDecoder::decode_symbol(Bits& bits) {
  const std::optional<Symbol> symbol = take_symbol(bits, literals_, kBadLiteral);
  if (!symbol) return false;
  if (symbol->word.is_literal()) {
    window_[end_++] = static_cast<std::byte>(symbol->word.byte());
    return true;
  }
  if (symbol->word.is_end()) {
    end_block();
    return true;
  }
  const std::optional<Symbol> distance = take_symbol(bits, distances_, kBadDistance);
  if (!distance) return false;
  if (distance->value > end_ - begin_) {
    corrupt(kTooFar);
    return false;
  }
  copy_wide(window_.get() + end_, symbol->value, distance->value);
  end_ += symbol->value;
  return true;
}

}  // namespace oci
