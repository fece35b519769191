// SPDX-License-Identifier: Apache-2.0
// What the responders have in common: a table of operations, and what becomes of an exception.
#pragma once

#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <new>
#include <span>
#include <string_view>

#include "base/error.h"
#include "runtime/fuse_protocol.h"
#include "runtime/fuse_reply.h"

namespace runtime {

// Nobody else changes what is served: the kernel may keep what it learned for ten years.
inline constexpr std::uint64_t kForever = 10ULL * 365 * 24 * 3600;
// Damage may fail every request: the first lines say what is to be said.
inline constexpr unsigned kMaxLoggedFailures = 20;

struct FuseRequest {
  fuse_in_header header;
  std::span<const std::byte> body;
};

template <typename Responder>
struct FuseOperation {
  std::uint32_t opcode;
  int (Responder::*handler)(const FuseRequest&, FuseReply&);  // null: no answer is wanted
};

// Gives the bytes to write back; empty for requests that want no answer. What is not in the table
// gets ENOSYS, upon which the kernel stops asking (ACCESS, LSEEK, STATX) or reports it (IOCTL).
// Never throws: `log` is told what went wrong.
template <typename Responder, std::size_t count, typename Log>
std::span<const std::byte> answer_by_table(Responder& responder,
                                           const FuseOperation<Responder> (&table)[count],
                                           std::span<const std::byte> request, FuseReply& reply,
                                           const Log& log) {
  reply.clear();
  if (request.size() < sizeof(fuse_in_header)) return {};
  const FuseRequest parsed{parse<fuse_in_header>(request), request.subspan(sizeof(fuse_in_header))};
  const auto* const operation =
      std::ranges::find(table, parsed.header.opcode, &FuseOperation<Responder>::opcode);
  const bool is_known = operation != std::ranges::end(table);
  if (is_known && operation->handler == nullptr) return {};
  int errno_value = EIO;
  try {
    errno_value = is_known ? (responder.*operation->handler)(parsed, reply) : ENOSYS;
  } catch (const base::Error& error) {
    if (error.errno_value() != 0) errno_value = error.errno_value();
    log(error);
  } catch (const std::bad_alloc&) {
    errno_value = ENOMEM;
  } catch (const std::exception& error) {
    log(base::Error(error.what()));
  }
  return reply.finish(parsed.header.unique, errno_value);
}

// ENOSYS once means: nothing need be opened, and what was read stays cached. Older kernels, which
// do not offer that, must be told at each open.
inline int answer_open(bool is_offered, std::uint32_t flags, FuseReply& reply) {
  if (is_offered) return ENOSYS;
  fuse_open_out out{};
  out.open_flags = flags;
  reply.put(out);
  return 0;
}

// A link's target. The kernel hands out at most a page and would cut silently.
inline int answer_target(std::string_view target, FuseReply& reply) {
  if (target.size() >= static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) return ENAMETOOLONG;
  reply.append(std::as_bytes(std::span(target)));
  return 0;
}

// Answers both forms of the xattr requests: size 0 asks how much there is.
inline int put_sized(std::uint32_t wanted_size, std::string_view value, FuseReply& reply) {
  if (wanted_size == 0) {
    fuse_getxattr_out out{};
    out.size = static_cast<std::uint32_t>(value.size());
    reply.put(out);
    return 0;
  }
  if (value.size() > wanted_size) return ERANGE;
  reply.append(std::as_bytes(std::span(value)));
  return 0;
}

}  // namespace runtime
