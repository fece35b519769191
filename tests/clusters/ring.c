// SPDX-License-Identifier: Apache-2.0
// Each rank passes 64 MiB to the next one and reads a byte of the other neighbour's memory (cross-memory attach). One line a rank:
//   RANK SIZE good|bad yes|no USER-NAMESPACE
// With an argument, rank 0 kills itself by SIGKILL after that.
#define _GNU_SOURCE
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kBytes = 64 << 20, kMaxRanks = 64 };

int main(int argc, char** argv) {
  int rank, size;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int from = (rank + size - 1) % size;
  char* sent = malloc(kBytes);
  char* got = malloc(kBytes);
  memset(sent, rank + 1, kBytes);
  MPI_Sendrecv(sent, kBytes, MPI_BYTE, (rank + 1) % size, 0, got, kBytes, MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  int good = 1;
  for (int i = 0; i < kBytes; ++i) good &= got[i] == from + 1;

  long own[2] = {getpid(), (long)sent}, all[2 * kMaxRanks];
  MPI_Allgather(own, 2, MPI_LONG, all, 2, MPI_LONG, MPI_COMM_WORLD);
  char byte = 0, name[64] = "";
  struct iovec here = {&byte, 1}, there = {(void*)all[2 * from + 1], 1};
  const int attached = process_vm_readv((pid_t)all[2 * from], &here, 1, &there, 1, 0) == 1 && byte == from + 1;
  if (readlink("/proc/self/ns/user", name, sizeof name - 1) < 0) return 1;
  char line[128];
  const int length = snprintf(line, sizeof line, "%d %d %s %s %s\n", rank, size, good ? "good" : "bad", attached ? "yes" : "no", name);
  if (write(STDOUT_FILENO, line, (size_t)length) != length) return 1;
  MPI_Barrier(MPI_COMM_WORLD);
  if (argc > 1 && rank == 0) raise(SIGKILL);
  MPI_Finalize();
  return 0;
}
