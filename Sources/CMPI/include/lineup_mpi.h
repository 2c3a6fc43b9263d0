// MPI as plain functions that return a status: MPI_COMM_WORLD, MPI_FLOAT, MPI_SUM and MPI_IN_PLACE are macros
// with casts that Swift cannot see. mpi.h stays out of this header. Every function returns MPI_SUCCESS (0) or an
// MPI error code, for lineup_mpi_error to explain; errors never abort by themselves.
#pragma once
#include <stddef.h>

enum lineup_mpi_type { LINEUP_MPI_BYTE, LINEUP_MPI_HALF, LINEUP_MPI_INT32, LINEUP_MPI_FLOAT, LINEUP_MPI_DOUBLE };
enum lineup_mpi_op { LINEUP_MPI_SUM, LINEUP_MPI_MAX };

typedef struct lineup_mpi_comm lineup_mpi_comm;

// Starts MPI and asks for MPI_THREAD_MULTIPLE; *multiple tells whether it was granted.
int lineup_mpi_start(int *multiple);
int lineup_mpi_finish(void);
// A communicator of its own over all ranks.
int lineup_mpi_open(lineup_mpi_comm **comm, int *rank, int *size);
void lineup_mpi_close(lineup_mpi_comm *comm);
// In place. Halves (IEEE float16) are only summed: each addition in float32, rounded to nearest.
int lineup_mpi_allreduce(lineup_mpi_comm *comm, void *values, int count, enum lineup_mpi_type type,
                         enum lineup_mpi_op op);
int lineup_mpi_broadcast(lineup_mpi_comm *comm, void *bytes, int count, int root);
// counts[r] bytes of every rank r, one after the other
int lineup_mpi_allgather(lineup_mpi_comm *comm, const void *bytes, int count, void *all, const int *counts,
                         const int *offsets);
int lineup_mpi_barrier(lineup_mpi_comm *comm);
// A barrier and a sum as above, which sleep between looks.
int lineup_mpi_barrier_asleep(lineup_mpi_comm *comm);
int lineup_mpi_allreduce_asleep(lineup_mpi_comm *comm, void *values, int count, enum lineup_mpi_type type,
                                enum lineup_mpi_op op);
// A message to or from one rank, under way when they return. lineup_mpi_is_done frees it once *done.
typedef struct lineup_mpi_transfer lineup_mpi_transfer;
int lineup_mpi_send(lineup_mpi_comm *comm, const void *bytes, int count, int to, lineup_mpi_transfer **transfer);
int lineup_mpi_receive(lineup_mpi_comm *comm, void *bytes, int count, int from, lineup_mpi_transfer **transfer);
int lineup_mpi_is_done(lineup_mpi_transfer *transfer, int *done);
// A letter: a message of a copy of the bytes.
int lineup_mpi_post(lineup_mpi_comm *comm, const void *bytes, int count, int to, lineup_mpi_transfer **transfer);
// A letter that has come, of any rank, or *from = -1; one longer than capacity is an error.
int lineup_mpi_next_letter(lineup_mpi_comm *comm, void *bytes, int capacity, int *from, int *count);
// Ranks on this node, and this rank's number among them.
int lineup_mpi_node(lineup_mpi_comm *comm, int *rank, int *size);
void lineup_mpi_abort(int code);
void lineup_mpi_error(int status, char *text, size_t size);
void lineup_mpi_version(char *text, size_t size);
