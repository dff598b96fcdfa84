/* The control socket of a running process. Whoever can open it (0600) may ask. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "lifecycle/handover_parts.h"

#define VISITOR_MS 2000 /* to say what it wants */

static void say(int fd, const char *kind, const char *text)
{
    char line[TALK_SIZE + 32];
    int size = snprintf(line, sizeof line - 1, "%s %s", kind, text);
    size_t length = size < (int)sizeof line - 1 ? (size_t)size : sizeof line - 2;
    for (size_t i = 0; i < length; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[length++] = '\n';
    /* It has room for all that is ever said; whoever is gone is noticed elsewhere. */
    (void)!send(fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void control_say(struct handover *handover, const char *kind, const char *text)
{
    if (handover->client >= 0)
        say(handover->client, kind, text);
}

void control_end_client(struct handover *handover)
{
    if (handover->client >= 0)
        close(handover->client);
    handover->client = -1;
}

static void end_visitor(struct handover *handover)
{
    close(handover->visitor);
    handover->visitor = -1;
}

static void take_visitor(struct handover *handover)
{
    handover->visitor = accept4(handover->control.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    handover->visitor_limit_ns = weir_deadline_in_ms(VISITOR_MS);
}

/* True: it asked for an upgrade, and may. */
static bool hear_visitor(struct handover *handover, const char *obstacle)
{
    char word[32];
    ssize_t size = recv(handover->visitor, word, sizeof word - 1, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR) && weir_now_ns() < handover->visitor_limit_ns)
        return false;
    word[size > 0 ? size : 0] = 0;
    bool upgrade = strcmp(word, "upgrade\n") == 0;
    if (upgrade && !obstacle) {
        handover->client = handover->visitor;
        handover->visitor = -1;
        return true;
    }
    if (upgrade)
        weir_log_warn("upgrade refused", weir_field_text("reason", obstacle));
    say(handover->visitor, "refused", upgrade ? obstacle : "what was asked for is not known here");
    end_visitor(handover);
    return false;
}

bool control_hear(struct handover *handover, const char *obstacle)
{
    if (handover->visitor < 0)
        take_visitor(handover);
    return handover->visitor >= 0 && hear_visitor(handover, obstacle);
}
