import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { DataKeyRow } from '../../secrets/types.js';
import type { DisclosureStore } from '../disclosure-store.js';
import type { PeopleStore } from '../people-store.js';
import type { SearchStore } from '../search-store.js';
import type {
  ArchivedSealingKeyRow,
  ClientRow,
  CommitCandidate,
  CommitPlan,
  DeadLetterRow,
  EnrolmentTokenRow,
  HashLine,
  OutcomeRow,
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
import { batched } from './batched.js';
import { classify } from './classify.js';
import { commitRegistration } from './commit-registration.js';
import type { Connection } from './connection.js';
import { countPlainSecrets } from './count-plain-secrets.js';
import { counts } from './counts.js';
import { createSite } from './create-site.js';
import { insertDataKey, insertDataKeyWraps, readDataKeys } from './data-keys.js';
import { addDeadLetter, countDeadLetterResend, findDeadLetters, redriveDeadLetter } from './dead-letters.js';
import { mssqlDisclosure } from './disclosure/index.js';
import { mssqlPeople } from './people/index.js';
import { mssqlSearch } from './search/index.js';
import { durability } from './durability.js';
import { insertEnrolmentToken, readEnrolmentTokens, revokeEnrolmentToken } from './enrolment-tokens.js';
import { toStoreError } from './errors.js';
import { findClients, findKeyOwners } from './find-client.js';
import { findKeys } from './find-keys.js';
import { hashLines } from './hash-lines.js';
import { findLookAlikes, listClients } from './list-clients.js';
import { mergeClient, readMachineEvents } from './machine-events.js';
import { markDamaged } from './mark-damaged.js';
import type { MessageKey } from './message-key.js';
import { openRotationRequest } from './open-rotation-request.js';
import { findOutcomes, pruneOutcomes, resolveKept } from './outcomes.js';
import {
  approveRegistration,
  readPendingRegistrations,
  rejectRegistration,
} from './pending-registrations.js';
import { policyStore } from './policy/policy-store.js';
import { readPolicies } from './policy/read-policies.js';
import { probeWrite } from './probe-write.js';
import { findQuarantined, quarantine } from './quarantine.js';
import { findReleasableQuarantine, resolveQuarantined } from './quarantine-release.js';
import { readFingerprintKey, readSite } from './read-site.js';
import { mssqlRotation } from './rotation/rotation-store.js';
import { run } from './run.js';
import { archiveSealingKey, readArchivedSealingKeys } from './sealing-key-archive.js';
import { insertSealingKey, readSealingKeys, removeSealingKey } from './sealing-keys.js';
import { secretsPage } from './secrets-page.js';
import { setClientState } from './set-client-state.js';
import { appendSiteDocument, readSiteDocument } from './site-documents.js';
import { secretsStoredAfter } from './stored-after.js';
import { streamSecrets } from './stream-secrets.js';
import { traceMessage } from './trace-message.js';

/** Outcomes removed in one transaction. */
const PRUNE_BATCH = 1000;

/**
 * The site database on SQL Server: a pool of connections, one operation a file. READ COMMITTED and
 * no lock hints: constraints decide, whoever meets a rival's row reads again (again.ts).
 *
 * What workers look up for every message travels in batches (batched.ts).
 */
export class MssqlStore implements SiteStore {
  readonly dialect = 'mssql';
  readonly disclosure: DisclosureStore;
  readonly people: PeopleStore;
  readonly search: SearchStore;
  readonly policy: PolicyStore;
  readonly rotation: RotationStore;
  readonly #c: Connection;
  readonly #clock: Clock;
  readonly #readOnly: boolean;
  readonly #clients: (clientId: Guid) => Promise<ClientRow | null>;
  readonly #outcomes: (key: MessageKey) => Promise<OutcomeRow | null>;
  readonly #quarantined: (key: MessageKey) => Promise<QuarantineRow | null>;
  readonly #deadLetters: (key: MessageKey) => Promise<DeadLetterRow | null>;

  /** @param options `readOnly`: every write is refused, as by a read-only SQLite connection */
  constructor(connection: Connection, clock: Clock, options: { readonly readOnly?: boolean } = {}) {
    this.#c = connection;
    this.#clock = clock;
    this.#readOnly = options.readOnly ?? false;
    this.disclosure = mssqlDisclosure(connection, (doing, work) => this.#write(doing, work));
    this.people = mssqlPeople(connection, (doing, work) => this.#write(doing, work));
    this.search = mssqlSearch(connection, (doing, work) => this.#write(doing, work));
    this.policy = policyStore(connection, (doing, work) => this.#write(doing, work));
    this.rotation = mssqlRotation(connection, (doing, work) => this.#write(doing, work));
    this.#clients = batched((ids) => findClients(connection, ids));
    this.#outcomes = batched((keys) => findOutcomes(connection, keys));
    this.#quarantined = batched((keys) => findQuarantined(connection, keys));
    this.#deadLetters = batched((keys) => findDeadLetters(connection, keys));
  }

  close = (): Promise<void> => this.#c.close();
  durability = () => run('reading the durability settings', () => durability(this.#c));
  probeWrite = (by: string) =>
    this.#write('the readiness write', () => probeWrite(this.#c, by, this.#clock.now()));

  createSite = (seed: SiteSeed) => this.#write('creating the site', () => createSite(this.#c, seed));
  readSite = () => run('reading the site', () => readSite(this.#c));
  readSiteDocument = () => run('reading the site document', () => readSiteDocument(this.#c));
  appendSiteDocument = (version: number, jws: string) =>
    this.#write('adding a site document', () => appendSiteDocument(this.#c, version, jws, this.#clock.now()));
  readSealingKeys = () => run('reading sealing keys', () => readSealingKeys(this.#c));
  addSealingKey = (row: SealingKeyRow) =>
    this.#write('adding a sealing key', () => insertSealingKey(this.#c, row));
  removeSealingKey = (kid: string) => run('removing a sealing key', () => removeSealingKey(this.#c, kid));
  archiveSealingKey = (row: ArchivedSealingKeyRow) =>
    run('archiving a sealing key', () => archiveSealingKey(this.#c, row));
  readArchivedSealingKeys = () =>
    run('reading archived sealing keys', () => readArchivedSealingKeys(this.#c));
  readFingerprintKey = () => run('reading the fingerprint key', () => readFingerprintKey(this.#c));
  readPolicies = () => run('reading policies', () => readPolicies(this.#c));
  insertDataKey = (row: DataKeyRow) => this.#write('adding a data key', () => insertDataKey(this.#c, row));
  insertDataKeyWraps = (rows: readonly DataKeyRow[]) =>
    this.#write('adding wraps of data keys', () => insertDataKeyWraps(this.#c, rows));
  readDataKeys = () => run('reading data keys', () => readDataKeys(this.#c));
  insertEnrolmentToken = (row: EnrolmentTokenRow) =>
    this.#write('adding an enrolment token', () => insertEnrolmentToken(this.#c, row));
  readEnrolmentTokens = () => run('reading enrolment tokens', () => readEnrolmentTokens(this.#c));
  revokeEnrolmentToken = (tokenId: Guid, atMs: number) =>
    this.#write('revoking an enrolment token', () => revokeEnrolmentToken(this.#c, tokenId, atMs));

  findClient = (clientId: Guid) => run('reading a client', () => this.#clients(clientId));
  findKeyOwners = (kid: string) => run('reading key owners', () => findKeyOwners(this.#c, kid));
  commitRegistration = (write: RegistrationWrite) =>
    this.#write('committing a registration', () => commitRegistration(this.#c, write));
  setClientState = (clientId: Guid, state: 'ACTIVE' | 'BLOCKED', by: string) =>
    this.#write('setting a client state', () =>
      setClientState(this.#c, clientId, state, by, this.#clock.now()),
    );

  readPendingRegistrations = (limit: number) =>
    run('reading waiting registrations', () => readPendingRegistrations(this.#c, limit));
  approveRegistration = (
    clientId: Guid,
    kid: string,
    approval: { readonly by: string; readonly tag: string; readonly atMs: number },
  ) => this.#write('approving a registration', () => approveRegistration(this.#c, clientId, kid, approval));
  rejectRegistration = (clientId: Guid, kid: string) =>
    this.#write('rejecting a registration', () => rejectRegistration(this.#c, clientId, kid));
  listClients = (filter: { readonly flagged: boolean; readonly limit: number }) =>
    run('listing clients', () => listClients(this.#c, filter));
  findLookAlikes = (
    clientId: Guid,
    hints: { readonly hardwareId: string; readonly machineName: string; readonly domain: string },
  ) => run('looking for machines that look alike', () => findLookAlikes(this.#c, clientId, hints));
  mergeClient = (clientId: Guid, intoClientId: Guid, by: string) =>
    this.#write('merging a client', () =>
      mergeClient(this.#c, clientId, intoClientId, by, this.#clock.now()),
    );
  readMachineEvents = (clientId: Guid) =>
    run('reading what operators did', () => readMachineEvents(this.#c, clientId));

  classify = (candidates: readonly CommitCandidate[]) =>
    run('classifying messages', () => classify(this.#c, candidates));
  apply = (plans: readonly CommitPlan[]) => this.#write('committing messages', () => apply(this.#c, plans));

  findOutcome = (clientId: Guid, messageId: Guid) =>
    run('reading an outcome', () => this.#outcomes({ clientId, messageId }));
  findQuarantined = (clientId: Guid, messageId: Guid) =>
    run('reading the quarantine', () => this.#quarantined({ clientId, messageId }));
  findDeadLetter = (clientId: Guid, messageId: Guid) =>
    run('reading dead letters', () => this.#deadLetters({ clientId, messageId }));
  quarantine = (row: QuarantineRow, bound: number) =>
    this.#write('quarantining a message', () => quarantine(this.#c, row, bound));
  findReleasableQuarantine = (release: QuarantineRelease) =>
    run('looking for messages to release', () => findReleasableQuarantine(this.#c, release));
  resolveQuarantined = (clientId: Guid, messageId: Guid, sealed: string) =>
    run('ending a quarantine', () => resolveQuarantined(this.#c, { clientId, messageId }, sealed));
  addDeadLetter = (row: DeadLetterRow, bound: number) =>
    this.#write('adding a dead letter', () => addDeadLetter(this.#c, row, bound));
  countDeadLetterResend = (clientId: Guid, messageId: Guid) =>
    this.#write('counting a re-send', () => countDeadLetterResend(this.#c, { clientId, messageId }));
  redriveDeadLetter = (clientId: Guid, messageId: Guid, atMs: number) =>
    this.#write('redriving a dead letter', () => redriveDeadLetter(this.#c, { clientId, messageId }, atMs));

  pruneOutcomes = (beforeMs: number): Promise<number> =>
    this.#write('pruning outcomes', async () => {
      await resolveKept(this.#c);
      for (let total = 0; ;) {
        const pruned = await pruneOutcomes(this.#c, beforeMs, PRUNE_BATCH);
        total += pruned;
        if (pruned < PRUNE_BATCH) return total;
      }
    });

  traceMessage = (messageId: Guid) => run('tracing a message', () => traceMessage(this.#c, messageId));
  findKeys = (prefix: string, limit: number) => run('finding keys', () => findKeys(this.#c, prefix, limit));
  counts = () => run('counting', () => counts(this.#c));
  countPlainSecrets = () => run('counting', () => countPlainSecrets(this.#c));

  streamSecrets = (): AsyncIterable<StoredSecret> => ours('reading secrets', streamSecrets(this.#c));
  secretsPage = (after: SecretPosition | null, limit: number) =>
    run('reading secrets', () => secretsPage(this.#c, after, limit));
  secretsStoredAfter = (place: string | null, limit: number) =>
    run('reading new secrets', () => secretsStoredAfter(this.#c, place, limit));
  markDamaged = (secretId: Uint8Array, generation: number, reason: string, atMs: number) =>
    this.#write('marking a secret', () => markDamaged(this.#c, secretId, generation, reason, atMs));
  openRotationRequest = (row: RotationRequestRow, atMs: number) =>
    this.#write('opening a rotation request', () => openRotationRequest(this.#c, row, atMs));

  /** Runs work that writes. */
  #write<T>(doing: string, work: () => Promise<T>): Promise<T> {
    if (!this.#readOnly) return run(doing, work);
    return Promise.reject(
      new MpeError('STORE_FAILED', `${doing}: this process opened the site database to read it only`),
    );
  }

  hashLines = (): AsyncIterable<HashLine> => ours('reading the site hash', hashLines(this.#c));
}

/** The items of a stream, with its error as one of ours. */
async function* ours<T>(doing: string, items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw toStoreError(error, doing);
  }
}
