/* A mail server that takes everything and keeps nothing: one thread, epoll. Made by sink.py with the compiler that is
   there. Arguments: none; prints its port. PIPELINING, 8BITMIME and SIZE are offered. The command XSTAT answers
   "250 messages bytes trips": trips are the times when it had answers to send, so one per round trip of a client. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN (1 << 18)
struct client { int fd, in_text; size_t have; char in[IN]; };
static long messages, bytes, trips;

static int command(struct client *c, char *line, char *out) {
    if (!strncasecmp(line, "DATA", 4)) { c->in_text = 1; return sprintf(out, "354 go on\r\n"); }
    if (!strncasecmp(line, "EHLO", 4)) return sprintf(out, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n");
    if (!strncasecmp(line, "XSTAT", 5)) return sprintf(out, "250 %ld %ld %ld\r\n", messages, bytes, trips);
    if (!strncasecmp(line, "QUIT", 4)) return sprintf(out, "221 bye\r\n");
    return sprintf(out, "250 ok\r\n");
}

static int serve(struct client *c) {
    static char out[1 << 16];
    ssize_t n = read(c->fd, c->in + c->have, IN - c->have - 1);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    bytes += n;
    size_t from = c->have, at = 0, made = 0;
    c->have += n;
    for (;;) {
        if (c->in_text) {
            size_t start = from > at + 4 ? from - 4 : at;
            char *end = memmem(c->in + start, c->have - start, "\r\n.\r\n", 5);
            if (!end) {  /* what is read need not be kept, but for the last bytes */
                if (c->have - at > 5) at = c->have - 5;
                break;
            }
            at = end + 5 - c->in;
            c->in_text = 0;
            messages++;
            made += sprintf(out + made, "250 taken\r\n");
        } else {
            char *end = memchr(c->in + at, '\n', c->have - at);
            if (!end) break;
            *end = 0;
            made += command(c, c->in + at, out + made);
            at = end + 1 - c->in;
            if (c->in_text && at >= 2) from = at;
        }
        if (made > sizeof out - 512) { if (write(c->fd, out, made) < 0) return 0; made = 0; }
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
    if (made) { trips++; if (write(c->fd, out, made) < 0) return 0; }
    return 1;
}

int main(void) {
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0), on = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    if (bind(server, (void *)&where, size) || listen(server, 512) || getsockname(server, (void *)&where, &size)) return 1;
    printf("%d\n", ntohs(where.sin_port));
    fflush(stdout);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, got[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, server, &e);
    for (;;) {
        int n = epoll_wait(poll, got, 256, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = got[i].data.ptr;
            if (!c) {
                int fd;
                while ((fd = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    struct client *new = calloc(1, sizeof *new);
                    new->fd = fd;
                    struct epoll_event added = {.events = EPOLLIN, .data.ptr = new};
                    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &added);
                    if (write(fd, "220 sink\r\n", 10) < 0) { close(fd); free(new); }
                }
            } else if (!serve(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}
