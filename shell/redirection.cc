// SPDX-License-Identifier: Apache-2.0
// Redirections (XCU 2.7).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/syscalls.h"
#include "shell/expansion.h"
#include "shell/guards.h"

namespace shell {

namespace {

constexpr int kFirstPrivateFd = 10;
constexpr mode_t kNewFileMode = 0666;

int open_flags(RedirectionOp op) {
  switch (op) {
    case RedirectionOp::input:
      return O_RDONLY;
    case RedirectionOp::read_write:
      return O_RDWR | O_CREAT;
    case RedirectionOp::append:
    case RedirectionOp::both_append:
      return O_WRONLY | O_CREAT | O_APPEND;
    default:
      return O_WRONLY | O_CREAT | O_TRUNC;
  }
}

// The text in an anonymous file: a pipe would block on a long one.
base::UniqueFd text_file(const std::string& text) {
  base::UniqueFd fd(::memfd_create("here-document", MFD_CLOEXEC));
  if (!fd) throw base::errno_error(errno, "cannot make a here-document");
  base::write_all(fd.get(), text, "here-document");
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

// Puts the open file at `fd`, where programs inherit it.
bool place(base::UniqueFd source, int fd) {
  if (source.get() == fd) {
    ::fcntl(fd, F_SETFD, 0);
    [[maybe_unused]] const int kept = source.release();
    return true;
  }
  return ::dup2(source.get(), fd) >= 0;
}

bool duplicate(Interpreter& shell, const std::string& target, int fd) {
  if (target == "-") {
    ::close(fd);
    return true;
  }
  const bool is_number = !target.empty() && target.size() < 4 &&
                         target.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || ::dup2(std::stoi(target), fd) < 0) {
    shell.warn(base::cat(target, ": bad file descriptor"));
    return false;
  }
  return true;
}

// This process runs scripts of images, and its program is a file of the user's: a descriptor of it
// would outlive the exec into the payload, which could then overwrite it.
bool is_own_program(int fd) {
  struct stat own, opened;
  return ::stat("/proc/self/exe", &own) == 0 && ::fstat(fd, &opened) == 0 &&
         own.st_dev == opened.st_dev && own.st_ino == opened.st_ino;
}

}  // namespace

bool Interpreter::apply_redirection(const Redirection& redirection) {
  const RedirectionOp op = redirection.op;
  if (op == RedirectionOp::here_document || op == RedirectionOp::here_string) {
    std::string text =
        expand_text(*this, op == RedirectionOp::here_document ? *redirection.here_document
                                                              : redirection.target);
    if (op == RedirectionOp::here_string) text += '\n';
    return place(text_file(text), redirection.fd);
  }
  const std::string target = expand_text(*this, redirection.target);
  const bool all_digits_or_dash =
      target == "-" ||
      (!target.empty() && target.find_first_not_of("0123456789") == std::string::npos);
  if (op == RedirectionOp::duplicate_in) return duplicate(*this, target, redirection.fd);
  if (op == RedirectionOp::duplicate_out && all_digits_or_dash)
    return duplicate(*this, target, redirection.fd);
  if (!options_.files) {
    warn(base::cat(target, ": opening of files is disabled"));
    return false;
  }
  base::UniqueFd file(::open(target.c_str(), open_flags(op) | O_CLOEXEC, kNewFileMode));
  if (!file || is_own_program(file.get())) {
    warn(base::cat(target, ": ", base::errno_text(file ? EACCES : errno)));
    return false;
  }
  if (!place(std::move(file), redirection.fd)) return false;
  const bool both = op == RedirectionOp::both || op == RedirectionOp::both_append ||
                    op == RedirectionOp::duplicate_out;
  return !both || ::dup2(redirection.fd, STDERR_FILENO) >= 0;
}

void RedirectionGuard::save(int fd) {
  for (const Saved& saved : saved_)
    if (saved.fd == fd) return;
  saved_.push_back({fd, ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstPrivateFd)});
}

bool RedirectionGuard::apply(const std::vector<Redirection>& redirections) {
  for (const Redirection& redirection : redirections) {
    save(redirection.fd);
    const bool both = redirection.op == RedirectionOp::both ||
                      redirection.op == RedirectionOp::both_append ||
                      redirection.op == RedirectionOp::duplicate_out;
    if (both) save(STDERR_FILENO);
    if (!shell_->apply_redirection(redirection)) return false;
    if (redirection.fd == STDOUT_FILENO) *capture_ = nullptr;
  }
  return true;
}

RedirectionGuard::~RedirectionGuard() {
  for (auto saved = saved_.rbegin(); saved != saved_.rend(); ++saved) {
    if (saved->copy < 0) {
      ::close(saved->fd);
    } else {
      ::dup2(saved->copy, saved->fd);
      ::close(saved->copy);
    }
  }
  *capture_ = old_capture_;
}

}  // namespace shell
