// SPDX-License-Identifier: Apache-2.0
// Two ranks pass 64 MiB back and forth; rank 0 prints the nanoseconds that a pair of messages took, the median of some.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBytes = 64 << 20, kTurns = 21 };

static int by_size(const void* left, const void* right) {
  const double difference = *(const double*)left - *(const double*)right;
  return (difference > 0) - (difference < 0);
}

int main(int argc, char** argv) {
  int rank;
  double seconds[kTurns];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  char* data = malloc(kBytes);
  memset(data, rank + 1, kBytes);
  for (int turn = 0; turn < kTurns; ++turn) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    if (rank == 0) MPI_Send(data, kBytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
    MPI_Recv(data, kBytes, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (rank == 1) MPI_Send(data, kBytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    seconds[turn] = MPI_Wtime() - start;
  }
  qsort(seconds, kTurns, sizeof seconds[0], by_size);
  if (rank == 0) printf("%.0f\n", seconds[kTurns / 2] * 1e9);
  MPI_Finalize();
  return 0;
}
