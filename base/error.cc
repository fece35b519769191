// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cstring>
#include <utility>

namespace base {

Error::Error(std::string message, int errno_value)
    : message_(std::move(message)), errno_value_(errno_value) {}

Error&& Error::with_hint(std::string hint) && {
  hint_ = std::move(hint);
  return std::move(*this);
}

std::string errno_text(int errno_value) {
  // strerrordesc_np is neither translated nor shared state, unlike strerror.
  const char* text = strerrordesc_np(errno_value);
  return text != nullptr ? text : cat("error ", errno_value);
}

}  // namespace base
