/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct reply;
struct request;
struct server;

/*
 * What Grafana's clients ask before they ask for profiles: which version answers
 * (version.v1.Version), what it can do (capabilities.v1.FeatureFlagsService), whether it shows
 * sources out of a repository (vcs.v1.VCSService: no, and they hide that part of their screen).
 */
void small_services_version(struct server *server, struct request *request, struct reply *reply);
void small_services_features(struct server *server, struct request *request, struct reply *reply);
void small_services_vcs(struct server *server, struct request *request, struct reply *reply);

/* GET /api/v1/status/config and below: every setting, those that differ, the defaults. YAML. */
void small_services_config(struct server *server, struct request *request, struct reply *reply);
void small_services_config_diff(struct server *server, struct request *request,
				struct reply *reply);
void small_services_config_default(struct server *server, struct request *request,
				   struct reply *reply);
