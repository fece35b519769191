// SPDX-License-Identifier: Apache-2.0
// Operations in random order beside a model in memory, on file systems that mke2fs made; e2fsck has
// the last word.
#include "ext/file_system.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/unique_fd.h"

namespace ext {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kImageBytes = 16 << 20;

int exit_status_of(const std::string& command) {
  const int status = std::system((command + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct Image {
  explicit Image(const std::string& options) {
    char name[] = "/tmp/ext_test_XXXXXX";
    fd.reset(::mkstemp(name));
    path = name;
    [[maybe_unused]] const int grown = ::ftruncate(fd.get(), kImageBytes);
    EXPECT_EQ(exit_status_of("mke2fs -q -F " + options + " " + path), 0)
        << "mke2fs (e2fsprogs) is needed";
  }
  ~Image() { ::unlink(path.c_str()); }
  Partition partition() const { return Partition(fd.get(), 0, kImageBytes, path); }
  FileSystem open(Access access = Access::read_write) const {
    return FileSystem(partition(), access);
  }
  void expect_sound() const {
    EXPECT_EQ(exit_status_of("e2fsck -fn " + path), 0)
        << (std::system(("e2fsck -fn " + path).c_str()), path);
  }

  base::UniqueFd fd;
  std::string path;
};

std::string read_all(FileSystem& fs, InodeNumber inode) {
  std::string text(fs.attributes(inode).size, '?');
  text.resize(fs.read(inode, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

void write_text(FileSystem& fs, InodeNumber inode, std::uint64_t at, std::string_view text) {
  fs.write(inode, at, std::as_bytes(std::span(text)));
}

int errno_of_failure(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.errno_value();
  }
  return 0;
}

const NewInode kFile{S_IFREG | 0644, 1000, 1000, 0};
const NewInode kFolder{S_IFDIR | 0755, 1000, 1000, 0};

class FileSystemTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kinds, FileSystemTest,
                         testing::Values("-t ext3 -b 1024", "-t ext3 -b 4096", "-t ext2 -b 1024",
                                         "-t ext4 -b 1024", "-t ext4 -b 4096",
                                         "-t ext4 -O ^metadata_csum,^64bit -b 2048",
                                         "-t ext3 -I 128 -b 1024", "-t ext2 -O ^filetype"));

class JournaledFileSystemTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kinds, JournaledFileSystemTest,
                         testing::Values("-t ext3 -b 1024", "-t ext3 -b 4096", "-t ext4 -b 1024",
                                         "-t ext4 -b 4096", "-t ext3 -I 128 -b 1024"));

TEST_P(FileSystemTest, KeepsWhatWasMade) {
  const Image image(GetParam());
  const std::string text(70000, 'x');
  {
    FileSystem fs = image.open();
    const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
    const InodeNumber file = fs.make(folder, "file", kFile);
    write_text(fs, file, 5, text);
    fs.set_xattr(file, "user.note", "value");
    fs.link(file, kRootInode, "other name");
    fs.make_symlink(kRootInode, "short", "folder/file", kFile);
    fs.make_symlink(kRootInode, "long", std::string(500, 'l'), kFile);
    fs.make(kRootInode, "device", {S_IFCHR | 0600, 0, 0, 0x12345});
    AttributeChanges changes;
    changes.mode = 0600;
    changes.uid = 100000;
    changes.gid = 70000;
    changes.modified = Time{1'700'000'000, 0};
    fs.change(file, changes);
    fs.close();
  }
  image.expect_sound();
  FileSystem fs = image.open(Access::read_only);
  const InodeNumber file = *fs.find_entry(*fs.find_entry(kRootInode, "folder"), "file");
  EXPECT_EQ(read_all(fs, file), std::string(5, '\0') + text);
  EXPECT_EQ(fs.find_entry(kRootInode, "other name"), file);
  const Attributes found = fs.attributes(file);
  EXPECT_EQ(found.mode, static_cast<mode_t>(S_IFREG | 0600));
  EXPECT_EQ(found.link_count, 2U);
  EXPECT_EQ(found.uid, 100000U);
  EXPECT_EQ(found.gid, 70000U);
  EXPECT_EQ(found.modified.seconds, 1'700'000'000);
  EXPECT_EQ(fs.find_xattr(file, "user.note"), "value");
  EXPECT_EQ(fs.symlink_target(*fs.find_entry(kRootInode, "short")), "folder/file");
  EXPECT_EQ(fs.symlink_target(*fs.find_entry(kRootInode, "long")), std::string(500, 'l'));
  EXPECT_EQ(fs.attributes(*fs.find_entry(kRootInode, "device")).device, 0x12345U);
  EXPECT_EQ(errno_of_failure([&] { fs.make(kRootInode, "new", kFile); }), EROFS);
}

// With names of many lengths, so that room is left and used in many places.
class LargeDirectory {
 public:
  LargeDirectory(FileSystem& fs, InodeNumber folder) : fs_(fs), folder_(folder) {}

  std::string random_name(std::mt19937& random) {
    const std::string number = std::to_string(random() % 3000);
    return number + std::string(std::stoul(number) % 90, 'n');
  }
  void change(std::mt19937& random, InodeNumber file) {
    const std::string name = random_name(random), other = random_name(random);
    const auto found = names_.find(name);
    EXPECT_EQ(fs_.find_entry(folder_, name).has_value(), found != names_.end()) << name;
    if (found == names_.end()) {
      fs_.link(file, folder_, name);
      names_.insert(name);
    } else if (random() % 4 == 0 && !names_.contains(other)) {
      fs_.rename(folder_, name, folder_, other, Rename::no_replace, kFile);
      names_.erase(found);
      names_.insert(other);
    } else if (random() % 2 == 0) {
      EXPECT_EQ(fs_.unlink(folder_, name), file);
      names_.erase(found);
    }
  }
  void expect_whole() {
    std::set<std::string> listed;
    fs_.list(folder_, 0, [&](const FileSystem::Entry& entry) {
      return entry.name.starts_with('.') || listed.emplace(entry.name).second;
    });
    EXPECT_EQ(listed, names_);
  }

 private:
  FileSystem& fs_;
  const InodeNumber folder_;
  std::set<std::string> names_;
};

TEST_P(FileSystemTest, LargeDirectoriesAreIndexed) {
  const Image image(GetParam());
  std::mt19937 random(7);
  InodeNumber folder = 0, file = 0;
  {
    FileSystem fs = image.open();
    folder = fs.make(kRootInode, "folder", kFolder);
    file = fs.make(kRootInode, "file", kFile);
    LargeDirectory large(fs, folder);
    for (int i = 0; i < 20000; ++i) large.change(random, file);
    large.expect_whole();
    // What is undone is not remembered.
    EXPECT_NE(errno_of_failure([&] {
                for (;;)
                  fs.make_symlink(folder, large.random_name(random) + "x", std::string(900, 'x'),
                                  kFile);
              }),
              0);
    fs.close();
  }
  image.expect_sound();
}

TEST_P(FileSystemTest, HashedDirectoriesTakeNames) {
  const Image image(GetParam());
  constexpr int kNames = 3000;
  InodeNumber folder = 0, file = 0;
  const auto name = [](int number) { return std::to_string(number) + ".of many names"; };
  {
    FileSystem fs = image.open();
    folder = fs.make(kRootInode, "folder", kFolder);
    file = fs.make(kRootInode, "file", kFile);
    for (int i = 0; i < kNames; ++i) fs.link(file, folder, name(i));
    fs.close();
  }
  EXPECT_LE(exit_status_of("e2fsck -fyD " + image.path), 1);
  {
    FileSystem fs = image.open();
    for (int i = 0; i < kNames; i += 3) fs.unlink(folder, name(i));
    for (int i = 0; i < kNames; ++i)
      EXPECT_EQ(fs.find_entry(folder, name(i)).has_value(), i % 3 > 0);
    for (int i = 0; i < kNames; i += 3) fs.link(file, folder, name(i) + " anew");
    fs.link(file, folder, std::string(255, 'l'));
    fs.close();
  }
  image.expect_sound();
  FileSystem fs = image.open();
  for (int i = 0; i < kNames; ++i)
    EXPECT_EQ(fs.find_entry(folder, name(i) + (i % 3 > 0 ? "" : " anew")), file) << name(i);
}

TEST_P(FileSystemTest, RefusesAsSystemCallsDo) {
  const Image image(GetParam());
  FileSystem fs = image.open();
  const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
  const InodeNumber file = fs.make(folder, "file", kFile);
  const auto rename = [&](const char* from, const char* to, Rename how) {
    return errno_of_failure([&] { fs.rename(kRootInode, from, kRootInode, to, how, kFile); });
  };
  EXPECT_EQ(errno_of_failure([&] { fs.make(folder, "file", kFile); }), EEXIST);
  EXPECT_EQ(errno_of_failure([&] { fs.make(file, "below", kFile); }), ENOTDIR);
  EXPECT_EQ(errno_of_failure([&] { fs.remove_directory(kRootInode, "folder"); }), ENOTEMPTY);
  EXPECT_EQ(errno_of_failure([&] { fs.unlink(kRootInode, "folder"); }), EISDIR);
  EXPECT_EQ(errno_of_failure([&] { fs.unlink(kRootInode, "absent"); }), ENOENT);
  EXPECT_EQ(errno_of_failure([&] { fs.make(kRootInode, std::string(256, 'n'), kFile); }),
            ENAMETOOLONG);
  fs.make(kRootInode, "plain", kFile);
  EXPECT_EQ(rename("plain", "folder", Rename::replace), EISDIR);
  EXPECT_EQ(rename("folder", "plain", Rename::replace), ENOTDIR);
  EXPECT_EQ(rename("folder", "plain", Rename::no_replace), EEXIST);
  EXPECT_EQ(rename("absent", "plain", Rename::exchange), ENOENT);
  fs.close();
  image.expect_sound();
}

TEST_P(FileSystemTest, ExchangesAndLeavesWhiteouts) {
  const Image image(GetParam());
  FileSystem fs = image.open();
  const InodeNumber one = fs.make(kRootInode, "one", kFolder);
  const InodeNumber two = fs.make(one, "two", kFolder);
  const InodeNumber file = fs.make(kRootInode, "file", kFile);
  fs.rename(one, "two", kRootInode, "file", Rename::exchange, kFile);
  EXPECT_EQ(fs.find_entry(one, "two"), file);
  EXPECT_EQ(fs.find_entry(kRootInode, "file"), two);
  EXPECT_EQ(fs.find_entry(two, ".."), kRootInode);
  fs.rename(one, "two", kRootInode, "moved", Rename::leave_whiteout, {S_IFCHR, 0, 0, 0});
  const Attributes whiteout = fs.attributes(*fs.find_entry(one, "two"));
  EXPECT_TRUE(S_ISCHR(whiteout.mode));
  EXPECT_EQ(whiteout.device, 0U);
  fs.close();
  image.expect_sound();
}

TEST_P(FileSystemTest, FullImagesStaySound) {
  const Image image(GetParam());
  FileSystem fs = image.open();
  const std::string piece(100'000, 'p');
  int failure = 0;
  for (int i = 0; failure == 0 && i < 1000; ++i) {
    failure = errno_of_failure([&] {
      const InodeNumber file = fs.make(kRootInode, "file" + std::to_string(i), kFile);
      write_text(fs, file, 0, piece);
    });
  }
  EXPECT_EQ(failure, ENOSPC);
  failure = 0;
  for (int i = 0; failure == 0 && i < 20'000; ++i)
    failure = errno_of_failure(
        [&] { fs.make(kRootInode, std::string(200, 'n') + std::to_string(i), kFile); });
  EXPECT_EQ(failure, ENOSPC);
  EXPECT_EQ(errno_of_failure([&] { fs.make(kRootInode, "folder", kFolder); }), ENOSPC);
  const InodeNumber gone = fs.unlink(kRootInode, "file0");
  fs.drop(gone);
  fs.make(kRootInode, "again", kFolder);
  fs.close();
  image.expect_sound();
}

// What needs several blocks finds only some of them: then nothing of it was done.
TEST_P(FileSystemTest, OperationsThatFindTooLittleSpaceAreUndone) {
  const std::string long_name(250, 'n'), block(4096, 'b');
  const std::vector<std::function<void(FileSystem&, InodeNumber folder, InodeNumber file)>> wants =
      {[&](FileSystem& fs, InodeNumber, InodeNumber file) {
         write_text(fs, file, 12 * 1024, block);
       },
       [&](FileSystem& fs, InodeNumber, InodeNumber file) {
         write_text(fs, file, (12 + 256 + 256) * 1024, block);
       },
       [&](FileSystem& fs, InodeNumber folder, InodeNumber) {
         fs.make(folder, long_name + "d", kFolder);
       },
       [&](FileSystem& fs, InodeNumber folder, InodeNumber) {
         fs.make_symlink(folder, long_name + "l", std::string(300, 't'), kFile);
       },
       [&](FileSystem& fs, InodeNumber folder, InodeNumber) {
         fs.rename(kRootInode, "file", folder, long_name + "r", Rename::leave_whiteout,
                   {S_IFCHR, 0, 0, 0});
       },
       [&](FileSystem& fs, InodeNumber, InodeNumber file) {
         fs.set_xattr(file, "user.x", std::string(700, 'x'));
       }};
  for (std::uint64_t left = 0; left < 4; ++left) {
    const Image image(GetParam());
    FileSystem fs = image.open();
    const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
    for (int i = 0; i < 16; ++i) fs.make(folder, std::string(240, 'a') + std::to_string(i), kFile);
    const InodeNumber file = fs.make(kRootInode, "file", kFile);
    write_text(fs, file, 0, std::string(12 * 1024, 'f'));
    const InodeNumber filler = fs.make(kRootInode, "filler", kFile);
    const std::uint64_t block_size = fs.statistics().block_size;
    for (std::uint64_t i = 0; fs.statistics().free_blocks > left; ++i) {
      const std::uint64_t at = i * block_size;
      if (errno_of_failure([&] { write_text(fs, filler, at, "f"); }) != 0) break;
    }
    for (const auto& want : wants) {
      const std::uint64_t free = fs.statistics().free_blocks;
      const int failure = errno_of_failure([&] { want(fs, folder, file); });
      if (failure == 0) continue;
      EXPECT_EQ(failure, ENOSPC);
      EXPECT_EQ(fs.statistics().free_blocks, free);
    }
    fs.close();
    image.expect_sound();
  }
}

TEST_P(FileSystemTest, OrphansOfTheKilledAreFreed) {
  const Image image(GetParam());
  std::uint64_t free_blocks = 0;
  {
    FileSystem fs = image.open();
    free_blocks = fs.statistics().free_blocks;
    for (const char* name : {"one", "two", "three"}) {
      const InodeNumber file = fs.make(kRootInode, name, kFile);
      write_text(fs, file, 0, std::string(50'000, 'o'));
      fs.unlink(kRootInode, name);
    }
    fs.commit();  // and no close()
  }
  if (std::string(GetParam()).find("ext2") != std::string::npos) {
    EXPECT_LE(exit_status_of("e2fsck -fp " + image.path), 1);
  }
  FileSystem fs = image.open();
  EXPECT_EQ(fs.statistics().free_blocks, free_blocks);
  fs.close();
  image.expect_sound();
}

// A tree of names in memory with what it should be.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void step(FileSystem& fs) {
    switch (pick(11)) {
      case 0:
      case 1:
        return make(fs);
      case 2:
        return remove(fs);
      case 3:
        return rename(fs);
      case 4:
        return truncate(fs);
      case 5:
        return xattr(fs);
      case 6:
        return link(fs);
      default:
        return write(fs);
    }
  }

  void expect_same(FileSystem& fs) {
    for (const auto& [name, inode] : names_) {
      const auto& [folder, leaf] = name;
      ASSERT_EQ(fs.find_entry(folder, leaf), inode) << leaf;
      if (const auto file = files_.find(inode); file != files_.end()) {
        ASSERT_EQ(read_all(fs, inode), file->second) << leaf;
      }
      if (const auto value = xattrs_.find(inode); value != xattrs_.end()) {
        ASSERT_EQ(fs.find_xattr(inode, "user.x"), value->second);
      }
    }
    for (const InodeNumber folder : folders_) {
      std::size_t count = 0;
      fs.list(folder, 0, [&](const FileSystem::Entry& entry) {
        if (entry.name != "." && entry.name != ".." && entry.name != "lost+found") ++count;
        return true;
      });
      ASSERT_EQ(count, std::count_if(names_.begin(), names_.end(),
                                     [&](const auto& each) { return each.first.first == folder; }));
    }
  }

 private:
  using Name = std::pair<InodeNumber, std::string>;

  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  InodeNumber any_folder() { return folders_[pick(folders_.size())]; }
  std::string any_leaf() {
    return std::string(1 + pick(60), static_cast<char>('a' + pick(26))) + std::to_string(pick(40));
  }
  std::optional<Name> any_name() {
    if (names_.empty()) return std::nullopt;
    return std::next(names_.begin(), static_cast<std::ptrdiff_t>(pick(names_.size())))->first;
  }
  std::optional<InodeNumber> any_file() {
    if (files_.empty()) return std::nullopt;
    return std::next(files_.begin(), static_cast<std::ptrdiff_t>(pick(files_.size())))->first;
  }
  bool is_folder(InodeNumber inode) const { return std::ranges::count(folders_, inode) > 0; }

  void make(FileSystem& fs) {
    const InodeNumber parent = any_folder();
    const std::string leaf = any_leaf();
    if (names_.contains({parent, leaf}) || leaf == "lost+found") return;
    const bool folder = pick(4) == 0 && folders_.size() < 12;
    const InodeNumber made = fs.make(parent, leaf, folder ? kFolder : kFile);
    names_[{parent, leaf}] = made;
    if (folder) {
      folders_.push_back(made);
    } else {
      files_[made];
    }
  }
  void forget(InodeNumber inode) {
    if (std::ranges::any_of(names_, [&](const auto& each) { return each.second == inode; })) return;
    files_.erase(inode);
    xattrs_.erase(inode);
    std::erase(folders_, inode);
  }
  bool is_empty(InodeNumber folder) const {
    return std::ranges::none_of(names_,
                                [&](const auto& each) { return each.first.first == folder; });
  }
  void remove(FileSystem& fs) {
    const auto name = any_name();
    if (!name) return;
    const InodeNumber inode = names_[*name];
    if (is_folder(inode)) {
      if (!is_empty(inode)) return;
      fs.drop(fs.remove_directory(name->first, name->second));
    } else {
      fs.drop(fs.unlink(name->first, name->second));
    }
    names_.erase(*name);
    forget(inode);
  }
  void rename(FileSystem& fs) {
    const auto from = any_name();
    if (!from || is_folder(names_[*from])) return;
    const Name to{any_folder(), any_leaf()};
    const auto replaced = names_.find(to);
    if (replaced != names_.end() && is_folder(replaced->second)) return;
    const auto lost =
        fs.rename(from->first, from->second, to.first, to.second, Rename::replace, kFile);
    if (lost) fs.drop(*lost);
    const InodeNumber inode = names_[*from];
    std::optional<InodeNumber> old;
    if (replaced != names_.end()) old = replaced->second;
    if (old == inode) return;  // two names of one file: nothing happens
    names_.erase(*from);
    names_[to] = inode;
    if (old) forget(*old);
  }
  void link(FileSystem& fs) {
    const auto file = any_file();
    const Name to{any_folder(), any_leaf()};
    if (!file || names_.contains(to)) return;
    fs.link(*file, to.first, to.second);
    names_[to] = *file;
  }
  void write(FileSystem& fs) {
    const auto file = any_file();
    if (!file) return;
    const std::size_t at = pick(60'000);
    const std::string text(1 + pick(pick(5) == 0 ? 40'000 : 3000),
                           static_cast<char>('A' + pick(26)));
    write_text(fs, *file, at, text);
    std::string& content = files_[*file];
    if (content.size() < at + text.size()) content.resize(at + text.size());
    content.replace(at, text.size(), text);
  }
  void truncate(FileSystem& fs) {
    const auto file = any_file();
    if (!file) return;
    AttributeChanges changes;
    changes.size = pick(60'000);
    fs.change(*file, changes);
    files_[*file].resize(static_cast<std::size_t>(*changes.size));
  }
  void xattr(FileSystem& fs) {
    const auto file = any_file();
    if (!file) return;
    xattrs_[*file] = std::string(1 + pick(300), 'v');
    fs.set_xattr(*file, "user.x", xattrs_[*file]);
  }

  std::mt19937 random_;
  std::map<Name, InodeNumber> names_;
  std::map<InodeNumber, std::string> files_, xattrs_;
  std::vector<InodeNumber> folders_ = {kRootInode};
};

TEST_P(FileSystemTest, RandomOperationsMatchAModel) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Image image(GetParam());
    Model model(seed);
    for (int session = 0; session < 4; ++session) {
      FileSystem fs = image.open();
      model.expect_same(fs);
      for (int i = 0; i < 250; ++i) {
        model.step(fs);
        if (i % 40 == 0) fs.commit();
      }
      model.expect_same(fs);
      fs.close();
      image.expect_sound();
    }
  }
}

std::string describe(FileSystem& fs) {
  std::string text;
  fs.list(kRootInode, 0, [&](const FileSystem::Entry& entry) {
    const Attributes found = fs.attributes(entry.inode);
    text += std::string(entry.name) + " " + std::to_string(found.link_count);
    if (S_ISREG(found.mode))
      text += " " + std::to_string(std::hash<std::string>()(read_all(fs, entry.inode)));
    text += "\n";
    return true;
  });
  return text;
}

// The process is killed at any moment, again and again; with a journal nothing else is needed.
TEST_P(JournaledFileSystemTest, SurvivesKills) {
  const Image image(GetParam());
  std::mt19937 random(7);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      FileSystem fs = image.open();
      Model model(static_cast<unsigned>(round) + 100);
      for (unsigned i = 0;; ++i) {
        try {
          model.step(fs);
        } catch (const base::Error&) {
          // Names of earlier rounds are in the way.
        }
        if (i % 5 == 0) fs.commit();
      }
    }
    ::usleep(std::uniform_int_distribution<useconds_t>(1000, 60'000)(random));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    // What can be seen without changing the file is what there is once its journal is replayed.
    FileSystem before = image.open(Access::read_only);
    const std::string seen = describe(before);
    if (round % 2 == 0) {
      FileSystem fs = image.open();
      fs.close();
    } else {
      EXPECT_LE(exit_status_of("e2fsck -p " + image.path), 1);
    }
    image.expect_sound();
    FileSystem after = image.open(Access::read_only);
    EXPECT_EQ(describe(after), seen);
    if (HasFailure()) return;
  }
}

TEST(FileSystemErrors, NameTheCureOfWhatIsUnsound) {
  const Image image("-t ext3 -b 1024");
  EXPECT_EQ(exit_status_of("debugfs -w -R 'set_super_value state 2' " + image.path), 0);
  try {
    image.open();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("its file system has errors"));
    EXPECT_THAT(error.hint(), HasSubstr("e2fsck -fp " + image.path));
  }
  image.open(Access::read_only);
}

TEST(FileSystemErrors, WhatTheJournalBringsIsCheckedToo) {
  const Image image("-t ext3 -b 1024");
  std::vector<std::byte> block(1024);
  image.partition().read(1024, block);
  block[97] |= std::byte{0x80};  // the feature inline_data
  const std::string changed = image.path + ".block";
  base::write_all(base::open_file(changed, O_WRONLY | O_CREAT, 0600).get(), block, changed);
  EXPECT_EQ(
      exit_status_of("printf 'jo\\njw -b 1 " + changed + "\\njc\\n' | debugfs -w " + image.path),
      0);
  ::unlink(changed.c_str());
  for (const Access access : {Access::read_only, Access::read_write}) {
    try {
      image.open(access);
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("inline_data"));
    }
  }
}

// Blocks beyond the file system, in a file that is removed: the rest goes on.
TEST(FileSystemErrors, WhatCannotBeFreedHoldsUpNothing) {
  const Image image("-t ext3 -b 1024");
  {
    FileSystem fs = image.open();
    write_text(fs, fs.make(kRootInode, "broken", kFile), 0, std::string(30'000, 'b'));
    fs.close();
  }
  EXPECT_EQ(exit_status_of("debugfs -w -R 'sif broken block[IND] 7000000' " + image.path), 0);
  {
    FileSystem fs = image.open();
    const InodeNumber broken = fs.unlink(kRootInode, "broken");
    EXPECT_NE(errno_of_failure([&] { fs.drop(broken); }), 0);
    write_text(fs, fs.make(kRootInode, "kept", kFile), 0, "kept");
    fs.close();
  }
  FileSystem fs = image.open(Access::read_only);
  EXPECT_EQ(read_all(fs, fs.find_entry(kRootInode, "kept").value()), "kept");
  EXPECT_EQ(fs.find_entry(kRootInode, "broken"), std::nullopt);
}

TEST(FileSystemErrors, CountsOfNamesDoNotWrap) {
  const Image image("-t ext4 -b 1024");
  {
    FileSystem fs = image.open();
    for (const char* name : {"many", "folder"}) fs.make(kRootInode, name, kFolder);
    fs.make(fs.find_entry(kRootInode, "many").value(), "inner", kFolder);
    fs.close();
  }
  EXPECT_EQ(exit_status_of("debugfs -w -R 'sif many links_count 1' " + image.path), 0);
  FileSystem fs = image.open();
  const InodeNumber many = fs.find_entry(kRootInode, "many").value();
  fs.make(many, "another", kFolder);
  fs.drop(fs.remove_directory(many, "inner"));
  fs.rename(kRootInode, "folder", many, "moved", Rename::replace, kFile);
  EXPECT_EQ(fs.attributes(many).link_count, 1U);
  AttributeChanges too_large;
  too_large.size = std::uint64_t{1} << 50;
  const InodeNumber file = fs.make(many, "file", kFile);
  EXPECT_EQ(errno_of_failure([&] { fs.change(file, too_large); }), EFBIG);
  fs.close();
}

TEST(FileSystemErrors, RandomDamageIsNeverFatal) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const Image image(round % 2 == 0 ? "-t ext3 -b 1024" : "-t ext4 -b 4096");
    {
      FileSystem fs = image.open();
      Model model(static_cast<unsigned>(round));
      for (int i = 0; i < 60; ++i) model.step(fs);
      fs.close();
    }
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t at =
          std::uniform_int_distribution<std::uint64_t>(1024, i % 2 ? 400'000 : 4096)(random);
      const auto value = static_cast<std::byte>(random());
      image.partition().write(at, std::span(&value, 1));
    }
    const Access access = round % 3 == 0 ? Access::read_write : Access::read_only;
    try {
      FileSystem fs = image.open(access);
      std::vector<InodeNumber> folders = {kRootInode};
      for (std::size_t i = 0; i < folders.size() && i < 50; ++i) {
        try {
          fs.list(folders[i], 0, [&](const FileSystem::Entry& entry) {
            try {
              const Attributes found = fs.attributes(entry.inode);
              if (S_ISDIR(found.mode) && entry.name.front() != '.') folders.push_back(entry.inode);
              std::vector<std::byte> bytes(5000);
              if (S_ISREG(found.mode)) fs.read(entry.inode, 100, bytes);
              fs.xattr_names(entry.inode);
            } catch (const base::Error&) {
            }
            return true;
          });
        } catch (const base::Error&) {
        }
      }
      if (access == Access::read_write) {
        Model model(9);
        for (int i = 0; i < 50; ++i) model.step(fs);
        fs.close();
      }
    } catch (const base::Error& error) {
      EXPECT_TRUE(error.errno_value() != 0 || !error.hint().empty()) << error.what();
    }
  }
}

}  // namespace
}  // namespace ext
