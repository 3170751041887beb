/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How many descriptors this process has open: to see that none was forgotten. */
unsigned open_descriptors(void);
