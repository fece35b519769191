// SPDX-License-Identifier: Apache-2.0
// The texts of /.singularity.d and of the SIF's text objects.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "oci/singularity_d.h"
#include "oci/singularity_scripts.h"
#include "sif/sif_format.h"

namespace oci {
namespace {

using nlohmann::json;

constexpr std::string_view kEnvironmentPath = "/.singularity.d/env/10-docker2singularity.sh";

// The image may hold texts that are no valid UTF-8 (JSON escapes of lone surrogates are refused
// before): never fail on them here.
std::string dump(const json& value, int indent, char fill) {
  return value.dump(indent, fill, false, json::error_handler_t::replace);
}

// Inside double quotes the shell gives meaning to four characters.
std::string double_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"' || c == '`' || c == '$') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

bool is_shell_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && !is_digit(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

// " 'word' 'word'"
std::string quoted_words(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += " " + single_quoted(word);
  return out;
}

std::string origin(const ImageIdentity& identity) {
  return identity.reference.empty() ? identity.config_digest : identity.reference;
}

json labels_object(const ImageConfig& config, const ImageIdentity& identity) {
  json labels = json::object();
  for (const auto& [key, value] : config.labels) labels[key] = value;
  labels["org.label-schema.schema-version"] = "1.0";
  labels["org.label-schema.usage.singularity.deffile.bootstrap"] = "docker-archive";
  labels["org.label-schema.usage.singularity.deffile.from"] = origin(identity);
  labels["org.label-schema.build-arch"] = identity.go_arch;
  if (config.created != 0) labels["org.label-schema.build-date"] = format_rfc3339(config.created);
  return labels;
}

}  // namespace

std::string definition_file(const ImageIdentity& identity) {
  return "bootstrap: docker-archive\nfrom: " + base::printable(origin(identity)) + "\n\n";
}

// Each variable is only a default: the runtime may have set it before. PATH is not, because every
// shell starts with one.
std::string environment_script(const ImageConfig& config) {
  std::string script = "#!/bin/sh\n";
  for (const std::string& assignment : config.env) {
    const std::size_t equals = assignment.find('=');
    const std::string name = assignment.substr(0, equals);
    const std::string value =
        equals == std::string::npos ? "" : double_quoted(assignment.substr(equals + 1));
    if (!is_shell_name(name)) continue;
    if (name == "PATH")
      script += "export PATH=" + value + "\n";
    else
      script += "export " + name + "=\"${" + name + ":-" + value + "}\"\n";
  }
  return script;
}

// Arguments replace CMD and follow ENTRYPOINT. Apptainer's users rely on the shell evaluating the
// arguments once more unless the runtime was told --no-eval.
std::string run_script(const ImageConfig& config) {
  const std::string entrypoint = quoted_words(config.entrypoint);
  std::string script = "#!/bin/sh\nif [ $# -eq 0 ]; then\n    set --" + entrypoint +
                       quoted_words(config.cmd) + R"(
else
    if [ -z "${APPTAINER_NO_EVAL:-}" ] && [ -z "${SINGULARITY_NO_EVAL:-}" ]; then
        SINGULARITY_RUN_WORDS=
        for SINGULARITY_RUN_WORD in "$@"; do
            SINGULARITY_RUN_WORDS="${SINGULARITY_RUN_WORDS} \"${SINGULARITY_RUN_WORD}\""
        done
        eval "set -- ${SINGULARITY_RUN_WORDS}"
        unset SINGULARITY_RUN_WORDS SINGULARITY_RUN_WORD
    fi
    set --)" + entrypoint +
                       R"( "$@"
fi
if [ $# -eq 0 ]; then
    echo "this image has no ENTRYPOINT and no CMD: name a command to run" >&2
    exit 1
fi
exec "$@"
exit
# Not reached. By this line sifrun and Apptainer know that they can read the script without a shell of the image.
eval "set ${SINGULARITY_OCI_RUN}"
)";
  return script;
}

std::string labels_json(const ImageConfig& config, const ImageIdentity& identity) {
  return dump(labels_object(config, identity), 1, '\t') + "\n";
}

std::vector<SingularityFile> singularity_files(const ImageConfig& config,
                                               const ImageIdentity& identity) {
  std::vector<SingularityFile> files;
  for (const FixedScript& script : kFixedScripts)
    files.push_back({std::string(script.path), 0755, std::string(script.content)});
  files.push_back({std::string(kEnvironmentPath), 0755, environment_script(config)});
  files.push_back({"/.singularity.d/runscript", 0755, run_script(config)});
  files.push_back({"/.singularity.d/labels.json", 0644, labels_json(config, identity)});
  files.push_back({"/.singularity.d/Singularity", 0644, definition_file(identity)});
  return files;
}

std::vector<sif::SifText> sif_texts(const ImageConfig& config, const ImageIdentity& identity) {
  const json attributes = {
      {"environment", {{std::string(kEnvironmentPath), environment_script(config)}}},
      {"labels", labels_object(config, identity)},
      {"runscript", run_script(config)},
      {"deffile", definition_file(identity)},
      {"startscript", "#!/bin/sh\n"},
  };
  const json metadata = {{"data", {{"attributes", attributes}}}, {"type", "container"}};
  return {
      {sif::DataType::definition_file, "", definition_file(identity)},
      {sif::DataType::generic_json, "inspect-metadata.json", dump(metadata, -1, ' ')},
      {sif::DataType::generic_json, "oci-config.json", config.config_json},
  };
}

}  // namespace oci
