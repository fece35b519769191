// SPDX-License-Identifier: Apache-2.0
// Definition files of arbitrary bytes: arguments are put in and the text is parsed, or it is a
// base::Error.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "base/error.h"
#include "definition/base_image.h"
#include "definition/build_arguments.h"
#include "definition/definition_file.h"
#include "definition/image_texts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    std::set<std::string, std::less<>> used;
    const std::string text = definition::substitute(input, {{"A", "value"}}, used);
    for (const definition::Stage& stage : definition::parse_definition(text, "fuzz")) {
      definition::post_script(stage);
      if (const definition::Section* labels = stage.find("labels"))
        definition::parse_labels(labels->text);
      definition::base_image(stage);
    }
  } catch (const base::Error&) {
  }
  return 0;
}
