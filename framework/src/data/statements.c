#include "data/statements.h"

enum weir_status statements_check(struct weir_sql *db, struct sql_session *session,
                                  const struct weir_sql_statement *statements, struct weir_error *err)
{
    for (; statements && statements->name; statements++) {
        enum weir_status status = db->backend->check(session, statements, err);
        if (status == WEIR_OK)
            continue;
        if (!weir_status_is_transient(status))
            err->status = WEIR_FAILED_PRECONDITION;
        return weir_error_prefix(err,
                                 "%s (%s) does not fit the database, which its migrations did not make so",
                                 statements->name, statements->place);
    }
    return WEIR_OK;
}
