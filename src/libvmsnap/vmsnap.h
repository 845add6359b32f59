/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-client.h>
#include <vmsnap-dbus.h>
#include <vmsnap-domain.h>
#include <vmsnap-enums.h>
#include <vmsnap-error.h>
#include <vmsnap-image.h>
#include <vmsnap-job.h>
#include <vmsnap-names.h>
#include <vmsnap-snapshot.h>
#include <vmsnap-types.h>
