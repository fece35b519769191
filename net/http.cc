// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

#include "base/base64.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace net {
namespace {

constexpr std::size_t kBufferSize = 64 << 10;
constexpr std::size_t kFileChunk = 256 << 10;
constexpr std::chrono::minutes kSpeedWindow{1};

base::Error bad_answer(std::string_view what) {
  return base::Error(base::cat("the server's answer is no valid HTTP: ", what), EPROTO);
}

std::string request_text(const Request& request) {
  std::string text =
      base::cat(request.method, " ", request.target, " HTTP/1.1\r\nHost: ", request.authority,
                "\r\nConnection: close\r\n");
  for (const auto& [name, value] : request.fields) text += base::cat(name, ": ", value, "\r\n");
  const std::uint64_t size = request.file < 0 ? request.body.size() : request.file_size;
  if (size > 0) text += base::cat("Content-Length: ", size, "\r\n");
  return text + "\r\n" + request.body;
}

void write_file(Channel& channel, const Request& request) {
  std::string chunk(kFileChunk, '\0');
  for (std::uint64_t done = 0; done < request.file_size; done += chunk.size()) {
    chunk.resize(std::min<std::uint64_t>(chunk.size(), request.file_size - done));
    base::pread_exactly(request.file, std::as_writable_bytes(std::span(chunk)), done,
                        "the file to send");
    channel.write(chunk);
  }
}

}  // namespace

std::string basic_authorization(std::string_view user, std::string_view password) {
  return "Basic " + base::base64(base::cat(user, ":", password));
}

void SpeedWatch::received(std::size_t count, Time now) {
  if (start_) {
    count_ += count;
    if (now - *start_ < kSpeedWindow) return;
    if (count_ < kMinBytesPerMinute)
      throw base::Error("the server sends too slowly to be waited for", ETIMEDOUT);
  }
  start_ = now;
  count_ = 0;
}

Response::Response(std::unique_ptr<Channel> channel, const Request& request)
    : channel_(std::move(channel)), buffer_(kBufferSize) {
  channel_->write(request_text(request));
  std::exception_ptr broken;
  try {
    if (request.file >= 0) write_file(*channel_, request);
  } catch (const base::Error&) {
    broken = std::current_exception();  // a server that does not want all of it may say why
  }
  try {
    read_answer(request);
  } catch (const base::Error&) {
    if (broken) std::rethrow_exception(broken);
    throw;
  }
}

void Response::read_answer(const Request& request) {
  for (int interim = 0;; ++interim) {
    read_head();
    speed_.pause();
    if (status_ >= 200) break;
    if (interim == kMaxInterimResponses) throw bad_answer("too many interim responses");
  }
  choose_framing(request.method);
}

char Response::next_byte() {
  if (pending_.empty()) {
    const std::size_t count = channel_->read(buffer_);
    if (count == 0) throw base::Error("the server closed the connection too early", ECONNRESET);
    speed_.received(count);
    pending_ = std::span<const std::byte>(buffer_).first(count);
  }
  const char c = static_cast<char>(pending_.front());
  pending_ = pending_.subspan(1);
  return c;
}

// Without its end, which may lack the carriage return.
std::string Response::line() {
  std::string text;
  for (char c; (c = next_byte()) != '\n';) {
    if (head_left_ == 0) throw bad_answer("its head is too large");
    --head_left_;
    text += c;
  }
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

void Response::read_head() {
  const std::string text = line();
  const std::string_view digits =
      std::string_view(text).substr(std::min<std::size_t>(text.size(), 9), 3);
  const std::uint64_t code = base::find_number<std::uint64_t>(digits).value_or(0);
  if (!text.starts_with("HTTP/1.") || text.size() < 12 || text[8] != ' ' || code < 100 ||
      code > 599)
    throw bad_answer(base::printable(text.substr(0, 60)));
  status_ = static_cast<int>(code);
  fields_.clear();
  read_fields();
}

void Response::read_fields() {
  for (std::string text; !(text = line()).empty();) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0 || text[0] == ' ' || text[0] == '\t')
      throw bad_answer(base::printable(text.substr(0, 60)));
    fields_.emplace_back(base::lower_case(text.substr(0, colon)),
                         base::trimmed(std::string_view(text).substr(colon + 1)));
  }
}

std::optional<std::string> Response::find(std::string_view name) const {
  const auto found = std::ranges::find(fields_, name, &Fields::value_type::first);
  if (found == fields_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> Response::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : fields_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

void Response::choose_framing(const std::string& method) {
  const std::optional<std::string> length = find("content-length");
  if (length) {
    length_ = base::find_number<std::uint64_t>(*length);
    if (!length_) throw bad_answer("Content-Length " + base::printable(length->substr(0, 40)));
  }
  if (method == "HEAD" || status_ == 204 || status_ == 304) {
    framing_ = Framing::none;
  } else if (const auto coding = find("transfer-encoding")) {
    if (base::lower_case(*coding) != "chunked")
      throw bad_answer("Transfer-Encoding " + base::printable(coding->substr(0, 40)));
    framing_ = Framing::chunked;
    length_.reset();
  } else {
    framing_ = length_ ? Framing::length : Framing::until_close;
    left_ = length_.value_or(0);
  }
  ended_ = framing_ == Framing::none;
}

std::size_t Response::read_raw(std::span<std::byte> out) {
  if (out.empty()) return 0;
  if (pending_.empty()) {
    const std::size_t count = channel_->read(out);
    speed_.received(count);
    return count;
  }
  const std::size_t count = std::min(out.size(), pending_.size());
  std::memcpy(out.data(), pending_.data(), count);
  pending_ = pending_.subspan(count);
  return count;
}

// False after the last chunk, whose trailing fields are skipped.
bool Response::begin_chunk() {
  head_left_ = kMaxHeadSize;
  if (in_chunk_ && !line().empty()) throw bad_answer("a chunk does not end");
  const std::string text = line();
  const std::string_view digits =
      base::trimmed(std::string_view(text).substr(0, std::min(text.find(';'), text.size())));
  const std::optional<std::uint64_t> size = base::find_number<std::uint64_t>(digits, 16);
  if (!size) throw bad_answer("chunk size " + base::printable(text.substr(0, 40)));
  in_chunk_ = true;
  left_ = *size;
  if (left_ > 0) return true;
  while (!line().empty()) {
  }
  return false;
}

std::size_t Response::read_some(std::span<std::byte> out) {
  if (framing_ == Framing::chunked && left_ == 0 && !begin_chunk()) ended_ = true;
  if (framing_ == Framing::length && left_ == 0) ended_ = true;
  if (ended_) return 0;
  if (framing_ == Framing::until_close) {
    const std::size_t count = read_raw(out);
    ended_ = count == 0;
    return count;
  }
  const std::size_t count = read_raw(out.first(std::min<std::uint64_t>(out.size(), left_)));
  if (count == 0) throw base::Error("the server closed the connection too early", ECONNRESET);
  left_ -= count;
  return count;
}

std::size_t Response::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size() && !ended_) done += read_some(out.subspan(done));
  return done;
}

std::string Response::read_text(std::size_t limit) {
  std::string text;
  std::vector<std::byte> chunk(16 << 10);
  for (std::size_t count; (count = read(chunk)) > 0;) {
    if (text.size() + count > limit)
      throw base::error("the server's answer has more than ", limit, " bytes");
    text.append(reinterpret_cast<const char*>(chunk.data()), count);
  }
  return text;
}

}  // namespace net
