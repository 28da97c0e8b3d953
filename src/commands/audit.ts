import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import { publicPart } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { PublicJwk } from '../protocol/jwk.js';
import { createAuditKey, holdsAuditKey, readAuditKey } from '../recovery/audit/audit-key.js';
import { readCheckpoints, type CheckpointLine } from '../recovery/audit/checkpoint.js';
import { exportAudit, type ExportFormat } from '../recovery/audit/export-audit.js';
import { makeCheckpoint } from '../recovery/audit/make-checkpoint.js';
import { readLogs } from '../recovery/audit/read-log.js';
import { faultText, verifyAudit, type AuditReport } from '../recovery/audit/verify-audit.js';
import type { AuditFilter } from '../store/disclosure-store.js';
import type { SiteRow } from '../store/site-store.js';
import { readPublicKey } from './audit-options.js';
import { group } from './group.js';
import { print, printJson, time, warn } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** Exit status of `mpe audit verify` where something is wrong. */
const EXIT_BROKEN = 1;

/** `mpe audit …`: who was shown which key. */
export function register(program: Command): void {
  const audit = group(program, 'audit', 'The audit: who asked for which key, and that nobody changed it');
  audit
    .command('verify')
    .description('look for rows that were changed, taken out, moved or cut off; names them')
    .option('--checkpoints <file>', 'checkpoint file; default: MPE_AUDIT_CHECKPOINTS, where it is there')
    .option('--key <file>', 'public audit key ("mpe audit key"), where this host has no key folder with it')
    .option('--log <file...>', 'logs of the recovery service (and of commands), as JSON lines')
    .option('--json', 'print the report as JSON', false)
    .action(verify);
  audit
    .command('export')
    .description('write the audit as CSV or JSON, the newest row first')
    .addOption(new Option('--format <format>', 'how').choices(['csv', 'json']).default('csv'))
    .option('--out <file>', 'into this file; default: standard output')
    .option('--from <time>', 'rows from this time on (ISO 8601)')
    .option('--to <time>', 'rows before this time')
    .addOption(new Option('--result <result>', 'only these').choices(['Successful', 'Failed']))
    .option('--source <source>', 'e.g. "Self-Service Portal"')
    .option('--key-type <type>', 'e.g. "TPM Password Hash"')
    .option('--user <part>', 'part of the name of the helpdesk user or the end user')
    .option('--key-id <part>', 'part of the key ID')
    .option('--machine <part>', 'part of the machine’s name')
    .action(exportRows);
  audit
    .command('checkpoint')
    .description('verify what is new and sign the end of the chain, into the checkpoint file')
    .option('--json', 'print it as JSON', false)
    .action(checkpoint);
  audit
    .command('key')
    .description('print the public audit key, which verifies checkpoints')
    .option('--create', 'make the key of a site that has none', false)
    .action(key);
}

interface VerifyOptions {
  readonly checkpoints?: string;
  readonly key?: string;
  readonly log?: string[];
  readonly json: boolean;
}

async function verify(options: VerifyOptions): Promise<void> {
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const lines = await checkpointsOf(config, site, options);
      const attested = await readLogs(options.log ?? []);
      const report = await verifyAudit(store.disclosure, attested, lines);
      if (report.faults.length > 0) process.exitCode = EXIT_BROKEN;
      const last = report.last;
      if (options.json) {
        const faults = report.faults.map((fault) => ({ ...fault, text: faultText(fault) }));
        const plain = JSON.stringify({ ...report, ok: faults.length === 0, faults }, (_, value: unknown) =>
          typeof value === 'bigint' ? value.toString() : value,
        );
        printJson(JSON.parse(plain));
        return;
      }
      print(
        last === null
          ? 'The audit has no rows.'
          : `${report.rows} rows, the last one ${last.sequence} with hash ${last.hash}`,
        `${report.attested} compared with what checkpoints and logs say`,
        ...attestedText(report),
        ...report.faults.map((fault) => `✗ ${faultText(fault)}`),
        ...(report.more ? ['… and more'] : []),
        report.faults.length === 0
          ? 'Nothing was changed, taken out or cut off.'
          : 'What to do: docs/audit.md',
      );
      if (report.attested === 0 && last !== null)
        warn(
          'Without a checkpoint or a log, rows that were cut off at the end together with the head of the chain, and a',
          'chain that was computed anew, cannot be told: give --checkpoints or --log.',
        );
    },
    { readOnly: true },
  );
}

/** How far what is kept elsewhere reaches: a file whose end was cut off reaches less far. */
function attestedText({ attestedTo, last }: AuditReport): string[] {
  if (attestedTo === null || last === null) return [];
  const after = last.sequence - attestedTo.sequence;
  return [
    `attested up to row ${attestedTo.sequence} by ${attestedTo.by}` +
      (after === 0n ? '' : `; the ${after} after it stand in the chain alone`),
  ];
}

async function checkpointsOf(
  config: Config,
  site: SiteRow,
  options: VerifyOptions,
): Promise<readonly CheckpointLine[]> {
  const path = options.checkpoints ?? config.audit.checkpoints.path;
  if (!existsSync(path)) {
    if (options.checkpoints === undefined) return [];
    throw new MpeError('USAGE', `the checkpoint file ${path} is not there`);
  }
  let key: PublicJwk;
  if (options.key !== undefined) key = readPublicKey(options.key);
  else if (holdsAuditKey(config.keysDir)) key = publicPart(readAuditKey(config.keysDir));
  else
    throw new MpeError(
      'USAGE',
      `${path} holds checkpoints, and this host has no audit key to verify them: give --key <file> with what ` +
        '"mpe audit key" prints on the recovery host',
    );
  return readCheckpoints(path, key, site.siteGuid);
}

interface ExportOptions {
  readonly format: ExportFormat;
  readonly out?: string;
  readonly from?: string;
  readonly to?: string;
  readonly result?: 'Successful' | 'Failed';
  readonly source?: string;
  readonly keyType?: string;
  readonly user?: string;
  readonly keyId?: string;
  readonly machine?: string;
}

async function exportRows(options: ExportOptions): Promise<void> {
  const filter: AuditFilter = {
    ...(options.from === undefined ? {} : { fromMs: timeOf('--from', options.from) }),
    ...(options.to === undefined ? {} : { toMs: timeOf('--to', options.to) }),
    ...(options.result === undefined ? {} : { result: options.result }),
    ...(options.source === undefined ? {} : { source: options.source }),
    ...(options.keyType === undefined ? {} : { keyType: options.keyType }),
    ...(options.user === undefined ? {} : { user: { kind: 'any', part: options.user } }),
    ...(options.keyId === undefined ? {} : { keyId: options.keyId }),
    ...(options.machine === undefined ? {} : { machine: options.machine }),
  };
  await withStore(
    loadConfig(),
    async (store) => {
      await requireSite(store);
      // Names of people: for the owner of the file alone.
      const file = options.out === undefined ? null : createWriteStream(options.out, { mode: 0o600 });
      const target = file ?? process.stdout;
      try {
        for await (const piece of exportAudit(store.disclosure, filter, options.format)) {
          if (!target.write(piece)) await once(target, 'drain');
        }
        if (file !== null) {
          file.end();
          await finished(file);
        }
      } catch (cause) {
        if (cause instanceof MpeError || options.out === undefined) throw cause;
        throw new MpeError('USAGE', `${options.out} cannot be written`, { cause });
      }
    },
    { readOnly: true },
  );
}

async function checkpoint(options: { readonly json: boolean }): Promise<void> {
  const config = loadConfig();
  const { path } = config.audit.checkpoints;
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const made = await makeCheckpoint({
        ...{
          store: store.disclosure,
          siteGuid: site.siteGuid,
          key: readAuditKey(config.keysDir),
          path,
          always: true,
        },
        clock: clockOf(config, site.testSite),
      });
      if (made === null) throw new MpeError('INTERNAL', 'a checkpoint that was asked for was not made');
      const { sequence, hash, atMs } = made;
      if (options.json) printJson({ sequence: sequence.toString(), hash, at: time(atMs), file: path });
      else print(`Checkpoint of row ${sequence}, hash ${hash}, added to ${path}.`);
    },
    { readOnly: true },
  );
}

async function key(options: { readonly create: boolean }): Promise<void> {
  const { keysDir } = loadConfig();
  const jwk = options.create ? await createAuditKey(keysDir) : readAuditKey(keysDir);
  printJson(publicPart(jwk));
  if (options.create) warn(`The audit key is in ${keysDir}: take a new backup (mpe backup).`);
}

function timeOf(option: string, text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new MpeError('USAGE', `${option} takes a time such as 2026-11-28T10:00:00Z`);
  return ms;
}
