// SPDX-License-Identifier: Apache-2.0
// What a stage puts into its image's /.singularity.d and /scif: scripts, help, labels, the
// definition itself.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "definition/definition_file.h"
#include "definition/root_folder.h"

namespace definition {

inline constexpr const char* kPostScript = "/.post.script";
inline constexpr const char* kPostLabels = "/.build.labels";  // that %post may write to

struct ImageFacts {
  std::string_view text;        // of the whole definition file
  std::string go_arch;          // of the base image
  std::time_t built = 0;        // seconds since 1970
  bool replace_labels = false;  // those of the base image, by those of the same name
};

// Mount points that the base image lacks.
void add_mount_points(RootFolder& root);

// The help, %labels and what %post wrote to kPostLabels, the environment and the scripts. Says what
// it adds.
void add_texts(const Stage& stage, const ImageFacts& facts, RootFolder& root);

// The definition file, in place of the base image's, which goes to bootstrap_history if it is one
// that was built from.
void add_definition(const Stage& stage, std::string_view text, RootFolder& root);

// Folders, scripts and labels of the stage's apps.
void add_apps(const Stage& stage, RootFolder& root);

// %post and the %appinstall of each app, one after the other; empty if there is none.
std::string post_script(const Stage& stage);

// Behind "-c" of a section's arguments: the command that runs the script; empty: the usual one.
std::string_view interpreter_of(const Section& section);

}  // namespace definition
