// SPDX-License-Identifier: Apache-2.0
#include "runtime/ext_mount.h"

#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/ext_responder.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_device.h"
#include "runtime/server_process.h"

namespace runtime {
namespace {

using Clock = std::chrono::steady_clock;

// As long as ext3 lets changes wait, by default.
constexpr std::chrono::seconds kCommitInterval{5};
constexpr std::size_t kMaxReport = 4096;
constexpr char kGood = '+', kBad = '-', kEnding = '.';

// What FileSystem does at a request, or between them, once every few seconds.
class Committer {
 public:
  explicit Committer(ext::FileSystem& file_system) : file_system_(file_system) {}

  // How long the device may be waited for, in milliseconds; -1: for ever.
  int patience() {
    is_waiting_ = is_waiting_ && file_system_.has_changes();
    if (!file_system_.has_changes()) return -1;
    if (!is_waiting_) since_ = Clock::now();
    is_waiting_ = true;
    const auto left = since_ + kCommitInterval - Clock::now();
    return static_cast<int>(
        std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(left).count()));
  }
  void commit_if_due() {
    if (!is_waiting_ || (Clock::now() - since_ < kCommitInterval && !file_system_.is_full()))
      return;
    is_waiting_ = false;
    try {
      file_system_.commit();
    } catch (const base::Error& error) {
      // Nothing can be changed any more; programs see that by their next write.
      base::log_warning("changes are lost: ", error.what());
    }
  }

 private:
  ext::FileSystem& file_system_;
  bool is_waiting_ = false;  // changes are, since then
  Clock::time_point since_{};
};

// Until the mount is gone.
void serve(int device, ext::FileSystem& file_system, ext::Access access, FuseOptions options) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kLongestExtRequest);
  ExtResponder responder(file_system, access, options);
  Committer committer(file_system);
  FuseReply reply;
  for (;;) {
    if (access == ext::Access::read_write) {
      pollfd waiting{device, POLLIN, 0};
      const int patience = committer.patience();
      if (patience >= 0 && ::poll(&waiting, 1, patience) == 0) {
        committer.commit_if_due();
        continue;
      }
      committer.commit_if_due();
    }
    const ssize_t size = ::read(device, buffer.get(), kLongestExtRequest);
    if (size < 0) {
      // ENOENT: the request was interrupted before we took it.
      if (errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
      return;
    }
    const std::span<const std::byte> answer =
        responder.answer({buffer.get(), static_cast<std::size_t>(size)}, reply);
    if (answer.empty()) continue;
    [[maybe_unused]] const ssize_t written = ::write(device, answer.data(), answer.size());
  }
}

std::string report_of(const base::Error& error) {
  return base::cat(kBad, error.what(), '\n', error.hint());
}

void serve_once_mounted(const sif::ImageFile& image, base::UniqueFd control, ext::Access access) {
  std::unique_ptr<ext::FileSystem> file_system;
  try {
    file_system = std::make_unique<ext::FileSystem>(
        ext::Partition(image.fd.get(), image.offset, image.size, base::printable(image.path)),
        access);
  } catch (const base::Error& error) {
    send_message(control.get(), report_of(error), {});
    return;
  }
  send_message(control.get(), std::string(1, kGood), {});
  const std::optional<FdMessage> start = receive_message(control.get(), sizeof(FuseOptions));
  if (start && start->text.size() == sizeof(FuseOptions) && start->fds.size() == 1) {
    FuseOptions options;
    std::memcpy(&options, start->text.data(), sizeof options);
    serve(start->fds[0].get(), *file_system, access, options);
  }
  send_message(control.get(), std::string(1, kEnding), {});
  try {
    file_system->close();
  } catch (const base::Error& error) {
    base::log_warning("changes are lost: ", error.what());
  }
}

}  // namespace

ExtServer ExtServer::start(const sif::ImageFile& image, ext::Access access) {
  SocketPair control = make_socket_pair();
  start_server_process("sifrun-ext", {image.fd.get(), control.second.get()},
                       [&] { serve_once_mounted(image, std::move(control.second), access); });
  return ExtServer(std::move(control.first), access);
}

void ExtServer::open_device() { device_ = open_fuse_device(); }

void ExtServer::mount_at(const std::string& target, FuseOptions options) {
  const std::optional<FdMessage> report = receive_message(control_.get(), kMaxReport);
  if (!report || report->text.empty())
    throw base::error("the file server of an ext image has died");
  if (report->text.front() != kGood) {
    const std::size_t line_end = std::min(report->text.find('\n'), report->text.size());
    base::Error error(report->text.substr(1, line_end - 1));
    const std::string hint = report->text.substr(std::min(line_end + 1, report->text.size()));
    throw hint.empty() ? std::move(error) : std::move(error).with_hint(hint);
  }
  mount_fuse(device_.get(), target, access_ == ext::Access::read_write ? 0 : MS_RDONLY);
  const std::string_view text(reinterpret_cast<const char*>(&options), sizeof options);
  if (!send_message(control_.get(), text, {device_.get()}))
    throw base::error("the file server of an ext image has died");
  device_.reset();
}

void wait_for_ext_server(int end) {
  constexpr int kPatience = 1000;  // milliseconds, for the message that the mount is gone
  ::shutdown(end, SHUT_WR);
  std::byte message{};
  pollfd waiting{end, POLLIN, 0};
  if (::poll(&waiting, 1, kPatience) != 1) return;
  while (::read(end, &message, sizeof message) > 0) {
  }
}

}  // namespace runtime
