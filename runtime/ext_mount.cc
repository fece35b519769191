// SPDX-License-Identifier: Apache-2.0
#include "runtime/ext_mount.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/directory_probe.h"
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

// Answers the device's requests until the mount is gone.
class ExtService {
 public:
  // `probing`: a clone of the device.
  ExtService(int device, base::UniqueFd probing, ext::FileSystem& file_system, ext::Access access,
             ExtRole role, FuseOptions options)
      : device_(device),
        responder_(file_system, access, role, options),
        committer_(file_system),
        probe_(std::move(probing)),
        buffer_(std::make_unique_for_overwrite<std::byte[]>(kLongestExtRequest)) {
    // A request that poll(2) has seen may be gone, with the process that waited for it.
    ::fcntl(device, F_SETFL, O_NONBLOCK);
  }

  void serve() {
    while (wait_for_request()) {
      const auto request = read_request();
      if (!request) return;
      take(*request);
    }
  }

 private:
  // A LOOKUP whose kind is being found out.
  struct Postponed {
    std::vector<std::byte> request;
    std::uint64_t directory;
    std::uint64_t probe;
    Clock::time_point since;
  };

  // Empty if there is none after all; nullopt when the mount is gone.
  std::optional<std::span<const std::byte>> read_request() {
    const ssize_t size = ::read(device_, buffer_.get(), kLongestExtRequest);
    // ENOENT: the request was interrupted before we took it.
    if (size < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
      return std::span<const std::byte>();
    if (size < 0) return std::nullopt;
    return std::span<const std::byte>(buffer_.get(), static_cast<std::size_t>(size));
  }

  void take(std::span<const std::byte> request) {
    if (request.empty()) return;
    if (const auto ambiguous = responder_.find_ambiguous(request)) {
      postponed_.push_back({{request.begin(), request.end()},
                            ambiguous->directory,
                            probe_.begin(ambiguous->directory, ambiguous->name),
                            Clock::now()});
      return;
    }
    const std::span<const std::byte> answer = responder_.answer(request, reply_);
    if (!is_out_of_space(answer) || is_draining_) return reply(answer);
    // The kernel may have forgotten files, of which the space is free then.
    const std::vector<std::byte> full(request.begin(), request.end());
    drain();
    reply(responder_.answer(full, reply_));
  }

  // What the kernel forgets it tells behind other requests (forget_batch in fs/fuse/dev.c). Not for
  // ever: there may always be more.
  void drain() {
    constexpr int kMost = 64;
    is_draining_ = true;
    for (int i = 0; i < kMost; ++i) {
      const auto request = read_request();
      if (!request || request->empty()) break;
      take(*request);
    }
    is_draining_ = false;
  }

  static bool is_out_of_space(std::span<const std::byte> answer) {
    return !answer.empty() && parse<fuse_out_header>(answer).error == -ENOSPC;
  }

  void reply(std::span<const std::byte> answer) {
    if (answer.empty()) return;
    [[maybe_unused]] const ssize_t written = ::write(device_, answer.data(), answer.size());
  }

  // Meanwhile does what is due. Always true.
  bool wait_for_request() {
    for (;;) {
      committer_.commit_if_due();
      int patience = committer_.patience();
      if (!postponed_.empty()) patience = kProbePatience;
      std::array<pollfd, 2> waiting = {{{device_, POLLIN, 0}, {probe_.event(), POLLIN, 0}}};
      const int count = ::poll(waiting.data(), waiting.size(), patience);
      if (count > 0 && waiting[1].revents != 0) {
        drain();  // it tells whether the last answer of this kind was a wrong one
        confirm_up_to(probe_.finished());
      }
      // Whoever holds a directory may wait for the answer to another request, so those come first.
      if (count > 0 && waiting[0].revents != 0) {
        if (!postponed_.empty() && Clock::now() - postponed_.front().since > kLongestProbe)
          answer_holder();
        return true;
      }
      if (count == 0 && !postponed_.empty()) answer_holder();
    }
  }

  // Their directories are not held: they confirm names.
  void confirm_up_to(std::uint64_t probe) {
    while (!postponed_.empty() && postponed_.front().probe <= probe) {
      reply(responder_.confirm(postponed_.front().request, reply_));
      postponed_.pop_front();
    }
  }
  // Nothing has come for a while, or other requests have come for long: if somebody holds a
  // directory, that is a program that waits for its answer. If several ask, one that was not told
  // before is. Whoever is wrongly taken for it asks again (see runtime/removed_names), and programs
  // may do so as well, to make the name, but can wait a little longer.
  void answer_holder() {
    const auto age = [&](const Postponed& each) { return Clock::now() - each.since; };
    auto holder = std::ranges::find_if(postponed_, [&](const Postponed& each) {
      return probe_.is_held(each.directory) &&
             (age(each) > kPatienceAgain || !responder_.asks_again(each.request));
    });
    // Whoever holds one directory may ask for names of another, of which the probe is not begun.
    if (holder == postponed_.end() && age(postponed_.front()) > kLongestProbe &&
        (probe_.is_any_held() || age(postponed_.front()) > kLongestWait))
      holder = postponed_.begin();
    if (holder == postponed_.end()) return;
    reply(responder_.answer_program(holder->request, reply_));
    postponed_.erase(holder);
  }

  static constexpr int kProbePatience = 1;  // milliseconds without another request
  static constexpr std::chrono::milliseconds kPatienceAgain{10};
  static constexpr std::chrono::milliseconds kLongestProbe{100};
  static constexpr std::chrono::seconds kLongestWait{2};  // should there be no probes

  const int device_;
  ExtResponder responder_;
  Committer committer_;
  DirectoryProbe probe_;
  std::unique_ptr<std::byte[]> buffer_;
  FuseReply reply_;
  std::deque<Postponed> postponed_;
  bool is_draining_ = false;
};

std::string report_of(const base::Error& error) {
  return base::cat(kBad, error.what(), '\n', error.hint()).substr(0, kMaxReport);
}

base::Error problem_of(const std::string& report) {
  const std::size_t line_end = std::min(report.find('\n'), report.size());
  base::Error error(report.substr(1, line_end - 1));
  const std::string hint = report.substr(std::min(line_end + 1, report.size()));
  return hint.empty() ? std::move(error) : std::move(error).with_hint(hint);
}

void serve_once_mounted(const sif::ImageFile& image, base::UniqueFd control, ext::Access access,
                        ExtRole role) {
  std::unique_ptr<ext::FileSystem> file_system;
  try {
    file_system = std::make_unique<ext::FileSystem>(
        ext::Partition(image.fd.get(), image.offset, image.size, base::printable(image.path)),
        access);
  } catch (const base::Error& error) {
    send_message(control.get(), report_of(error), {});
    // Whoever waits for the end is told that nothing is lost.
    receive_message(control.get(), kMaxReport);
    send_message(control.get(), std::string(1, kGood), {});
    return;
  }
  send_message(control.get(), std::string(1, kGood), {});
  std::optional<FdMessage> start = receive_message(control.get(), sizeof(FuseOptions));
  if (start && start->text.size() == sizeof(FuseOptions) && start->fds.size() == 2) {
    FuseOptions options;
    std::memcpy(&options, start->text.data(), sizeof options);
    ExtService(start->fds[0].get(), std::move(start->fds[1]), *file_system, access, role, options)
        .serve();
  }
  send_message(control.get(), std::string(1, kEnding), {});
  try {
    file_system->close();
    send_message(control.get(), std::string(1, kGood), {});
  } catch (const base::Error& error) {
    send_message(control.get(), report_of(error), {});
  }
}

}  // namespace

ExtServer ExtServer::start(const sif::ImageFile& image, ext::Access access, ExtRole role) {
  SocketPair control = make_socket_pair();
  start_server_process("sifrun-ext", {image.fd.get(), control.second.get()},
                       [&] { serve_once_mounted(image, std::move(control.second), access, role); });
  return ExtServer(std::move(control.first), access);
}

void ExtServer::open_device() {
  device_ = open_fuse_device();
  probing_ = open_fuse_device();
}

void ExtServer::mount_at(const std::string& target, FuseOptions options) {
  const std::optional<FdMessage> report = receive_message(control_.get(), kMaxReport);
  if (!report || report->text.empty())
    throw base::error("the file server of an ext image has died");
  if (report->text.front() != kGood) throw problem_of(report->text);
  mount_fuse(device_.get(), target, access_ == ext::Access::read_write ? 0 : MS_RDONLY);
  const std::string_view text(reinterpret_cast<const char*>(&options), sizeof options);
  const int device = device_.get();
  if (::ioctl(probing_.get(), FUSE_DEV_IOC_CLONE, &device) != 0)
    throw base::errno_error(errno, "cannot clone the FUSE device");
  if (!send_message(control_.get(), text, {device_.get(), probing_.get()}))
    throw base::error("the file server of an ext image has died");
  device_.reset();
  probing_.reset();
}

bool wait_for_ext_server(int end) {
  constexpr int kPatience = 1000;  // milliseconds, for the message that the mount is gone
  ::shutdown(end, SHUT_WR);
  pollfd waiting{end, POLLIN, 0};
  if (::poll(&waiting, 1, kPatience) != 1) return true;
  std::string problem = "the file server of an ext3 image has died";
  while (const std::optional<FdMessage> message = receive_message(end, kMaxReport)) {
    if (message->text.starts_with(kGood)) return true;
    if (message->text.starts_with(kBad)) problem = problem_of(message->text).what();
  }
  base::log_message(base::LogLevel::error, base::cat("changes are lost: ", problem));
  return false;
}

}  // namespace runtime
