// SPDX-License-Identifier: Apache-2.0
#include "definition/base_image.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace definition {
namespace {

struct AgentRow {
  std::string_view bootstrap, transport;
  bool is_remote;
};
constexpr std::array<AgentRow, 7> kAgents = {{{"docker", "docker://", true},
                                              {"oras", "oras://", true},
                                              {"docker-archive", "docker-archive:", false},
                                              {"docker-daemon", "docker-daemon:", false},
                                              {"oci", "oci:", false},
                                              {"oci-archive", "oci-archive:", false},
                                              {"localimage", "", false}}};
constexpr std::array<std::string_view, 10> kOtherAgents = {
    "library", "shub", "busybox", "debootstrap", "arch",
    "yum",     "dnf",  "zypper",  "dockerfile",  "buildkit"};

[[noreturn]] void refuse_agent(const std::string& bootstrap) {
  if (std::ranges::find(kOtherAgents, bootstrap) == kOtherAgents.end())
    throw base::error("invalid build source ", base::printable(bootstrap));
  throw base::error("Bootstrap: ", bootstrap, " is not supported")
      .with_hint("start from an image, as in Bootstrap: docker, From: debian:12");
}

}  // namespace

BaseImage base_image(const Stage& stage) {
  const std::string bootstrap = base::lower_case(stage.header_value("bootstrap"));
  if (bootstrap == "scratch") return {};
  const auto* agent = std::ranges::find(kAgents, bootstrap, &AgentRow::bootstrap);
  if (agent == kAgents.end()) refuse_agent(bootstrap);
  const std::string from = stage.header_value("from");
  if (from.empty()) throw base::error("Bootstrap: ", bootstrap, " needs a From:");
  if (!agent->is_remote && !stage.header_value("fingerprints").empty()) {
    throw base::error("Fingerprints: OpenPGP signatures of base images are not verified here")
        .with_hint("`sifrun verify --key` checks PEM signatures; then leave the header out");
  }
  std::string source(agent->transport);
  if (bootstrap == "docker") {
    for (const char* key : {"registry", "namespace"}) {
      if (const std::string value = stage.header_value(key); !value.empty()) source += value + "/";
    }
  }
  return {source + from, agent->is_remote};
}

}  // namespace definition
