import { guidFromBytes, NIL_GUID, type Guid } from '../protocol/guid.js';
import { volumeTypeWire } from '../protocol/wire-enums.js';
import { parseRecoveryPassword } from '../protocol/recovery-password.js';
import { identify } from '../secrets/secret-identity.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import { secretKindNumber, type SecretKind } from '../secrets/types.js';
import type { HashLine, SiteStore } from '../store/site-store.js';
import type { BuiltCase } from './built-case.js';
import { clientIdOf } from './build-case.js';
import type { Fixture } from './fixture-schema.js';
import { bytesValue, guidValue, idBytes, passwordValue } from './fixture-values.js';
import { secretsOf, type FixtureSecret } from './secrets-of.js';

/** The rows of a case: what its clients and volumes have in the site database. */
export interface CaseScope {
  readonly clients: ReadonlySet<string>;
  readonly volumes: ReadonlySet<string>;
}

/** A line of the site hash as one text. */
export function lineText(line: HashLine): string {
  return `${line.table} ${line.columns.join(' ')}`;
}

/** The clients and volumes that belong to a case. */
export function scopeOf(fixture: Fixture): CaseScope {
  const texts = fixture.steps.flatMap(({ send }) => {
    if (send === undefined) return [];
    if ('escrowRecoveryKeys' in send.body) return send.body.escrowRecoveryKeys.volumes.map((v) => v.volume);
    return 'checkIn' in send.body ? send.body.checkIn.volumes.map((v) => v.volume) : [];
  });
  const ids = texts.flatMap((text) => {
    const bytes = idBytes(fixture.name, text);
    return bytes.length === 16 && bytes.some((b) => b !== 0) ? [guidFromBytes(bytes)] : [];
  });
  return {
    clients: new Set(Object.keys(fixture.clients).map((client) => clientIdOf(fixture, client))),
    volumes: new Set(ids),
  };
}

/** Whether a line belongs to a case. */
export function inScope(line: HashLine, scope: CaseScope): boolean {
  const [first = '', second = '', third = ''] = line.columns;
  if (line.table !== 'keys') return scope.clients.has(first);
  return first === '3' ? scope.clients.has(second) : scope.volumes.has(third);
}

/** Epoch after the case of each client; 0 = not registered. */
export function expectedEpochs(fixture: Fixture): ReadonlyMap<string, number> {
  const registers = (client: string): boolean =>
    fixture.clients[client]?.register === true ||
    fixture.steps.some((s) => s.register?.client === client && s.expect?.['status'] === 'REGISTERED');
  return new Map(
    Object.keys(fixture.clients).map((client) => [
      client,
      fixture.rows.clients?.[client] ?? (registers(client) ? 1 : 0),
    ]),
  );
}

interface KeyIdentity {
  readonly kind: SecretKind;
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly value: Uint8Array;
}

function identityOf(fixture: Fixture, row: Fixture['rows']['keys'][number]): KeyIdentity {
  const scope = fixture.name;
  if (row.tpmOwnerAuth !== undefined)
    return {
      kind: 'TPM_OWNER_AUTH',
      keyId: clientIdOf(fixture, row.client ?? ''),
      volumeId: NIL_GUID,
      value: bytesValue(scope, row.tpmOwnerAuth),
    };
  const ids = { keyId: guidValue(scope, row.key ?? ''), volumeId: guidValue(scope, row.volume ?? '') };
  return row.package === undefined
    ? {
        ...ids,
        kind: 'RECOVERY_PASSWORD',
        value: parseRecoveryPassword(passwordValue(scope, row.password ?? '')).bytes,
      }
    : { ...ids, kind: 'KEY_PACKAGE', value: bytesValue(scope, row.package, 2000) };
}

function keyColumns(key: FingerprintKey, { kind, keyId, volumeId, value }: KeyIdentity): string[] {
  const { fingerprint } = identify(key, kind, keyId, volumeId, value);
  return [String(secretKindNumber(kind)), keyId, volumeId, key.id, Buffer.from(fingerprint).toString('hex')];
}

/** The lines that a case must leave, as texts. */
export function expectedLines(fixture: Fixture, built: BuiltCase, key: FingerprintKey): readonly string[] {
  const lines: HashLine[] = [];
  for (const [client, epoch] of expectedEpochs(fixture))
    if (epoch > 0) lines.push({ table: 'clients', columns: [clientIdOf(fixture, client), String(epoch)] });
  for (const row of fixture.rows.keys) {
    const columns = keyColumns(key, identityOf(fixture, row));
    lines.push({ table: 'keys', columns });
    for (const client of row.provenBy)
      lines.push({ table: 'proofs', columns: [clientIdOf(fixture, client), ...columns] });
  }
  for (const report of fixture.rows.reports) {
    const step = fixture.steps.find((s) => s.id === report.from);
    const message = built.steps[report.from];
    if (step?.send === undefined || message?.kind !== 'message') continue;
    lines.push({
      table: 'reports',
      columns: [
        clientIdOf(fixture, report.client),
        guidValue(fixture.name, report.volume),
        String(volumeTypeWire.number(report.type)),
        String(report.epoch),
        step.send.sequence,
        message.payloadDigest,
        report.keys
          .map((text) => guidValue(fixture.name, text))
          .sort()
          .join(','),
      ],
    });
  }
  return lines.map(lineText).sort();
}

/** Where a message is in the site database, as fixtures write it. */
export async function whereIs(store: SiteStore, clientId: Guid, messageId: Guid): Promise<string> {
  const [outcome, quarantined, dead] = await Promise.all([
    store.findOutcome(clientId, messageId),
    store.findQuarantined(clientId, messageId),
    store.findDeadLetter(clientId, messageId),
  ]);
  const reason = outcome === null || outcome.reason === 'NONE' ? '' : ` ${outcome.reason}`;
  const places = [
    ...(outcome === null ? [] : [`outcome ${outcome.disposition}${reason}`]),
    ...(quarantined === null ? [] : [`quarantine ${quarantined.reason}`]),
    ...(dead === null ? [] : [`dead letter ${dead.cause}`]),
  ];
  return places.length === 0 ? 'nothing' : places.join(' + ');
}

/** Replaces GUIDs and fingerprints by the labels of the case, so that a person can read a row. */
export class RowNames {
  readonly #names: ReadonlyMap<string, string>;
  readonly #key: FingerprintKey;

  constructor(fixture: Fixture, built: BuiltCase, key: FingerprintKey) {
    const names = new Map<string, string>();
    const note = (id: string, name: string): void => {
      if (!names.has(id)) names.set(id, name);
    };
    for (const client of Object.keys(fixture.clients)) note(clientIdOf(fixture, client), client);
    for (const [id, step] of Object.entries(built.steps))
      if (step.kind === 'message') note(step.payloadDigest, id);
    for (const { kind, keyId, volumeId, value, source } of secretsOf(fixture)) {
      if (keyId === null || volumeId === null || value === null) continue;
      const fingerprint = keyColumns(key, { kind, keyId, volumeId, value })[4] ?? '';
      // A password that a case writes out is not repeated.
      const shown =
        typeof source === 'string' && source.startsWith('@') ? source : `#${fingerprint.slice(0, 8)}`;
      note(fingerprint, `${kind}=${shown}`);
    }
    for (const text of textsOf(fixture)) {
      if (!text.startsWith('@')) continue;
      note(guidValue(fixture.name, text), text);
    }
    this.#key = key;
    note(key.id, 'fk');
    note(NIL_GUID, 'nil');
    this.#names = names;
  }

  /** The name that the case has for an id, or the id. */
  name(id: string): string {
    return this.#names.get(id) ?? id;
  }

  /** Whether a secret of the case is the one that a row identifies. */
  sameSecret(secret: FixtureSecret, keyId: string, volumeId: string, fingerprint: string): boolean {
    const { kind, value } = secret;
    if (secret.keyId !== keyId || secret.volumeId !== volumeId || value === null) return false;
    return (
      keyColumns(this.#key, { kind, keyId: secret.keyId, volumeId: secret.volumeId, value })[4] ===
      fingerprint
    );
  }

  /** A line with its ids named. */
  readable(line: string): string {
    return line
      .split(' ')
      .flatMap((column) => {
        const named = column
          .split(',')
          .map((part) => this.name(part))
          .join(',');
        return named === 'fk' ? [] : [named];
      })
      .join(' ');
  }
}

/** Every text inside a value. */
export function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}
