/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmsnapd: nothing here but the way into the library that the tests are linked with, too.
 */
#include <locale.h>

#include "bus-daemon.h"

int
main (int argc, char **argv)
{
  BusSettings settings = { 0 };
  g_autoptr (GError) error = NULL;
  int status = 0;

  setlocale (LC_ALL, "");
  if (!bus_settings_parse (&settings, &argc, &argv, &error))
    {
      g_printerr ("vmsnapd: %s\n", error->message);
      status = 2;
    }
  else if (settings.version)
    g_print ("vmsnapd %s\n", VMSNAP_VERSION);
  else
    status = bus_daemon_run (&settings);
  bus_settings_clear (&settings);
  return status;
}
