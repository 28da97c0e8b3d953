import type { Clock } from '../../ops/clock.js';
import type { Guid } from '../../protocol/guid.js';
import type { DataKeyRow } from '../../secrets/types.js';
import type { DisclosureStore } from '../disclosure-store.js';
import type { PeopleStore } from '../people-store.js';
import type { SearchStore } from '../search-store.js';
import type {
  ArchivedSealingKeyRow,
  CommitCandidate,
  CommitPlan,
  DeadLetterRow,
  EnrolmentTokenRow,
  HashLine,
  PolicyStore,
  QuarantineRelease,
  QuarantineRow,
  RegistrationWrite,
  RotationRequestRow,
  RotationStore,
  SealingKeyRow,
  SecretPosition,
  SiteSeed,
  SiteStore,
  StoredSecret,
} from '../site-store.js';
import { apply } from './apply.js';
import { classify } from './classify.js';
import { commitRegistration } from './commit-registration.js';
import { Connection } from './connection.js';
import { countPlainSecrets } from './count-plain-secrets.js';
import { counts } from './counts.js';
import { createSite } from './create-site.js';
import { insertDataKey, insertDataKeyWraps, readDataKeys } from './data-keys.js';
import { addDeadLetter, countDeadLetterResend, findDeadLetter, redriveDeadLetter } from './dead-letters.js';
import { insertEnrolmentToken, readEnrolmentTokens, revokeEnrolmentToken } from './enrolment-tokens.js';
import { toStoreError } from './errors.js';
import { findClient, findKeyOwners } from './find-client.js';
import { findKeys } from './find-keys.js';
import { hashLines } from './hash-lines.js';
import { findLookAlikes, listClients } from './list-clients.js';
import { mergeClient, readMachineEvents } from './machine-events.js';
import { markDamaged } from './mark-damaged.js';
import { openRotationRequest } from './open-rotation-request.js';
import { findOutcome, pruneOutcomes } from './outcomes.js';
import {
  approveRegistration,
  readPendingRegistrations,
  rejectRegistration,
} from './pending-registrations.js';
import { policyStore } from './policy/policy-store.js';
import { readPolicies } from './policy/read-policies.js';
import { sqliteDisclosure } from './disclosure/index.js';
import { sqlitePeople } from './people/index.js';
import { sqliteSearch } from './search/index.js';
import { probeWrite } from './probe-write.js';
import { findQuarantined, quarantine } from './quarantine.js';
import { findReleasableQuarantine, resolveQuarantined } from './quarantine-release.js';
import { readFingerprintKey, readSite } from './read-site.js';
import { retryBusy } from './retry-busy.js';
import { sqliteRotation } from './rotation/rotation-store.js';
import { archiveSealingKey, readArchivedSealingKeys } from './sealing-key-archive.js';
import { insertSealingKey, readSealingKeys, removeSealingKey } from './sealing-keys.js';
import { secretsPage, secretsStoredAfter } from './secrets-page.js';
import { setClientState } from './set-client-state.js';
import { appendSiteDocument, readSiteDocument } from './site-documents.js';
import { streamSecrets } from './stream-secrets.js';
import { traceMessage } from './trace-message.js';

/** Outcomes removed in one transaction. */
const PRUNE_BATCH = 1000;

/**
 * The site database in one SQLite file: one connection, one operation a file. Operations are
 * synchronous inside; `retryBusy` makes them asynchronous and gives the event loop back while
 * another process writes.
 */
export class SqliteStore implements SiteStore {
  readonly dialect = 'sqlite';
  readonly disclosure: DisclosureStore;
  readonly people: PeopleStore;
  readonly search: SearchStore;
  readonly policy: PolicyStore;
  readonly rotation: RotationStore;
  readonly #c: Connection;
  readonly #path: string;
  readonly #clock: Clock;

  constructor(connection: Connection, path: string, clock: Clock) {
    this.#c = connection;
    this.#path = path;
    this.#clock = clock;
    this.disclosure = sqliteDisclosure(connection);
    this.people = sqlitePeople(connection);
    this.search = sqliteSearch(connection);
    this.policy = policyStore(connection);
    this.rotation = sqliteRotation(connection);
  }

  close = (): Promise<void> => {
    this.#c.close();
    return Promise.resolve();
  };
  durability = () => retryBusy('reading the durability settings', () => this.#c.durability());
  probeWrite = (by: string) =>
    retryBusy('the readiness write', () => probeWrite(this.#c, by, this.#clock.now()));

  createSite = (seed: SiteSeed) => retryBusy('creating the site', () => createSite(this.#c, seed));
  readSite = () => retryBusy('reading the site', () => readSite(this.#c));
  readSiteDocument = () => retryBusy('reading the site document', () => readSiteDocument(this.#c));
  appendSiteDocument = (version: number, jws: string) =>
    retryBusy('adding a site document', () => appendSiteDocument(this.#c, version, jws, this.#clock.now()));
  readSealingKeys = () => retryBusy('reading sealing keys', () => readSealingKeys(this.#c));
  addSealingKey = (row: SealingKeyRow) =>
    retryBusy('adding a sealing key', () => insertSealingKey(this.#c, row));
  removeSealingKey = (kid: string) =>
    retryBusy('removing a sealing key', () => removeSealingKey(this.#c, kid));
  archiveSealingKey = (row: ArchivedSealingKeyRow) =>
    retryBusy('archiving a sealing key', () => archiveSealingKey(this.#c, row));
  readArchivedSealingKeys = () =>
    retryBusy('reading archived sealing keys', () => readArchivedSealingKeys(this.#c));
  readFingerprintKey = () => retryBusy('reading the fingerprint key', () => readFingerprintKey(this.#c));
  readPolicies = () => retryBusy('reading policies', () => readPolicies(this.#c));
  insertDataKey = (row: DataKeyRow) => retryBusy('adding a data key', () => insertDataKey(this.#c, row));
  insertDataKeyWraps = (rows: readonly DataKeyRow[]) =>
    retryBusy('adding wraps of data keys', () => insertDataKeyWraps(this.#c, rows));
  readDataKeys = () => retryBusy('reading data keys', () => readDataKeys(this.#c));
  insertEnrolmentToken = (row: EnrolmentTokenRow) =>
    retryBusy('adding an enrolment token', () => insertEnrolmentToken(this.#c, row));
  readEnrolmentTokens = () => retryBusy('reading enrolment tokens', () => readEnrolmentTokens(this.#c));
  revokeEnrolmentToken = (tokenId: Guid, atMs: number) =>
    retryBusy('revoking an enrolment token', () => revokeEnrolmentToken(this.#c, tokenId, atMs));

  findClient = (clientId: Guid) => retryBusy('reading a client', () => findClient(this.#c, clientId));
  findKeyOwners = (kid: string) => retryBusy('reading key owners', () => findKeyOwners(this.#c, kid));
  commitRegistration = (write: RegistrationWrite) =>
    retryBusy('committing a registration', () => commitRegistration(this.#c, write));
  setClientState = (clientId: Guid, state: 'ACTIVE' | 'BLOCKED', by: string) =>
    retryBusy('setting a client state', () =>
      setClientState(this.#c, clientId, state, by, this.#clock.now()),
    );

  readPendingRegistrations = (limit: number) =>
    retryBusy('reading waiting registrations', () => readPendingRegistrations(this.#c, limit));
  approveRegistration = (
    clientId: Guid,
    kid: string,
    approval: { readonly by: string; readonly tag: string; readonly atMs: number },
  ) => retryBusy('approving a registration', () => approveRegistration(this.#c, clientId, kid, approval));
  rejectRegistration = (clientId: Guid, kid: string) =>
    retryBusy('rejecting a registration', () => rejectRegistration(this.#c, clientId, kid));
  listClients = (filter: { readonly flagged: boolean; readonly limit: number }) =>
    retryBusy('listing clients', () => listClients(this.#c, filter));
  findLookAlikes = (
    clientId: Guid,
    hints: { readonly hardwareId: string; readonly machineName: string; readonly domain: string },
  ) => retryBusy('looking for machines that look alike', () => findLookAlikes(this.#c, clientId, hints));
  mergeClient = (clientId: Guid, intoClientId: Guid, by: string) =>
    retryBusy('merging a client', () => mergeClient(this.#c, clientId, intoClientId, by, this.#clock.now()));
  readMachineEvents = (clientId: Guid) =>
    retryBusy('reading what operators did', () => readMachineEvents(this.#c, clientId));

  classify = (candidates: readonly CommitCandidate[]) =>
    retryBusy('classifying messages', () => classify(this.#c, candidates));
  apply = (plans: readonly CommitPlan[]) => retryBusy('committing messages', () => apply(this.#c, plans));

  findOutcome = (clientId: Guid, messageId: Guid) =>
    retryBusy('reading an outcome', () => findOutcome(this.#c, clientId, messageId));
  findQuarantined = (clientId: Guid, messageId: Guid) =>
    retryBusy('reading the quarantine', () => findQuarantined(this.#c, clientId, messageId));
  findDeadLetter = (clientId: Guid, messageId: Guid) =>
    retryBusy('reading dead letters', () => findDeadLetter(this.#c, clientId, messageId));
  quarantine = (row: QuarantineRow, bound: number) =>
    retryBusy('quarantining a message', () => quarantine(this.#c, row, bound));
  findReleasableQuarantine = (release: QuarantineRelease) =>
    retryBusy('looking for messages to release', () => findReleasableQuarantine(this.#c, release));
  resolveQuarantined = (clientId: Guid, messageId: Guid, sealed: string) =>
    retryBusy('ending a quarantine', () => resolveQuarantined(this.#c, clientId, messageId, sealed));
  addDeadLetter = (row: DeadLetterRow, bound: number) =>
    retryBusy('adding a dead letter', () => addDeadLetter(this.#c, row, bound));
  countDeadLetterResend = (clientId: Guid, messageId: Guid) =>
    retryBusy('counting a re-send', () => countDeadLetterResend(this.#c, clientId, messageId));
  redriveDeadLetter = (clientId: Guid, messageId: Guid, atMs: number) =>
    retryBusy('redriving a dead letter', () => redriveDeadLetter(this.#c, clientId, messageId, atMs));

  pruneOutcomes = async (beforeMs: number): Promise<number> => {
    for (let total = 0; ;) {
      const pruned = await retryBusy('pruning outcomes', () => pruneOutcomes(this.#c, beforeMs, PRUNE_BATCH));
      total += pruned;
      if (pruned < PRUNE_BATCH) return total;
      // Others get their turn at the lock and at the event loop.
      await new Promise((resume) => setImmediate(resume));
    }
  };

  traceMessage = (messageId: Guid) => retryBusy('tracing a message', () => traceMessage(this.#c, messageId));
  findKeys = (prefix: string, limit: number) =>
    retryBusy('finding keys', () => findKeys(this.#c, prefix, limit));
  counts = () => retryBusy('counting', () => counts(this.#c));
  countPlainSecrets = () => retryBusy('counting', () => countPlainSecrets(this.#c));

  async *streamSecrets(): AsyncGenerator<StoredSecret> {
    try {
      yield* streamSecrets(this.#c);
    } catch (error) {
      throw toStoreError(error, 'reading secrets');
    }
  }

  secretsPage = (after: SecretPosition | null, limit: number) =>
    retryBusy('reading secrets', () => secretsPage(this.#c, after, limit));
  secretsStoredAfter = (place: string | null, limit: number) =>
    retryBusy('reading new secrets', () => secretsStoredAfter(this.#c, place, limit));
  markDamaged = (secretId: Uint8Array, generation: number, reason: string, atMs: number) =>
    retryBusy('marking a secret', () => markDamaged(this.#c, secretId, generation, reason, atMs));
  openRotationRequest = (row: RotationRequestRow, atMs: number) =>
    retryBusy('opening a rotation request', () => openRotationRequest(this.#c, row, atMs));

  async *hashLines(): AsyncGenerator<HashLine> {
    const own = await retryBusy('opening a snapshot', () => Connection.open(this.#path, { readOnly: true }));
    try {
      let lines = 0;
      for (const line of hashLines(own)) {
        yield line;
        lines += 1;
        if (lines % 1000 === 0) await new Promise((resume) => setImmediate(resume));
      }
    } catch (error) {
      throw toStoreError(error, 'reading the site hash');
    } finally {
      own.close();
    }
  }
}
