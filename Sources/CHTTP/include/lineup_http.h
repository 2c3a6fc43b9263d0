// libmicrohttpd, and those of its functions with variable arguments that are needed, which Swift cannot call.
#pragma once
#include <microhttpd.h>
#include <stddef.h>

typedef struct {
  unsigned connections, connections_per_address;
  unsigned idle_seconds;  // without a byte in either direction
  size_t header_bytes;    // of a request: its line and headers
} lineup_http_limits;

// Serves what comes to a listening socket, which it owns from then on, with a thread a connection. `context` is every callback's.
// NULL where the system refuses (errno).
struct MHD_Daemon *lineup_http_start(int socket, const lineup_http_limits *limits, MHD_AccessHandlerCallback answer,
                                     MHD_RequestCompletedCallback completed, MHD_NotifyConnectionCallback connected,
                                     void *context);
int lineup_http_socket(struct MHD_Connection *connection);
// The client's address without its port, as numbers.
void lineup_http_client(struct MHD_Connection *connection, char *text, size_t size);
