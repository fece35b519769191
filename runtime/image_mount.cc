// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_device.h"
#include "runtime/fuse_server.h"
#include "runtime/join.h"
#include "runtime/pidfd.h"
#include "runtime/preload.h"
#include "runtime/server_process.h"
#include "runtime/trace_file.h"

namespace runtime {
namespace {

static_assert(std::is_trivially_copyable_v<FuseOptions>, "it travels to the server as bytes");

// Without a thread to spare (ulimit -u) the listener closes here, and nobody shares.
void attend_in_background(ShareListener listener, base::UniqueFd control) {
  try {
    std::thread([door = ShareDoor(std::move(listener), std::move(control))]() mutable {
      try {
        door.attend();
      } catch (const std::exception&) {
        // No memory: whoever is inside goes on, nobody else comes in.
      }
    }).detach();
  } catch (const std::system_error&) {
  }
}

// What a trace is worth rewriting for: programs change.
bool has_grown(const AccessTrace& recorded, const std::optional<AccessTrace>& known) {
  return !known || recorded.size() > known->size() + known->size() / 4 + 32;
}

void keep_if_new(const std::string& file, const AccessTrace& recorded,
                 const std::optional<AccessTrace>& known) {
  if (recorded.empty() || !has_grown(recorded, known)) return;
  try {
    keep_trace(file, recorded);
  } catch (const base::Error&) {
    // No home, a full disk: the next start is as this one was.
  }
}

// Taking a mount away takes the longer the more files and data the kernel knows of it, which the
// program would do at its end while somebody waits for that. So the mount is held until then.
void hold_until_end(base::UniqueFd root, base::UniqueFd program) {
  if (!program) return;
  try {
    std::thread([root = std::move(root), program = std::move(program)] {
      wait_for_end(program.get());
    }).detach();
  } catch (const std::system_error&) {
    // No thread to spare: the program does it.
  }
}

// What the launcher says when it has mounted: how the image is to be shown, the device, and the
// mount's directory; with a trace, also its user namespace.
constexpr std::size_t kMaxStartMessage = sizeof(FuseOptions) + kMaxAddedBytes;

// The server must not read the device before it is mounted (that fails with EPERM), and must not
// wait for a launcher that died.
void serve_once_mounted(const sif::ImageFile& image, base::UniqueFd control,
                        std::optional<ShareListener> listener, const std::string& trace_file) {
  std::optional<AccessTrace> trace;
  std::optional<Preloader> preloader;
  if (!trace_file.empty()) trace = find_trace(trace_file);
  if (trace) preloader.emplace(*trace);
  // The launcher reads the tables at the same time, for itself; it tells what is wrong with them.
  const sif::SquashfsReader reader(image.fd.get(), image.offset, image.size, image.path);
  std::optional<FdMessage> start = receive_message(control.get(), kMaxStartMessage);
  if (!start || start->text.size() < sizeof(FuseOptions) || start->fds.size() < 2) return;
  FuseOptions options;
  std::memcpy(&options, start->text.data(), sizeof options);
  const auto added = parse_added_paths(std::string_view(start->text).substr(sizeof options));
  if (listener) {
    attend_in_background(std::move(*listener), std::move(control));
  } else {
    control.reset();
  }
  base::UniqueFd program;
  if (start->sender) program = open_process(start->sender->pid);
  base::UniqueFd known_reads;
  if (preloader && start->fds.size() == 3 && program)
    known_reads = preloader->begin(start->fds[1].get(), start->fds[2].get(), program.get());
  const base::UniqueFd device = std::move(start->fds[0]);
  hold_until_end(std::move(start->fds[1]), std::move(program));
  start->fds.clear();
  if (trace_file.empty()) return FuseServer(device.get(), reader, options, added).serve();
  TraceRecorder recorder(FUSE_ROOT_ID);
  std::optional<PreloadedData> data;
  if (known_reads) data.emplace(*trace, std::move(known_reads), device.get(), reader, &recorder);
  FuseServer(device.get(), reader, options, added, &recorder).serve();
  keep_if_new(trace_file, recorder.finish(), trace);
}

}  // namespace

ImageServer ImageServer::start(const sif::ImageFile& image, std::optional<ShareListener> listener,
                               const std::string& trace_file) {
  SocketPair control = make_socket_pair();
  want_senders(control.second.get());
  std::vector<int> kept = {image.fd.get(), control.second.get()};
  if (listener) kept.push_back(listener->socket.get());
  start_server_process("sifrun-fuse", kept, [&] {
    serve_once_mounted(image, std::move(control.second), std::move(listener), trace_file);
  });
  return ImageServer(std::move(control.first), !trace_file.empty());
}

void ImageServer::open_device() { device_ = open_fuse_device(); }

void ImageServer::mount_at(const std::string& target, FuseOptions options,
                           std::span<const AddedPath> added) {
  mount_fuse(device_.get(), target, MS_RDONLY);
  std::string text(reinterpret_cast<const char*>(&options), sizeof options);
  text += serialize(added);
  const base::UniqueFd root = base::open_file(target, O_PATH | O_DIRECTORY);
  const bool sent =
      preloads_ ? send_message(control_.get(), text,
                               {device_.get(), root.get(), open_own_namespace("user").get()})
                : send_message(control_.get(), text, {device_.get(), root.get()});
  if (!sent) throw base::error("the file server of the image has died");
  device_.reset();
}

// A server that has died meanwhile is found by the next access to the image.
base::UniqueFd ImageServer::share(int user_namespace, int mount_namespace) {
  send_message(control_.get(), "+", {user_namespace, mount_namespace});
  return std::move(control_);
}

}  // namespace runtime
