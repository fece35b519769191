// SPDX-License-Identifier: Apache-2.0
// Prints how many of a file's pages the kernel has in memory, without reading any.
//   resident_pages FILE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  const int fd = argc == 2 ? ::open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) return 1;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((size + page - 1) / page);
  if (mapped == MAP_FAILED || ::mincore(mapped, size, pages.data()) != 0) return 1;
  std::printf("%td\n", std::ranges::count_if(pages, [](unsigned char p) { return (p & 1) != 0; }));
  return 0;
}
