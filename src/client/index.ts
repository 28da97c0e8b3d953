/**
 * The reference client: enrols a machine, escrows its recovery keys, and believes nothing but
 * replies that it has verified.
 *
 * A whole program that runs is docs/examples/client.ts; the shape of it:
 *
 * ```ts
 * import { MpeClient } from './client/index.js';
 *
 * // Once: believes the site by the root thumbprint inside the token. Safe to run again.
 * const client = await MpeClient.enrol({
 *   url: 'https://mp1.example.org:8443',
 *   enrolmentToken: 'mpe1.…',
 *   state: '/var/lib/mpe-client',
 * });
 *
 * // On disk when it returns; sent by drain, and sent again after a crash, until it is verified.
 * await client.escrow([
 *   {
 *     volumeId: '8c1f0b2e-55d0-4b6e-9a53-3a2c9d0c7f10',
 *     volumeType: 'OS',
 *     driveLabel: 'C:',
 *     protectors: [{ keyId: '8637036e-b379-4798-bd9e-5a0b36296de3', recoveryPassword: '471207-…' }],
 *   },
 * ]);
 * await client.drain({ timeoutMs: 60_000 });
 *
 * // The one question that matters before an old protector is removed.
 * client.isSafe('8c1f0b2e-55d0-4b6e-9a53-3a2c9d0c7f10', '8637036e-b379-4798-bd9e-5a0b36296de3');
 *
 * for (const command of client.commands()) console.log(command.type); // ROTATE_KEY, ESCROW
 * while ((await client.follow(drives)) > 0) await client.drain({ timeoutMs: 60_000 });
 * for (const { keyId, reason, badGroup } of client.held()) console.log(keyId, reason, badGroup);
 * await client.close();
 * ```
 *
 * What the caller owes: call `drain` regularly (and at start), act on `commands`, check in every
 * `checkIntervalMinutes`, and remove a protector only after `isSafe` of its successor. Where
 * `registerAnew` is true (the site saw this client's key or sequence twice, as after cloning a disk),
 * keep all protectors and enrol into a new folder with a new token.
 *
 * Errors are MpeError with a code: UNREACHABLE may pass by itself, NOT_AUTHENTIC is a server that is
 * not the site, REGISTRATION_REFUSED and STATE_INVALID need a person. Sending never throws for what
 * a server says or fails to say: it backs off.
 *
 * The wire protocol is in docs/protocol.md.
 */
export { DEFAULT_BACKOFF, type Backoff } from './backoff.js';
export { MpeClient, type PendingMessage } from './client.js';
export type { ClientOptions } from './context.js';
export { MemoryDrives, type Drives } from './drives.js';
export type { EnrolOptions } from './enrol.js';
export type { ProtectorInput, VolumeInput } from './escrow.js';
export type { ClientEvent, OnEvent } from './events.js';
export type { DrainOptions, DrainReport } from './pump.js';
export { randomRecoveryPassword } from './random-password.js';
export type { Machine } from './registration.js';
export type { CheckInInput, RotationInput, VolumeReportInput } from './reports.js';
export {
  ledgerSecrets,
  secretHash,
  simulate,
  type LedgerEntry,
  type SimulateOptions,
  type SimulationLedger,
} from './simulate.js';
export { MemoryStateStore, type StateStore } from './state-store.js';
export type { HeldKey, HeldTpmOwnerAuth, KeyOutcome, SettledMessage } from './state.js';
