// SPDX-License-Identifier: Apache-2.0
// Files that are an image already: a SIF, a bare squashfs, a folder. They keep their metadata and
// /.singularity.d; what lacks that gets an empty one.
#include <fcntl.h>

#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "ext/image_lock.h"
#include "oci/ext_tree.h"
#include "oci/flat_image.h"
#include "oci/singularity_d.h"
#include "oci/tree_texts.h"
#include "sif/changed_tree.h"
#include "sif/folder_tree.h"
#include "sif/image_tree.h"
#include "sif/sif_format.h"
#include "sif/sif_reader.h"

namespace oci {
namespace {

constexpr std::uint64_t kMaxTextObject = 16 << 20;
constexpr std::string_view kOciConfig = "oci-config.json";

// Images of before Singularity 2.3 have a script in the root in place of the folder.
bool is_container(const sif::Tree& tree) {
  const auto& children = tree.root().children;
  return children.contains(".singularity.d") || children.contains("singularity");
}

class LocalImage : public FlatImage {
 protected:
  void complete(sif::Tree& tree, const FlattenOptions& options, const std::string& go_arch) {
    layout.go_arch = go_arch.empty() ? std::string(sif::host_go_arch()) : go_arch;
    if (!options.go_arch.empty() && options.go_arch != layout.go_arch) {
      throw base::error(base::printable(options.source.path), " is for ", layout.go_arch,
                        ", not for ", base::printable(options.go_arch));
    }
    if (!is_container(tree)) {
      const ImageIdentity identity{options.source.path.substr(options.source.path.rfind('/') + 1),
                                   "", layout.go_arch};
      generated_ =
          add_singularity_d(tree, singularity_files(ImageConfig(), identity), tree.root().mtime);
    }
    id = digest_of_tree(tree);
    layout.uuid = uuid_of(id);
    if (layout.created == 0) layout.created = tree.root().mtime;
    if (layout.texts.empty()) layout.texts = texts_of_tree(tree);
  }

 private:
  std::vector<std::unique_ptr<sif::DataSource>> generated_;
};

// An ext3 image that nobody changes while it is read.
class ExtFile {
 public:
  ExtFile(const std::string& path, ExtTree::Part part)
      : file_(open_locked(path, part)), tree_(file_, part) {}
  sif::Tree& tree() { return tree_.tree; }
  const sif::Tree& tree() const { return tree_.tree; }
  std::uint64_t size() const { return file_.size; }
  const std::string& go_arch() const { return file_.go_arch; }

 private:
  static sif::ImageFile open_locked(const std::string& path, ExtTree::Part part) {
    sif::ImageFile file =
        sif::open_any_image(path, {part == ExtTree::Part::all ? sif::PartitionType::primary_system
                                                              : sif::PartitionType::overlay});
    if (file.file_system != sif::FileSystemType::ext3)
      throw base::error(base::printable(path), ": not a folder and not an ext3 image");
    ext::lock_image(file.fd.get(), file.offset, file.size, ext::Access::read_only,
                    base::printable(path));
    return file;
  }

  sif::ImageFile file_;
  ExtTree tree_;
};

class FolderImage : public LocalImage {
 public:
  explicit FolderImage(const FlattenOptions& options) : folder_(options.source.path) {
    folder_.tree.root().mode = 0755;  // not that of mktemp -d: others may run the image
    complete(folder_.tree, options, "");
  }
  const sif::Tree& tree() const override { return folder_.tree; }

 private:
  sif::FolderTree folder_;
};

class FileImage : public LocalImage {
 public:
  explicit FileImage(const FlattenOptions& options)
      : file_(sif::open_image(options.source.path)),
        reader_(file_.fd.get(), file_.offset, file_.size, file_.path),
        image_(reader_) {
    if (!options.overlay.empty()) apply_overlay(options.overlay);
    if (sif::is_sif(file_.fd.get())) take_texts();
    source_bytes =
        static_cast<std::uint64_t>(base::file_status(file_.fd.get(), file_.path).st_size);
    complete(image_.tree, options, file_.go_arch);
  }
  const sif::Tree& tree() const override { return image_.tree; }

 private:
  void apply_overlay(const std::string& path) {
    const std::optional<struct stat> status = base::find_status(path);
    if (status && !S_ISDIR(status->st_mode)) {
      ext_upper_.emplace(path, ExtTree::Part::changes);
      sif::apply_changes(image_.tree, ext_upper_->tree());
    } else {
      upper_.emplace(path + "/upper");
      sif::apply_changes(image_.tree, upper_->tree);
    }
    is_changed_ = true;
  }

  // Signatures would no longer be true. What describes files is made anew of those that changed.
  void take_texts() {
    const sif::SifContainer container = sif::read_sif(file_.fd.get(), file_.path);
    if (!is_changed_) layout.created = container.header.created;
    if (is_changed_) layout.texts = texts_of_tree(image_.tree);
    for (const sif::SifDescriptor& object : container.descriptors) {
      if (!is_kept(object)) continue;
      if (object.size > kMaxTextObject)
        throw base::error(base::printable(file_.path), ": object ", object.id, " has ", object.size,
                          " bytes, more than the ", kMaxTextObject, " that make sense");
      std::string content(object.size, '\0');
      base::pread_exactly(file_.fd.get(), std::as_writable_bytes(std::span(content)), object.offset,
                          file_.path);
      layout.texts.push_back({object.type, object.name, std::move(content)});
    }
  }

  bool is_kept(const sif::SifDescriptor& object) const {
    if (is_changed_) return object.type == sif::DataType::generic_json && object.name == kOciConfig;
    return object.type == sif::DataType::definition_file ||
           object.type == sif::DataType::generic_json || object.type == sif::DataType::labels;
  }

  sif::ImageFile file_;
  sif::SquashfsReader reader_;
  sif::ImageTree image_;
  bool is_changed_ = false;
  std::optional<sif::FolderTree> upper_;
  std::optional<ExtFile> ext_upper_;
};

class ExtImage : public LocalImage {
 public:
  explicit ExtImage(const FlattenOptions& options)
      : file_(options.source.path, ExtTree::Part::all) {
    source_bytes = file_.size();
    complete(file_.tree(), options, file_.go_arch());
  }
  const sif::Tree& tree() const override { return file_.tree(); }

 private:
  ExtFile file_;
};

bool is_image_file(const std::string& path) {
  const std::optional<base::UniqueFd> file = base::find_file(path, O_RDONLY);
  return file && sif::is_image(file->get(), path);
}

}  // namespace

std::unique_ptr<FlatImage> find_local_image(const FlattenOptions& options) {
  const std::string& path = options.source.path;
  if (path == "-" || !options.source.reference.empty()) return nullptr;
  const std::optional<struct stat> status = base::find_status(path);
  if (status && S_ISDIR(status->st_mode) && options.overlay.empty())
    return std::make_unique<FolderImage>(options);
  // Others are not even opened: who writes into a pipe would take our leaving for the end.
  if (!status || !S_ISREG(status->st_mode)) return nullptr;
  if (!is_image_file(path)) return nullptr;
  const bool is_ext = sif::open_any_image(path).file_system == sif::FileSystemType::ext3;
  if (is_ext && options.overlay.empty()) return std::make_unique<ExtImage>(options);
  return std::make_unique<FileImage>(options);
}

}  // namespace oci
