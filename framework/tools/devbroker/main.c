/* weir-devbroker: a Kafka broker for development, in one small process. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "broker.h"
#include "core/memory.h"
#include "listen.h"

static const char usage[] =
    "Usage: weir-devbroker [OPTION]...\n"
    "A Kafka broker for development: in memory, in one process.\n"
    "\n"
    "  --listen ADDRESS:PORT     where to listen (default 127.0.0.1:9092; port 0: any free one)\n"
    "  --advertise ADDRESS:PORT  where clients are told to connect (default: the same)\n"
    "  --topics NAME,...[:N]     create topics with N partitions (default 4); may be given again\n"
    "  --quiet                   print the address and nothing else\n"
    "  --help, --version\n"
    "\n"
    "Topics that nobody created are made, with 4 partitions, by the first who asks for them.\n"
    "SIGTERM or SIGINT ends it, and everything that it holds.\n";

static const char limits[] =
    "  Not a real broker. It knows no retention, no transactions (read_committed sees aborted data), no "
    "idempotence,\n"
    "  no CreateTopics and other administration, no static group membership, one assignor per group.\n"
    "  It keeps 5 MiB or 100,000 batches a partition, drops the oldest silently, and forgets all when it "
    "ends: clients\n"
    "  learn it by the cluster id.\n"
    "  The first consumer of a group waits 3 s (before librdkafka 2.6), a rebalance session.timeout.ms - 1 "
    "s: use 4000\n"
    "  there, and fetch.wait.max.ms=1.\n";

#define TOPIC_LISTS_MAX 64

struct command {
    struct broker_options options;
    const char *topics[TOPIC_LISTS_MAX];
    int topic_count;
    bool quiet;
};

static int complain(const struct weir_error *err, int status)
{
    fprintf(stderr, "weir-devbroker: %s\n", err->text);
    return status;
}

static void parse_address(const char *text, struct sockaddr_in *ret_address)
{
    struct weir_error err = {0};
    if (listen_parse(text, ret_address, &err) != WEIR_OK)
        exit(complain(&err, EX_USAGE));
}

static void parse_command(struct command *command, int argc, char **argv)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"advertise", required_argument, NULL, 'a'},
        {"topics", required_argument, NULL, 't'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    const char *listen = "127.0.0.1:9092", *advertise = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'l':
            listen = optarg;
            break;
        case 'a':
            advertise = optarg;
            break;
        case 't':
            if (command->topic_count < TOPIC_LISTS_MAX)
                command->topics[command->topic_count++] = optarg;
            break;
        case 'q':
            command->quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        case 'v':
            puts("weir-devbroker " WEIR_VERSION);
            exit(0);
        default:
            fputs("Try weir-devbroker --help\n", stderr);
            exit(EX_USAGE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "weir-devbroker: \"%s\" is no option; try --help\n", argv[optind]);
        exit(EX_USAGE);
    }
    parse_address(listen, &command->options.listen);
    parse_address(advertise ? advertise : listen, &command->options.advertise);
}

/* "a,b:2": a and b with 2 partitions each. */
static enum weir_status create_topics(struct broker *broker, const char *list, struct weir_error *err)
{
    char *names = memory_strdup(list);
    char *colon = strrchr(names, ':');
    long partitions = 4;
    enum weir_status status = WEIR_OK;
    if (colon) {
        char *end = NULL;
        partitions = strtol(colon + 1, &end, 10);
        if (*end || partitions < 1 || partitions > 1000)
            status = weir_fail(err, WEIR_INVALID_ARGUMENT,
                               "--topics %s: the partitions are a number from 1 to 1000", list);
        *colon = 0;
    }
    char *rest = names;
    for (char *name; status == WEIR_OK && (name = strsep(&rest, ",")) != NULL;)
        if (*name)
            status = broker_create_topic(broker, name, (int)partitions, err);
    free(names);
    return status;
}

static void wait_for_signal(const sigset_t *signals)
{
    int number;
    while (sigwait(signals, &number) != 0)
        ;
}

int main(int argc, char **argv)
{
    struct command command = {0};
    parse_command(&command, argc, argv);

    /* Before librdkafka makes threads, so that none of them takes the signals. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct weir_error err = {0};
    struct broker *broker = broker_new(&command.options, &err);
    if (!broker) {
        complain(&err, EX_UNAVAILABLE);
        fputs("Another broker there? Stop it, or choose another address with --listen.\n", stderr);
        return EX_UNAVAILABLE;
    }
    for (int i = 0; i < command.topic_count; i++) {
        if (create_topics(broker, command.topics[i], &err) != WEIR_OK) {
            broker_destroy(broker);
            return complain(&err, EX_USAGE);
        }
    }
    printf("weir-devbroker listens on %s, incarnation %s\n", broker_address(broker),
           broker_incarnation(broker));
    if (!command.quiet)
        fputs(limits, stdout);
    fflush(stdout);

    wait_for_signal(&signals);
    broker_destroy(broker);
    return 0;
}
