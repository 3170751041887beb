/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "web/request.h"

struct server;

/*
 * Receives OpenTelemetry's profiles, of any revision (otlp_reader.h), and stores them. What is good
 * is stored and acknowledged when it is on disk; profiles none of whose samples are of use are told
 * of in partial_success, and a request with nothing else in it is refused.
 *
 * https://opentelemetry.io/docs/specs/otlp/
 */

/* ProfilesService/Export by gRPC, and by Connect. */
void otlp_export(struct server *server, struct request *request, struct reply *reply);

/* POST of protobuf or JSON, answered in the same; errors are google.rpc.Status in it. */
void otlp_export_http(struct server *server, struct request *request, struct reply *reply);

/* grpc.health.v1.Health/Check: that requests are taken. */
void otlp_health(struct server *server, struct request *request, struct reply *reply);
