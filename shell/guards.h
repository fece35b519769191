// SPDX-License-Identifier: Apache-2.0
// What the interpreter undoes when a command ends, also by an exception.
#pragma once

#include <unistd.h>

#include <utility>
#include <vector>

#include "shell/interpreter.h"

namespace shell {

// Replaces a value while it lives.
template <typename T>
class ValueGuard {
 public:
  ValueGuard(T* target, T value) : target_(target), old_(std::move(*target)) {
    *target = std::move(value);
  }
  ~ValueGuard() { *target_ = std::move(old_); }
  ValueGuard(const ValueGuard&) = delete;
  ValueGuard& operator=(const ValueGuard&) = delete;

 private:
  T* target_;
  T old_;
};

class ScopeGuard {
 public:
  ScopeGuard(Variables* variables, bool active) : variables_(active ? variables : nullptr) {
    if (variables_) variables_->enter_scope();
  }
  ~ScopeGuard() {
    if (variables_) variables_->leave_scope();
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Variables* variables_;
};

// Redirections of a builtin or compound command: the descriptors come back afterwards.
class RedirectionGuard {
 public:
  RedirectionGuard(Interpreter* shell, std::string** capture)
      : shell_(shell), capture_(capture), old_capture_(*capture) {}
  ~RedirectionGuard();
  RedirectionGuard(const RedirectionGuard&) = delete;
  RedirectionGuard& operator=(const RedirectionGuard&) = delete;

  // False, with a message printed, if one of them fails.
  bool apply(const std::vector<Redirection>& redirections);

 private:
  void save(int fd);

  struct Saved {
    int fd;
    int copy;  // -1: it was closed
  };
  Interpreter* shell_;
  std::string** capture_;
  std::string* old_capture_;
  std::vector<Saved> saved_;
};

}  // namespace shell
