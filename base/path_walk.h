// SPDX-License-Identifier: Apache-2.0
// One walk along a path, component by component, in whatever knows names and symbolic links: an
// opened directory tree, or an image's tables. Links stay inside the root.
#pragma once

#include <cerrno>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace base {

inline constexpr int kMaxLinks = 40;  // the kernel's own limit

// How far a path exists.
template <typename Node>
struct WalkedPath {
  Node deepest;                      // the last existing component
  std::string canonical;             // its path from the root, without links; "/" for the root
  std::vector<std::string> missing;  // what comes after it; empty if all exists
};

// `Tree` has a type Node and
//   Node root();
//   std::optional<Node> find(const Node* parent, const std::string& name);  // null: the root
//   std::optional<std::string> link_target(const Node& node);  // nullopt: no symbolic link
// find() throws for every failure but absence, for a parent that is no directory, too.
template <typename Tree>
class PathWalk {
 public:
  using Node = typename Tree::Node;

  PathWalk(Tree tree, std::string_view path) : tree_(std::move(tree)), path_(path) {
    push_front(path);
  }

  // Once. Throws Error with ELOOP for too many links.
  WalkedPath<Node> run() {
    while (!pending_.empty()) {
      const std::string name = std::move(pending_.front());
      pending_.pop_front();
      if (name == "..") {
        step_up();
      } else if (!missing_.empty()) {
        missing_.push_back(name);
      } else {
        step_down(name);
      }
    }
    return {nodes_.empty() ? tree_.root() : std::move(nodes_.back()), "/" + join(names_, "/"),
            std::move(missing_)};
  }

 private:
  void push_front(std::string_view path) {
    std::vector<std::string> parts = split(path, '/');
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (!part->empty() && *part != ".") pending_.push_front(std::move(*part));
    }
  }

  void step_up() {
    if (!missing_.empty()) {
      missing_.pop_back();
    } else if (!nodes_.empty()) {
      nodes_.pop_back();
      names_.pop_back();
    }
  }

  void step_down(const std::string& name) {
    std::optional<Node> node = tree_.find(nodes_.empty() ? nullptr : &nodes_.back(), name);
    if (!node) {
      missing_.push_back(name);
      return;
    }
    const std::optional<std::string> target = tree_.link_target(*node);
    if (!target) {
      nodes_.push_back(std::move(*node));
      names_.push_back(name);
      return;
    }
    if (++links_ > kMaxLinks)
      throw errno_error(ELOOP, "cannot resolve ", printable(path_), " in the container");
    if (target->starts_with('/')) {
      nodes_.clear();
      names_.clear();
    }
    push_front(*target);
  }

  Tree tree_;
  std::string path_;
  std::deque<std::string> pending_;
  std::vector<Node> nodes_;  // kept, so that ".." never trusts the file system
  std::vector<std::string> names_, missing_;
  int links_ = 0;
};

}  // namespace base
