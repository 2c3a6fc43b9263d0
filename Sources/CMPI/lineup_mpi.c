#include "lineup_mpi.h"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct lineup_mpi_comm { MPI_Comm handle; };

// Open MPI 4 has no float16: two bytes and an addition of our own.
static MPI_Op sum_of_halves = MPI_OP_NULL;

#if defined(__x86_64__)
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
static void add_halves(void *from, void *to, int *count, MPI_Datatype *type) {
  const _Float16 *x = from;
  _Float16 *y = to;
  for (int i = 0; i < *count; i++) y[i] = (_Float16)((float)x[i] + (float)y[i]);
}

static MPI_Datatype datatype(enum lineup_mpi_type type) {
  if (type == LINEUP_MPI_HALF) return MPI_UINT16_T;
  if (type == LINEUP_MPI_INT32) return MPI_UINT32_T;  // whose sums wrap around, in two's complement the same ones
  return type == LINEUP_MPI_FLOAT ? MPI_FLOAT : type == LINEUP_MPI_DOUBLE ? MPI_DOUBLE : MPI_BYTE;
}

int lineup_mpi_start(int *multiple) {
  int provided = 0, status = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
  *multiple = provided >= MPI_THREAD_MULTIPLE;
  if (status == MPI_SUCCESS) MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (status == MPI_SUCCESS) status = MPI_Op_create(add_halves, 1, &sum_of_halves);
  return status;
}

int lineup_mpi_finish(void) { return MPI_Finalize(); }

int lineup_mpi_open(lineup_mpi_comm **comm, int *rank, int *size) {
  *comm = malloc(sizeof **comm);
  int status = MPI_Comm_dup(MPI_COMM_WORLD, &(*comm)->handle);
  if (status == MPI_SUCCESS) status = MPI_Comm_set_errhandler((*comm)->handle, MPI_ERRORS_RETURN);
  if (status == MPI_SUCCESS) status = MPI_Comm_rank((*comm)->handle, rank);
  if (status == MPI_SUCCESS) status = MPI_Comm_size((*comm)->handle, size);
  return status;
}

void lineup_mpi_close(lineup_mpi_comm *comm) {
  int finished = 0;
  if (MPI_Finalized(&finished) == MPI_SUCCESS && !finished) MPI_Comm_free(&comm->handle);
  free(comm);
}

static MPI_Op operation(enum lineup_mpi_type type, enum lineup_mpi_op op) {
  return op == LINEUP_MPI_MAX ? MPI_MAX : type == LINEUP_MPI_HALF ? sum_of_halves : MPI_SUM;
}

int lineup_mpi_allreduce(lineup_mpi_comm *comm, void *values, int count, enum lineup_mpi_type type,
                         enum lineup_mpi_op op) {
  return MPI_Allreduce(MPI_IN_PLACE, values, count, datatype(type), operation(type, op), comm->handle);
}

int lineup_mpi_broadcast(lineup_mpi_comm *comm, void *bytes, int count, int root) {
  return MPI_Bcast(bytes, count, MPI_BYTE, root, comm->handle);
}

int lineup_mpi_allgather(lineup_mpi_comm *comm, const void *bytes, int count, void *all, const int *counts,
                         const int *offsets) {
  return MPI_Allgatherv(bytes, count, MPI_BYTE, all, counts, offsets, MPI_BYTE, comm->handle);
}

int lineup_mpi_barrier(lineup_mpi_comm *comm) { return MPI_Barrier(comm->handle); }

static int wait_asleep(MPI_Request *request) {
  int status = MPI_SUCCESS, done = 0;
  while (status == MPI_SUCCESS && !done) {
    status = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    if (!done) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
  return status;
}

int lineup_mpi_barrier_asleep(lineup_mpi_comm *comm) {
  MPI_Request request;
  int status = MPI_Ibarrier(comm->handle, &request);
  return status == MPI_SUCCESS ? wait_asleep(&request) : status;
}

int lineup_mpi_allreduce_asleep(lineup_mpi_comm *comm, void *values, int count, enum lineup_mpi_type type,
                                enum lineup_mpi_op op) {
  MPI_Request request;
  int status = MPI_Iallreduce(MPI_IN_PLACE, values, count, datatype(type), operation(type, op), comm->handle, &request);
  return status == MPI_SUCCESS ? wait_asleep(&request) : status;
}

struct lineup_mpi_transfer {
  MPI_Request request;
  char letter[];
};

static int begun(int status, lineup_mpi_transfer *transfer) {
  if (status != MPI_SUCCESS) free(transfer);
  return status;
}

int lineup_mpi_send(lineup_mpi_comm *comm, const void *bytes, int count, int to, lineup_mpi_transfer **transfer) {
  *transfer = malloc(sizeof **transfer);
  if (!*transfer) return MPI_ERR_NO_MEM;
  return begun(MPI_Isend(bytes, count, MPI_BYTE, to, 0, comm->handle, &(*transfer)->request), *transfer);
}

int lineup_mpi_receive(lineup_mpi_comm *comm, void *bytes, int count, int from, lineup_mpi_transfer **transfer) {
  *transfer = malloc(sizeof **transfer);
  if (!*transfer) return MPI_ERR_NO_MEM;
  return begun(MPI_Irecv(bytes, count, MPI_BYTE, from, 0, comm->handle, &(*transfer)->request), *transfer);
}

int lineup_mpi_is_done(lineup_mpi_transfer *transfer, int *done) {
  int status = MPI_Test(&transfer->request, done, MPI_STATUS_IGNORE);
  if (status == MPI_SUCCESS && *done) free(transfer);
  return status;
}

int lineup_mpi_post(lineup_mpi_comm *comm, const void *bytes, int count, int to, lineup_mpi_transfer **transfer) {
  *transfer = malloc(sizeof **transfer + (size_t)count);
  if (!*transfer) return MPI_ERR_NO_MEM;
  memcpy((*transfer)->letter, bytes, (size_t)count);
  return begun(MPI_Isend((*transfer)->letter, count, MPI_BYTE, to, 0, comm->handle, &(*transfer)->request), *transfer);
}

int lineup_mpi_next_letter(lineup_mpi_comm *comm, void *bytes, int capacity, int *from, int *count) {
  MPI_Status found;
  int arrived = 0, status = MPI_Iprobe(MPI_ANY_SOURCE, 0, comm->handle, &arrived, &found);
  *from = -1;
  if (status != MPI_SUCCESS || !arrived) return status;
  status = MPI_Get_count(&found, MPI_BYTE, count);
  if (status == MPI_SUCCESS && *count > capacity) status = MPI_ERR_TRUNCATE;
  if (status != MPI_SUCCESS) return status;
  *from = found.MPI_SOURCE;
  return MPI_Recv(bytes, capacity, MPI_BYTE, *from, 0, comm->handle, MPI_STATUS_IGNORE);
}

int lineup_mpi_node(lineup_mpi_comm *comm, int *rank, int *size) {
  MPI_Comm node;
  int status = MPI_Comm_split_type(comm->handle, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  if (status != MPI_SUCCESS) return status;
  status = MPI_Comm_rank(node, rank);
  if (status == MPI_SUCCESS) status = MPI_Comm_size(node, size);
  MPI_Comm_free(&node);
  return status;
}

void lineup_mpi_abort(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

void lineup_mpi_error(int status, char *text, size_t size) {
  char message[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(status, message, &length) != MPI_SUCCESS) length = 0;
  snprintf(text, size, "%.*s", length, message);
}

void lineup_mpi_version(char *text, size_t size) {
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  if (MPI_Get_library_version(version, &length) != MPI_SUCCESS) length = 0;
  snprintf(text, size, "%.*s", length, version);
}
