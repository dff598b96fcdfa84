/* The relay's two threads on SQLite. See outbox.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"
#include "data/outbox.h"
#include "data/sqlite/backend.h"
#include "data/sqlite/store.h"

#define READ_MAX 256
#define LOCK_FILE_LOOK_NS (50 * WEIR_NS_PER_MS)
/* Rows of another process come without a wake-up. */
#define LOOK_NS WEIR_NS_PER_S
/* Rows that come within so long of a read are read together: what travels together costs the broker and the
 * consumers a fraction. The first after a pause does not wait. */
#define GATHER_NS (4 * WEIR_NS_PER_MS)
#define PRUNE_BATCH 200
#define PRUNE_PAUSE_MS 20

/* ---- The sender ---- */

struct sender {
    struct weir_outbox *outbox;
    struct connection connection;
    int64_t look_at_ns; /* for rows of another process */
    int64_t read_at_ns; /* rows that were committed, unless there are many */
};

/* Waits until this process has the lock file. False: told to stop before. */
static bool take_lock_file(struct sender *sender)
{
    struct weir_outbox *outbox = sender->outbox;
    char *path = memory_printf("%s.relay", sqlite_of(outbox->db)->path);
    outbox->lock_file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (outbox->lock_file < 0)
        weir_log_error("the outbox has no lock file", weir_field_text("path", path),
                       weir_field_text("error", strerror(errno)));
    free(path);

    pthread_mutex_lock(&outbox->lock);
    bool told = false;
    while (!outbox->stop_sending) {
        outbox->has_lock_file = outbox->lock_file >= 0 && flock(outbox->lock_file, LOCK_EX | LOCK_NB) == 0;
        outbox->tried_lock_file = true;
        if (outbox->has_lock_file)
            break;
        if (!told)
            weir_log_info("another process publishes this outbox, this one waits",
                          weir_field_text("component", outbox->name));
        told = true;
        condition_wait(&outbox->changed, &outbox->lock, weir_now_ns() + LOCK_FILE_LOOK_NS);
    }
    bool taken = outbox->has_lock_file;
    pthread_mutex_unlock(&outbox->lock);
    return taken;
}

/* Holds: nothing. What fails here is tried again: nothing is lost meanwhile. */
static void try_later(struct sender *sender, const struct weir_error *err)
{
    struct weir_outbox *outbox = sender->outbox;
    if (weir_context_status(&outbox->send_context) == WEIR_OK && !component_is_away(&outbox->db->component))
        weir_log_warn("the outbox cannot read its rows", weir_field_error(err));
    weir_context_sleep(&outbox->send_context, 200);
}

static bool open_connection(struct sender *sender)
{
    struct weir_outbox *outbox = sender->outbox;
    struct connection_options options = {.path = sqlite_of(outbox->db)->path,
                                         .read_only = true,
                                         .synchronous = "normal",
                                         .name = outbox->name};
    struct weir_error err = {0};
    while (weir_context_status(&outbox->send_context) == WEIR_OK) {
        if (connection_open(&sender->connection, &options, &outbox->send_context, &err) == WEIR_OK)
            return true;
        try_later(sender, &err);
    }
    return false;
}

/* Where the last process has stopped. */
static bool load_state(struct sender *sender)
{
    struct weir_outbox *outbox = sender->outbox;
    struct store_state state;
    struct weir_error err = {0};
    connection_work_for(&sender->connection, &outbox->send_context, 1000);
    while (store_load(&sender->connection, &state, &err) != WEIR_OK) {
        if (weir_context_status(&outbox->send_context) != WEIR_OK)
            return false;
        try_later(sender, &err);
    }
    pthread_mutex_lock(&outbox->lock);
    outbox->published = outbox->marked = outbox->cursor = state.published;
    if (state.last > outbox->known)
        outbox->known = state.last;
    outbox->looked = true;
    memcpy(outbox->stored_cluster, state.cluster, CLUSTER_SIZE);
    atomic_store(&outbox->ever, state.ever);
    pthread_cond_broadcast(&outbox->changed);
    pthread_cond_signal(&outbox->to_mark);
    pthread_mutex_unlock(&outbox->lock);
    sender->look_at_ns = weir_now_ns() + LOOK_NS;
    return true;
}

/* The functions below: Holds: lock, and give it up for what blocks. */

static void look_for_rows(struct sender *sender)
{
    struct weir_outbox *outbox = sender->outbox;
    pthread_mutex_unlock(&outbox->lock);
    int64_t last = 0;
    struct weir_error err = {0};
    connection_work_for(&sender->connection, &outbox->send_context, 1000);
    if (store_last(&sender->connection, &last, &err) != WEIR_OK)
        try_later(sender, &err);
    sender->look_at_ns = weir_now_ns() + LOOK_NS;
    pthread_mutex_lock(&outbox->lock);
    if (last > outbox->known)
        outbox->known = last;
}

struct row_batch {
    struct row *rows[READ_MAX];
    int count;
};

static void add_to_batch(void *self, struct row *row)
{
    struct row_batch *batch = self;
    batch->rows[batch->count++] = row;
}

static void read_rows(struct sender *sender, int64_t room)
{
    struct weir_outbox *outbox = sender->outbox;
    int64_t known = outbox->known, cursor = outbox->cursor;
    pthread_mutex_unlock(&outbox->lock);
    struct row_batch batch;
    batch.count = 0;
    struct weir_error err = {0};
    connection_work_for(&sender->connection, &outbox->send_context, 1000);
    int64_t limit = room < READ_MAX ? room : READ_MAX;
    enum weir_status status = store_read(&sender->connection, cursor, limit, add_to_batch, &batch, &err);
    if (status != WEIR_OK)
        try_later(sender, &err);

    pthread_mutex_lock(&outbox->lock);
    for (int i = 0; i < batch.count; i++) {
        struct row *row = batch.rows[i];
        row->owner = outbox;
        outbox->cursor = row->id;
        if (row->id > outbox->known)
            outbox->known = row->id;
        window_add(&outbox->window, row);
    }
    if (status != WEIR_OK || batch.count == limit)
        return;
    /* Ids at the end that nobody has any more: they were deleted by hand. */
    if (outbox->cursor < known)
        outbox->cursor = known;
    if (outbox->window.count == 0 && outbox->published < outbox->cursor)
        relay_set_published(outbox, outbox->cursor);
}

static void reject(struct sender *sender, struct row *row)
{
    struct weir_outbox *outbox = sender->outbox;
    pthread_mutex_unlock(&outbox->lock);
    struct weir_error err = {0};
    const char *reason = "the producer says that it can never be sent: INVALID_ARGUMENT";
    enum weir_status status = store_reject(outbox->db, &outbox->send_context, row->id, reason, &err);
    weir_log_error(status == WEIR_OK
                       ? "an event can never be published and was set aside in weir_outbox_rejected"
                       : "an event can never be published and could not be set aside",
                   weir_field_text("component", outbox->name), weir_field_int("id", row->id),
                   weir_field_text("topic", row->record.topic), weir_field_error(&err));
    if (status != WEIR_OK)
        weir_context_sleep(&outbox->send_context, 200);
    pthread_mutex_lock(&outbox->lock);
    if (status != WEIR_OK) {
        window_failed(&outbox->window, row);
        return;
    }
    window_done(&outbox->window, row);
    relay_move_published(outbox);
    pthread_cond_broadcast(&outbox->changed);
}

static void hand_over(struct sender *sender, struct row *row)
{
    struct weir_outbox *outbox = sender->outbox;
    pthread_mutex_unlock(&outbox->lock);
    struct weir_error err = {0};
    enum weir_status status = outbox->sink.send(outbox->sink.self, &row->record, relay_delivered, row, &err);
    pthread_mutex_lock(&outbox->lock);
    if (status == WEIR_OK)
        return; /* the report may have come already */
    if (status == WEIR_INVALID_ARGUMENT) {
        row->rejected = true;
        window_failed(&outbox->window, row);
        return;
    }
    window_put_back(&outbox->window, row);
    relay_back_off(outbox, err.text);
    outbox->pause_until_ns = outbox->retry_at_ns;
}

/* Nothing is sent. Everything that is still kept is published again, from the first row on. */
static void change_cluster(struct sender *sender)
{
    struct weir_outbox *outbox = sender->outbox;
    bool again = outbox->stored_cluster[0] != 0;
    char cluster[CLUSTER_SIZE];
    memcpy(cluster, outbox->seen_cluster, CLUSTER_SIZE);
    outbox->replaying = true;
    pthread_mutex_unlock(&outbox->lock);
    struct store_state state = {0};
    struct weir_error err = {0};
    enum weir_status status = store_cluster(outbox->db, &outbox->send_context, cluster, again, &state, &err);
    if (status != WEIR_OK)
        try_later(sender, &err);
    else if (again)
        weir_log_warn("the broker is another one than before, what is kept is published again",
                      weir_field_text("component", outbox->name), weir_field_text("cluster", cluster),
                      weir_field_int("after_id", state.published));

    pthread_mutex_lock(&outbox->lock);
    outbox->replaying = false;
    pthread_cond_signal(&outbox->to_mark);
    if (status == WEIR_OK) {
        memcpy(outbox->stored_cluster, cluster, CLUSTER_SIZE);
        if (again) {
            window_clear(&outbox->window);
            outbox->published = outbox->marked = outbox->cursor = state.published;
            outbox->retry_at_ns = outbox->pause_until_ns = 0;
        }
    }
    pthread_cond_broadcast(&outbox->changed);
}

/* One thing that is to be done; else waits. */
static void step(struct sender *sender)
{
    struct weir_outbox *outbox = sender->outbox;
    struct window *window = &outbox->window;
    struct row *row;
    if (relay_cluster_changed(outbox)) {
        /* A first broker has nothing to be told again, so what is under way may go on. */
        if ((window->sent == 0 || !outbox->stored_cluster[0]) && !outbox->marking)
            change_cluster(sender);
        else
            condition_wait(&outbox->changed, &outbox->lock, WEIR_NEVER);
        return;
    }
    int64_t now = weir_now_ns();
    if ((row = window_take_rejected(window))) {
        reject(sender, row);
        return;
    }
    if (now >= outbox->retry_at_ns)
        window_retry(window);
    if (now >= outbox->pause_until_ns && (row = window_take(window))) {
        hand_over(sender, row);
        return;
    }
    int64_t room = window_room(window), unread = outbox->known - outbox->cursor;
    bool gathers = unread < READ_MAX && now < sender->read_at_ns;
    if (unread > 0 && room > 0 && !gathers) {
        sender->read_at_ns = now + GATHER_NS;
        read_rows(sender, room);
        return;
    }
    if (now >= sender->look_at_ns) {
        look_for_rows(sender);
        return;
    }
    int64_t until = sender->look_at_ns;
    if (window->failed.first && outbox->retry_at_ns < until)
        until = outbox->retry_at_ns;
    if (window->ready.first && outbox->pause_until_ns < until)
        until = outbox->pause_until_ns;
    if (gathers && room > 0 && sender->read_at_ns < until)
        until = sender->read_at_ns;
    outbox->gathers = gathers;
    condition_wait(&outbox->changed, &outbox->lock, until);
    outbox->gathers = false;
}

void *relay_send(void *self)
{
    struct sender sender = {.outbox = self};
    struct weir_outbox *outbox = self;
    if (take_lock_file(&sender) && open_connection(&sender)) {
        if (load_state(&sender)) {
            pthread_mutex_lock(&outbox->lock);
            while (!outbox->stop_sending)
                step(&sender);
            pthread_mutex_unlock(&outbox->lock);
        }
        connection_close(&sender.connection);
    }
    return NULL;
}

/* ---- The marker ---- */

/* Holds: lock, and gives it up for what blocks. */
static void mark(struct weir_outbox *outbox)
{
    int64_t published = outbox->published;
    outbox->marking = true;
    pthread_mutex_unlock(&outbox->lock);
    struct weir_error err = {0};
    enum weir_status status = store_mark(outbox->db, &outbox->mark_context, published, &err);
    if (status != WEIR_OK && weir_context_status(&outbox->mark_context) == WEIR_OK &&
        !component_is_away(&outbox->db->component)) /* which has said so */
        weir_log_warn("what is published could not be marked", weir_field_error(&err));
    if (status == WEIR_OK && published > atomic_load(&outbox->ever))
        atomic_store(&outbox->ever, published);

    pthread_mutex_lock(&outbox->lock);
    outbox->marking = false;
    if (status == WEIR_OK)
        outbox->marked = published;
    outbox->mark_due_ns = weir_now_ns() + (status == WEIR_OK ? RELAY_MARK_DELAY_NS : WEIR_NS_PER_S);
    pthread_cond_broadcast(&outbox->changed);
}

/* Holds: lock, and gives it up. */
static void prune(struct weir_outbox *outbox)
{
    pthread_mutex_unlock(&outbox->lock);
    struct weir_error err = {0};
    int64_t deleted = 0;
    enum weir_status status = store_prune(outbox->db, &outbox->mark_context, weir_unix_ns() / WEIR_NS_PER_MS,
                                          outbox->settings.keep_ms, PRUNE_BATCH, &deleted, &err);
    if (status != WEIR_OK && weir_context_status(&outbox->mark_context) == WEIR_OK &&
        !component_is_away(&outbox->db->component))
        weir_log_warn("published events stay in the outbox", weir_field_error(&err));
    pthread_mutex_lock(&outbox->lock);
    int64_t pause_ms = deleted == PRUNE_BATCH ? PRUNE_PAUSE_MS : relay_prune_interval_ms(outbox);
    outbox->prune_due_ns = weir_now_ns() + pause_ms * WEIR_NS_PER_MS;
}

void *relay_mark(void *self)
{
    struct weir_outbox *outbox = self;
    pthread_mutex_lock(&outbox->lock);
    outbox->prune_due_ns = weir_now_ns() + relay_prune_interval_ms(outbox) * WEIR_NS_PER_MS;
    while (!outbox->stop_marking || (outbox->published != outbox->marked && !outbox->last_mark_tried)) {
        int64_t now = weir_now_ns();
        bool unmarked = outbox->published != outbox->marked && outbox->has_lock_file && !outbox->replaying;
        if (unmarked && (outbox->stop_marking || now >= outbox->mark_due_ns)) {
            outbox->last_mark_tried = outbox->stop_marking;
            mark(outbox);
        } else if (outbox->stop_marking) {
            break;
        } else if (outbox->has_lock_file && now >= outbox->prune_due_ns) {
            prune(outbox);
        } else {
            int64_t until = outbox->prune_due_ns;
            if (unmarked && outbox->mark_due_ns < until)
                until = outbox->mark_due_ns;
            condition_wait(&outbox->to_mark, &outbox->lock, outbox->has_lock_file ? until : WEIR_NEVER);
        }
    }
    pthread_mutex_unlock(&outbox->lock);
    return NULL;
}
