/* All of weir's public headers. */
#ifndef WEIR_H
#define WEIR_H

#include <weir/app.h>
#include <weir/arena.h>
#include <weir/bytes.h>
#include <weir/call.h>
#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/codec.h>
#include <weir/component.h>
#include <weir/config.h>
#include <weir/context.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/grpc.h>
#include <weir/id.h>
#include <weir/idempotency.h>
#include <weir/kafka.h>
#include <weir/log.h>
#include <weir/message.h>
#include <weir/method.h>
#include <weir/outbox.h>
#include <weir/rest.h>
#include <weir/saga.h>
#include <weir/schema.h>
#include <weir/service.h>
#include <weir/sql.h>
#include <weir/status.h>
#include <weir/timer.h>

#endif
