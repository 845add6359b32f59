/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-device-defs.h"

G_BEGIN_DECLS

/**
 * VsDomainDefFlags:
 * @VS_DOMAIN_DEF_NONE: the rules of the parser alone
 * @VS_DOMAIN_DEF_VALIDATE: the RELAX NG schema too
 * @VS_DOMAIN_DEF_FOREIGN_IMAGE: it comes out of a saved image of libvirt's, whose guest has more than it says: what
 *   libvirt leaves unsaid there is added
 *
 * How vs_domain_def_parse() looks at a text.
 */
typedef enum {
  VS_DOMAIN_DEF_NONE = 0,
  VS_DOMAIN_DEF_VALIDATE = 1 << 0,
  VS_DOMAIN_DEF_FOREIGN_IMAGE = 1 << 1,
} VsDomainDefFlags;

/**
 * VsDomainType:
 * @VS_DOMAIN_TYPE_KVM: `type='kvm'`
 * @VS_DOMAIN_TYPE_QEMU: `type='qemu'`: TCG
 *
 * What runs the guest's processors.
 */
typedef enum {
  VS_DOMAIN_TYPE_KVM,
  VS_DOMAIN_TYPE_QEMU,
} VsDomainType;

/**
 * VsLifecycleAction:
 * @VS_LIFECYCLE_DESTROY: the guest ends (also for `coredump-destroy`)
 * @VS_LIFECYCLE_RESTART: it is reset (also for `coredump-restart` and `rename-restart`)
 * @VS_LIFECYCLE_PRESERVE: its remains are kept
 *
 * What follows when a guest powers off, reboots or crashes.
 */
typedef enum {
  VS_LIFECYCLE_DESTROY,
  VS_LIFECYCLE_RESTART,
  VS_LIFECYCLE_PRESERVE,
} VsLifecycleAction;

/**
 * VsBootDevice:
 * @VS_BOOT_HD: the first disk
 * @VS_BOOT_CDROM: the first CD-ROM drive
 * @VS_BOOT_NETWORK: the first interface
 *
 * An entry of `<os><boot dev=…/>`. Excludes `<boot order=…/>` on devices.
 */
typedef enum {
  VS_BOOT_HD,
  VS_BOOT_CDROM,
  VS_BOOT_NETWORK,
} VsBootDevice;

/**
 * VsLoaderType:
 * @VS_LOADER_NONE: no `<loader>`: the machine's own BIOS, or see @firmware_efi
 * @VS_LOADER_ROM: `-bios`
 * @VS_LOADER_PFLASH: a flash device
 */
typedef enum {
  VS_LOADER_NONE,
  VS_LOADER_ROM,
  VS_LOADER_PFLASH,
} VsLoaderType;

/**
 * VsOsDef:
 * @arch: `x86_64` and so on; the host's when absent
 * @machine: (nullable): the machine type as written: `q35`, `pc-i440fx-7.2`; %NULL: QEMU's default
 * @kernel: (nullable): direct boot
 * @initrd: (nullable): its initial RAM disk
 * @cmdline: (nullable): its command line
 * @n_boot: how many of @boot are used
 * @boot: the boot order by kind of device
 * @boot_menu: `<bootmenu enable=…>`
 * @boot_menu_timeout_ms: (`timeout`), or -1
 * @firmware_efi: `<os firmware='efi'>`: the service chooses the loader (and then keeps its choice with
 *   vs_domain_def_copy_with_firmware())
 * @secure_boot: `<firmware><feature name='secure-boot' …>`, or `<loader secure=…>`
 * @enrolled_keys: `<firmware><feature name='enrolled-keys' …>`
 * @loader: (nullable): path of the firmware's code
 * @loader_type: how it is attached
 * @loader_readonly: `readonly='yes'`
 * @loader_format: `raw` (default) or `qcow2`
 * @nvram: (nullable): path of the variable store
 * @nvram_template: (nullable): what a missing @nvram is copied from
 * @nvram_format: `raw` (default) or `qcow2`
 */
typedef struct {
  char *arch;
  char *machine;
  char *kernel;
  char *initrd;
  char *cmdline;
  guint n_boot;
  VsBootDevice boot[3];
  VsTristate boot_menu;
  int boot_menu_timeout_ms;
  gboolean firmware_efi;
  VsTristate secure_boot;
  VsTristate enrolled_keys;
  char *loader;
  VsLoaderType loader_type;
  gboolean loader_readonly;
  char *loader_format;
  char *nvram;
  char *nvram_template;
  char *nvram_format;
} VsOsDef;

/**
 * VsFeaturesDef:
 * @acpi: `<acpi/>` is there
 * @apic: `<apic/>` is there
 * @pae: `<pae/>` is there
 * @vmport: `-machine vmport=`
 * @smm: `-machine smm=`
 * @pmu: `-cpu pmu=`
 *
 * `<features>`, apart from what ends up in #VsCpuDef's @properties.
 */
typedef struct {
  gboolean acpi;
  gboolean apic;
  gboolean pae;
  VsTristate vmport;
  VsTristate smm;
  VsTristate pmu;
} VsFeaturesDef;

/**
 * VsCpuMode:
 * @VS_CPU_DEFAULT: nothing said: QEMU's default model
 * @VS_CPU_HOST_PASSTHROUGH: `-cpu host`
 * @VS_CPU_HOST_MODEL: a named model near the host's
 * @VS_CPU_CUSTOM: @model
 * @VS_CPU_MAXIMUM: `-cpu max`
 */
typedef enum {
  VS_CPU_DEFAULT,
  VS_CPU_HOST_PASSTHROUGH,
  VS_CPU_HOST_MODEL,
  VS_CPU_CUSTOM,
  VS_CPU_MAXIMUM,
} VsCpuMode;

/**
 * VsCpuFeature:
 * @name: the feature in libvirt's spelling
 * @enable: for the policies `force`, `require`, `optional`; not for `disable`, `forbid`
 */
typedef struct {
  char *name;
  gboolean enable;
} VsCpuFeature;

/**
 * VsCpuDef:
 * @mode: where the model comes from
 * @model: (nullable): for %VS_CPU_CUSTOM (and a hint for %VS_CPU_HOST_MODEL)
 * @features: (element-type VsCpuFeature): in the order written
 * @properties: (array zero-terminated=1): further properties for `-cpu`, in QEMU's spelling and ready to be joined by
 *   commas: `hv-relaxed=on`, `hv-spinlocks=8191`, `kvm=off`, `migratable=off`, `host-phys-bits=on`; from
 *   `<features><hyperv>`, `<kvm>`, `<clock><timer>` and `<cpu>`
 * @sockets: topology; 0: none given
 * @dies: 1 when absent
 * @cores: topology
 * @threads: topology; sockets × dies × cores × threads is @vcpus of the domain
 */
typedef struct {
  VsCpuMode mode;
  char *model;
  GPtrArray *features;
  char **properties;
  guint sockets;
  guint dies;
  guint cores;
  guint threads;
} VsCpuDef;

/**
 * VsClockOffset:
 * @VS_CLOCK_UTC: `-rtc base=utc`
 * @VS_CLOCK_LOCALTIME: `-rtc base=localtime`
 * @VS_CLOCK_VARIABLE: UTC (or local time, see @basis_localtime) plus @adjustment seconds
 */
typedef enum {
  VS_CLOCK_UTC,
  VS_CLOCK_LOCALTIME,
  VS_CLOCK_VARIABLE,
} VsClockOffset;

/**
 * VsClockDef:
 * @offset: what the guest's clock starts from
 * @adjustment: seconds, for %VS_CLOCK_VARIABLE
 * @basis_localtime: `basis='localtime'`
 * @rtc_tickpolicy: (nullable): `delay` or `catchup` (`-rtc driftfix=slew`)
 * @rtc_track: (nullable): `guest`, `wall` or `realtime`
 * @pit_tickpolicy: (nullable): `delay` or `discard` (`-global kvm-pit.lost_tick_policy=`)
 * @hpet: whether there is one (`-machine hpet=`)
 */
typedef struct {
  VsClockOffset offset;
  gint64 adjustment;
  gboolean basis_localtime;
  char *rtc_tickpolicy;
  char *rtc_track;
  char *pit_tickpolicy;
  VsTristate hpet;
} VsClockDef;

/**
 * VsDomainDef:
 * @name: a valid name, see vmsnap_name_is_valid()
 * @uuid: in lower case, with dashes; generated and written back when absent
 * @uuid_is_made: the text had none
 * @title: (nullable): a line for people
 * @description: (nullable): more for people
 * @type: KVM or TCG
 * @memory: bytes
 * @vcpus: 1 … 512
 * @os: how it boots
 * @features: of the machine
 * @cpu: model, features, topology
 * @clock: the guest's clock
 * @on_poweroff: default: destroy
 * @on_reboot: default: restart
 * @on_crash: default: destroy
 * @suspend_to_mem: `<pm>`: `-global ICH9-LPC.disable_s3=` (PIIX4_PM on i440fx)
 * @suspend_to_disk: `<pm>`: `disable_s4`
 * @emulator: (nullable): path of QEMU; %NULL: the service's
 * @disks: (element-type VsDiskDef): in document order
 * @controllers: (element-type VsControllerDef): in document order, only those written
 * @interfaces: (element-type VsInterfaceDef): in document order
 * @serials: (element-type VsChardevDef): also the one that a lone `<console>` implies
 * @consoles: (element-type VsChardevDef): virtio consoles; one that merely repeats serial 0 is not here
 * @channels: (element-type VsChardevDef): virtio-serial ports with a name
 * @graphics: (element-type VsGraphicsDef): in document order
 * @videos: (element-type VsVideoDef): the primary one first
 * @inputs: (element-type VsInputDef): in document order
 * @rngs: (element-type VsRngDef): in document order
 * @watchdogs: (element-type VsWatchdogDef): in document order
 * @audios: (element-type VsAudioDef): in document order
 * @sounds: (element-type VsSoundDef): in document order
 * @redirdevs: (element-type VsRedirdevDef): in document order
 * @memballoon: (nullable): %NULL: none
 * @tpm: (nullable): %NULL: none
 * @qemu_args: (array zero-terminated=1): `<qemu:arg value=…/>`, to be put last on the command line
 * @qemu_env: (array zero-terminated=1): `<qemu:env name=… value=…/>` as `NAME=VALUE`
 *
 * A domain's definition: libvirt's XML, kept whole, and a typed view of all that the command line needs. Immutable:
 * the fields are for reading, the vs_domain_def_copy_with_…() functions make changed copies; so it may be shared
 * between threads.
 */
typedef struct {
  char *name;
  char *uuid;
  gboolean uuid_is_made;
  char *title;
  char *description;
  VsDomainType type;
  guint64 memory;
  guint vcpus;
  VsOsDef os;
  VsFeaturesDef features;
  VsCpuDef cpu;
  VsClockDef clock;
  VsLifecycleAction on_poweroff;
  VsLifecycleAction on_reboot;
  VsLifecycleAction on_crash;
  VsTristate suspend_to_mem;
  VsTristate suspend_to_disk;
  char *emulator;
  GPtrArray *disks;
  GPtrArray *controllers;
  GPtrArray *interfaces;
  GPtrArray *serials;
  GPtrArray *consoles;
  GPtrArray *channels;
  GPtrArray *graphics;
  GPtrArray *videos;
  GPtrArray *inputs;
  GPtrArray *rngs;
  GPtrArray *watchdogs;
  GPtrArray *audios;
  GPtrArray *sounds;
  GPtrArray *redirdevs;
  VsMemballoonDef *memballoon;
  VsTpmDef *tpm;
  char **qemu_args;
  char **qemu_env;

  /*< private >*/
  struct _xmlDoc *doc;
} VsDomainDef;

VsDomainDef *vs_domain_def_parse (const char *xml,
                                  VsDomainDefFlags flags,
                                  GError **error);
VsDomainDef *vs_domain_def_parse_data (const char *data,
                                       gsize length,
                                       VsDomainDefFlags flags,
                                       GError **error);
VsDomainDef *vs_domain_def_ref (VsDomainDef *self);
void vs_domain_def_unref (VsDomainDef *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDomainDef, vs_domain_def_unref)

char *vs_domain_def_format (VsDomainDef *self);

gboolean vs_domain_def_has_spice (VsDomainDef *self);
const VsDiskDef *vs_domain_def_find_disk (VsDomainDef *self,
                                          const char *target);
const VsChardevDef *vs_domain_def_find_guest_agent (VsDomainDef *self);

VsDomainDef *vs_domain_def_copy_with_name (VsDomainDef *self,
                                           const char *name,
                                           GError **error);
VsDomainDef *vs_domain_def_copy_with_uuid (VsDomainDef *self,
                                           const char *uuid,
                                           GError **error);
VsDomainDef *vs_domain_def_copy_with_made_of (VsDomainDef *self,
                                              VsDomainDef *other,
                                              GError **error);
VsDomainDef *vs_domain_def_copy_with_machine (VsDomainDef *self,
                                              const char *machine,
                                              GError **error);
VsDomainDef *vs_domain_def_copy_with_emulator (VsDomainDef *self,
                                               const char *emulator,
                                               GError **error);
VsDomainDef *vs_domain_def_copy_with_firmware (VsDomainDef *self,
                                               const char *loader,
                                               const char *nvram_template,
                                               GError **error);
VsDomainDef *vs_domain_def_copy_with_nvram (VsDomainDef *self,
                                            const char *nvram,
                                            GError **error);
VsDomainDef *vs_domain_def_copy_with_disk_source (VsDomainDef *self,
                                                  const char *target,
                                                  const char *path,
                                                  const char *format,
                                                  GError **error);

gboolean vs_domain_def_has_place (const VsGraphicsDef *graphics);
VsDomainDef *vs_domain_def_copy_beside (VsDomainDef *self,
                                        const char *suffix,
                                        GError **error);
char *vs_domain_def_explain_alone (VsDomainDef *self,
                                   const char *suffix);

gboolean vs_domain_def_guest_abi_equal (VsDomainDef *self,
                                        VsDomainDef *other,
                                        char **first_difference);

G_END_DECLS
