import { readFileSync, writeFileSync } from 'node:fs';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import { volumeTypeWord } from '../protocol/wire-enums.js';
import { RowNames, textsOf } from './case-rows.js';
import { guidValue } from './fixture-values.js';
import { formatFixture } from './format-fixture.js';
import type { ReadyCase } from './plan-set.js';
import type { CaseResult } from './replay-set.js';
import { mapTexts, OPEN_NAMES } from './reply-view.js';
import { secretsOf } from './secrets-of.js';

type Json = Record<string, unknown>;

/** Names by which a case calls its GUIDs, in its own notation. */
function notations(ready: ReadyCase): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const text of textsOf(ready.fixture)) {
    const isId = text.startsWith('@') || /^[{]?[0-9a-f-]{32,36}[}]?$|^le-/i.test(text);
    if (!isId) continue;
    const guid = guidValue(ready.fixture.name, text);
    if (!names.has(guid)) names.set(guid, text);
  }
  return names;
}

/**
 * Writes what a replay found into the case's file, as its new expectation. For a person who then
 * reads the difference; an expectation that already holds stays as it is, matchers included.
 *
 * @returns whether the file changed
 */
export function updateFixture(ready: ReadyCase, result: CaseResult, key: FingerprintKey): boolean {
  const before = readFileSync(ready.file, 'utf8');
  const json = JSON.parse(before) as Json & { steps: (Json & { id: string })[]; rows: Json };
  const names = notations(ready);
  const named = (text: string): string => names.get(text) ?? text;
  for (const step of json.steps) {
    const view = result.views.get(step.id);
    const wrong = result.mismatches.some((m) => m.step === step.id && m.path.startsWith('reply'));
    if (view === undefined || !wrong) continue;
    const kept = Object.entries(view).filter(
      ([name]) => !OPEN_NAMES.has(name) || Object.hasOwn(step['expect'] as Json, name),
    );
    step['expect'] = mapTexts(Object.fromEntries(kept), named);
  }
  for (const mismatch of result.mismatches) {
    if (mismatch.path === 'rows.messages') {
      json.rows['messages'] = { ...(json.rows['messages'] as Json), [mismatch.step]: mismatch.got };
    }
    if (mismatch.path === 'rows.flags')
      json.rows['flags'] = {
        ...(json.rows['flags'] as Json | undefined),
        [mismatch.step]: JSON.parse(mismatch.got) as unknown,
      };
  }
  if (result.rows.length > 0) updateRows(ready, result, key, json, named);
  const after = formatFixture(json);
  if (after !== before) writeFileSync(ready.file, after);
  return after !== before;
}

function updateRows(
  ready: ReadyCase,
  result: CaseResult,
  key: FingerprintKey,
  json: Json & { rows: Json },
  named: (text: string) => string,
): void {
  const { fixture, built } = ready;
  const names = new RowNames(fixture, built, key);
  const client = (id: string): string => names.name(id);
  const keys = new Map<string, { row: Json; provenBy: string[] }>();
  const reports: Json[] = [];
  const epochs: Json = {};
  for (const line of result.found) {
    const [table, ...c] = line.split(' ');
    const column = (index: number): string => c[index] ?? '';
    if (table === 'clients') epochs[client(column(0))] = Number(column(1));
    else if (table === 'keys') keys.set(c.join(' '), { row: keyRow(ready, names, c, named), provenBy: [] });
    else if (table === 'proofs') keys.get(c.slice(1).join(' '))?.provenBy.push(client(column(0)));
    else
      reports.push({
        client: client(column(0)),
        volume: named(column(1)),
        type: volumeTypeWord(Number(column(2))),
        from: names.name(column(5)),
        ...(column(3) === '1' ? {} : { epoch: Number(column(3)) }),
        keys: column(6) === '' ? [] : column(6).split(',').map(named),
      });
  }
  json.rows['keys'] = [...keys.values()].map(({ row, provenBy }) => ({ ...row, provenBy }));
  if (reports.length > 0 || json.rows['reports'] !== undefined) json.rows['reports'] = reports;
  if (json.rows['clients'] !== undefined) json.rows['clients'] = epochs;
}

function keyRow(
  ready: ReadyCase,
  names: RowNames,
  columns: readonly string[],
  named: (text: string) => string,
): Json {
  const [kind, keyId = '', volumeId = '', , fingerprint = ''] = columns;
  const source = secretsOf(ready.fixture).find(
    (s) => s.value !== null && names.sameSecret(s, keyId, volumeId, fingerprint),
  )?.source;
  if (kind === '3') return { client: names.name(keyId), tpmOwnerAuth: source };
  const ids = { key: named(keyId), volume: named(volumeId) };
  return kind === '2' ? { ...ids, package: source } : { ...ids, password: source };
}
