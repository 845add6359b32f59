/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where the guest agent is on the command line: the ids that QEMU's events and answers name it by. Pure; any thread.
 */
#include "vs-command-line.h"
#include "vs-domain-def.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

static char *
agent_id (VsDomainDef *def, const char *prefix)
{
  for (guint i = 0; i < def->channels->len; i++)
    {
      const VsChardevDef *channel = g_ptr_array_index (def->channels, i);

      if (g_strcmp0 (channel->target_name, AGENT_CHANNEL) == 0)
        return g_strdup_printf ("%s%u", prefix, i);
    }
  return NULL;
}

/**
 * vs_command_line_agent_port:
 * @def: a definition
 *
 * Returns: (transfer full) (nullable): the id of the port that the guest agent listens at; %NULL: there is none
 */
char *
vs_command_line_agent_port (VsDomainDef *def)
{
  return agent_id (def, "channel");
}

/**
 * vs_command_line_agent_chardev:
 * @def: a definition
 *
 * Returns: (transfer full) (nullable): the id of the character device behind that port
 */
char *
vs_command_line_agent_chardev (VsDomainDef *def)
{
  return agent_id (def, "charchannel");
}
