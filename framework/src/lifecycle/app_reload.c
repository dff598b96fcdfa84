/* SIGHUP: the configuration is read again, on the lifecycle's thread. While the app starts it waits until it is
 * ready; once a stop has begun it is too late. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weir/log.h>

#include "lifecycle/app.h"

/* Type=notify-reload (systemd.service(5)): the manager waits for the READY=1 behind it. */
static void notify_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char text[96];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    process_notify(text);
}

static void say_problems(struct weir_buffer *problems)
{
    char *rest = NULL;
    weir_buffer_append_byte(problems, 0);
    for (char *line = strtok_r((char *)problems->data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        weir_log_error("configuration is refused, the values that run stay",
                       weir_field_text("problem", line));
}

static void say_changes(struct config_changes *changes)
{
    if (changes->fixed.size)
        weir_log_warn("configuration takes effect at the next start",
                      weir_field_text("keys", weir_buffer_text(&changes->fixed)));
    weir_log_info("configuration was read again",
                  weir_field_text("changed",
                                  changes->reloaded.size ? weir_buffer_text(&changes->reloaded) : "nothing"));
}

static void reload(struct weir_app *app)
{
    struct config_changes changes = {0};
    notify_begin();
    bool good = config_reload(app->config, &changes);
    if (good)
        say_changes(&changes);
    else
        say_problems(&changes.problems);
    process_notify(good ? "READY=1\nSTATUS=configuration was read again"
                        : "READY=1\nSTATUS=configuration is refused, the values that run stay");
    config_changes_free(&changes);
}

void app_reload_if_asked(struct weir_app *app)
{
    enum engine_phase phase = app->engine->phase;
    if (!app->reload_asked || phase < PHASE_RUNNING || handover_is_waiting(app->handover))
        return;
    app->reload_asked = false;
    if (phase == PHASE_RUNNING)
        reload(app);
    else
        weir_log_info("configuration is not read again: a stop has begun");
}

bool weir_config_section_live(struct weir_app *app, const char *section, const struct weir_config_key *keys,
                              void *options, size_t size, weir_config_reload_fn *reload_fn, void *self)
{
    return config_section_live(app->config, section, keys, options, size, reload_fn, self);
}
