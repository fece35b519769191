// SPDX-License-Identifier: Apache-2.0
// Uses a GPU through the driver's own interface, which is all that a container gets from the host: no CUDA toolkit is needed to
// build or run this.
//   probe kernel          compiles PTX, launches it on each visible GPU, checks every result
//   probe share FILE      rank 0: puts memory of the GPU at another process's disposal (CUDA IPC), waits until FILE.done is there
//   probe open FILE       rank 1: opens it, checks and changes it
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kCount = 1 << 20, kBlock = 256 };
typedef unsigned long long pointer;
typedef struct { char bytes[64]; } ipc_handle;

static const char kPtx[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry triple(.param .u64 data, .param .u32 count) {\n"
    "  .reg .pred %p; .reg .b32 %r<6>; .reg .b64 %d<4>;\n"
    "  ld.param.u64 %d0, [data]; ld.param.u32 %r0, [count];\n"
    "  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"
    "  mad.lo.s32 %r4, %r1, %r2, %r3;\n"
    "  setp.ge.u32 %p, %r4, %r0; @%p bra DONE;\n"
    "  cvta.to.global.u64 %d1, %d0; mul.wide.u32 %d2, %r4, 4; add.s64 %d3, %d1, %d2;\n"
    "  ld.global.u32 %r5, [%d3]; mul.lo.s32 %r5, %r5, 3; st.global.u32 [%d3], %r5;\n"
    "DONE: ret;\n}\n";

static void* library;

static void* function(const char* name) {
  void* found = dlsym(library, name);
  if (!found) {
    fprintf(stderr, "libcuda.so.1 has no %s\n", name);
    exit(1);
  }
  return found;
}

static void check(int result, const char* what) {
  if (result == 0) return;
  fprintf(stderr, "%s: CUDA error %d\n", what, result);
  exit(1);
}

#define CALL(name, types, ...) check(((int(*) types)function(#name))(__VA_ARGS__), #name)

static void use_device(int index) {
  int device = 0;
  void* context = NULL;
  CALL(cuDeviceGet, (int*, int), &device, index);
  CALL(cuDevicePrimaryCtxRetain, (void**, int), &context, device);
  CALL(cuCtxSetCurrent, (void*), context);
}

static int run_kernel(int index) {
  static unsigned values[kCount];
  char name[128] = "";
  void *module = NULL, *kernel = NULL;
  pointer data = 0;
  unsigned count = kCount;
  use_device(index);
  CALL(cuDeviceGetName, (char*, int, int), name, sizeof name, index);
  CALL(cuModuleLoadData, (void**, const void*), &module, kPtx);
  CALL(cuModuleGetFunction, (void**, void*, const char*), &kernel, module, "triple");
  CALL(cuMemAlloc_v2, (pointer*, size_t), &data, sizeof values);
  for (unsigned i = 0; i < kCount; ++i) values[i] = i;
  CALL(cuMemcpyHtoD_v2, (pointer, const void*, size_t), data, values, sizeof values);
  void* arguments[] = {&data, &count};
  CALL(cuLaunchKernel,
       (void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**), kernel,
       kCount / kBlock, 1, 1, kBlock, 1, 1, 0, NULL, arguments, NULL);
  CALL(cuCtxSynchronize, (void), );
  CALL(cuMemcpyDtoH_v2, (void*, pointer, size_t), values, data, sizeof values);
  for (unsigned i = 0; i < kCount; ++i) {
    if (values[i] != 3 * i) {
      fprintf(stderr, "%s: element %u is %u\n", name, i, values[i]);
      return 1;
    }
  }
  printf("%s: %d results right\n", name, kCount);
  return 0;
}

static int kernel_on_all(void) {
  int count = 0, failed = 0;
  CALL(cuDeviceGetCount, (int*), &count);
  for (int i = 0; i < count; ++i) failed |= run_kernel(i);
  printf("%d GPUs\n", count);
  return failed || count == 0;
}

static int share(const char* file) {
  pointer data = 0;
  ipc_handle handle;
  unsigned value = 0;
  char name[4096];
  use_device(0);
  CALL(cuMemAlloc_v2, (pointer*, size_t), &data, 4096);
  CALL(cuMemsetD32_v2, (pointer, unsigned, size_t), data, 20240203U, 1024);
  CALL(cuCtxSynchronize, (void), );
  CALL(cuIpcGetMemHandle, (ipc_handle*, pointer), &handle, data);
  snprintf(name, sizeof name, "%s.part", file);
  FILE* out = fopen(name, "wb");
  if (!out || fwrite(&handle, sizeof handle, 1, out) != 1 || fclose(out) != 0 || rename(name, file) != 0) return 1;
  snprintf(name, sizeof name, "%s.done", file);
  for (int i = 0; i < 600 && access(name, F_OK) != 0; ++i) usleep(50000);
  CALL(cuMemcpyDtoH_v2, (void*, pointer, size_t), &value, data, sizeof value);
  printf("rank 0 reads %u\n", value);
  return value != 7;
}

static int open_shared(const char* file) {
  ipc_handle handle;
  pointer data = 0;
  unsigned value = 0;
  char name[4096];
  for (int i = 0; i < 600 && access(file, F_OK) != 0; ++i) usleep(50000);
  FILE* in = fopen(file, "rb");
  if (!in || fread(&handle, sizeof handle, 1, in) != 1) return 1;
  use_device(0);
  CALL(cuIpcOpenMemHandle_v2, (pointer*, ipc_handle, unsigned), &data, handle, 1);
  CALL(cuMemcpyDtoH_v2, (void*, pointer, size_t), &value, data, sizeof value);
  printf("rank 1 reads %u\n", value);
  CALL(cuMemsetD32_v2, (pointer, unsigned, size_t), data, 7, 1024);
  CALL(cuCtxSynchronize, (void), );
  snprintf(name, sizeof name, "%s.done", file);
  FILE* out = fopen(name, "wb");
  return value != 20240203U || !out || fclose(out) != 0;
}

int main(int argc, char** argv) {
  library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  CALL(cuInit, (unsigned), 0);
  if (argc == 2 && strcmp(argv[1], "kernel") == 0) return kernel_on_all();
  if (argc == 3 && strcmp(argv[1], "share") == 0) return share(argv[2]);
  if (argc == 3 && strcmp(argv[1], "open") == 0) return open_shared(argv[2]);
  return 2;
}
