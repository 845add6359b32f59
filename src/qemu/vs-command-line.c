/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a domain's definition to QEMU's arguments: the machine itself, and the order of all parts. Nothing is left to
 * QEMU's defaults that a guest could see, the same definition gives the same arguments always, and names of block nodes
 * and devices are known beforehand. Memory stays QEMU's own `pc.ram`: any other backend of that id fits its saved state
 * too, and private file mappings, which forbid background snapshots, are out of the way. Pure; any thread.
 */
#include "vs-command-line.h"

#include "vmsnap-error.h"
#include "vs-command-line-private.h"
#include "vs-guest.h"

/* Where QEMU puts its displays. */
#define FIRST_DISPLAY_PORT 5900
#define SPREAD 64
#define LAST_DISPLAY_PORT 6900

static gboolean
find_machine (VsCommandLine *line, GError **error)
{
  const char *arch = line->def->os.arch;
  const char *emulated = vs_hypervisor_get_arch (line->hypervisor);

  if (arch != NULL && g_strcmp0 (arch, emulated) != 0
      && !(g_str_equal (arch, "i686") && g_strcmp0 (emulated, "x86_64") == 0))
    return vs_command_line_refuse (line, error, 0, "it is for the architecture %s, but %s emulates %s", arch,
                                   vs_hypervisor_get_path (line->hypervisor), emulated);

  line->machine = vs_hypervisor_resolve_machine (line->hypervisor, line->def->os.machine, error);
  if (line->machine == NULL)
    return FALSE;
  if (g_str_has_prefix (line->machine, "pc-q35-"))
    line->family = VS_MACHINE_Q35;
  else if (g_str_has_prefix (line->machine, "pc-i440fx-"))
    line->family = VS_MACHINE_PC;
  else
    return vs_command_line_refuse (line, error, 0, "the machine type %s isn't supported; pc and q35 are",
                                   line->machine);
  return TRUE;
}

static gboolean
add_machine (VsCommandLine *line, GError **error)
{
  VsDomainDef *def = line->def;
  VsOption *machine;

  if (def->type == VS_DOMAIN_TYPE_KVM && !vs_hypervisor_check_kvm (error))
    return FALSE;
  machine = vs_option_new (line->machine);
  vs_option_add (machine, "accel", "%s", def->type == VS_DOMAIN_TYPE_KVM ? "kvm" : "tcg");
  vs_option_add (machine, "usb", "off");
  vs_option_add (machine, "dump-guest-core", "off");
  vs_option_add_tristate (machine, "vmport", def->features.vmport);
  vs_option_add_tristate (machine, "smm", def->features.smm);
  vs_option_add_tristate (machine, "hpet", def->clock.hpet);
  if (!def->features.acpi)
    vs_option_add (machine, "acpi", "off");
  if (def->os.loader_type == VS_LOADER_PFLASH)
    {
      vs_option_add (machine, "pflash0", "firmware");
      if (line->context->nvram != NULL || def->os.nvram != NULL)
        vs_option_add (machine, "pflash1", "nvram");
    }
  vs_command_line_take (line, "-machine", machine);
  return TRUE;
}

static const char *
cpu_model (const VsDomainDef *def)
{
  gboolean is_kvm = def->type == VS_DOMAIN_TYPE_KVM;

  switch (def->cpu.mode)
    {
    case VS_CPU_CUSTOM:
      return def->cpu.model;
    case VS_CPU_HOST_PASSTHROUGH:
      return is_kvm ? "host" : NULL;
    case VS_CPU_HOST_MODEL:
      return is_kvm ? "host" : "max";
    case VS_CPU_MAXIMUM:
      return "max";
    case VS_CPU_DEFAULT:
    default:
      return "qemu64";
    }
}

static gboolean
add_cpu (VsCommandLine *line, GError **error)
{
  const VsCpuDef *cpu = &line->def->cpu;
  const char *model = cpu_model (line->def);
  VsOption *option;

  if (model == NULL)
    return vs_command_line_refuse (line, error, 0,
                                   "<cpu mode='host-passthrough'> needs KVM; a domain of type 'qemu' can have "
                                   "<cpu mode='maximum'>");
  option = vs_option_new (model);
  for (guint i = 0; i < cpu->features->len; i++)
    {
      const VsCpuFeature *feature = g_ptr_array_index (cpu->features, i);

      vs_option_add (option, feature->name, "%s", feature->enable ? "on" : "off");
    }
  for (char **property = cpu->properties; property != NULL && *property != NULL; property++)
    g_string_append_printf (option, ",%s", *property);
  vs_option_add_tristate (option, "pmu", line->def->features.pmu);
  vs_command_line_take (line, "-cpu", option);
  return TRUE;
}

static gboolean
add_processors_and_memory (VsCommandLine *line, GError **error)
{
  const VsCpuDef *cpu = &line->def->cpu;
  guint vcpus = line->def->vcpus;
  VsOption *smp = vs_option_new (NULL);
  g_autofree char *memory = g_strdup_printf ("size=%" G_GUINT64_FORMAT "k", line->def->memory / 1024);

  vs_command_line_add (line, "-m", memory);
  g_string_append_printf (smp, "%u", vcpus);
  vs_option_add (smp, "sockets", "%u", cpu->sockets > 0 ? cpu->sockets : vcpus);
  vs_option_add (smp, "dies", "%u", cpu->sockets > 0 ? cpu->dies : 1);
  vs_option_add (smp, "cores", "%u", cpu->sockets > 0 ? cpu->cores : 1);
  vs_option_add (smp, "threads", "%u", cpu->sockets > 0 ? cpu->threads : 1);
  vs_command_line_take (line, "-smp", smp);
  return TRUE;
}

static gboolean
add_identity (VsCommandLine *line, GError **error)
{
  VsOption *name = vs_option_new (NULL);
  g_autofree char *pidfile = g_build_filename (line->context->directory, VS_GUEST_PIDFILE, NULL);
  g_autofree char *monitor = g_strdup_printf ("socket,id=monitor,fd=%d", VS_GUEST_MONITOR_FD);
  g_autofree char *later = g_strdup_printf ("socket,id=monitor2,fd=%d,server=on,wait=off", VS_GUEST_LISTENER_FD);

  vs_option_add (name, "guest", "%s", line->def->name);
  vs_option_add (name, "debug-threads", "on");
  vs_command_line_take (line, "-name", name);
  vs_command_line_add (line, "-uuid", line->def->uuid);
  vs_command_line_add (line, "-S", NULL);
  vs_command_line_add (line, "-no-user-config", NULL);
  vs_command_line_add (line, "-nodefaults", NULL);
  vs_command_line_add (line, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  vs_command_line_add (line, "-msg", "timestamp=on");
  /* Also that by which the guest is known when nothing else is left, see vs_guest_find(). */
  vs_command_line_add (line, "-pidfile", pidfile);
  vs_command_line_add (line, "-chardev", monitor);
  vs_command_line_add (line, "-mon", "chardev=monitor,id=qmp,mode=control");
  vs_command_line_add (line, "-chardev", later);
  vs_command_line_add (line, "-mon", "chardev=monitor2,id=qmp2,mode=control");
  return TRUE;
}

static char *
rtc_base (VsCommandLine *line)
{
  const VsClockDef *clock = &line->def->clock;
  gint64 now = line->context->now != 0 ? line->context->now : g_get_real_time () / G_USEC_PER_SEC;
  g_autoptr (GDateTime) time = NULL;

  if (clock->offset == VS_CLOCK_UTC)
    return g_strdup ("utc");
  if (clock->offset == VS_CLOCK_LOCALTIME)
    return g_strdup ("localtime");
  time = clock->basis_localtime ? g_date_time_new_from_unix_local (now + clock->adjustment)
                                : g_date_time_new_from_unix_utc (now + clock->adjustment);
  return time != NULL ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%S") : g_strdup ("utc");
}

static gboolean
add_clock (VsCommandLine *line, GError **error)
{
  const VsClockDef *clock = &line->def->clock;
  g_autofree char *base = rtc_base (line);
  VsOption *rtc = vs_option_new (NULL);

  vs_option_add (rtc, "base", "%s", base);
  if (g_strcmp0 (clock->rtc_track, "guest") == 0)
    vs_option_add (rtc, "clock", "vm");
  else if (g_strcmp0 (clock->rtc_track, "realtime") == 0)
    vs_option_add (rtc, "clock", "rt");
  if (g_strcmp0 (clock->rtc_tickpolicy, "catchup") == 0)
    vs_option_add (rtc, "driftfix", "slew");
  vs_command_line_take (line, "-rtc", rtc);
  if (clock->pit_tickpolicy != NULL && line->def->type == VS_DOMAIN_TYPE_KVM)
    {
      g_autofree char *policy = g_strconcat ("kvm-pit.lost_tick_policy=", clock->pit_tickpolicy, NULL);

      vs_command_line_add (line, "-global", policy);
    }
  return TRUE;
}

static void
add_sleep_states (VsCommandLine *line)
{
  const char *device = line->family == VS_MACHINE_Q35 ? "ICH9-LPC" : "PIIX4_PM";
  const struct
  {
    const char *property;
    VsTristate enabled;
  } states[] = { { "disable_s3", line->def->suspend_to_mem }, { "disable_s4", line->def->suspend_to_disk } };

  for (gsize i = 0; i < G_N_ELEMENTS (states); i++)
    {
      g_autofree char *value
        = g_strdup_printf ("%s.%s=%d", device, states[i].property, states[i].enabled == VS_TRISTATE_OFF);

      if (states[i].enabled != VS_TRISTATE_DEFAULT)
        vs_command_line_add (line, "-global", value);
    }
}

/* What follows when the guest ends. To be restarted after a power-off, and to be kept, need somebody to look: QEMU then
 * pauses. */
static gboolean
add_endings (VsCommandLine *line, GError **error)
{
  const VsDomainDef *def = line->def;
  const VsWatchdogDef *watchdog = def->watchdogs->len > 0 ? g_ptr_array_index (def->watchdogs, 0) : NULL;
  gboolean keep = def->on_poweroff != VS_LIFECYCLE_DESTROY;
  VsOption *action = vs_option_new (NULL);

  vs_option_add (action, "reboot", "%s", def->on_reboot == VS_LIFECYCLE_RESTART ? "reset" : "shutdown");
  vs_option_add (action, "shutdown", "%s", keep ? "pause" : "poweroff");
  vs_option_add (action, "panic", "%s", def->on_crash == VS_LIFECYCLE_DESTROY ? "shutdown" : "pause");
  if (watchdog != NULL)
    vs_option_add (action, "watchdog", "%s", watchdog->action != NULL ? watchdog->action : "reset");
  vs_command_line_take (line, "-action", action);
  add_sleep_states (line);
  return TRUE;
}

static gboolean
add_boot (VsCommandLine *line, GError **error)
{
  const VsOsDef *os = &line->def->os;
  VsOption *boot = vs_option_new (NULL);

  vs_option_add_tristate (boot, "menu", os->boot_menu);
  if (os->boot_menu_timeout_ms >= 0 && os->boot_menu == VS_TRISTATE_ON)
    vs_option_add (boot, "splash-time", "%d", os->boot_menu_timeout_ms);
  vs_option_add (boot, "strict", "on");
  vs_command_line_take (line, "-boot", boot);

  if (os->kernel != NULL)
    vs_command_line_add (line, "-kernel", os->kernel);
  if (os->initrd != NULL)
    vs_command_line_add (line, "-initrd", os->initrd);
  if (os->cmdline != NULL)
    vs_command_line_add (line, "-append", os->cmdline);
  return TRUE;
}

static gboolean
add_rest (VsCommandLine *line, GError **error)
{
  if (line->context->incoming)
    vs_command_line_add (line, "-incoming", "defer");
  for (char **arg = line->def->qemu_args; arg != NULL && *arg != NULL; arg++)
    vs_command_line_add (line, *arg, NULL);
  return TRUE;
}

/* The order decides who gets which place on the bus: what there is one of, before what there can be more of, so that
 * one more disk moves nothing. */
static const VsCommandLinePart parts[] = {
  add_identity,
  add_machine,
  add_cpu,
  add_processors_and_memory,
  vs_command_line_add_firmware,
  add_clock,
  add_endings,
  add_boot,
  vs_command_line_add_pci,
  vs_command_line_add_usb,
  vs_command_line_add_disk_controllers,
  vs_command_line_add_chardevs,
  vs_command_line_add_small_devices,
  vs_command_line_add_inputs,
  vs_command_line_add_displays,
  vs_command_line_add_sounds,
  vs_command_line_add_redirdevs,
  vs_command_line_add_interfaces,
  vs_command_line_add_disks,
  add_rest,
};

static void
clear (VsCommandLine *line)
{
  g_clear_pointer (&line->machine, g_free);
  g_clear_pointer (&line->pci_buses, g_hash_table_unref);
  g_clear_pointer (&line->drives, g_hash_table_unref);
  g_clear_pointer (&line->usb_buses, g_hash_table_unref);
  g_clear_pointer (&line->virtio_serial_buses, g_hash_table_unref);
  g_clear_pointer (&line->virtio_ports, g_hash_table_unref);
}

/**
 * vs_command_line_build:
 * @def: what is to be run
 * @hypervisor: by whom
 * @context: and under which circumstances
 * @error: %VMSNAP_ERROR_INVALID_XML, %VMSNAP_ERROR_NOT_SUPPORTED
 *
 * Writes QEMU's command line. The guest will stand still at first (`-S`).
 *
 * Returns: (transfer full): the arguments, the emulator first
 */
GStrv
vs_command_line_build (VsDomainDef *def, VsHypervisor *hypervisor, const VsCommandLineContext *context, GError **error)
{
  VsCommandLine line = { .def = def, .hypervisor = hypervisor, .context = context };
  g_autoptr (GPtrArray) argv = g_ptr_array_new_null_terminated (64, g_free, TRUE);
  gboolean complete;

  line.argv = argv;
  g_ptr_array_add (argv, g_strdup (vs_hypervisor_get_path (hypervisor)));
  complete = find_machine (&line, error);
  for (gsize i = 0; complete && i < G_N_ELEMENTS (parts); i++)
    complete = parts[i](&line, error);
  clear (&line);
  return complete ? (GStrv)g_ptr_array_steal (argv, NULL) : NULL;
}

/**
 * vs_command_line_free_port:
 * @address: (nullable): an IPv4 or IPv6 address to listen on; %NULL: 127.0.0.1
 * @error: %VMSNAP_ERROR_NOT_FOUND when none is free, %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Looks for a port that nobody listens on, for @spice_port of #VsCommandLineContext. Somebody else may take it before
 * QEMU does.
 *
 * Returns: a TCP port above 5900, or -1
 */
int
vs_command_line_free_port (const char *address, GError **error)
{
  g_autoptr (GInetAddress) inet = g_inet_address_new_from_string (address != NULL ? address : "127.0.0.1");

  if (inet == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "'%s' is not an IP address", address);
      return -1;
    }
  /* Not always from the first, for others who look at the same time find the same. */
  for (guint16 port = FIRST_DISPLAY_PORT + g_random_int_range (0, SPREAD); port < LAST_DISPLAY_PORT; port++)
    {
      g_autoptr (GSocketAddress) candidate = g_inet_socket_address_new (inet, port);
      g_autoptr (GSocket) socket
        = g_socket_new (g_inet_address_get_family (inet), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

      if (socket != NULL && g_socket_bind (socket, candidate, TRUE, NULL) && g_socket_listen (socket, NULL))
        return port;
    }
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "No port from %d to %d is free", FIRST_DISPLAY_PORT,
               LAST_DISPLAY_PORT - 1);
  return -1;
}
