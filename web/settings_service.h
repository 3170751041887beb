/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct reply;
struct request;
struct server;

/*
 * settings.v1.SettingsService of Pyroscope's API: names and values that Profiles Drilldown keeps,
 * one for all of its people. Of two writers the later wins, by the time that they say.
 */
void settings_service_get(struct server *server, struct request *request, struct reply *reply);
void settings_service_set(struct server *server, struct request *request, struct reply *reply);
void settings_service_delete(struct server *server, struct request *request, struct reply *reply);
