import { MpeError } from '../ops/errors.js';
import type { Body, ClientPolicy, Command } from '../protocol/client-message.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import { decodeSiteDocument, type SiteDocument } from '../protocol/site-document.js';
import { byPolicy } from './by-policy.js';
import { composeMessage } from './compose.js';
import { tokenSource } from './device-token.js';
import type { ClientContext, ClientOptions, Settings } from './context.js';
import type { Drives } from './drives.js';
import { enrolState, openState, type EnrolOptions } from './enrol.js';
import { escrowVolumes, type VolumeInput } from './escrow.js';
import { followCommands } from './follow.js';
import { Pump, type DrainOptions, type DrainReport } from './pump.js';
import { refreshSite, siteAgent } from './refresh-site.js';
import { renewKey, resumeRenewal } from './renew-key.js';
import { checkInBody, rotationBody, type CheckInInput, type RotationInput } from './reports.js';
import { clientSettings } from './settings.js';
import { StateKeeper } from './state-keeper.js';
import type { StateStore } from './state-store.js';
import { safeKey, type HeldKey, type HeldTpmOwnerAuth, type SettledMessage } from './state.js';

/** A pending message as people see it. No content. */
export interface PendingMessage {
  readonly messageId: Guid;
  readonly bodyType: string;
  readonly sequence: string;
  readonly createdAtMs: number;
  /** What the site last said, marked `unsealed` where it was only advice. */
  readonly lastSaid: string;
}

/**
 * One registered client. See `index.ts` for an example.
 *
 * Methods that make a message return when it is on disk; `drain` (or `pump`) sends. Between the two
 * the process may die at any moment: nothing is lost and no sequence is used twice.
 */
export class MpeClient {
  readonly #context: ClientContext;
  readonly #pump: Pump;

  private constructor(keeper: StateKeeper, settings: Settings) {
    const { siteDocument, gatewayCa, url } = keeper.state;
    this.#context = {
      settings,
      keeper,
      url: new URL(url),
      token: tokenSource(settings),
      document: storedDocument(siteDocument),
      agent: siteAgent(gatewayCa, settings),
      refreshing: null,
    };
    this.#pump = new Pump(this.#context);
  }

  /**
   * Enrols, or goes on with an enrolment that was interrupted, or loads a client that is enrolled.
   *
   * @throws MpeError see {@link enrolState}.
   */
  static async enrol(options: EnrolOptions): Promise<MpeClient> {
    const store = openState(options.state);
    try {
      const { keeper, settings } = await enrolState(store, options);
      return new MpeClient(keeper, settings);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  /**
   * Loads an enrolled client.
   *
   * @throws MpeError STATE_INVALID (none there, or not finished), STATE_LOCKED.
   */
  static async load(state: string | StateStore, options: ClientOptions = {}): Promise<MpeClient> {
    const settings = clientSettings(options);
    const store = openState(state);
    try {
      const keeper = await StateKeeper.load(store);
      if (keeper?.state.registered !== true) {
        throw new MpeError('STATE_INVALID', 'there is no enrolled client in this folder; enrol first');
      }
      return new MpeClient(keeper, settings);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  get clientId(): Guid {
    return this.#context.keeper.state.clientId;
  }

  get siteGuid(): Guid {
    return this.#context.keeper.state.siteGuid;
  }

  get epoch(): number {
    return this.#context.keeper.state.epoch;
  }

  /** The site document in use. */
  get site(): SiteDocument {
    return this.#context.document;
  }

  /** Whether the site asked for a new registration (a clone was seen). */
  get registerAnew(): boolean {
    return this.#context.keeper.state.registerAnew;
  }

  /** What the newest reply to a check-in said; null: no policy applies, or none was heard of. */
  get policy(): Readonly<ClientPolicy> | null {
    return this.#context.keeper.state.policy;
  }

  /** Minutes from one check-in to the next: the policy's, before the first reply the site document's. */
  get checkIntervalMinutes(): number {
    return this.policy?.checkIntervalMinutes ?? this.site.checkIntervalMinutes;
  }

  /** The last authenticated server time, milliseconds; 0 before the first reply. */
  get serverTimeMs(): number {
    return this.#context.keeper.state.serverTimeMs;
  }

  /** Sequence of the next message. */
  get nextSequence(): bigint {
    return BigInt(this.#context.keeper.state.nextSequence);
  }

  /**
   * Makes sure that there is a site token. Sending does this by itself.
   *
   * @throws MpeError UNREACHABLE, NOT_AUTHENTIC, HTTP_PROBLEM.
   */
  async token(): Promise<void> {
    await this.#context.token.get(this.#context);
  }

  /** Reads the site document again. Sending does this by itself when a reply says so. */
  async refreshSite(): Promise<void> {
    await refreshSite(this.#context);
  }

  /**
   * Escrows recovery keys: every volume with all its protectors. What the policy does not take is not
   * sent.
   *
   * @returns ids of the messages made; several where one would be too large, none where the policy
   *   takes nothing of it.
   * @throws MpeError VALUE_INVALID, STATE_INVALID.
   */
  async escrow(volumes: readonly VolumeInput[]): Promise<Guid[]> {
    const { volumes: taken, heldBack, packages } = byPolicy(this.#context.keeper.state.policy, volumes);
    if (heldBack > 0 || packages > 0)
      this.#context.settings.onEvent({ event: 'client.policy-holds-back', volumes: heldBack, packages });
    const ids = await escrowVolumes(this.#context, taken);
    this.#pump.wake();
    return ids;
  }

  /** Escrows the TPM owner authorization (20 bytes), or says that this Windows version keeps none. */
  escrowTpm(ownerAuth?: Uint8Array): Promise<Guid> {
    return this.#make({ type: 'ESCROW_TPM_OWNER_AUTH', ...(ownerAuth === undefined ? {} : { ownerAuth }) });
  }

  /** Reports the machine's state. */
  checkIn(state: CheckInInput): Promise<Guid> {
    return this.#make(checkInBody(state));
  }

  /** Reports what became of a RotateKey command. */
  reportRotation(result: RotationInput): Promise<Guid> {
    return this.#make(rotationBody(result));
  }

  /** Makes a message of any body: for tests and simulators. */
  compose(body: Body): Promise<Guid> {
    return this.#make(body);
  }

  /** Tries every pending message that is due, once. */
  async pump(): Promise<DrainReport> {
    await resumeRenewal(this.#context);
    return this.#pump.pass();
  }

  /** Sends and re-sends until nothing is pending, or the time is over. */
  async drain(options: DrainOptions = {}): Promise<DrainReport> {
    await resumeRenewal(this.#context);
    return this.#pump.drain(options);
  }

  /** What waits for a verified reply. */
  pending(): PendingMessage[] {
    return this.#context.keeper.state.messages.map(
      ({ messageId, bodyType, sequence, createdAtMs, lastSaid }) => ({
        messageId,
        bodyType,
        sequence,
        createdAtMs,
        lastSaid,
      }),
    );
  }

  /** Whether a verified reply listed this key ID as committed (and no later one took it back). */
  isSafe(volumeId: string, keyId: string): boolean {
    return safeKey(parseGuid(volumeId), parseGuid(keyId)) in this.#context.keeper.state.safe;
  }

  /** Secrets that the site refused, with the reason: correct them and escrow again. */
  held(): readonly Readonly<HeldKey>[] {
    return this.#context.keeper.state.held;
  }

  /** Forgets the held secrets of a key ID (any spelling) whose protector the caller has removed. */
  async release(keyId: string): Promise<void> {
    const gone = canonical(keyId);
    await this.#context.keeper.update((state) => {
      state.held = state.held.filter((one) => one.keyId !== gone);
    });
  }

  /** A TPM owner authorization that the site refused, with the reason; null where there is none. */
  heldTpmOwnerAuth(): Readonly<HeldTpmOwnerAuth> | null {
    return this.#context.keeper.state.heldTpmOwnerAuth;
  }

  /** Forgets the held TPM owner authorization. */
  async releaseTpmOwnerAuth(): Promise<void> {
    await this.#context.keeper.update((state) => {
      state.heldTpmOwnerAuth = null;
    });
  }

  /**
   * Does what the site asks for, as far as the drives are there: the next step of every rotation and the
   * secrets that the site cannot read; see rotate.ts. The messages are on disk then. Send them and call
   * it again: a rotation takes three rounds.
   *
   * @returns how many messages it made.
   * @throws MpeError STATE_INVALID. What goes wrong with a drive is reported to the site.
   */
  async follow(drives: Drives): Promise<number> {
    const made = await followCommands(this.#context, drives);
    if (made > 0) this.#pump.wake();
    return made;
  }

  /** What the site asks for now: the newest verified reply's list. */
  commands(): readonly Command[] {
    return this.#context.keeper.state.commands;
  }

  /** The last messages that a verified reply ended, newest last. */
  settled(): readonly SettledMessage[] {
    return this.#context.keeper.state.settled;
  }

  /**
   * Registers a new signing key for this client, signed by the old one: a new epoch. Until a
   * message of the new key has its verified reply, calling it again goes on with the same key, and
   * so do `drain` and `pump`.
   *
   * @throws MpeError REGISTRATION_REFUSED, UNREACHABLE, NOT_AUTHENTIC.
   */
  async renewKey(timeoutMs = 60_000): Promise<void> {
    await renewKey(this.#context, timeoutMs);
  }

  /** Ends connections and releases the state. Drains must have ended. */
  async close(): Promise<void> {
    this.#context.agent.destroy();
    await this.#context.keeper.close();
  }

  async #make(body: Body): Promise<Guid> {
    const id = await composeMessage(this.#context, body);
    this.#pump.wake();
    return id;
  }
}

/** The document of our own state file, which was verified before it was stored. */
function storedDocument(jws: string): SiteDocument {
  return decodeSiteDocument(Buffer.from(jws.split('.')[1] ?? '', 'base64url'));
}

/** A key ID in its one form; what is no GUID (refused by the site as such) stays as it is. */
function canonical(keyId: string): string {
  try {
    return parseGuid(keyId);
  } catch {
    return keyId;
  }
}
