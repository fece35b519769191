// SPDX-License-Identifier: Apache-2.0
#include "sif/sif_format.h"

#include <array>

namespace sif {
namespace {

struct Architecture {
  std::string_view go_arch, code;
};

constexpr std::array kArchitectures = {
    Architecture{"386", "01"},      Architecture{"amd64", "02"},  Architecture{"arm", "03"},
    Architecture{"arm64", "04"},    Architecture{"ppc64", "05"},  Architecture{"ppc64le", "06"},
    Architecture{"mips", "07"},     Architecture{"mipsle", "08"}, Architecture{"mips64", "09"},
    Architecture{"mips64le", "10"}, Architecture{"s390x", "11"},  Architecture{"riscv64", "12"},
    Architecture{"loong64", "13"}};

}  // namespace

std::string_view sif_arch_code(std::string_view go_arch) {
  for (const Architecture& architecture : kArchitectures)
    if (architecture.go_arch == go_arch) return architecture.code;
  return "00";
}

std::string_view go_arch_of_code(std::string_view code) {
  for (const Architecture& architecture : kArchitectures)
    if (architecture.code == code) return architecture.go_arch;
  return "";
}

std::string_view host_go_arch() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__i386__)
  return "386";
#elif defined(__arm__)
  return "arm";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#elif defined(__riscv) && __riscv_xlen == 64
  return "riscv64";
#elif defined(__loongarch64)
  return "loong64";
#else
  return "";
#endif
}

}  // namespace sif
