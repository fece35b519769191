// SPDX-License-Identifier: Apache-2.0
#include "runtime/conda.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "runtime/conda_config.h"

namespace runtime {
namespace {

// Environments that conda only knows by its list, made by path: each costs a mount.
constexpr std::size_t kMaxListedEnvironments = 32;
constexpr unsigned kMaxStacked = 16;  // CONDA_PREFIX_1...

struct ModeWord {
  std::string_view word;
  CondaMode mode;
};
constexpr auto kModes = std::to_array<ModeWord>({
    {"auto", CondaMode::automatic},
    {"front", CondaMode::front},
    {"back", CondaMode::back},
    {"bind", CondaMode::bind},
    {"off", CondaMode::off},
});

constexpr auto kVariablePrefixes =
    std::to_array<std::string_view>({"CONDA_", "_CONDA_", "_CE_", "MAMBA_", "__CONDA_"});

// Variables that hold a program of an installation, two directories below its root.
constexpr auto kPrograms =
    std::to_array<std::string_view>({"CONDA_EXE", "_CONDA_EXE", "CONDA_PYTHON_EXE"});
constexpr auto kRoots = std::to_array<std::string_view>({"_CONDA_ROOT", "MAMBA_ROOT_PREFIX"});

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::ranges::find(list, value) != list.end();
}

// A system's own directories are not an environment, whatever a variable says.
bool is_system(std::string_view path) {
  return is_within("/usr/local", path) || is_within(path, "/bin") || is_within(path, "/sbin") ||
         is_within(path, "/usr/bin") || is_within(path, "/usr/sbin") || path == "/opt" ||
         path == "/home" || path == "/etc" || path == "/var";
}

// What the host has, before any decision.
struct Findings {
  std::string prefix;              // active conda environment; empty for none
  bool base = false;               // it is the installation's own
  std::string name;                // as conda calls it
  std::string venv;                // active virtual environment
  std::string venv_base;           // the installation that its python belongs to, if not a system's
  std::string venv_python;         // else the system's python that it links to
  std::vector<std::string> stack;  // prefixes below the active one
  std::vector<std::string> roots;
  std::vector<std::string> listed;  // by environments.txt
  std::vector<std::string> search;  // entries of PATH
};

class Detector {
 public:
  Detector(const RootTree& host, const CondaRequest& request) : host_(host), request_(request) {}
  Findings detect();

 private:
  std::string variable(std::string_view name) const {
    return variable_or_empty(request_.environment, name);
  }
  bool is_environment(const std::string& path) const {
    return path.starts_with('/') && host_.is_directory(path + "/conda-meta");
  }
  void add_root(const std::string& path);
  void find_active();
  void find_roots();
  void find_venv();

  const RootTree& host_;
  const CondaRequest& request_;
  Findings out_;
};

void Detector::add_root(const std::string& text) {
  if (!text.starts_with('/')) return;
  const std::string path = normal_path(text);
  if (is_system(path) || contains(out_.roots, path)) return;
  // A root of micromamba has no packages of its own, only environments.
  if (is_environment(path) || host_.is_directory(path + "/condabin") ||
      host_.is_directory(path + "/envs"))
    out_.roots.push_back(path);
}

// CONDA_PREFIX alone is a leftover; active is what PATH has, too.
void Detector::find_active() {
  const std::string prefix = variable("CONDA_PREFIX");
  if (!is_environment(prefix)) return;
  const std::string path = normal_path(prefix);
  if (is_system(path) || !contains(out_.search, path + "/bin")) return;
  out_.prefix = path;
  out_.name = variable("CONDA_DEFAULT_ENV");
  for (unsigned i = 1; i <= kMaxStacked; ++i) {
    const std::string below = variable(base::cat("CONDA_PREFIX_", i));
    if (below.empty()) break;
    if (is_environment(below)) out_.stack.push_back(normal_path(below));
  }
}

void Detector::find_roots() {
  for (const std::string_view name : kPrograms) {
    const std::string program = variable(name);
    if (program.starts_with('/'))
      add_root(std::string(parent_path(parent_path(normal_path(program)))));
  }
  for (const std::string_view name : kRoots) add_root(variable(name));
  // `export PATH=~/miniconda3/bin:$PATH` and nothing else.
  for (const std::string& entry : out_.search) {
    if (is_system(entry) || (base_name(entry) != "bin" && base_name(entry) != "condabin")) continue;
    const std::string parent(parent_path(entry));
    if (parent != out_.prefix && !contains(out_.stack, parent) && is_environment(parent))
      add_root(parent);
  }
  const std::optional<std::string> prefix = host_.resolve(out_.prefix);
  out_.base = !out_.prefix.empty() &&
              (out_.name == "base" || std::ranges::any_of(out_.roots, [&](const auto& root) {
                 return host_.resolve(root) == prefix;
               }));
}

void Detector::find_venv() {
  const std::string text = variable("VIRTUAL_ENV");
  if (!text.starts_with('/')) return;
  const std::string path = normal_path(text);
  const std::optional<std::string> config = host_.read(path + "/pyvenv.cfg");
  if (!config || is_system(path) || !contains(out_.search, path + "/bin")) return;
  out_.venv = path;
  const std::string home = normal_path(pyvenv_value(*config, "home"));
  if (!is_system(home)) {
    out_.venv_base = parent_path(home);
  } else if (const auto python = host_.resolve(path + "/bin/python")) {
    if (!is_within(*python, path)) out_.venv_python = *python;
  }
}

Findings Detector::detect() {
  for (const std::string& entry : base::split(variable("PATH"), ':')) {
    if (entry.starts_with('/')) out_.search.push_back(normal_path(entry));
  }
  find_active();
  find_roots();
  find_venv();
  out_.listed = read_known_environments(host_, request_.home);
  return std::move(out_);
}

class Planner {
 public:
  Planner(const RootTree& host, const CondaRequest& request, Findings findings)
      : host_(host), request_(request), found_(std::move(findings)) {}
  HostAdditions plan();

 private:
  bool is_visible(const std::string& path) const;
  void bind(const std::string& path, bool writable = true);
  void bind_all();
  void bind_listed();
  void drop_covered_binds();
  void place_search_entries();
  bool goes_front(const std::string& entry) const;
  void name_variables();
  void explain();
  void warn_of_library_path();

  const RootTree& host_;
  const CondaRequest& request_;
  const Findings found_;
  HostAdditions out_;
};

bool Planner::is_visible(const std::string& path) const {
  const auto shows = [&](const std::string& directory) { return is_within(path, directory); };
  return std::ranges::any_of(request_.visible, shows) ||
         std::ranges::any_of(out_.binds, [&](const HostBind& b) { return shows(b.destination); });
}

// At every spelling that a symbolic link on the way leads to, or the link would dangle inside.
void Planner::bind(const std::string& path, bool writable) {
  const std::vector<std::string> spellings = host_.spellings(path);
  for (const std::string& spelling : spellings) {
    if (is_system(spelling) || is_visible(spelling)) continue;
    out_.binds.push_back({host_.outside(spellings.back()), spelling, !writable, true});
  }
}

void Planner::bind_listed() {
  std::size_t count = 0;
  for (const std::string& prefix : found_.listed) {
    if (is_visible(prefix) || !host_.is_directory(prefix + "/conda-meta")) continue;
    if (++count > kMaxListedEnvironments) {
      out_.notes.push_back(
          base::cat("conda: of the environments in ~/.conda/environments.txt the "
                    "first ",
                    kMaxListedEnvironments, " are bound"));
      return;
    }
    bind(prefix);
  }
}

void Planner::bind_all() {
  // Roots first: they hold most of what follows.
  for (const std::string& root : found_.roots) bind(root);
  if (!found_.prefix.empty()) bind(found_.prefix);
  for (const std::string& prefix : found_.stack) bind(prefix);
  for (const std::string& prefix : {found_.venv, found_.venv_base})
    if (!prefix.empty()) bind(prefix);
  const std::string mamba = variable_or_empty(request_.environment, "MAMBA_EXE");
  if (mamba.starts_with('/') && !is_system(mamba)) bind(normal_path(mamba), false);
  bind_listed();
  if (found_.roots.empty() && found_.prefix.empty() && out_.binds.empty()) return;
  CondaDirectories directories = read_conda_directories(
      host_, {request_.environment, request_.home, found_.roots, found_.prefix});
  for (const std::string& path : directories.environments) bind(path);
  for (const std::string& path : directories.packages) bind(path);
  for (std::string& problem : directories.problems) out_.notes.push_back(std::move(problem));
}

void Planner::drop_covered_binds() {
  const std::vector<HostBind> binds = out_.binds;
  std::erase_if(out_.binds, [&](const HostBind& bind) {
    return std::ranges::any_of(binds, [&](const HostBind& other) {
      return other.destination != bind.destination &&
             is_within(bind.destination, other.destination);
    });
  });
}

bool Planner::goes_front(const std::string& entry) const {
  if (request_.mode != CondaMode::automatic) return request_.mode == CondaMode::front;
  if (request_.stands_in) return false;
  if (!found_.venv.empty() && is_within(entry, found_.venv)) return true;
  if (found_.prefix.empty() || found_.base) return false;
  // condabin holds nothing but conda itself.
  if (base_name(entry) == "condabin") return true;
  const bool of_root = contains(found_.roots, parent_path(entry));
  return !of_root && (is_within(entry, found_.prefix) ||
                      std::ranges::any_of(found_.stack, [&](const std::string& prefix) {
                        return is_within(entry, prefix);
                      }));
}

void Planner::place_search_entries() {
  if (request_.mode == CondaMode::bind) return;
  const auto ours = [&](const std::string& entry) {
    const auto holds = [&](const std::string& prefix) {
      return !prefix.empty() && is_within(entry, prefix);
    };
    return holds(found_.prefix) || holds(found_.venv) || std::ranges::any_of(found_.stack, holds) ||
           std::ranges::any_of(found_.roots, holds);
  };
  for (const std::string& entry : found_.search) {
    if (!ours(entry) || !host_.is_directory(entry)) continue;
    std::vector<std::string>& place = goes_front(entry) ? out_.path_front : out_.path_back;
    if (!contains(place, entry)) place.push_back(entry);
  }
}

void Planner::name_variables() {
  for (const std::string& entry : request_.environment) {
    const std::string name = entry.substr(0, entry.find('='));
    if (std::ranges::any_of(kVariablePrefixes,
                            [&](std::string_view prefix) { return name.starts_with(prefix); }))
      out_.dependent_variables.push_back(name);
  }
  out_.anchors = found_.roots;
  if (!found_.prefix.empty()) out_.anchors.push_back(found_.prefix);
}

// Conda's libraries first in everyone's search path break the programs of the image.
void Planner::warn_of_library_path() {
  for (const std::string_view name :
       {"APPTAINERENV_LD_LIBRARY_PATH", "SINGULARITYENV_LD_LIBRARY_PATH"}) {
    for (const std::string& entry : base::split(variable_or_empty(request_.environment, name), ':'))
      if (!found_.prefix.empty() && entry == found_.prefix + "/lib") {
        out_.warnings.push_back(base::cat(name, " holds ", base::printable(entry),
                                          ": programs of the image may break on the libraries of "
                                          "the conda environment, which does not need it"));
      }
  }
}

void Planner::explain() {
  if (!found_.prefix.empty()) {
    out_.notes.push_back(base::cat("conda: ", found_.base ? "base" : "environment ",
                                   found_.base ? "" : base::printable(found_.name), " (",
                                   base::printable(found_.prefix), ") is active"));
  }
  if (!found_.venv.empty())
    out_.notes.push_back("virtual environment " + base::printable(found_.venv) + " is active");
  for (const HostBind& bind : out_.binds)
    out_.notes.push_back("conda: " + base::printable(bind.destination) + " is bound");
  const auto join = [](const std::vector<std::string>& entries) {
    return base::printable(base::join(entries, ":"));
  };
  if (!out_.path_front.empty())
    out_.notes.push_back("conda: before the image's PATH: " + join(out_.path_front));
  if (!out_.path_back.empty())
    out_.notes.push_back("conda: behind the image's PATH: " + join(out_.path_back));
  const auto python = [&](const std::vector<std::string>& entries) -> std::string {
    for (const std::string& entry : entries)
      if (host_.exists(entry + "/python")) return base::printable(entry) + "/python";
    return "";
  };
  const std::string front = python(out_.path_front), back = python(out_.path_back);
  if (!front.empty()) {
    out_.notes.push_back("python is " + front);
  } else if (!back.empty()) {
    out_.notes.push_back("python is the image's, or " + back + " if it has none");
  }
}

HostAdditions Planner::plan() {
  bind_all();
  drop_covered_binds();
  place_search_entries();
  name_variables();
  for (const std::string& prefix : {found_.prefix, found_.venv_base, found_.venv})
    if (!prefix.empty()) out_.environments.push_back(prefix);
  for (const std::vector<std::string>* list : {&found_.stack, &found_.roots})
    out_.environments.insert(out_.environments.end(), list->begin(), list->end());
  if (!found_.venv_python.empty()) {
    out_.needs.push_back(
        {found_.venv_python,
         base::cat("the virtual environment ", base::printable(found_.venv), " needs ",
                   base::printable(found_.venv_python), ", which the image does not have")});
  }
  warn_of_library_path();
  explain();
  return std::move(out_);
}

}  // namespace

std::optional<CondaMode> find_conda_mode(std::string_view word) {
  const auto row = std::ranges::find(kModes, word, &ModeWord::word);
  if (row == kModes.end()) return std::nullopt;
  return row->mode;
}

HostAdditions conda_additions(const RootTree& host, const CondaRequest& request) {
  if (request.mode == CondaMode::off) return {};
  return Planner(host, request, Detector(host, request).detect()).plan();
}

}  // namespace runtime
