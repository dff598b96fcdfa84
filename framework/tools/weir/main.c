/* weir: calls methods, follows topics, shows contracts. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tool.h"

static const char usage[] =
    "usage: weir COMMAND ...\n"
    "\n"
    "  weir call [--rest] [--compact] [--timeout SECONDS] TARGET METHOD [JSON...]\n"
    "        Calls a method and prints its reply. TARGET is HOST:PORT, unix:PATH or, over REST, also\n"
    "        http://HOST:PORT; METHOD is package.Service/Method, or the end of it. JSON defaults to {};\n"
    "        \"-\" reads it from stdin, for streams of requests a message per line. Replies of streams are\n"
    "        printed line by line as they come.\n"
    "  weir tail TOPIC [--brokers HOST:PORT,...] [--from-beginning] [--to-end] [-n COUNT] "
    "[--show-sensitive]\n"
    "        Prints the events of a topic as JSON, one a line, until interrupted. Joins no group, commits\n"
    "        nothing. What is (weir.sensitive) is ***.\n"
    "  weir dlq ls [TOPIC]\n"
    "  weir dlq show|replay|drop TOPIC [PARTITION:OFFSET...] [--key KEY] [--group GROUP] [--status NAME]\n"
    "           [--error TEXT] [--since TIME] [--until TIME] [--all] [--dry-run] [--brokers HOST:PORT,...]\n"
    "        Dead letters of a topic: lists them, shows them as JSON, sends them back to the group that set\n"
    "        them aside, or notes that nobody wants them. TIME is 2026-11-22T10:00:00Z, or how long ago: "
    "2h.\n"
    "  weir ls\n"
    "        Lists services, their methods, and topics.\n"
    "  weir describe NAME\n"
    "        Shows a message, enum, service or method.\n"
    "\n"
    "  --descriptors FILE   the contracts, as protoc --descriptor_set_out --include_imports writes them;\n"
    "                       default $WEIR_DESCRIPTORS, else those this program was built with\n"
    "\n"
    "Exit status: 0 done; 1 the server answered with an error; 64 bad usage; 65 bad JSON; 66 no contracts;\n"
    "69 unreachable.\n";

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"call", call_command}, {"tail", tail_command},         {"dlq", dlq_command},
        {"ls", ls_command},     {"describe", describe_command},
    };
    if (argc < 2) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("weir " WEIR_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return tool_fail(EX_USAGE, "there is no command \"%s\"; weir --help lists them", argv[1]);
}
