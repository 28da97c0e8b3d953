import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { isMpeError } from '../ops/errors.js';
import { FileKeeper } from '../secrets/certificate-keeper.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { SecretOpener } from '../secrets/open-secret.js';
import { withoutFormerSentinels } from '../secrets/sentinel.js';
import { checkSite } from '../secrets/site-check.js';
import { openFingerprintKey } from '../secrets/site-keys.js';
import { SECRET_KINDS, type DataKeyRow, type SecretKind } from '../secrets/types.js';
import { verifySecret, type SecretCheck } from '../secrets/verify-secret.js';
import type { SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** Problems named in the output; all are counted. */
const PROBLEMS_SHOWN = 20;

/** Counts of one kind. */
interface KindCounts {
  /** Generations that open and are what they say. */
  ok: number;
  /** Of these, in plain text. */
  plain: number;
  /** Generations that do not open. */
  unreadable: number;
  /** Generations that open and are not what their identity says. */
  differs: number;
  /** Generations marked damaged before, whose secret has another one that opens. */
  replaced: number;
}

interface Problem {
  readonly secretId: string;
  readonly generation: number;
  readonly kind: SecretKind;
  readonly keyId: string;
  readonly problem: string;
}

interface Report {
  readonly kinds: Record<SecretKind, KindCounts>;
  /** Secrets encrypted with each data key. */
  readonly dataKeys: Map<string, number>;
  readonly dataKeyProblems: { readonly dataKeyId: string; readonly problem: string }[];
  readonly problems: Problem[];
  failures: number;
}

/** `mpe secrets verify`: opens every stored secret and compares it with its fingerprint. */
export function register(program: Command): void {
  group(program, 'secrets', 'Stored secrets; none of these commands shows one')
    .command('verify')
    .description('open every stored secret and compare it with its fingerprint; prints counts, never a key')
    .option('--json', 'print the counts as JSON', false)
    .option(
      '--mark-damaged',
      'mark what does not open or differs, so that its machines are asked for it again; cannot be taken back',
      false,
    )
    .action(verify);
}

async function verify(options: { readonly json: boolean; readonly markDamaged: boolean }): Promise<void> {
  const config = loadConfig();
  const keyFolder = await openKeyFolder(config.keysDir, 'recovery');
  const report = await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const document = await checkSite(keyFolder, site, (await store.readSiteDocument()).jws);
      const dataKeys = async (): Promise<readonly DataKeyRow[]> =>
        withoutFormerSentinels(
          await store.readDataKeys(),
          keyFolder.siteGuid,
          document.certificateThumbprint,
        );
      const fingerprintKey = await openFingerprintKey(
        await store.readFingerprintKey(),
        keyFolder.workerSecret(),
      );
      const opener = new SecretOpener({
        siteGuid: keyFolder.siteGuid,
        keeper: await FileKeeper.open(keyFolder.path),
        dataKeys: await dataKeys(),
      });
      return check(store, dataKeys, opener, async (secret) => {
        const result = await verifySecret(opener, fingerprintKey, secret.identity, secret.content);
        if (options.markDamaged && !secret.damaged) await mark(store, secret, result);
        return result;
      });
    },
    { readOnly: !options.markDamaged },
  );
  if (options.json) printJson(jsonOf(report));
  else printReport(report);
  if (report.failures > 0) process.exitCode = 1;
}

/** Faults of a secret or of its data key; a missing or another certificate is none of theirs. */
const MARKED: readonly string[] = ['CIPHERTEXT_DAMAGED', 'DATA_KEY_DAMAGED', 'DATA_KEY_UNKNOWN'];

/** By the word of the operator, who knows that nothing better will come: also what the canary holds back. */
async function mark(store: SiteStore, secret: Stored, result: SecretCheck): Promise<void> {
  if (result.kind === 'ok') return;
  const reason = result.kind === 'differs' ? 'VALUE_DIFFERS' : result.reason;
  if (result.kind === 'unreadable' && !MARKED.includes(reason)) return;
  await store.markDamaged(secret.identity.secretId, secret.generation, reason, Date.now());
}

type Stored = SiteStore extends { streamSecrets(): AsyncIterable<infer T> } ? T : never;

/** Walks all secrets, one at a time: memory does not grow with their number. */
async function check(
  store: SiteStore,
  dataKeys: () => Promise<readonly DataKeyRow[]>,
  opener: SecretOpener,
  verifyOne: (secret: Stored) => ReturnType<typeof verifySecret>,
): Promise<Report> {
  const counts = (): KindCounts => ({ ok: 0, plain: 0, unreadable: 0, differs: 0, replaced: 0 });
  const report: Report = {
    kinds: { RECOVERY_PASSWORD: counts(), KEY_PACKAGE: counts(), TPM_OWNER_AUTH: counts() },
    dataKeys: new Map(),
    dataKeyProblems: [],
    problems: [],
    failures: 0,
  };
  // Generations of one secret come one after the other: those marked damaged wait for the verdict.
  let current = '';
  let opened = false;
  let marked: {
    readonly secret: Stored;
    readonly problem: string;
    readonly kind: 'unreadable' | 'differs';
  }[] = [];
  const settle = (): void => {
    for (const { secret, problem, kind } of marked) {
      if (opened) report.kinds[secret.identity.kind].replaced += 1;
      else fail(report, secret, kind, problem);
    }
    marked = [];
    opened = false;
  };

  for await (const secret of store.streamSecrets()) {
    const id = Buffer.from(secret.identity.secretId).toString('hex');
    if (id !== current) settle();
    current = id;
    const { content, identity } = secret;
    if (content.form === 'SEALED') {
      report.dataKeys.set(content.dataKeyId, (report.dataKeys.get(content.dataKeyId) ?? 0) + 1);
    }
    const result = await verifyOne(secret);
    if (result.kind === 'ok') {
      opened = true;
      report.kinds[identity.kind].ok += 1;
      if (content.form === 'PLAIN') report.kinds[identity.kind].plain += 1;
      continue;
    }
    const problem =
      result.kind === 'unreadable' ? result.reason : 'opens, and is not what its fingerprint says';
    if (secret.damaged) marked.push({ secret, problem, kind: result.kind });
    else fail(report, secret, result.kind, problem);
  }
  settle();

  for (const row of await dataKeys()) {
    if (!report.dataKeys.has(row.dataKeyId)) report.dataKeys.set(row.dataKeyId, 0);
    try {
      await opener.checkDataKey(row.dataKeyId);
    } catch (error) {
      if (!isMpeError(error, 'SECRET_UNREADABLE')) throw error;
      // Stored after the opener was made: another process is at work; the next run sees it.
      if (error.facts['reason'] === 'DATA_KEY_UNKNOWN') continue;
      report.dataKeyProblems.push({ dataKeyId: row.dataKeyId, problem: error.message });
      report.failures += 1;
    }
  }
  return report;
}

function fail(report: Report, secret: Stored, kind: 'unreadable' | 'differs', problem: string): void {
  report.kinds[secret.identity.kind][kind] += 1;
  report.failures += 1;
  if (report.problems.length >= PROBLEMS_SHOWN) return;
  report.problems.push({
    secretId: Buffer.from(secret.identity.secretId).toString('hex'),
    generation: secret.generation,
    kind: secret.identity.kind,
    keyId: secret.identity.keyId,
    problem: `${problem}; stored ${time(secret.storedAtMs)}${secret.damaged ? ', marked damaged' : ''}`,
  });
}

function jsonOf(report: Report): unknown {
  return { ok: report.failures === 0, ...report, dataKeys: Object.fromEntries(report.dataKeys) };
}

function printReport(report: Report): void {
  const rows = SECRET_KINDS.map((kind) => {
    const { ok, plain, unreadable, differs, replaced } = report.kinds[kind];
    return [kind, ok, unreadable, differs, replaced, plain].map(String);
  });
  print(
    ...table(['kind', 'open and equal', 'unreadable', 'different', 'damaged, replaced', 'plain text'], rows),
    '',
    ...table(
      ['data key', 'secrets'],
      [...report.dataKeys].slice(0, PROBLEMS_SHOWN).map(([id, count]) => [id, String(count)]),
    ),
  );
  if (report.dataKeys.size > PROBLEMS_SHOWN) print(`… and ${report.dataKeys.size - PROBLEMS_SHOWN} more`);
  for (const { dataKeyId, problem } of report.dataKeyProblems.slice(0, PROBLEMS_SHOWN)) {
    print(`data key ${dataKeyId}: ${problem}`);
  }
  for (const { kind, keyId, generation, problem } of report.problems) {
    print(`${kind} of key ID ${keyId}, generation ${generation}: ${problem}`);
  }
  print('', verdict(report));
}

function verdict(report: Report): string {
  if (report.failures > 0) {
    return (
      `${report.failures} problems. Clients that still hold these keys are asked for them again once they are ` +
      'marked damaged; until then do not remove a backup.'
    );
  }
  const stored = SECRET_KINDS.some((kind) => report.kinds[kind].ok > 0);
  return stored ? 'Every stored secret opens and equals its fingerprint.' : 'No secret is stored.';
}
